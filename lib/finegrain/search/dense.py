"""Dense search: the largest inner products, exactly."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from finegrain.search import runs

_QUERIES, _DOCUMENTS = 256, 2**16  # of a block of scores: 64 MiB
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
    read in blocks, each once for 256 queries. Normalise them for cosine similarity.
    Scores are rounded to 6 decimals before they are ranked: a product's last bits vary with the position in the
    matrix and the machine, and equal documents must tie.

    >>> exact_search(np.eye(2), np.eye(2), ["q1", "q2"], ["a", "b"], k=1)["document_id"].tolist()
    ['a', 'b']
    """
    ids = np.asarray(document_ids, dtype=object)
    place = runs.places(ids)
    rows = []
    for start in range(0, len(query_vectors), _QUERIES):
        rows += _best_of_all(
            np.asarray(query_vectors[start : start + _QUERIES], np.float32), document_vectors, place, k
        )
    return runs.assemble(query_ids, ids, rows)


def _best_of_all(queries, document_vectors, place, k):
    """(columns, scores) of the k best documents of each query, block by block; ties by `place`."""
    kept = [(np.zeros(0, np.int64), np.zeros(0, np.float32))] * len(queries)
    for start in range(0, len(document_vectors), _DOCUMENTS):
        block = np.asarray(document_vectors[start : start + _DOCUMENTS], np.float32)
        scores = np.round(queries @ block.T, _DECIMALS)
        for row, (columns, values) in enumerate(kept):
            new = runs.best(scores[row], place[start : start + len(block)], k)
            columns = np.concatenate([columns, new + start])
            values = np.concatenate([values, scores[row][new]])
            chosen = runs.best(values, place[columns], k)
            kept[row] = columns[chosen], values[chosen]
    return kept
