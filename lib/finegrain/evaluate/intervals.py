"""The spread of an effect when seeds and clusters of items are crossed, as a t reference.

The model: seed s and cluster c of items give the effect mu + A_s + B_c + (AB)_sc + noise. Seeds are a sample of all
seeds, clusters a sample of all clusters, and each seed meets each cluster. The estimate's variance is

    var(A) / S  +  var(B) sum_c w_c^2  +  var(AB) sum_c w_c^2 / S

with w_c the share of items in cluster c. Three sums of squares over the estimate by seed, by cluster and by cell give
it; how many degrees of freedom the estimate of a sum of variances has is Satterthwaite's approximation. Arrays may have
any leading axes (`...`), over which everything is vectorised.
"""

import dataclasses

import numpy as np

# Two choices made by simulation (notebook foundations/claims_simulation). Where seeds and clusters add nothing of their
# own, the difference of sums of squares scatters around zero. Cutting it at zero, that is at 1.0 times the interaction,
# makes it too large on average and covers 98 % instead of 95, so the floor lies lower. And a part weighs in the degrees
# of freedom by its sum of squares times what that exceeds the floor by: the square of the first, one reading of
# Satterthwaite's formula, covers up to 99 %, and the square of the second, another, as little as 91 %.
FLOOR = 0.6


@dataclasses.dataclass(frozen=True)
class Spread:
    """How well an effect is known: its variance, and the degrees of freedom of the t distribution that it has.

    seed, cluster, interaction: the three terms (...) that the variance is made of, each with its noise.
    cluster_df: what the clusters are worth, in degrees of freedom; far fewer than their number if sizes differ much.
    """

    variance: np.ndarray
    df: np.ndarray
    seed: np.ndarray
    cluster: np.ndarray
    interaction: np.ndarray
    cluster_df: np.ndarray

    def half_width(self, level=0.95):
        """Half the width of the interval at this level: (...) float."""
        from scipy import stats

        return stats.t.ppf((1 + level) / 2, self.df) * np.sqrt(self.variance)

    def p_value(self, distance):
        """The two-sided p of a null hypothesis that lies this far from the estimate: (...) float; 1 without spread."""
        from scipy import stats

        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(distance) / np.sqrt(self.variance)
        return np.where(self.variance > 0, 2 * stats.t.sf(t, self.df), 1.0)


def crossed_spread(by_seed, influence, sizes) -> Spread:
    """The spread of the mean over seeds, from what each seed gives and how each cluster moves it.

    by_seed: (..., S) float, the effect from each seed alone.
    influence: (..., S, C) float, how far cluster c moves seed s's effect: w_c (mean of its items - by_seed) for a mean,
        and (1 - w_c) (by_seed - by_seed without c) for anything else.
    sizes: (..., C) float, items per cluster.

    Sums of squares are scaled so that they are unbiased when clusters differ in size (the corrections h below; Bell
    and McCaffrey 2002). The clusters' degrees of freedom suppose that a quarter of the variance of a cluster's mean
    does not shrink with its size. With S = 1 the seeds' part cannot be seen: the spread is that over clusters alone,
    which is right only for arms without a seed.
    """
    by_seed, influence, sizes = (np.asarray(a, dtype=np.float64) for a in (by_seed, influence, sizes))
    seeds = by_seed.shape[-1]
    weights = sizes / sizes.sum(-1, keepdims=True)
    h = 1 - 2 * weights + (weights**2).sum(-1, keepdims=True)
    mean_influence = influence.mean(-2)
    with np.errstate(divide="ignore", invalid="ignore"):  # a single cluster has no spread: NaN
        cluster = (mean_influence**2 / h).sum(-1)
        cluster_df = _cluster_df(weights, h, sizes)
    if seeds == 1:
        none = np.zeros_like(cluster)
        return Spread(cluster, cluster_df, none, cluster, none, cluster_df)

    seed = by_seed.var(-1, ddof=1) / seeds
    left = influence - mean_influence[..., None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        interaction = (left**2 / h[..., None, :]).sum((-2, -1)) / (seeds * (seeds - 1))
    floor = FLOOR * interaction
    variance = np.maximum(seed + cluster - interaction, floor)
    squares = (
        np.maximum(seed - floor, 0) * seed / (seeds - 1)
        + np.maximum(cluster - floor, 0) * cluster / cluster_df
        + floor**2 / ((seeds - 1) * cluster_df)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(squares > 0, variance**2 / squares, cluster_df)
    return Spread(variance, df, seed, cluster, interaction, np.broadcast_to(cluster_df, variance.shape))


def _cluster_df(weights, h, sizes):
    """Degrees of freedom of sum_c w_c^2 e_c^2 / h_c for e_c = y_c - sum_b w_b y_b, var(y_c) = (1 + 3 mean(n)/n_c) / 4.

    (trace M)^2 / trace M^2 for M = K^(1/2) Cov(e) K^(1/2), K = w^2 / h, written out so that no C x C matrix is made.
    """
    k = weights**2 / h
    variance = 0.25 + 0.75 * sizes.mean(-1, keepdims=True) / sizes
    a = (weights**2 * variance).sum(-1, keepdims=True)  # Cov(e)_bc = variance_c [b = c] - u_b - u_c + a
    u = weights * variance
    diagonal = variance - 2 * u + a
    a = a[..., 0]
    off = (k.sum(-1), (k * u).sum(-1), (k * u**2).sum(-1))
    squares = (k**2 * (diagonal**2 - (diagonal - variance) ** 2)).sum(-1)
    squares = squares + a**2 * off[0] ** 2 + 2 * off[0] * off[2] - 4 * a * off[0] * off[1] + 2 * off[1] ** 2
    return (k * diagonal).sum(-1) ** 2 / squares


def spread_of_means(cell_means, sizes):
    """(effect (...), Spread) of the mean over seeds and items, from the mean of each seed and cluster.

    cell_means: (..., S, C) float.
    sizes: (..., C), items per cluster; effect = mean over seeds of the mean over items.
    """
    cell_means = np.asarray(cell_means, dtype=np.float64)
    weights = np.asarray(sizes) / np.sum(sizes, axis=-1, keepdims=True)
    by_seed = (cell_means * weights[..., None, :]).sum(-1)
    influence = weights[..., None, :] * (cell_means - by_seed[..., None])
    return by_seed.mean(-1), crossed_spread(by_seed, influence, sizes)


def holm(p) -> np.ndarray:
    """Holm's step-down correction: (n,) p-values to (n,) p-values that hold for all n together.

    >>> holm([0.01, 0.04, 0.03]).round(6)
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected
