"""Where samples come from: the offline worlds, local folders, and one call that loads them all.

`load(name)` returns one of four plain records: `ImageText`, `Texts`, `Retrieval` or `Pairs`.
"""

from finegrain._face import lazy

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
__getattr__, __dir__ = lazy(__name__, _FACE)
