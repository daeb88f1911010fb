"""What a notebook asserts, as data, and the verdict that its results allow.

A claim is written down before any result is read. `judge` turns claims and a table of results (see
`finegrain.evaluate.effects`) into one of five verdicts each, with an interval over crossed seeds and clusters.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from finegrain.errors import InputError
from finegrain.evaluate.effects import Effect, estimate
from finegrain.evaluate.intervals import holm
from finegrain.evaluate.measures import as_measure

SUPPORTED = "supported"
SMALLER = "smaller than claimed"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_TESTABLE = "not testable offline"
VERDICTS = (SUPPORTED, SMALLER, CONTRADICTED, INCONCLUSIVE, NOT_TESTABLE)
KINDS = ("superiority", "non-inferiority", "equivalence", "difference of differences", "trend", "threshold")
LEVEL = 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One assertion about arms, with the margin that makes it testable.

    name: short, unique in its notebook; statement: the sentence that a reader sees.
    kind, with the interval [low, high] of the effect and the margin m:
        superiority, difference of differences, trend: supported if low > m, which is 0 or more. If high < m, the
            effect is smaller than claimed where low > 0, and else the claim is contradicted.
        non-inferiority: supported if low > -m, contradicted if high < -m.
        equivalence: supported if -m < low and high < m (two one-sided tests at 2.5 % each, by the same 95 % interval
            that is shown); contradicted if the interval lies outside.
        threshold: supported if low > m, contradicted if high < m; m is the value itself.
        Everything else is inconclusive.
    contrast: arm -> weight; the effect is the weighted sum of the arms' measures. For a trend: arm -> dose, and the
        effect is the least-squares slope per unit of dose. With `by`: (arm, part) -> weight.
    measure: a column of the results, or an object of `finegrain.evaluate.measures`.
    below: the claim is that the effect lies below: a loss that falls by at least m, a trend downwards, a value under m.
    primary: at most one claim of a notebook; it is tested uncorrected, the others by Holm's procedure together.
    where: column -> value or values that the rows must have. by: a column whose values (parts) the contrast compares.
    needs: the command that would test it, for a claim that this installation cannot test.

    >>> Claim(name="hybrid", statement="Fusion beats BM25.", kind="superiority", measure="nDCG@10",
    ...       contrast={"hybrid": 1, "bm25": -1}, margin=0.01, primary=True).margin
    0.01
    """

    name: str
    statement: str
    kind: str
    measure: object
    contrast: Mapping
    margin: float = 0.0
    primary: bool = False
    below: bool = False
    where: Mapping | None = None
    by: str | None = None
    needs: str | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(f"claim {self.name!r}: kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.kind in ("non-inferiority", "equivalence") and not self.margin > 0:
            raise InputError(f"claim {self.name!r}: {self.kind} needs a margin above 0, not {self.margin}")
        if self.kind != "threshold" and self.margin < 0:
            raise InputError(f"claim {self.name!r}: margin {self.margin} is below 0; say the direction with below=True")
        if not self.contrast:
            raise InputError(f"claim {self.name!r}: the contrast names no arm")
        if self.kind == "trend" and len(set(self.contrast.values())) < 2:
            raise InputError(f"claim {self.name!r}: a trend needs arms with at least two doses")
        if self.kind not in ("threshold", "trend") and abs(sum(self.contrast.values())) > 1e-9:
            total = sum(self.contrast.values())
            raise InputError(f"claim {self.name!r}: the weights add up to {total}; those of a comparison add up to 0")
        if self.kind == "equivalence" and self.below:
            raise InputError(f"claim {self.name!r}: an equivalence has two sides; below=True says nothing")

    def weights(self) -> dict:
        """arm -> weight of the effect; a trend's doses become those of the least-squares slope."""
        if self.kind != "trend":
            return dict(self.contrast)
        doses = np.array(list(self.contrast.values()), dtype=np.float64)
        centred = doses - doses.mean()
        return dict(zip(self.contrast, (centred / (centred**2).sum()).tolist(), strict=True))


@dataclasses.dataclass(frozen=True)
class Judged:
    """A claim with its verdict; numbers are None where there are none.

    low, high: the 95 % interval, uncorrected.
    p: two-sided, for the null hypothesis that the effect lies on the nearest edge of what is claimed. A small p goes
        with a clear verdict, for or against.
    p_holm: for secondary claims, corrected for all of them; their verdicts rest on it.
    reason: why the verdict is no clearer ("withheld: ..." where the data cannot carry one), or "".
    words: all of it, to read.
    """

    claim: Claim
    verdict: str
    words: str
    reason: str = ""
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    n_seeds: int = 0
    n_items: int = 0
    n_clusters: int = 0
    conditional_on: str | None = None

    def record(self) -> dict:
        """What claims.json holds of it, in plain types; numbers with six significant digits."""
        claim = self.claim
        return {
            "name": claim.name,
            "statement": claim.statement,
            "kind": claim.kind,
            "primary": claim.primary,
            "measure": as_measure(claim.measure).name,
            "contrast": {_arm_name(arm): weight for arm, weight in claim.contrast.items()},
            "margin": claim.margin,
            "below": claim.below,
            "where": _plain(claim.where),
            "effect": _rounded(self.effect),
            "interval": None if self.low is None else [_rounded(self.low), _rounded(self.high)],
            "p": _rounded(self.p),
            "p_holm": _rounded(self.p_holm),
            "verdict": self.verdict,
            "reason": self.reason,
            "words": self.words,
            "n_seeds": self.n_seeds,
            "n_items": self.n_items,
            "n_clusters": self.n_clusters,
            "conditional_on": self.conditional_on,
        }


def judge(claims: Sequence[Claim], results: pd.DataFrame, *, conditional_on: str | None = None) -> list[Judged]:
    """The verdicts of a notebook's claims, in their order.

    results: a row for each arm, seed and item, see `finegrain.evaluate.effects`.
    conditional_on: what all of it rests on and did not vary, such as one backbone.

    A verdict is withheld (inconclusive, with the reason) with fewer than 5 seeds where seeds matter, fewer than 20
    clusters, or so few that differ where most agree, clusters of which a few hold most items, and without any spread.
    """
    claims = list(claims)
    names = [claim.name for claim in claims]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two claims have the name {name!r}; rename one")
    if sum(claim.primary for claim in claims) > 1:
        raise InputError(f"claims {[claim.name for claim in claims if claim.primary]} are all primary; one may be")
    effects = {
        claim.name: estimate(results, claim.weights(), claim.measure, where=claim.where, by=claim.by)
        for claim in claims
        if not claim.needs
    }
    p = {claim.name: _p_value(claim, effects[claim.name]) for claim in claims if not claim.needs}
    secondary = [claim.name for claim in claims if not claim.primary and not claim.needs]
    corrected = dict(zip(secondary, holm([p[name] for name in secondary]).tolist(), strict=True))
    return [
        _judged(c, effects.get(c.name), p.get(c.name), corrected.get(c.name), len(secondary), conditional_on)
        for c in claims
    ]


def estimates(results: pd.DataFrame, measures, order=None) -> pd.DataFrame:
    """Each arm's measures with 95 % intervals, for a leaderboard: one row per arm and measure.

    measures: columns of the results, or objects of `finegrain.evaluate.measures`.
    order: arms in the order of the rows; by default as they first occur.
    Columns: arm, measure, mean, low, high, seeds, items, clusters, withheld (why the interval is unreliable, or "").
    """
    rows = []
    for arm in results["arm"].unique() if order is None else order:
        for measure in measures:
            effect = estimate(results, {arm: 1.0}, measure)
            low, high = effect.interval(LEVEL)
            counts = (effect.seeds, effect.items, effect.clusters, effect.withheld)
            rows.append((arm, as_measure(measure).name, effect.value, low, high, *counts))
    columns = ["arm", "measure", "mean", "low", "high", "seeds", "items", "clusters", "withheld"]
    return pd.DataFrame(rows, columns=columns)


def neighbours(results: pd.DataFrame, order: Sequence[str], measure) -> pd.DataFrame:
    """How sure the order of a table is: each arm against the next one, item by item.

    order: arms from the best to the worst.
    Columns: arm, next, difference, low, high (95 %, uncorrected), p, p_holm (over all pairs of the table), significant
    (p_holm < 0.05 and nothing withheld), withheld.
    """
    pairs = list(itertools.pairwise(order))
    effects = [estimate(results, {first: 1.0, second: -1.0}, measure) for first, second in pairs]
    p = [_finite_p(effect, effect.value) for effect in effects]
    rows = []
    for pair, effect, alone, among_all in zip(pairs, effects, p, holm(p).tolist(), strict=True):
        significant = among_all < 1 - LEVEL and not effect.withheld
        row = (*pair, effect.value, *effect.interval(LEVEL), alone, among_all, significant, effect.withheld)
        rows.append(row)
    columns = ["arm", "next", "difference", "low", "high", "p", "p_holm", "significant", "withheld"]
    return pd.DataFrame(rows, columns=columns)


def decide(claim: Claim, low: float, high: float) -> str:
    """The verdict that an interval allows for a claim, by the rules of `Claim`.

    >>> claim = Claim(name="c", statement="a beats b", kind="superiority", measure="hit", contrast={"a": 1, "b": -1},
    ...               margin=0.02)
    >>> [decide(claim, *interval) for interval in ((0.03, 0.05), (0.01, 0.015), (-0.02, 0.01), (0.01, 0.03))]
    ['supported', 'smaller than claimed', 'contradicted', 'inconclusive']
    """
    margin = claim.margin
    if claim.below:
        low, high = -high, -low
        margin = -margin if claim.kind == "threshold" else margin
    if claim.kind == "equivalence":
        if -margin < low and high < margin:
            return SUPPORTED
        return CONTRADICTED if low > margin or high < -margin else INCONCLUSIVE
    edge = -margin if claim.kind == "non-inferiority" else margin
    if low > edge:
        return SUPPORTED
    if high < edge:
        graded = claim.kind in ("superiority", "difference of differences", "trend")
        return SMALLER if graded and low > 0 else CONTRADICTED
    return INCONCLUSIVE


def _edges(claim):
    """Where on the effect's axis the claimed region ends."""
    if claim.kind == "equivalence":
        return (-claim.margin, claim.margin)
    edge = -claim.margin if claim.kind == "non-inferiority" else claim.margin
    return (-edge if claim.below and claim.kind != "threshold" else edge,)


def _p_value(claim, effect):
    return _finite_p(effect, min(abs(effect.value - edge) for edge in _edges(claim)))


def _finite_p(effect, distance):
    p = float(effect.spread.p_value(distance))
    return p if np.isfinite(p) else 1.0


def _judged(claim, effect, p, p_holm, family, conditional_on):
    if effect is None:
        words = f"Not testable offline: {claim.statement} To test it: {claim.needs}"
        return Judged(claim, NOT_TESTABLE, words, reason=f"needs {claim.needs}", conditional_on=conditional_on)
    low, high = effect.interval(LEVEL)
    uncorrected = decide(claim, low, high)
    # Holm multiplies p by a factor; the interval at the level divided by that factor gives the corrected verdict.
    factor = 1.0 if p_holm is None else (p_holm / p if p > 0 else family)
    verdict = decide(claim, *effect.interval(1 - (1 - LEVEL) / max(factor, 1.0)))
    reason = ""
    if effect.withheld:
        verdict, reason = INCONCLUSIVE, f"withheld: {effect.withheld}"
    elif verdict == INCONCLUSIVE != uncorrected:
        reason = f"{uncorrected} by itself, but not after correction for {family} secondary claims"
    elif verdict == INCONCLUSIVE:
        reason = "the interval reaches across the edge of what is claimed"
    return Judged(
        claim,
        verdict,
        _in_words(claim, effect, low, high, verdict, reason, p_holm),
        reason=reason,
        effect=effect.value,
        low=low,
        high=high,
        p=p,
        p_holm=p_holm,
        n_seeds=effect.seeds,
        n_items=effect.items,
        n_clusters=effect.clusters,
        conditional_on=conditional_on,
    )


def _in_words(claim, effect: Effect, low, high, verdict, reason, p_holm):
    number = _formatter(high - low, signed=claim.kind != "threshold")
    of = "slope over dose" if claim.kind == "trend" else _contrast_text(claim.contrast)
    seeds = "no seeds" if not effect.seeds else f"{effect.seeds} seed{'s' if effect.seeds > 1 else ''}"
    n = f"{seeds}, {effect.items:,} items in {effect.clusters:,} clusters"
    edge = number(_edges(claim)[-1]) if claim.margin else "0"
    side = "below" if claim.below else "above"
    claimed = {
        "equivalence": f"within {edge} either way",
        "non-inferiority": f"not {'above' if claim.below else 'below'} {edge}",
    }.get(claim.kind, f"{side} {edge}")
    corrected = "" if p_holm is None else f", {_p_text(p_holm)} corrected"
    said = (
        f"{verdict[0].upper()}{verdict[1:]}: {as_measure(claim.measure).name}, {of}: {number(effect.value)}, "
        f"95 % interval {number(low)} to {number(high)} ({n}{corrected}); claimed: {claimed}."
    )
    return f"{said} {reason[0].upper()}{reason[1:]}." if reason else said


def _contrast_text(contrast):
    parts = []
    for arm, weight in sorted(contrast.items(), key=lambda pair: pair[1] < 0):
        sign = "− " if weight < 0 else "+ " if parts else ""
        size = "" if abs(weight) == 1 else f"{abs(weight):g} "
        parts.append(f"{sign}{size}{_arm_name(arm)}")
    return " ".join(parts)


def _arm_name(arm):
    return " | ".join(str(part) for part in arm) if isinstance(arm, tuple) else str(arm)


def _formatter(width, signed):
    """Numbers with as many decimals as the interval's width carries: two significant digits of it."""
    decimals = 3 if not np.isfinite(width) or width <= 0 else int(np.clip(1 - np.floor(np.log10(width)), 0, 6))
    return lambda value: f"{value:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def _p_text(p):
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _rounded(value):
    return None if value is None or not np.isfinite(value) else float(f"{value:.6g}")


def _plain(where):
    if not where:
        return None
    return {key: sorted(value) if isinstance(value, set | frozenset) else value for key, value in where.items()}
