"""Groups of texts that repeat each other: MinHash finds candidates, exact Jaccard similarity decides."""

import zlib
from collections.abc import Sequence

import numpy as np

SHINGLE = 3
THRESHOLD = 0.5
_BANDS, _ROWS = 32, 3  # a pair at the threshold is found with probability 1 - (1 - 0.5**3)**32 = 0.986


def near_duplicate_groups(texts: Sequence[Sequence[str]]) -> np.ndarray:
    """The group of each text, (N,) int64: the row of the group's first text.

    texts: N lists of words. Two texts are near duplicates where the Jaccard similarity of their sets of 3 successive
    words is at least 0.5; groups are the connected components.

    >>> near_duplicate_groups(["a b c d e".split(), "x y z".split(), "a b c d f".split()])
    array([0, 1, 0])
    """
    from datasketch import MinHash, MinHashLSH
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    shingles = [_shingles(words) for words in texts]
    hashes = MinHash.generator(shingles, num_perm=_BANDS * _ROWS, hashfunc=int)
    index = MinHashLSH(num_perm=_BANDS * _ROWS, params=(_BANDS, _ROWS))
    first, second = [], []
    for row, hashed in enumerate(hashes):
        for other in index.query(hashed):
            shared = len(shingles[row] & shingles[other])
            if shared >= THRESHOLD * (len(shingles[row]) + len(shingles[other]) - shared):
                first.append(row)
                second.append(other)
        index.insert(row, hashed, check_duplication=False)
    edges = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(texts), len(texts)))
    labels = connected_components(edges, directed=False)[1]
    _, first_rows = np.unique(labels, return_index=True)
    return first_rows[labels].astype(np.int64)


def _shingles(words):
    """The set of hashed runs of SHINGLE words (of the whole text where it is shorter)."""
    runs = zip(*(words[start:] for start in range(SHINGLE)), strict=False)
    return {zlib.crc32(" ".join(run).encode()) for run in runs} or {zlib.crc32(" ".join(words).encode())}
