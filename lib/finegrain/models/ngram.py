"""Counted language models: interpolated Kneser-Ney n-grams over rows of tokens, the baseline of every neural one."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class _Order:
    """The k-grams of one order: sorted `grams` with `counts`; sorted `contexts` with what follows them."""

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    kinds: np.ndarray
    likeliest: np.ndarray
    discount: float


class KneserNey:
    """Interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1999, section 4.1.6), one discount for each order.

        p_k(w | c) = max(n(c w) - D, 0) / n(c .) + D N(c .) / n(c .) p_{k-1}(w | c'),    p_0 = 1 / V

    n counts occurrences in the highest order, and below it in how many different left contexts a gram occurs; N(c .)
    counts the different words after c; c' is c without its first word; D = n1 / (n1 + 2 n2), where n1 and n2 count the
    grams seen once and twice. Unseen contexts fall through to the order below.

    rows: (R, L) int64, tokens from 0 to `vocabulary` - 1; grams do not reach across rows. order: 1 (no context) to 4.

    >>> rows = np.array([[1, 2, 3, 1, 2, 0, 1, 2, 3]])
    >>> model = KneserNey(rows, order=2, vocabulary=4)
    >>> np.exp(model.log_probabilities(np.array([[1, 2]]))).round(2).tolist()  # "2" has followed every "1"
    [[0.4, 0.84]]
    """

    def __init__(self, rows: np.ndarray, order: int, vocabulary: int):
        if not 1 <= order <= 4 or vocabulary**order >= 2**63:
            raise ValueError(
                f"order {order} over {vocabulary} tokens does not fit a 64-bit key; take an order from 1 to 4"
            )
        self.vocabulary = vocabulary
        grams, counts = np.unique(self._keys(rows, order), return_counts=True)
        orders = [self._order(grams, counts)]
        for k in range(order - 1, 0, -1):
            grams, counts = np.unique(grams % vocabulary**k, return_counts=True)
            orders.append(self._order(grams, counts))
        self._orders = orders[::-1]

    def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Each token's log probability given the tokens before it in its row: (R, L) float64, nats."""
        p = np.full(rows.shape, 1 / self.vocabulary)
        for k, order in enumerate(self._orders, 1):
            keys = self._keys(rows, k)
            counts = _look_up(order.grams, order.counts, keys)
            totals, kinds = (
                _look_up(order.contexts, of, keys // self.vocabulary) for of in (order.totals, order.kinds)
            )
            seen = totals > 0
            totals = np.maximum(totals, 1)
            lower = p[:, k - 1 :]
            higher = (np.maximum(counts - order.discount, 0) + order.discount * kinds * lower) / totals
            p[:, k - 1 :] = np.where(seen, higher, lower)
        return np.log(p)

    def guesses(self, rows: np.ndarray) -> np.ndarray:
        """At each position the most counted continuation of the longest context seen; (R, L) int64, ties: the lower."""
        guess = np.zeros(rows.shape, np.int64)
        for k, order in enumerate(self._orders, 1):
            contexts = self._keys(rows, k) // self.vocabulary
            seen = _look_up(order.contexts, order.totals, contexts) > 0
            likeliest = _look_up(order.contexts, order.likeliest, contexts)
            guess[:, k - 1 :] = np.where(seen, likeliest, guess[:, k - 1 :])
        return guess

    def _keys(self, rows, k):
        """The k-gram that ends at each position from the k-th on, as one number: (R, L - k + 1)."""
        length = max(0, rows.shape[1] - k + 1)
        keys = np.zeros((len(rows), length), np.int64)
        for start in range(k):
            keys = keys * self.vocabulary + rows[:, start : start + length]
        return keys

    def _order(self, grams, counts):
        contexts, starts = np.unique(grams // self.vocabulary, return_index=True)
        sums = np.add.reduceat(counts, starts)
        kinds = np.diff(np.append(starts, len(grams)))
        # Sorted by context, then falling count, then token: the first of each context is its likeliest.
        best = np.lexsort((grams, -counts, grams // self.vocabulary))[starts]
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        discount = once / (once + 2 * twice) if once else 0.5
        return _Order(grams, counts, contexts, sums, kinds, grams[best] % self.vocabulary, float(discount))


def _look_up(keys, values, wanted):
    """`values` at the places of `wanted` in the sorted `keys`, 0 where they are not among them."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
