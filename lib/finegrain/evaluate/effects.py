"""From a tidy table of results to one effect with its spread.

The table has a row for each arm, seed and item: columns `arm`, `seed`, `item`, `cluster` and the measures. An arm
without randomness has no seed (None or NaN) and counts once, whatever the seeds of the others. Without a column
`cluster` each item is one of its own.
"""

import dataclasses
import difflib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from finegrain.errors import InputError
from finegrain.evaluate.intervals import Spread, crossed_spread
from finegrain.evaluate.measures import as_measure

MIN_SEEDS = 5  # fewer, where seeds matter, and the interval says more about luck than about the method
MIN_CLUSTERS = 20  # with fewer, coverage leaves 93-97 %, and so it does where most agree to the digit and fewer differ
MIN_CLUSTER_DF = 3.0  # below it one or two clusters hold most items, and the simulated coverage leaves 93-97 %


@dataclasses.dataclass(frozen=True)
class Effect:
    """A weighted sum of arms' measures, with its spread and what it rests on.

    withheld: why no verdict may rest on it, or "".
    seeds: 0 where no arm has a seed.
    """

    value: float
    spread: Spread
    seeds: int
    items: int
    clusters: int
    withheld: str = ""

    def interval(self, level=0.95) -> tuple[float, float]:
        """The interval at this level, (low, high)."""
        half = float(self.spread.half_width(level))
        return self.value - half, self.value + half


def estimate(
    results: pd.DataFrame, weights: Mapping, measure, *, where: Mapping | None = None, by: str | None = None
) -> Effect:
    """The sum over arms of weight x measure, averaged over seeds, with its spread over crossed seeds and clusters.

    weights: arm -> weight, or with `by` (arm, part) -> weight, where a part is a value of that column; then the items
        of that part alone count.
    measure: a column, or an object of `finegrain.evaluate.measures`.
    where: column -> value or list of values that rows must have.

    Raises InputError, naming the culprit, for an unknown column or arm, a measure that is NaN, an item that an arm
    lacks or has twice, an item in two clusters, and arms that ran with different seeds.

    >>> table = pd.DataFrame({"arm": ["a", "a", "b", "b"], "seed": None, "item": [1, 2, 1, 2], "hit": [1, 1, 0, 1]})
    >>> estimate(table, {"a": 1, "b": -1}, "hit").value
    0.5
    """
    measure = as_measure(measure)
    results = _selected(results, measure, where, by)
    arms = {term: _arm_rows(results, term, by) for term in weights}
    _refuse_different_items(arms, by)
    seeds = _common_seeds(arms)
    items = pd.concat([rows[["item", "cluster"]].drop_duplicates() for rows in arms.values()]).drop_duplicates()
    if items["item"].duplicated().any():
        item = items["item"][items["item"].duplicated()].iloc[0]
        raise InputError(f"item {_shown(item)} stands in two clusters; give it one in all rows")
    clusters = pd.Index(items["cluster"].unique())
    sizes = np.bincount(clusters.get_indexer(items["cluster"]), minlength=len(clusters))

    by_seed = np.zeros(max(len(seeds), 1))
    influence = np.zeros((max(len(seeds), 1), len(clusters)))
    scale = 0.0
    for term, weight in weights.items():
        one, moved = _leave_out(arms[term], seeds, clusters, measure)
        by_seed, influence = by_seed + weight * one, influence + weight * moved
        scale = max(scale, np.abs(weight * one).max())
    spread = crossed_spread(by_seed, influence, sizes)
    effect = Effect(float(by_seed.mean()), spread, len(seeds), len(items), len(clusters))
    return dataclasses.replace(effect, withheld=_why_withheld(effect, influence, sizes, scale))


def _selected(results, measure, where, by):
    needed = ["arm", "item", *measure.columns, *(where or {}), *([by] if by else [])]
    for column in needed:
        if column not in results.columns:
            raise InputError(f"the results have no column {column!r}{_nearest(column, results.columns)}")
    for column, wanted in (where or {}).items():
        listed = list(wanted) if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
        for value in listed:
            if not (results[column] == value).any():
                known = _nearest(value, results[column].unique())
                raise InputError(f"no row of the results has {column} = {value!r}{known}")
        results = results[results[column].isin(listed)]
    added = {"seed": None} if "seed" not in results else {}
    if "cluster" not in results:
        added["cluster"] = results["item"]
    return results.assign(**added) if added else results


