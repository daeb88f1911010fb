"""Dense search: the largest inner products, exactly."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from finegrain.search import runs

_BLOCK_BYTES = 64 * 2**20
_DECIMALS = 6


def exact_search(
    query_vectors: np.ndarray,
    document_vectors: np.ndarray,
    query_ids: Sequence[str],
    document_ids: Sequence[str],
    k: int = 100,
) -> pd.DataFrame:
    """The run of the k documents with the largest inner product with each query.

    query_vectors: (Q, d) float32; document_vectors: (D, d) float32. Normalise them for cosine similarity.
    Scores are rounded to 6 decimals before they are ranked: a product's last bits vary with the position in the
    matrix and the machine, and equal documents must tie.

    >>> exact_search(np.eye(2), np.eye(2), ["q1", "q2"], ["a", "b"], k=1)["document_id"].tolist()
    ['a', 'b']
    """
    queries, documents = np.asarray(query_vectors, np.float32), np.asarray(document_vectors, np.float32)
    block = max(1, _BLOCK_BYTES // (4 * max(1, len(documents))))
    found = [
        runs.run_from_scores(
            np.round(queries[start : start + block] @ documents.T, _DECIMALS),
            query_ids[start : start + block],
            document_ids,
            k,
        )
        for start in range(0, len(queries), block)
    ]
    return pd.concat(found, ignore_index=True) if found else runs.run_from_scores(np.zeros((0, 0)), [], [], k)
