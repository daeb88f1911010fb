"""Verdicts: the rules, the corrections, what is withheld and what is refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from finegrain import InputError
from finegrain.evaluate import (
    Claim,
    estimates,
    expected_calibration_error,
    judge,
    macro_f1,
    neighbours,
    per_class_mean,
)
from finegrain.evaluate.claims import VERDICTS, decide
from finegrain.evaluate.effects import estimate
from finegrain.evaluate.measures import CalibrationError, MacroF1, PerClassMean
from finegrain.seeding import generator


def table(arms=None, seeds=5, clusters=30, per_cluster=4, seed=0, spread=0.1):
    """Results of arms with these true means; items of one cluster are alike, all arms share that."""
    rng = generator(seed, "table")
    items = np.arange(clusters * per_cluster)
    shared = rng.normal(0, 0.3, clusters)[items // per_cluster]
    frames = []
    for arm, mean in (arms or {"new": 0.6, "old": 0.5}).items():
        for s in range(seeds) if seeds else [None]:
            y = mean + shared + rng.normal(0, 0.02) + rng.normal(0, spread, len(items))
            frames.append(pd.DataFrame({"arm": arm, "seed": s, "item": items, "cluster": items // per_cluster, "y": y}))
    return pd.concat(frames, ignore_index=True)


def claim(**changes):
    defaults = {"name": "c", "statement": "New beats old.", "kind": "superiority", "measure": "y"}
    return Claim(**{**defaults, "contrast": {"new": 1, "old": -1}, **changes})


CASES = [
    ("superiority", 0.1, {}, (0.11, 0.2), "supported"),
    ("superiority", 0.1, {}, (0.02, 0.09), "smaller than claimed"),
    ("superiority", 0.1, {}, (-0.02, 0.09), "contradicted"),
    ("superiority", 0.1, {}, (0.02, 0.2), "inconclusive"),
    ("superiority", 0.1, {}, (-0.2, 0.2), "inconclusive"),
    ("superiority", 0, {}, (0.01, 0.2), "supported"),
    ("superiority", 0, {}, (-0.2, -0.01), "contradicted"),
    ("superiority", 0, {}, (-0.2, 0.01), "inconclusive"),
    ("superiority", 0.1, {"below": True}, (-0.2, -0.11), "supported"),
    ("superiority", 0.1, {"below": True}, (-0.09, -0.01), "smaller than claimed"),
    ("difference of differences", 0, {}, (0.01, 0.2), "supported"),
    ("trend", 0.1, {}, (0.01, 0.05), "smaller than claimed"),
    ("trend", 0, {"below": True}, (-0.2, -0.1), "supported"),
    ("non-inferiority", 0.1, {}, (-0.05, 0.02), "supported"),
    ("non-inferiority", 0.1, {}, (-0.2, -0.11), "contradicted"),
    ("non-inferiority", 0.1, {}, (-0.2, 0.02), "inconclusive"),
    ("non-inferiority", 0.1, {"below": True}, (-0.2, 0.05), "supported"),
    ("equivalence", 0.1, {}, (-0.05, 0.09), "supported"),
    ("equivalence", 0.1, {}, (0.11, 0.2), "contradicted"),
    ("equivalence", 0.1, {}, (0.05, 0.2), "inconclusive"),
    ("threshold", 0.4, {}, (0.41, 0.5), "supported"),
    ("threshold", 0.4, {}, (0.2, 0.39), "contradicted"),
    ("threshold", 0.4, {}, (0.2, 0.5), "inconclusive"),
    ("threshold", 0.4, {"below": True}, (0.2, 0.39), "supported"),
    ("threshold", 0.4, {"below": True}, (0.41, 0.5), "contradicted"),
]


@pytest.mark.parametrize("kind, margin, changes, interval, verdict", CASES)
def test_verdict_by_interval(kind, margin, changes, interval, verdict):
    contrast = {"old": 0, "new": 1} if kind == "trend" else {"new": 1, "old": -1}
    assert decide(claim(kind=kind, margin=margin, contrast=contrast, **changes), *interval) == verdict


def test_the_effect_of_equal_clusters_and_one_replicate_is_a_paired_t_test():
    results = table(seeds=0)
    effect = estimate(results, {"new": 1, "old": -1}, "y")
    means = results.pivot_table(index="cluster", columns="arm", values="y")
    expected = stats.ttest_rel(means["new"], means["old"])
    assert effect.spread.p_value(effect.value) == pytest.approx(expected.pvalue)
    assert effect.interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert (effect.seeds, effect.items, effect.clusters, effect.withheld) == (0, 120, 30, "")


def test_an_arm_without_seed_counts_once_for_all_seeds():
    results = pd.concat([table({"new": 0.6}), table({"old": 0.5}, seeds=0)])
    repeated = pd.concat([table({"new": 0.6}), *[table({"old": 0.5}, seeds=0).assign(seed=s) for s in range(5)]])
    once, all_seeds = (estimate(t, {"new": 1, "old": -1}, "y") for t in (results, repeated))
    assert once.value == pytest.approx(all_seeds.value)
    assert once.spread.variance == pytest.approx(all_seeds.spread.variance)


def test_one_claim_judged():
    (judged,) = judge([claim(margin=0.02, primary=True)], table(), conditional_on="one backbone")
    assert judged.verdict == "supported"
    assert judged.low > 0.02
    assert (judged.n_seeds, judged.n_items, judged.n_clusters) == (5, 120, 30)
    assert judged.p_holm is None
    for word in ("Supported", "new − old", "95 % interval", "5 seeds", "120 items in 30 clusters", "above +0.02"):
        assert word in judged.words
    record = judged.record()
    assert record["interval"] == pytest.approx([judged.low, judged.high], rel=1e-5)
    assert record["conditional_on"] == "one backbone"


def test_a_trend_is_the_least_squares_slope_over_doses():
    results = table({"0": 0.5, "1": 0.55, "3": 0.68}, seeds=5)
    (judged,) = judge([claim(kind="trend", contrast={"0": 0, "1": 1, "3": 3})], results)
    means = results.groupby("arm")["y"].mean()
    assert judged.effect == pytest.approx(np.polyfit([0, 1, 3], means[["0", "1", "3"]], 1)[0])
    assert judged.verdict == "supported"


def test_parts_of_the_items_can_be_compared():
    hard = {"new": 0.6, "old": 0.5}
    results = pd.concat([table(hard, seed=1).assign(part="hard"), table({"new": 0.5, "old": 0.5}).assign(part="easy")])
    results["item"] = results["part"] + results["item"].astype(str)
    contrast = {("new", "hard"): 1, ("old", "hard"): -1, ("new", "easy"): -1, ("old", "easy"): 1}
    one = claim(kind="difference of differences", contrast=contrast, by="part")
    (judged,) = judge([one], results)
    m = results.groupby(["arm", "part"])["y"].mean()
    assert judged.effect == pytest.approx(m["new", "hard"] - m["old", "hard"] - m["new", "easy"] + m["old", "easy"])
    assert "new | hard" in judged.record()["contrast"]


def test_rows_can_be_chosen():
    results = table().assign(fold="test")
    other = results.assign(fold="dev", item=results["item"] + 1000, y=0.0)
    (chosen,) = judge([claim(where={"fold": "test"})], pd.concat([results, other]))
    (alone,) = judge([claim()], results)
    assert chosen.effect == pytest.approx(alone.effect)
    with pytest.raises(InputError, match="fold = 'tset'; did you mean 'test'"):
        judge([claim(where={"fold": "tset"})], results)


def test_secondary_claims_are_corrected_together_and_the_primary_one_is_not():
    results = table({"new": 0.57, "old": 0.5}, clusters=40)
    p = judge([claim(primary=True)], results)[0].p
    assert 0.05 / 20 < p < 0.05, "the example needs a p that 20 claims undo"
    others = [claim(name=f"n{i}", contrast={"old": 1, "new": -1}, margin=0.0) for i in range(20)]
    judged = judge([claim(primary=True), *others], results)
    assert judged[0].verdict == "supported"
    assert judged[1].p == pytest.approx(p)
    assert judged[1].p_holm == pytest.approx(20 * p)
    assert judged[1].verdict == "inconclusive"
    assert "correction for 20" in judged[1].reason


def test_the_corrected_verdict_agrees_with_the_corrected_p():
    for seed in range(30):
        results = table({"new": 0.52, "old": 0.5, "third": 0.51}, clusters=20, seed=seed)
        claims = [claim(name="a"), claim(name="b", contrast={"third": 1, "old": -1}), claim(name="c", margin=0.03)]
        for judged in judge(claims, results):
            assert (judged.p_holm < 0.05) == (judged.verdict != "inconclusive")


@pytest.mark.parametrize(
    "results, reason",
    [
        (table(seeds=3), "3 seeds of at least 5"),
        (table(seeds=1), "1 seed of at least 5"),
        (table(clusters=6), "6 clusters of at least 20"),
        (table(clusters=1), "not defined when one of the clusters is left out"),
        (table().assign(y=1.0), "same in every seed and cluster"),
        (table(seeds=0).assign(cluster=lambda t: t["item"].clip(lower=60)), "hold most items"),
    ],
    ids=["3 seeds", "1 seed", "6 clusters", "1 cluster", "no variance", "one large cluster"],
)
def test_a_verdict_that_the_data_cannot_carry_is_withheld(results, reason):
    (judged,) = judge([claim()], results)
    assert judged.verdict == "inconclusive"
    assert judged.reason.startswith("withheld: ")
    assert reason in judged.reason


def test_a_difference_on_a_handful_of_items_is_withheld():
    results = table(seeds=0, clusters=200, per_cluster=1).assign(y=0.0)
    results.loc[(results["arm"] == "new") & (results["item"] < 15), "y"] = 1.0
    (judged,) = judge([claim()], results)
    assert "only 15 of 200 clusters differ" in judged.reason


def test_three_seeds_that_do_not_vary_need_no_more():
    once = table(seeds=0)
    (judged,) = judge([claim()], pd.concat([once.assign(seed=s) for s in range(3)]))
    assert judged.verdict == "supported"


def test_what_cannot_be_tested_here_says_how_it_could():
    (judged,) = judge([claim(needs='make run NB=a/b P="dataset=hf:x/y"')], table())
    assert judged.verdict == "not testable offline"
    assert "make run" in judged.words
    assert judged.record()["effect"] is None


def test_verdicts_are_five():
    assert {verdict for *_, verdict in CASES} | {"not testable offline"} == set(VERDICTS)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda t: t.drop(t.index[7]), "arm 'new' lacks item 7 for seed 0"),
        (lambda t: t[(t["arm"] == "old") | (t["item"] != 7)], "arm 'new' lacks item 7, which 'old' has"),
        (lambda t: pd.concat([t, t.iloc[[7]]]), "arm 'new' has item 7 twice"),
        (lambda t: t.assign(y=t["y"].where(t.index != 7)), "y is NaN for arm 'new', item 7"),
        (lambda t: t[(t["arm"] == "new") | (t["seed"] != 4)], "'new' and 'old' ran with seeds"),
        (lambda t: t.assign(arm=t["arm"].replace("old", "odl")), "no arm 'old'; did you mean 'odl'"),
        (lambda t: t.rename(columns={"y": "Y"}), "no column 'y'; it has Y"),
        (lambda t: t.assign(cluster=t.index % 7), "stands in two clusters"),
        (lambda t: t.assign(seed=t["seed"].where(t.index != 7)), "with and without a seed"),
    ],
)
def test_results_that_do_not_fit_are_refused_by_name(spoil, message):
    with pytest.raises(InputError, match=message):
        judge([claim()], spoil(table()))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"kind": "superority"}, "none of superiority"),
        ({"margin": -0.1}, "margin -0.1 is below 0"),
        ({"kind": "equivalence"}, "needs a margin above 0"),
        ({"contrast": {"new": 1, "old": -0.5}}, "add up to 0.5"),
        ({"contrast": {}}, "names no arm"),
        ({"kind": "trend", "contrast": {"new": 1, "old": 1}}, "two doses"),
    ],
)
def test_claims_that_mean_nothing_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        claim(**changes)


def test_two_primary_claims_or_two_of_one_name_are_refused():
    with pytest.raises(InputError, match="all primary"):
        judge([claim(name="a", primary=True), claim(name="b", primary=True)], table())
    with pytest.raises(InputError, match="two claims"):
        judge([claim(), claim()], table())


def labelled(seeds=2, items=90, classes=5):
    rng = generator(0, "labelled")
    frames = []
    labels = rng.integers(0, classes, items)
    for s in range(seeds):
        predicted = np.where(rng.random(items) < 0.6, labels, rng.integers(0, classes, items))
        sure = rng.random(items)
        frame = {"arm": "a", "seed": s, "item": np.arange(items), "cluster": np.arange(items) // 6, "label": labels}
        frames.append(
            pd.DataFrame({**frame, "predicted": predicted, "confidence": sure, "correct": predicted == labels})
        )
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize(
    "measure, plain",
    [
        (MacroF1(classes=5), lambda t: macro_f1(t["predicted"], t["label"])),
        (PerClassMean("correct", classes=5), lambda t: per_class_mean(t["correct"], t["label"])),
        (CalibrationError(), lambda t: expected_calibration_error(t["confidence"], t["correct"])),
        ("correct", lambda t: t["correct"].mean()),
    ],
)
def test_measures_of_a_whole_table_and_their_leave_one_out(measure, plain):
    results = labelled()
    effect = estimate(results, {"a": 1.0}, measure)
    by_seed = [plain(results[results["seed"] == s]) for s in (0, 1)]
    assert effect.value == pytest.approx(np.mean(by_seed))
    moved = np.array(
        [[plain(t[t["cluster"] != c]) for c in range(15)] for _, t in results.groupby("seed")]
    )  # equal clusters: the jackknife
    jackknife = 14 / 15 * ((moved.mean(0) - np.mean(by_seed)) ** 2).sum()
    assert effect.spread.cluster == pytest.approx(jackknife)


def test_estimates_list_arms_and_measures_in_order():
    listed = estimates(table().assign(z=1.0), ["y", "z"], order=["old", "new"])
    assert listed[["arm", "measure"]].to_numpy().tolist() == [["old", "y"], ["old", "z"], ["new", "y"], ["new", "z"]]
    assert (listed["low"] <= listed["mean"]).all()


def test_neighbours_compare_each_arm_with_the_next():
    results = table({"a": 0.9, "b": 0.6, "c": 0.6})
    pairs = neighbours(results, ["a", "b", "c"], "y")
    assert pairs[["arm", "next"]].to_numpy().tolist() == [["a", "b"], ["b", "c"]]
    assert pairs["significant"].tolist() == [True, False]
    assert (pairs["p_holm"] >= pairs["p"]).all()
    assert not neighbours(table({"a": 0.9, "b": 0.6}, seeds=3), ["a", "b"], "y")["significant"].any()


def test_a_claim_is_data():
    assert dataclasses.replace(claim(), margin=0.5).margin == 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        claim().margin = 1
