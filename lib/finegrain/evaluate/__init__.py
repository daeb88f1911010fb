"""Measures, and the statistics of claims about them.

Per-item measures of classification and of rankings; `Claim` and `judge` for what a notebook asserts,
`estimates` and `neighbours` for what a leaderboard shows.
"""

from finegrain._face import lazy

_FACE = {
    "hits": "finegrain.evaluate.classification",
    "per_class_mean": "finegrain.evaluate.classification",
    "macro_f1": "finegrain.evaluate.classification",
    "reliability": "finegrain.evaluate.classification",
    "expected_calibration_error": "finegrain.evaluate.classification",
    "path_distance": "finegrain.evaluate.classification",
    "measure": "finegrain.evaluate.ranking",
    "recall_at_k": "finegrain.evaluate.ranking",
    "Claim": "finegrain.evaluate.claims",
    "judge": "finegrain.evaluate.claims",
    "estimates": "finegrain.evaluate.claims",
    "neighbours": "finegrain.evaluate.claims",
}
__all__ = list(_FACE)
__getattr__, __dir__ = lazy(__name__, _FACE)
