"""The generators of the simulation have the variances that they state; the interval is the one that judges claims."""

import numpy as np
import pandas as pd
import pytest

from finegrain.seeding import generator

NOTEBOOK = "foundations/claims_simulation"

SIZES = np.array([3, 1, 4])
SEEDS = 5


class OneEffect:
    """A generator whose normal draws are zero but for those of one call, which are its unit vectors, one a repetition.

    The generators are linear in their normal effects, so the sum of squares of the estimates is the exact share of
    that call in the estimate's variance.
    """

    def __init__(self, call):
        self.call, self.count, self.shape = call, 0, None

    def normal(self, mean, deviation, shape):
        drawn = np.zeros(shape)
        if self.count == self.call:
            self.shape = shape[1:]
            free = int(np.prod(self.shape))
            drawn[np.arange(free), *np.unravel_index(np.arange(free), self.shape)] = deviation
        self.count += 1
        return drawn


def exact_variances(method, shares):
    """{shape of an effect: its part of the variance of the mean over seeds and items}."""
    parts, call = {}, 0
    while True:
        rng = OneEffect(call)
        d, truth = method.score_differences(rng, shares, SEEDS * SIZES.sum(), SEEDS, SIZES)
        assert truth == 0
        if rng.shape is None:
            return parts
        parts[rng.shape] = (d.mean(axis=(1, 2)) ** 2).sum()
        call += 1


def test_the_estimate_has_exactly_the_variances_that_a_setting_states(method):
    items, clusters = SIZES.sum(), len(SIZES)
    for shares in [*method.SHARES.values(), (0.2, 0.3, 0.5)]:
        parts = exact_variances(method, shares)
        seeds, by_cluster, neither = shares
        expected = {(SEEDS, 1): seeds}
        expected |= {(1, items): by_cluster / 2, (1, clusters): by_cluster / 2}
        expected |= {(SEEDS, clusters): neither / 2, (SEEDS, items): neither / 2}
        assert parts == pytest.approx({shape: part for shape, part in expected.items() if part})


def test_the_variance_of_simulated_estimates_is_one(method):
    d, _ = method.score_differences(generator(0, "scores"), (0.3, 0.4, 0.3), 4000, SEEDS, SIZES)
    assert d.shape == (4000, SEEDS, SIZES.sum())
    assert d.mean(axis=(1, 2)).var() == pytest.approx(1, abs=0.08)


def test_the_shares_of_each_setting_are_one_together(method):
    assert [sum(shares) for shares in method.SHARES.values()] == pytest.approx([1] * 4)
    assert method.LATENT.keys() == method.SHARES.keys()


def test_seeds_alone_move_all_items_alike_and_clusters_alone_all_seeds(method):
    by_seed, _ = method.score_differences(generator(0, "seeds"), (1, 0, 0), 3, SEEDS, SIZES)
    assert (np.ptp(by_seed, axis=2) == 0).all()
    by_cluster, _ = method.score_differences(generator(0, "clusters"), (0, 1, 0), 3, SEEDS, SIZES)
    assert (np.ptp(by_cluster, axis=1) == 0).all()


def test_the_truth_of_hits_is_their_mean_over_many_experiments(method):
    for latent in ((0.5, 0.5, 2.0), (2.0, 0.1, 0.1), (0.1, 2.0, 0.1)):
        thresholds = (2.0, 0.5)
        d, truth = method.hit_differences(generator(0, "hits"), latent, 4000, SEEDS, SIZES, thresholds)
        assert set(np.unique(d)) == {-1, 0, 1}
        estimates = d.mean(axis=(1, 2))
        assert estimates.mean() == pytest.approx(truth, abs=4 * estimates.std() / np.sqrt(4000))


def test_the_truth_of_hits_by_hand_changes_its_sign_with_the_arms_and_is_nought_between_equals(method):
    rng = generator(0, "hits")
    _, truth = method.hit_differences(rng, (0.0, 0.0, np.sqrt(3)), 1, SEEDS, SIZES, (2.0, 0.0))
    assert truth == pytest.approx(0.841344746 - 0.5)  # Phi(2 / 2) - Phi(0): the latent standard deviation is 2
    assert method.hit_differences(rng, (0.3, 0.2, 1), 1, SEEDS, SIZES, (0.2, 0.4))[1] == pytest.approx(
        -method.hit_differences(rng, (0.3, 0.2, 1), 1, SEEDS, SIZES, (0.4, 0.2))[1]
    )
    assert method.hit_differences(rng, (0.3, 0.2, 1), 1, SEEDS, SIZES, (0.4, 0.4))[1] == 0


