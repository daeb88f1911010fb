"""The one look of all figures, and how they become bytes that do not vary."""

import io

import matplotlib
from cycler import cycler

# Okabe and Ito's colours, told apart with any colour vision. Yellow is left out (invisible as a line); the first
# four differ in lightness by 15 steps of CIELAB or more, so that they differ in grey too. Markers and lines vary along.
COLOURS = ("#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#D55E00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
GREY = "#6b6b6b"

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(marker=MARKERS) + cycler(linestyle=LINES),
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "figure.figsize": (6.4, 4.0),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "finegrain",
    "svg.fonttype": "path",  # the same picture where the font is missing
}


def use_style() -> None:
    """Draw everything from here on in the kit's style; `Report` calls it."""
    matplotlib.rcParams.update(STYLE)


def svg(figure, description: str = "") -> str:
    """The figure as SVG text: the same text for the same figure, without date or program name."""
    text = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Description": description or None}
    with matplotlib.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata=metadata)
    return text.getvalue()
