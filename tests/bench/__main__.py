"""What the kit takes, beside what a user would take instead, in one run: `make bench` (B="kernel noop" for some rows).

Arms of a row take turns, so that whatever else the computer does falls on all of them; a ratio is of neighbours in
time, and its range over the repetitions is its spread. Writes table.csv, table.md, ratios.svg and run.json; rows that
are not measured stay as they were, if the processor and the lock file are the same. "profile" is no row, but says in
time.csv where the time of three of them goes.
"""

import argparse
import json
import platform
import statistics
import sys

import gpu_rows
import image_rows
import library_rows
import matplotlib.pyplot as plt
import pandas as pd
import profiles
import rows
import run_rows
import statistics_rows
import training_rows

from finegrain import files
from finegrain.report import style, tables
from finegrain.run import reads

MODULES = (run_rows, library_rows, image_rows, statistics_rows, training_rows, gpu_rows)
ROWS = {name: row for module in MODULES for name, row in module.ROWS.items()}
PROFILE = "profile"
NAMES = (*ROWS, PROFILE)
COLUMNS = ["row", "what", "against", "unit", "kit", "other", "ratio", "ratio low", "ratio high", "target", "met"]


def record(name: str, row: rows.Row) -> dict:
    """A line of the table; name: of the row in ROWS, which may have several lines."""
    ratios = row.ratios()
    ratio = statistics.median(ratios)
    met = None if row.target is None else ("yes" if ratio >= row.target else "no")
    numbers = [statistics.median(row.kit), statistics.median(row.other), ratio, min(ratios), max(ratios)]
    return dict(zip(COLUMNS, [name, row.what, row.against, row.unit, *numbers, row.target, met], strict=True))


def picture(table: pd.DataFrame):
    """The ratios as points with their spread, on a common scale, beside their targets."""
    shown = table.iloc[::-1].reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(8.4, 1.2 + 0.42 * len(shown)))
    spread = [shown["ratio"] - shown["ratio low"], shown["ratio high"] - shown["ratio"]]
    axes.errorbar(shown["ratio"], shown.index, xerr=spread, fmt="o", linestyle="none", label="measured, with its range")
    axes.plot(shown["target"], shown.index, "|", color="black", markersize=16, markeredgewidth=2, label="target")
    axes.axvline(1, color=style.GREY, linewidth=1)
    axes.set_xscale("log")
    ticks = [0.5, 1, 2, 5, 10, 20, 50, 100]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(min(0.45, 0.9 * shown["ratio low"].min()), max(110, 1.1 * shown["ratio high"].max()))
    what = shown["what"].str.replace(r" \(.*\)", "", regex=True)  # the table says how far the answers are apart
    axes.set_yticks(
        shown.index, [f"{name}\nagainst {other}" for name, other in zip(what, shown["against"])], fontsize=8
    )
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


def circumstances(repeats: int) -> dict:
    """What two rows of one table have in common."""
    lock = files.digest(files.root() / "requirements.lock")
    return {"cpu": reads.cpu(), "python": platform.python_version(), "requirements.lock": lock, "repeats": repeats}


def published(folder, here: dict) -> list[dict]:
    """The lines of the table in the folder, if they were measured under the circumstances `here`."""
    try:
        there = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        table = pd.read_csv(folder / "table.csv", keep_default_na=False, na_values=[""])
    except (OSError, ValueError):
        return []
    if list(table) != COLUMNS or any(there.get(name) != value for name, value in here.items()):
        return []
    return [{k: None if pd.isna(v) else v for k, v in line.items()} for line in table.to_dict("records")]


def publish(table: pd.DataFrame, folder, here: dict) -> None:
    """Write the folder anew; after each row, since the whole takes long."""
    style.use_style()
    files.write_text(folder / "table.csv", tables.to_csv(table))
    files.write_text(folder / "table.md", tables.to_markdown(table, 2))
    files.write_text(folder / "ratios.svg", style.svg(picture(table), "Ratios of the kit to its peers, with targets"))
    files.write_text(folder / "run.json", json.dumps({**here, "versions": reads.versions()}, indent=1) + "\n")


def main() -> None:
    """Measure the rows asked for, print each as it is done, and write the folder."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help=f"some of {', '.join(NAMES)}; none means all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", default="figures/bench")
    given = parser.parse_args()
    unknown = [name for name in given.rows if name not in NAMES]
    order = {name: place for place, name in enumerate(ROWS)}
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; there are {', '.join(NAMES)}")
    here, folder = circumstances(given.repeats), files.root() / given.out
    lines, measured = published(folder, here), []
    asked = given.rows or NAMES
    for name in (name for name in asked if name != PROFILE):
        found = [record(name, row) for row in ROWS[name](given.repeats)]
        if not found:  # no peer is installed, or no GPU
            continue
        measured += found
        lines = sorted((*(line for line in lines if line["row"] != name), *found), key=lambda line: order[line["row"]])
        for line in found:
            sys.stdout.write(sentence(line) + "\n")
            sys.stdout.flush()
        publish(pd.DataFrame(lines, columns=COLUMNS), folder, here)
    if PROFILE in asked:
        table = profiles.table()
        files.write_text(folder / "time.csv", tables.to_csv(table))
    elif not measured:
        raise SystemExit("nothing to compare with is installed here: the modules in tests/bench say what to install")


if __name__ == "__main__":
    main()