def test_the_arms_share_the_difficulty_of_an_item_and_nothing_else(method):
    many = np.ones(400, int)
    d, _ = method.hit_differences(generator(0, "hits"), (0, 0, 30.0), 20, SEEDS, many, (0.0, 0.0))
    assert (d == 0).mean() > 0.95  # difficulty decides almost everything, for both arms alike
    for latent, across in (((1e4, 0, 0), 2), ((0, 1e4, 0), 1)):  # an arm's seeds move all items, clusters all seeds
        d, _ = method.hit_differences(generator(0, "hits"), latent, 400, SEEDS, SIZES, (0.0, 0.0))
        assert (d == 0).mean() == pytest.approx(0.5, abs=0.06)
        assert (np.ptp(d, axis=across) > 0).mean() < 0.02
        assert (np.ptp(d, axis=3 - across) > 0).mean() > 0.8


def test_cell_means_in_a_plain_loop(method):
    d = generator(0, "d").normal(size=(2, 3, SIZES.sum()))
    cluster = np.repeat(np.arange(len(SIZES)), SIZES)
    expected = [[[row[cluster == c].mean() for c in range(len(SIZES))] for row in one] for one in d]
    np.testing.assert_allclose(method.cell_means(d, SIZES), expected)


def test_the_crossed_interval_is_the_one_of_a_judged_claim(method):
    from finegrain.evaluate import Claim, judge

    sizes = np.r_[np.full(24, 2), 5]
    d, _ = method.score_differences(generator(0, "d"), (0.4, 0.4, 0.2), 2, SEEDS, sizes)
    low, high, withheld = method.crossed(d, sizes)
    claim = Claim(name="c", statement="It is so.", kind="superiority", measure="score", contrast={"a": 1, "b": -1})
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    for n in range(2):
        rows = [
            pd.DataFrame({"arm": arm, "seed": s, "item": range(len(cluster)), "cluster": cluster, "score": scores})
            for s in range(SEEDS)
            for arm, scores in (("a", d[n, s]), ("b", 0.0))
        ]
        verdict = judge([claim], pd.concat(rows))[0]
        assert (low[n], high[n]) == pytest.approx((verdict.low, verdict.high))
        assert not withheld[n]


def test_the_interval_moves_with_the_values_and_vanishes_where_nothing_varies(method):
    sizes = np.full(24, 2)
    d, _ = method.score_differences(generator(0, "d"), (0.4, 0.4, 0.2), 2, SEEDS, sizes)
    low, high, _ = method.crossed(d, sizes)
    moved_low, moved_high, _ = method.crossed(3 * d + 1, sizes)
    np.testing.assert_allclose([moved_low, moved_high], [3 * low + 1, 3 * high + 1])
    constant = method.crossed(np.ones_like(d), sizes)
    np.testing.assert_allclose(constant[:2], 1)


def test_with_few_seeds_or_few_clusters_the_verdict_is_withheld(method):
    draw = generator(0, "d")
    for seeds, clusters, expected in ((5, 40, False), (4, 40, True), (5, 5, True)):
        _, _, withheld = method.crossed(draw.normal(size=(3, seeds, 2 * clusters)), np.full(clusters, 2))
        assert (withheld == expected).all()


MUTATIONS = [
    ("effect(by_seed * seeds,", "effect(by_seed,"),
    ("by_cluster / 2 * len(cluster)", "by_cluster / 2 * len(sizes)"),
    ("by_cluster / 2 / crowding", "by_cluster / 2 * len(sizes)"),
    ("np.sqrt(variance)", "variance"),
    ("neither / 2 * seeds / crowding", "neither / 2 / crowding"),
    ("neither / 2 * seeds * len(cluster)", "neither * seeds * len(cluster)"),
    ("by_seed**2 + by_cluster**2 + difficulty**2 + 1", "by_seed**2 + by_cluster**2 + 1"),
    ("by_seed**2 + by_cluster**2 + difficulty**2 + 1", "by_seed**2 + by_cluster**2 + difficulty**2"),
    ("by_seed**2 + by_cluster**2 + difficulty**2 + 1", "by_seed**2 / seeds + by_cluster**2 + difficulty**2 + 1"),
    ("z = threshold + shared +", "z = threshold +"),
    ("rng.normal(0, by_seed, (repetitions, seeds, 1))", "rng.normal(0, by_seed, (repetitions, 1, 1))"),
    ("hits[0].astype(np.float64) - hits[1]", "hits[1].astype(np.float64) - hits[0]"),
    ("np.cumsum(sizes) - sizes", "np.cumsum(sizes) - sizes[0]"),
    ("np.cumsum(sizes) - sizes, axis=-1) / sizes", "np.cumsum(sizes) - sizes, axis=-1)"),
    ("return effect - half, effect + half", "return effect - half / 2, effect + half / 2"),
    ("too_few = d.shape[1] < MIN_SEEDS or len(sizes) < MIN_CLUSTERS", "too_few = False"),
    ("d.shape[1] < MIN_SEEDS", "d.shape[1] <= MIN_SEEDS"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
