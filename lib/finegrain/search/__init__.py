"""Search: lexical, dense and fused rankings, all as one kind of table.

A run is a DataFrame with the columns query_id, document_id, score and rank (1 is best), by query in the order of the
queries and by rank. Equal scores rank by document_id, ascending.
"""

import importlib

_FACE = {
    "BM25": "finegrain.search.lexical",
    "exact_search": "finegrain.search.dense",
    "fuse": "finegrain.search.fusion",
    "run_from_scores": "finegrain.search.runs",
    "write_trec": "finegrain.search.runs",
    "read_trec": "finegrain.search.runs",
}
__all__ = list(_FACE)


def __getattr__(name):
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FACE[name]), name)


def __dir__():
    return sorted(__all__)
