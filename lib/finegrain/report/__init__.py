"""Tables, figures and claims as files: one place, one style, the same bytes each time."""

from finegrain._face import lazy

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
__getattr__, __dir__ = lazy(__name__, _FACE)
