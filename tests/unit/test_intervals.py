"""The crossed interval against plain-loop analysis of variance, its one-way limits and known truth."""

import numpy as np
import pytest
from scipy import stats

from finegrain.evaluate.intervals import FLOOR, crossed_spread, holm, spread_of_means
from finegrain.seeding import generator


def cells(seeds=5, clusters=12, seed=0, sigma=(1.0, 1.0, 0.5)):
    rng = generator(seed, "cells")
    a, b, ab = (rng.normal(0, s, shape) for s, shape in zip(sigma, [(seeds, 1), (1, clusters), (seeds, clusters)]))
    return 0.3 + a + b + ab


def test_equal_clusters_give_the_two_way_analysis_of_variance():
    y = cells()
    seeds, clusters = y.shape
    grand = sum(y[s, c] for s in range(seeds) for c in range(clusters)) / y.size
    by_seed = [sum(y[s]) / clusters for s in range(seeds)]
    by_cluster = [sum(y[:, c]) / seeds for c in range(clusters)]
    ms_seed = clusters * sum((m - grand) ** 2 for m in by_seed) / (seeds - 1)
    ms_cluster = seeds * sum((m - grand) ** 2 for m in by_cluster) / (clusters - 1)
    left = [(y[s, c] - by_seed[s] - by_cluster[c] + grand) ** 2 for s in range(seeds) for c in range(clusters)]
    ms_left = sum(left) / ((seeds - 1) * (clusters - 1))

    effect, spread = spread_of_means(y, np.full(clusters, 7))
    assert effect == pytest.approx(grand)
    assert spread.variance == pytest.approx((ms_seed + ms_cluster - ms_left) / y.size)
    a, b, f = ms_seed / y.size, ms_cluster / y.size, FLOOR * ms_left / y.size
    squares = (a - f) * a / (seeds - 1) + (b - f) * b / (clusters - 1) + f**2 / ((seeds - 1) * (clusters - 1))
    assert spread.df == pytest.approx(spread.variance**2 / squares)


def test_one_replicate_of_equal_clusters_is_a_t_test_over_cluster_means():
    y = cells(seeds=1)
    _, spread = spread_of_means(y, np.full(12, 3))
    expected = stats.ttest_1samp(y[0], 0.1)
    assert spread.p_value(y.mean() - 0.1) == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval()
    assert spread.half_width() == pytest.approx((high - low) / 2)


def test_without_differences_between_clusters_it_is_a_t_test_over_seeds():
    y = np.repeat(cells(clusters=1, sigma=(1, 0, 0)), 30, axis=1)
    _, spread = spread_of_means(y, np.full(30, 2))
    assert spread.p_value(y.mean()) == pytest.approx(stats.ttest_1samp(y[:, 0], 0).pvalue)


def test_many_seeds_leave_the_t_test_over_clusters():
    y = cells(seeds=4000, sigma=(0.0, 1.0, 0.3))
    _, spread = spread_of_means(y, np.full(12, 2))
    assert spread.p_value(y.mean()) == pytest.approx(stats.ttest_1samp(y.mean(0), 0).pvalue, rel=1e-2)


def test_seeds_that_agree_add_nothing():
    once = cells(seeds=1)
    _, spread = spread_of_means(np.repeat(once, 5, axis=0), np.arange(1, 13))
    _, alone = spread_of_means(once, np.arange(1, 13))
    assert spread.variance == pytest.approx(alone.variance)
    assert spread.df == pytest.approx(alone.df)


def test_sums_of_squares_are_unbiased_when_clusters_differ_in_size():
    sizes = np.array([1, 1, 2, 3, 5, 8, 13, 21])
    weights = sizes / sizes.sum()
    y = generator(0, "unbalanced").normal(size=(20_000, 6, 8))
    _, spread = spread_of_means(y, sizes)
    expected = (weights**2).sum() / 6
    for part in (spread.seed, spread.cluster, spread.interaction):
        assert part.mean() == pytest.approx(expected, rel=0.03)


