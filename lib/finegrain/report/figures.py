"""The figures that several notebooks share. Each function returns a matplotlib figure that belongs to no window."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from finegrain.errors import InputError
from finegrain.report.style import COLOURS, GREY, LINES, MARKERS, STYLE


def leaderboard(estimates: pd.DataFrame, measure: str, *, label: str = "", highlight=(), title: str = "", chance=None):
    """Arms from best to worst as dots with their 95 % intervals and the value beside each: a picture for a talk.

    estimates: as `finegrain.evaluate.estimates` returns it; `measure`: which of its measures.
    label: text on the axis, with the unit; highlight: arms drawn in colour, the others in grey (none: all in colour).
    chance: a value drawn as a thin line named "chance".
    """
    rows = estimates[estimates["measure"] == measure].sort_values("mean", kind="stable")
    if rows.empty:
        known = ", ".join(estimates["measure"].unique())
        raise InputError(f"the estimates have no measure {measure!r}; they have {known}")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.9 + 0.38 * len(rows)))
        axes = figure.add_subplot()
        width = rows["high"].max() - min(rows["low"].min(), chance if chance is not None else np.inf)
        for y, row in enumerate(rows.itertuples()):
            strong = not highlight or row.arm in highlight
            colour = COLOURS[0] if strong else GREY
            axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.2, linestyle="-", marker="")
            axes.plot([row.mean], [y], color=colour, marker="o" if strong else "s", markersize=7)
            axes.annotate(
                f"{row.mean:.3f}",
                (row.high + 0.015 * width, y),
                va="center",
                fontsize=9,
                color=colour,
                annotation_clip=False,
            )
        axes.set_yticks(range(len(rows)), rows["arm"])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.margins(x=0.1)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        if chance is not None:
            axes.axvline(chance, color=GREY, linewidth=1, linestyle=":", marker="")
            axes.annotate(" chance", (chance, -0.66), color=GREY, fontsize=8, ha="left", va="bottom")
        axes.set_xlabel(f"{label or measure} (mean, 95 % interval)")
        axes.set_title(title)
    return figure


def learning_curves(
    curves: pd.DataFrame, x: str, y: str, *, by: str, x_label: str, y_label: str, log_x=False, levels=None, title=""
):
    """One line for each value of `by`, with a band where the columns "<y> low" and "<y> high" exist, named at its end.

    curves: rows in any order; x_label, y_label: with units; log_x: a logarithmic axis whose ticks are the x values.
    levels: name -> y of dotted lines across, such as a bound.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.2))
        axes = figure.add_subplot()
        ends = []
        for i, (name, rows) in enumerate(curves.groupby(by, sort=False)):
            rows = rows.sort_values(x)
            colour, line, marker = (styles[i % len(styles)] for styles in (COLOURS, LINES, MARKERS))
            every = max(1, len(rows) // 10)  # a marker on each of many points would hide the line
            axes.plot(rows[x], rows[y], color=colour, linestyle=line, marker=marker, markevery=every)
            if f"{y} low" in rows and f"{y} high" in rows:
                axes.fill_between(rows[x], rows[f"{y} low"], rows[f"{y} high"], color=colour, alpha=0.15, linewidth=0)
            ends.append((float(rows[y].iloc[-1]), str(name), colour, marker))
        for name, height in (levels or {}).items():
            axes.axhline(height, color=GREY, linestyle=":", marker="")
            left = axes.get_yaxis_transform()
            axes.annotate(
                name, (0.01, height), (0, 3), xycoords=left, textcoords="offset points", color=GREY, fontsize=8
            )
        if log_x:
            axes.set_xscale("log")
            ticks = sorted(curves[x].unique())
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.set_title(title)
        _name_ends(axes, ends)
    return figure


def reliability_diagram(tables: dict, *, title: str = ""):
    """Accuracy against confidence for each arm, the area of a dot growing with its items; the diagonal is calibrated.

    tables: arm -> the frame of `finegrain.evaluate.reliability`.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.8, 5.3))
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", marker="", label="calibrated")
        for i, (arm, table) in enumerate(tables.items()):
            table = table[table["items"] > 0]
            colour, line, marker = (styles[i % len(styles)] for styles in (COLOURS, LINES, MARKERS))
            axes.plot(table["confidence"], table["accuracy"], color=colour, linestyle=line, marker="")
            size = 8 + 120 * table["items"] / table["items"].sum()
            axes.scatter(table["confidence"], table["accuracy"], s=size, color=colour, marker=marker)
            axes.plot([], [], color=colour, linestyle=line, marker=marker, label=arm)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=title)
        axes.set_xlabel("confidence (mean probability in the bin)")
        axes.set_ylabel("accuracy (share of the bin's items)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.12), ncols=2)
    return figure


def grid_of_images(images, titles=None, *, columns: int = 8, inch: float = 0.85, title: str = ""):
    """A sheet of small pictures with a line of text above each.

    images: (H, W) uint8 arrays of ink, drawn dark on white (255 is full ink), or (H, W, 3) uint8 or PIL images in
        colour; (d,) vectors that stand for images are drawn as stripes.
    titles: one string per image, or None.
    """
    images = [np.asarray(image) for image in images]
    titles = [""] * len(images) if titles is None else [str(text) for text in titles]
    if len(titles) != len(images) or not images:
        raise InputError(
            f"{len(images)} images and {len(titles)} titles: give one title per image, and one image at least"
        )
    lines = -(-len(images) // columns)
    text_lines = max(text.count("\n") + 1 if text else 0 for text in titles)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(columns * inch * 1.15, lines * (inch + 0.16 * text_lines) + (0.3 if title else 0)))
        for i, (image, text) in enumerate(zip(images, titles, strict=True)):
            axes = figure.add_subplot(lines, columns, i + 1)
            ink = {1: {"cmap": "PuOr", "aspect": "auto"}, 2: {"cmap": "gray_r", "vmin": 0, "vmax": 255}}.get(
                image.ndim, {}
            )
            axes.imshow(image[None] if image.ndim == 1 else image, interpolation="nearest", **ink)
            axes.set_title(text, fontsize=7, loc="center", pad=2)
            axes.set_axis_off()
        figure.suptitle(title, fontsize=11)
    return figure


def _name_ends(axes, ends):
    """Name each line to the right of its end, behind its marker; names are moved apart where they would overlap."""
    low, high = axes.get_ylim()
    at = -1.0
    for y, name, colour, marker in sorted(ends):
        at = max((y - low) / (high - low), at + 0.055)
        axes.plot([1.03], [at], transform=axes.transAxes, color=colour, marker=marker, clip_on=False)
        axes.annotate(name, (1.05, at), xycoords="axes fraction", fontsize=9, va="center", annotation_clip=False)
