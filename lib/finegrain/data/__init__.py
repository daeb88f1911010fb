"""Where samples come from: the offline worlds, local folders, and one call that loads them all.

`load(name)` returns one of four plain records: `ImageText`, `Texts`, `Retrieval` or `Pairs`.
"""

import importlib

_FACE = {
    "load": "finegrain.data._load",
    "available": "finegrain.data._load",
    "prose": "finegrain.data._prose",
    "ImageText": "finegrain.data._records",
    "Texts": "finegrain.data._records",
    "Retrieval": "finegrain.data._records",
    "Pairs": "finegrain.data._records",
    "fold_of": "finegrain.data._folds",
    "FOLDS": "finegrain.data._folds",
}
__all__ = list(_FACE)


def __getattr__(name):
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FACE[name]), name)


def __dir__():
    return sorted(__all__)