def test_cluster_df_equals_the_matrix_form():
    sizes = np.array([1.0, 2, 2, 9, 30])
    w = sizes / sizes.sum()
    residual = np.eye(5) - np.outer(np.ones(5), w)
    covariance = residual @ np.diag(0.25 + 0.75 * sizes.mean() / sizes) @ residual.T
    k = np.diag(np.sqrt(w**2 / (1 - 2 * w + (w**2).sum())))
    m = k @ covariance @ k
    _, spread = spread_of_means(cells(clusters=5), sizes)
    assert spread.cluster_df == pytest.approx(np.trace(m) ** 2 / np.trace(m @ m))


def test_scaling_shifting_and_reordering_change_nothing_else():
    y, sizes = cells(), np.arange(1, 13)
    effect, spread = spread_of_means(y, sizes)
    order = generator(1, "order").permutation(12)
    moved, same = spread_of_means(10 * y[::-1, order] + 3, sizes[order])
    assert moved == pytest.approx(10 * effect + 3)
    assert same.variance == pytest.approx(100 * spread.variance)
    assert same.df == pytest.approx(spread.df)


def test_batches_equal_one_at_a_time():
    y = np.stack([cells(seed=s) for s in range(4)])
    sizes = np.stack([np.roll(np.arange(1, 13), s) for s in range(4)])
    effects, spreads = spread_of_means(y, sizes)
    for i in range(4):
        effect, spread = spread_of_means(y[i], sizes[i])
        assert effects[i] == pytest.approx(effect)
        assert spreads.variance[i] == pytest.approx(spread.variance)
        assert spreads.df[i] == pytest.approx(spread.df)


def test_no_spread_gives_no_width_and_no_significance():
    _, spread = spread_of_means(np.full((5, 12), 0.25), np.ones(12))
    assert spread.half_width() == 0
    assert spread.p_value(0.25) == 1
    assert np.isfinite(spread.df)


def test_leave_one_out_influence_of_a_mean_is_exact():
    y, sizes = cells(), np.arange(1, 13)
    w = sizes / sizes.sum()
    by_seed = (y * w).sum(1)
    without = np.stack([np.average(np.delete(y, c, 1), axis=1, weights=np.delete(w, c)) for c in range(12)], 1)
    _, spread = spread_of_means(y, sizes)
    left = crossed_spread(by_seed, (1 - w) * (by_seed[:, None] - without), sizes)
    assert left.variance == pytest.approx(spread.variance)


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize(
    "sigma",
    [(1.0, 0.1, 0.3), (0.1, 1.0, 0.3), (0.3, 1.5, 0.3), (0.0, 0.0, 1.0)],
    ids=["seed", "cluster", "both", "neither"],
)
def test_coverage_is_near_95_percent(seeds, sigma):
    rng = generator(0, "coverage")
    repetitions, clusters = 2000, 30
    shapes = [(repetitions, seeds, 1), (repetitions, 1, clusters), (repetitions, seeds, clusters)]
    y = sum(rng.normal(0, s, shape) for s, shape in zip(sigma, shapes))
    sizes = np.ceil(np.exp(rng.normal(1.5, 0.8, (repetitions, clusters))))
    effect, spread = spread_of_means(y, sizes)
    covered = np.abs(effect) <= spread.half_width()
    assert 0.935 < covered.mean() < 0.98  # three Monte-Carlo errors of 0.5 points about 0.95 and 0.965
    assert (effect - spread.half_width() > 0).mean() < 0.04


def test_holm_by_hand():
    # sorted 0.005 0.01 0.03 0.04 times 4 3 2 1 = 0.02 0.03 0.06 0.04, and never falling: 0.02 0.03 0.06 0.06
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.7, 0.8]), [1, 1])
    assert len(holm([])) == 0