def _arm_rows(results, term, by):
    arm, *part = term if by else (term,)
    rows = results[results["arm"] == arm]
    if rows.empty:
        raise InputError(f"the results have no arm {arm!r}{_nearest(arm, results['arm'].unique())}")
    if by:
        rows = rows[rows[by] == part[0]]
        if rows.empty:
            raise InputError(f"arm {arm!r} has no row with {by} = {part[0]!r}{_nearest(part[0], results[by].unique())}")
    none = rows["seed"].isna()
    if none.any() and not none.all():
        raise InputError(f"arm {arm!r} has rows with and without a seed; give all or none of them one")
    for column in ("item", "cluster"):
        if rows[column].isna().any():
            raise InputError(f"arm {arm!r} has a row without {column}; name it")
    twice = rows.duplicated(["seed", "item"])
    if twice.any():
        row = rows[twice].iloc[0]
        raise InputError(f"arm {arm!r} has item {_shown(row['item'])} twice (seed {row['seed']}); keep one row")
    count = rows.groupby("item", sort=False)["item"].transform("size")
    seeds = rows["seed"].nunique(dropna=False)
    if (count != seeds).any():
        item = rows["item"][count != seeds].iloc[0]
        lacking = sorted(set(rows["seed"]) - set(rows["seed"][rows["item"] == item]))
        raise InputError(f"arm {arm!r} lacks item {_shown(item)} for seed {lacking[0]}; every seed needs every item")
    return rows


def _refuse_different_items(arms, by):
    first = {}
    for term, rows in arms.items():
        part = term[1] if by else None
        items = set(rows["item"])
        other, known = first.setdefault(part, (term, items))
        for lacking, having, lacked in ((term, other, known - items), (other, term, items - known)):
            if lacked:
                item = min(lacked, key=str)
                both = f"arm {lacking!r} lacks item {_shown(item)}, which {having!r} has"
                raise InputError(f"{both}; a comparison needs it in both")


def _common_seeds(arms):
    seeds = None
    for term, rows in arms.items():
        own = sorted(rows["seed"].dropna().unique())
        if own and seeds is not None and own != seeds[1]:
            raise InputError(f"arms {seeds[0]!r} and {term!r} ran with seeds {seeds[1]} and {own}; use the same ones")
        if own and seeds is None:
            seeds = (term, own)
    return seeds[1] if seeds else []


def _leave_out(rows, seeds, clusters, measure):
    """(S,) the measure by seed and (S, C) how each cluster moves it, for one arm."""
    for column in measure.columns:
        bad = rows[column].isna()
        if bad.any():
            row = rows[bad].iloc[0]
            where = f"arm {row['arm']!r}, item {_shown(row['item'])}"
            raise InputError(f"{column} is NaN for {where}; every item needs a number")
    own_seeds = pd.Index(seeds) if rows["seed"].notna().any() else pd.Index([None])
    row_seed = own_seeds.get_indexer(rows["seed"]) if len(own_seeds) > 1 else np.zeros(len(rows), dtype=np.int64)
    row_cluster = clusters.get_indexer(rows["cluster"])
    counts = np.bincount(row_cluster, minlength=len(clusters))
    weights = counts / counts.sum()
    by_seed, influence = np.empty(len(own_seeds)), np.empty((len(own_seeds), len(clusters)))
    for s in range(len(own_seeds)):
        mine = row_seed == s
        totals = measure.totals(rows[mine], row_cluster[mine], len(clusters))
        together = totals.sum(0)
        by_seed[s] = measure.value(together)
        influence[s] = (1 - weights) * (by_seed[s] - measure.value(together - totals))
    return by_seed, influence


def _why_withheld(effect, influence, sizes, scale):
    spread = effect.spread
    if not np.isfinite(effect.value) or not np.isfinite(spread.variance):
        return "the measure is not defined when one of the clusters is left out"
    negligible = (1e-10 * max(scale, 1e-300)) ** 2
    if spread.variance <= negligible:
        return "the effect is the same in every seed and cluster, so that nothing tells how far it can be off"
    varies = effect.seeds == 1 or spread.seed > negligible or spread.interaction > negligible
    if 0 < effect.seeds < MIN_SEEDS and varies:
        have = "1 seed" if effect.seeds == 1 else f"{effect.seeds} seeds"
        return f"{have} of at least {MIN_SEEDS}; the verdict is that of the full scale"
    if effect.clusters < MIN_CLUSTERS:
        return f"{effect.clusters} clusters of at least {MIN_CLUSTERS}"
    if spread.cluster_df < MIN_CLUSTER_DF:
        return f"a few of the {effect.clusters} clusters hold most items"
    each = np.round(influence.mean(0) / sizes * sizes.sum() / max(scale, 1e-300), 9)
    _, counts = np.unique(each, return_counts=True)
    differ = effect.clusters - counts.max()
    if counts.max() > effect.clusters / 2 and differ < MIN_CLUSTERS:
        return f"only {differ} of {effect.clusters} clusters differ from the rest, of at least {MIN_CLUSTERS}"
    return ""


def _shown(value):
    return repr(value.item() if isinstance(value, np.generic) else value)


def _nearest(given, known):
    close = difflib.get_close_matches(str(given), [str(k) for k in known], n=1)
    listed = ", ".join(sorted(str(k) for k in known)[:8])
    return f"; did you mean {close[0]!r}?" if close else f"; it has {listed}"
