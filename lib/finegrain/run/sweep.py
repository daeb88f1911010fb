"""One notebook over a grid of parameters: a run for each combination, and one table of them all at the end."""

import itertools
import json
import re
import shlex
from pathlib import Path

from finegrain import files
from finegrain.errors import InputError
from finegrain.run import parameters, places, record
from finegrain.run.notebooks import Notebook

MOST = 10_000  # runs of one sweep


def expand(notebook: Notebook, grid: str) -> list[dict]:
    """The values of each run that GRID="seeds=0:10 backbone=a,b" asks for; later names vary fastest.

    Commas stand between alternatives. "0:10" is ten of them, the whole numbers from 0 to 9; of `seeds`, where a
    number is a count, they are passed as lists of one seed: [0], [1], ... A list as one value has brackets:
    "ks=[1,5],[1,10]". Everything else is read as by `make run`. Raises InputError, before anything runs, for what
    is not a grid of declared parameters, for `out`, and for alternatives that are given twice.
    """
    known = parameters.declared(notebook)
    try:
        words = shlex.split(_protected(grid))
    except ValueError as error:
        raise InputError(f"GRID={grid!r}: {error}") from None
    if not words:
        raise InputError('the grid is empty: GRID="seeds=0:10 backbone=a,b" has a name and its values, one word each')
    axes: dict[str, list] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise InputError(f"GRID: {word!r} is not of the form name=values")
        if name in axes:
            raise InputError(f"GRID: {name} is given twice")
        if name == "out":
            raise InputError("GRID: out is no axis, each run of a sweep has a folder of its own")
        axes[name] = _alternatives(name, text, known)
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST:
        raise InputError(f"GRID: {count:,} runs are more than {MOST:,}; give fewer values")
    runs = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    for run in runs:
        places.check_scale(scale_of(run, known))
    return runs


def scale_of(given: dict, known: dict) -> str:
    """The scale of a run."""
    return given.get("scale", known["scale"].default if "scale" in known else "default")


def folder(notebook: Notebook, runs: list[dict]) -> Path:
    """Where the table of a sweep goes: the same for the same runs."""
    return files.build("sweeps", notebook.name, files.digest(repr(runs))[:8])


def collect(notebook: Notebook, runs: list[dict], outcomes: dict[str, dict]) -> tuple[Path, int]:
    """Write runs.csv and values.csv, each as parquet too; returns their folder and how many runs failed.

    runs.csv has a row for each run: parameters, status, seconds (those that cached answers once took among them), and
    of each claim verdict, effect and interval. values.csv has the numbers of each run's table.csv in long form:
    parameters, the row's texts, column, value. outcomes: by the run's name, what this sweep did, as `session` keeps it.
    """
    import pandas as pd

    known = parameters.declared(notebook)
    rows, values, failed = [], [], 0
    for given in runs:
        place = places.separate(notebook.name, scale_of(given, known), given)
        whole, outcome = record.load(place.record), outcomes.get(place.folder.name, {})
        shown = {
            name: value if isinstance(value, str | int | float) else json.dumps(value) for name, value in given.items()
        }
        status = outcome.get("status", "interrupted")
        row = {"run": place.folder.name, **shown, "status": status, "error": outcome.get("error", "")}
        if whole is None or status not in ("ran", "unchanged"):
            failed += 1
            rows.append(row)
            continue
        rows.append(row | {"seconds": record.price(whole)} | _claims(place))
        values += [{"run": place.folder.name, **shown, **cell} for cell in _cells(place.figures / "table.csv")]
    target = folder(notebook, runs)
    for name, table in (("runs", pd.DataFrame(rows)), ("values", pd.DataFrame(values))):
        table = table.astype({column: str for column in table if column in known and table[column].dtype == object})
        files.write_text(target / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
        with files.whole(target / f"{name}.parquet") as beside:
            table.to_parquet(beside, index=False)
    return target, failed


def _plain(value):
    return value if isinstance(value, str | int | float) else json.dumps(value)


def _claims(place) -> dict:
    """Verdict, effect and interval of each claim of a run, as columns."""
    columns: dict = {}
    for claim in (record.load(place.figures / "claims.json") or {}).get("claims", []):
        low, high = claim.get("interval") or (None, None)
        facts = {"verdict": claim["verdict"], "effect": claim.get("effect"), "low": low, "high": high}
        columns |= {f"{claim['name']}: {key}": value for key, value in facts.items()}
    return columns


def _cells(path: Path) -> list[dict]:
    """The numbers of a table in long form; its texts say which row it is."""
    import pandas as pd

    if not path.is_file():
        return []
    table = pd.read_csv(path)
    texts = [column for column in table if not pd.api.types.is_numeric_dtype(table[column])]
    return [
        {"row": ", ".join(str(row[column]) for column in texts), "column": column, "value": float(row[column])}
        for _, row in table.iterrows()
        for column in table
        if column not in texts and pd.notna(row[column])
    ]


def _alternatives(name: str, text: str, known: dict) -> list:
    values: list = []
    for part in _split(text):
        span = re.fullmatch(r"(\d+):(\d+)", part)
        if span:
            low, high = map(int, span.groups())
            if low >= high:
                raise InputError(f"GRID: {name}={part} holds no value; a range is start:stop, without stop")
            if high - low > MOST:
                raise InputError(f"GRID: {name}={part} holds more than {MOST:,} values")
            texts = [f"[{number}]" if name == "seeds" else str(number) for number in range(low, high)]
        else:
            texts = [part]
        for one in texts:
            values.append(parameters.parse(f"{name}={shlex.quote(one)}", known)[name])
    for number, value in enumerate(values):
        if value in values[:number] and any(type(value) is type(other) for other in values[:number] if other == value):
            raise InputError(f"GRID: {name} has {value!r} twice")
    return values


def _split(text: str) -> list[str]:
    """The parts between commas, but for those within brackets."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "[{(") - (sign in "]})")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    parts = [part.strip() for part in parts]
    if "" in parts:
        raise InputError(f"GRID: {text!r} has an empty value")
    return parts


def _protected(grid: str) -> str:
    """The text with quotes inside brackets kept, which a shell's rules would take away."""
    kept, depth = "", 0
    for sign in grid:
        depth += (sign == "[") - (sign == "]")
        kept += f"\\{sign}" if depth > 0 and sign in "\"' \\" else sign
    return kept
