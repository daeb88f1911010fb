"""Search: lexical, dense and fused rankings, all as one kind of table.

A run is a DataFrame with the columns query_id, document_id, score and rank (1 is best), by query in the order of the
queries and by rank. Equal scores rank by document_id, ascending.
"""

from finegrain._face import lazy

_FACE = {
    "BM25": "finegrain.search.lexical",
    "exact_search": "finegrain.search.dense",
    "fuse": "finegrain.search.fusion",
    "run_from_scores": "finegrain.search.runs",
    "write_trec": "finegrain.search.runs",
    "read_trec": "finegrain.search.runs",
}
__all__ = list(_FACE)
__getattr__, __dir__ = lazy(__name__, _FACE)
