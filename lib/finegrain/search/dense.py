"""Dense search: the largest inner products, exactly."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from finegrain.models._device import pick_dtype
from finegrain.search import runs

_QUERIES, _DOCUMENTS = 1024, 4096  # of a block of scores: 16 MiB
_FEW = 128  # queries: for fewer, to round the documents takes longer than their products
_MANY = 0.1  # of a block's products: more take longer one by one than all together
_DECIMALS = 6


def exact_search(
    query_vectors: np.ndarray,
    document_vectors: np.ndarray,
    query_ids: Sequence[str],
    document_ids: Sequence[str],
    k: int = 100,
) -> pd.DataFrame:
    """The run of the k documents with the largest inner product with each query.

    query_vectors: (Q, d) float32; document_vectors: (D, d) float32, in memory or memory-mapped (`numpy.memmap`), are
    read in blocks, each once for 1,024 queries. Normalise them for cosine similarity.
    Where the processor multiplies bfloat16, a product in bfloat16 says which documents may be among the best (see
    `_Half`), and only these are multiplied in float32; the answer is the same.
    Scores are rounded to 6 decimals before they are ranked: a product's last bits vary with the position in the
    matrix and the machine, and equal documents must tie.

    >>> exact_search(np.eye(2), np.eye(2), ["q1", "q2"], ["a", "b"], k=1)["document_id"].tolist()
    ['a', 'b']
    """
    ids = np.asarray(document_ids, dtype=object)
    place = runs.places(ids)
    rows = []
    for start in range(0, len(query_vectors), _QUERIES):
        queries = np.require(query_vectors[start : start + _QUERIES], np.float32, "CW")
        rows += _best_of_all(queries, document_vectors, place, k)
    return runs.assemble(query_ids, ids, rows)


def _best_of_all(queries, document_vectors, place, k):
    """(columns, scores) of the k best documents of each query, block by block; ties by `place`.

    Scores that cannot be among a query's best are dropped when they are made. The others are put by, and what a score
    must reach rises whenever twice as many as are wanted have come together.
    """
    import torch

    count = len(queries)
    least = np.full(count, -np.inf, np.float32)
    kept = np.zeros(0, np.int16), np.zeros(0, np.int64), np.zeros(0, np.float32)  # queries, columns, rounded scores
    pays = count >= _FEW and pick_dtype("auto", "cpu") == torch.bfloat16
    half = _Half(queries) if pays else None
    room = torch.empty(count, 0)  # for scores, and the same for all blocks: to ask for memory takes time
    for start in range(0, len(document_vectors), _DOCUMENTS):
        block = np.require(document_vectors[start : start + _DOCUMENTS], np.float32, "CW")
        near = half.near(block, least) if half and np.isfinite(least).all() else None
        if near is None:
            if len(block) != room.shape[1]:
                room = torch.empty(count, len(block))
            scores = torch.mm(torch.from_numpy(queries), torch.from_numpy(block).T, out=room).numpy()
            if start == 0 and k < len(block):
                least = _bar(np.partition(scores, -k, axis=1)[:, -k])
            found = np.flatnonzero(scores >= least[:, None])
            rows, columns = np.divmod(found, len(block))
            scores = scores.ravel()[found]
        else:
            rows, columns = near
            scores = np.vecdot(queries[rows], block[columns])
        new = rows.astype(np.int16), columns + start, np.round(scores, _DECIMALS)
        kept = tuple(np.concatenate(both) for both in zip(kept, new, strict=True))
        if len(kept[0]) > 2 * k * count:
            least = _bar(_kth_best(kept[0], kept[2], k, count))
            some = kept[2] >= least[kept[0]]
            kept = tuple(part[some] for part in kept)
    rows, columns, scores = kept
    order = np.lexsort((place[columns], -scores, rows))
    ends = np.searchsorted(rows[order], np.arange(count + 1))
    best = [order[a:b][:k] for a, b in itertools.pairwise(ends)]
    return [(columns[some], scores[some]) for some in best]


class _Half:
    """Products in bfloat16, which say what float32 products need to be made.

    To round two numbers moves their product by 2^-7 of itself and a little more at most, and so that of two vectors by
    as much of |q| |b| (Cauchy and Schwarz); a sum of d products in float32 loses about d 2^-24 of that. Of what is
    little, twice as much is allowed for. The product is rounded to bfloat16 in the end, and so is what it must reach:
    rounding keeps order.
    """

    def __init__(self, queries):
        import torch

        exact = torch.from_numpy(queries)
        self.queries, self.length = exact.bfloat16(), exact.norm(dim=1)
        self.room = torch.empty(len(queries), 0, dtype=torch.bfloat16)

    def near(self, block, least):
        """(rows, columns) of the products that may reach `least`; None where this would not pay.

        That is where these are many, and where something must reach no positive number: only positive ones of
        bfloat16 are in the order of their bits read as integers, which are compared seven times as fast.
        """
        import torch

        exact = torch.from_numpy(block)
        loss = (2.0**-7 + 2.0**-15 + block.shape[1] * 2.0**-23) * self.length * exact.norm(dim=1).max()
        reach = (torch.from_numpy(least) - loss).bfloat16()
        if not (reach > 0).all():
            return None
        if len(block) != self.room.shape[1]:
            self.room = torch.empty(len(self.queries), len(block), dtype=torch.bfloat16)
        products = torch.mm(self.queries, exact.bfloat16().T, out=self.room)
        found = np.flatnonzero(products.view(torch.int16).numpy() >= reach.view(torch.int16).numpy()[:, None])
        return np.divmod(found, len(block)) if len(found) <= _MANY * products.numel() else None


def _bar(worst):
    """What a score must reach that may be as good as the worst of the k best so far, once both are rounded."""
    return (worst - 1e-6 * (1 + np.abs(worst))).astype(np.float32)


def _kth_best(rows, scores, k, count):
    """The k-th best score of each query, -inf where there are fewer. rows: of which query a score is."""
    order = np.argsort(rows, kind="stable")
    rows = rows[order].astype(np.int64)
    table = np.full((count, max(k, np.bincount(rows).max())), -np.inf, np.float32)
    table[rows, np.arange(len(rows)) - np.searchsorted(rows, np.arange(count))[rows]] = scores[order]
    return np.partition(table, -k, axis=1)[:, -k]
