"""What the kit takes, beside what a user would take instead, in one run: `make bench` (B="kernel noop" for some rows).

Arms of a row take turns, so that whatever else the computer does falls on all of them; a ratio is of neighbours in
time, and its range over the repetitions is its spread. Writes table.csv, table.md, ratios.svg and run.json.
"""

import argparse
import json
import platform
import statistics
import sys

import image_rows
import library_rows
import matplotlib.pyplot as plt
import pandas as pd
import rows
import run_rows
import statistics_rows
import training_rows

from finegrain import files
from finegrain.report import style, tables
from finegrain.run import reads

MODULES = (run_rows, library_rows, image_rows, statistics_rows, training_rows)
ROWS = {name: row for module in MODULES for name, row in module.ROWS.items()}
COLUMNS = ["what", "against", "unit", "kit", "other", "ratio", "ratio low", "ratio high", "target", "met"]


def record(row: rows.Row) -> dict:
    """A line of the table."""
    ratios = row.ratios()
    ratio = statistics.median(ratios)
    met = None if row.target is None else ("yes" if ratio >= row.target else "no")
    numbers = [statistics.median(row.kit), statistics.median(row.other), ratio, min(ratios), max(ratios)]
    return dict(zip(COLUMNS, [row.what, row.against, row.unit, *numbers, row.target, met], strict=True))


def picture(table: pd.DataFrame):
    """The ratios as points with their spread, on a common scale, beside their targets."""
    shown = table.iloc[::-1].reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(7.2, 1.2 + 0.5 * len(shown)))
    spread = [shown["ratio"] - shown["ratio low"], shown["ratio high"] - shown["ratio"]]
    axes.errorbar(shown["ratio"], shown.index, xerr=spread, fmt="o", linestyle="none", label="measured, with its range")
    axes.plot(shown["target"], shown.index, "|", color="black", markersize=16, markeredgewidth=2, label="target")
    axes.axvline(1, color=style.GREY, linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(shown.index, [f"{what}\nagainst {other}" for what, other in zip(shown.what, shown.against)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlabel("times as good as the other (1: equal)")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def sentence(line: dict) -> str:
    """A line of the table in words."""
    target = "" if line["target"] is None else f", target {line['target']:g}: {line['met']}"
    return (
        f"{line['what']}: {line['kit']:.3g} {line['unit']}, {line['against']} {line['other']:.3g}: "
        f"{line['ratio']:.2f} times [{line['ratio low']:.2f}, {line['ratio high']:.2f}]{target}"
    )


def publish(table: pd.DataFrame, folder, repeats: int) -> None:
    """Write the folder anew; after each row, since the whole takes long."""
    style.use_style()
    files.write_text(folder / "table.csv", tables.to_csv(table))
    files.write_text(folder / "table.md", tables.to_markdown(table, 2))
    files.write_text(folder / "ratios.svg", style.svg(picture(table), "Ratios of the kit to its peers, with targets"))
    machine = {"cpu": reads.cpu(), "python": platform.python_version(), "repeats": repeats}
    files.write_text(folder / "run.json", json.dumps({**machine, "versions": reads.versions()}, indent=1) + "\n")


def main() -> None:
    """Measure the rows asked for, print each as it is done, and write the folder."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help=f"some of {', '.join(ROWS)}; none means all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", default="figures/bench")
    given = parser.parse_args()
    unknown = [name for name in given.rows if name not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    lines = []
    for name in given.rows or ROWS:
        for row in ROWS[name](given.repeats):
            lines.append(record(row))
            sys.stdout.write(sentence(lines[-1]) + "\n")
            sys.stdout.flush()
            publish(pd.DataFrame(lines, columns=COLUMNS), files.root() / given.out, given.repeats)
    if not lines:
        raise SystemExit("nothing to compare with is installed here: the modules in tests/bench say what to install")


if __name__ == "__main__":
    main()
