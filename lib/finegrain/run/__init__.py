"""Execute a notebook with checked parameters, and remember what it read: the thin layer under the Makefile."""

import importlib

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


def __getattr__(name):
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FACE[name]), name)


def __dir__():
    return sorted(__all__)
