"""Where a notebook's results go: tables, figures and claims into one folder, per-item results beside the notebook."""

import contextlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

import finegrain
from finegrain import files
from finegrain.errors import InputError
from finegrain.evaluate.claims import Judged
from finegrain.report import style, tables
from finegrain.run import places
from finegrain.seeding import expand_seeds

PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "torch")  # what the numbers of a claim come from


class Report:
    """The results of one notebook at one scale.

    name: "retrieval/leaderboard".
    out: the folder for tables, figures and claims.json; "" means figures/<name>/ at default, figures/<name>/full/ at
        full and build/smoke/figures/<name>/ at smoke. Per-item results go to its sub-folder items/, or for "" beside
        the executed notebook, in build/<scale>/<name>/.

    Files appear whole or not at all. All but those of `cost` are the same to the byte for the same numbers; what a
    clock measured goes through `cost`. Making one sets the style of all figures.
    """

    def __init__(self, name: str, *, out: str = "", scale: str = "default"):
        place = places.committed(name, scale)
        self.name = name
        self.scale = scale
        self.folder = Path(out) if out else place.figures
        self._items = self.folder / "items" if out else place.items
        style.use_style()

    def table(self, frame: pd.DataFrame, name: str = "table", *, digits: int = 3, formats=None, caption: str = ""):
        """Write name.csv (numbers) and name.md (to read); returns the table for the notebook to show.

        Columns X, "X low" and "X high" are shown as one, `mean [low, high]`; see `finegrain.report.wide`.
        digits: decimals shown; formats: column -> format specification, such as {"index bytes": ",d"}.
        """
        markdown = tables.to_markdown(frame, digits, formats)
        files.write_text(self.folder / f"{name}.csv", tables.to_csv(frame))
        files.write_text(self.folder / f"{name}.md", f"{caption}\n\n{markdown}" if caption else markdown)
        return tables.to_display(frame, name, digits, formats, caption)

    def cost(self, frame: pd.DataFrame, *, digits: int = 2, formats=None, caption: str = ""):
        """Write cost.csv and cost.md: seconds, milliseconds and whatever else differs from run to run."""
        return self.table(frame, "cost", digits=digits, formats=formats, caption=caption)

    def figure(self, figure, name: str, *, description: str = ""):
        """Write name.svg; returns the picture for the notebook to show. description: what one sees, for who cannot."""
        text = style.svg(figure, description)
        files.write_text(self.folder / f"{name}.svg", text)
        return _picture(figure, text)

    def show(self, figure):
        """The picture for the notebook to show, written nowhere: samples, for instance."""
        return _picture(figure, style.svg(figure))

    def items(self, frame: pd.DataFrame, name: str) -> Path:
        """Write per-item results as name.parquet, outside the published folder; returns the path."""
        path = self._items / f"{name}.parquet"
        with files.whole(path) as beside:
            frame.to_parquet(beside, index=False)
        return path

    def claims(self, judged: Sequence[Judged], *, title: str, parameters: Mapping | None = None):
        """Write claims.json; returns the verdicts for the notebook to show, in words.

        title: the paper's or leaderboard's title, as README's table shows it.
        parameters: the notebook's parameters but `out`, by name; `seeds` among them.
        """
        parameters = {name: value for name, value in (parameters or {}).items() if name != "out"}
        record = {
            "notebook": self.name,
            "title": title,
            "scale": self.scale,
            "seeds": expand_seeds(parameters["seeds"]) if parameters.get("seeds") else None,
            "parameters": parameters,
            "claims": [one.record() for one in judged],
            "versions": _versions(),
        }
        try:
            text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"claims.json holds plain numbers, texts and lists: {error}") from None
        files.write_text(self.folder / "claims.json", text + "\n")
        return _Words(judged)


class _Words:
    """Verdicts as a notebook shows them: statement, then what was found."""

    def __init__(self, judged):
        self._judged = list(judged)

    def _repr_markdown_(self):
        lines = []
        for number, one in enumerate(self._judged, 1):
            verdict = f"**{one.verdict}**{' (primary)' if one.claim.primary else ''}"
            lines += [f"{number}. {verdict}: {tables.escaped(one.claim.statement)}", f"   {tables.escaped(one.words)}"]
        return "\n".join(lines)

    def __repr__(self):
        return "\n".join(f"{one.verdict}: {one.claim.statement} {one.words}" for one in self._judged)


def _picture(figure, text):
    from IPython.display import SVG

    if figure.canvas.manager is not None:  # made by pyplot, which would show it a second time
        from matplotlib import pyplot

        pyplot.close(figure)
    return SVG(text)


def _versions():
    found = {"finegrain": finegrain.__version__}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
