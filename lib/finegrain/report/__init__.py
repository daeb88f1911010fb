"""Tables, figures and claims as files: one place, one style, the same bytes each time."""

import importlib

_FACE = {
    "Report": "finegrain.report._report",
    "wide": "finegrain.report.tables",
    "leaderboard": "finegrain.report.figures",
    "learning_curves": "finegrain.report.figures",
    "reliability_diagram": "finegrain.report.figures",
    "grid_of_images": "finegrain.report.figures",
    "use_style": "finegrain.report.style",
    "COLOURS": "finegrain.report.style",
}
__all__ = list(_FACE)


def __getattr__(name):
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FACE[name]), name)


def __dir__():
    return sorted(__all__)
