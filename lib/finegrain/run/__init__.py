"""Execute a notebook with checked parameters, and remember what it read: the thin layer under the Makefile."""

from finegrain._face import lazy

_FACE = {
    "Notebook": "finegrain.run.notebooks",
    "find": "finegrain.run.notebooks",
    "Parameter": "finegrain.run.parameters",
    "declared": "finegrain.run.parameters",
    "execute": "finegrain.run.execute",
    "Place": "finegrain.run.places",
    "stale": "finegrain.run.record",
}
__all__ = list(_FACE)
__getattr__, __dir__ = lazy(__name__, _FACE)
