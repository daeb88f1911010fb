"""Two runs side by side: what was asked, what came out, what was concluded."""

import json
from pathlib import Path

import pandas as pd

from finegrain import files
from finegrain.errors import InputError
from finegrain.report import tables
from finegrain.run import notebooks, places, record

COLUMNS = ("A", "B")


def text(one: str, other: str) -> str:
    """What differs between two runs, as Markdown: parameters, verdicts, and table.csv row by row.

    one, other: the folder of a run's figures, the folder of a run below build/runs, or a notebook's name, that of its
    published figures; "retrieval/leaderboard@full" is those of the full scale.
    """
    folders = [folder(name) for name in (one, other)]
    head = [f"{column}: {files.shown(path)}" for column, path in zip(COLUMNS, folders, strict=True)]
    judged = [record.load(path / "claims.json") or {} for path in folders]
    parts = ["\n".join(head), _parameters(folders, judged), _verdicts(judged), _tables(folders)]
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def folder(name: str) -> Path:
    """The folder of figures that a name means. Raises InputError where it holds no results."""
    given = Path(name)
    if given.is_file():
        given = given.parent
    if not given.is_dir():
        notebook, _, scale = name.partition("@")
        given = places.committed(notebooks.find(notebook).name, scale or "default").figures
    elif (given / "figures").is_dir():
        given = given / "figures"
    if not any((given / file).exists() for file in ("claims.json", "table.csv", record.PUBLISHED)):
        raise InputError(f"{files.shown(given)} holds no results: neither claims.json nor table.csv")
    return given


def _parameters(folders, judged):
    of = [
        (record.load(path / record.PUBLISHED) or {}).get("parameters") or claims.get("parameters", {})
        for path, claims in zip(folders, judged, strict=True)
    ]
    names = [name for name in {**of[0], **of[1]} if of[0].get(name) != of[1].get(name)]
    if not names:
        return "Parameters are the same."
    rows = [[name, *(_value(one, name) for one in of)] for name in names]
    return "Parameters that differ\n\n" + tables.to_markdown(pd.DataFrame(rows, columns=["parameter", *COLUMNS]))


def _value(parameters, name):
    return json.dumps(parameters[name], ensure_ascii=False) if name in parameters else "–"


def _verdicts(judged):
    of = [{claim["name"]: claim for claim in one.get("claims", [])} for one in judged]
    rows = []
    for name in {**of[0], **of[1]}:
        found = [one.get(name) for one in of]
        statement = next(claim for claim in found if claim)["statement"]
        rows.append([statement, *(_outcome(claim) for claim in found)])
    return "Verdicts\n\n" + tables.to_markdown(pd.DataFrame(rows, columns=["claim", *COLUMNS])) if rows else ""


def _outcome(claim):
    if claim is None:
        return "–"
    if not claim.get("interval"):
        return claim["verdict"]
    low, high = claim["interval"]
    return f"{claim['verdict']}: {claim['effect']:+.3f} [{low:+.3f}, {high:+.3f}]"


def _tables(folders):
    """Both tables in one: rows meet by their columns of text, and each measure stands twice."""
    paths = [path / "table.csv" for path in folders]
    if not all(path.exists() for path in paths):
        return ""
    frames = [pd.read_csv(path) for path in paths]
    texts = [c for c in frames[0] if not all(pd.api.types.is_numeric_dtype(f[c]) for f in frames if c in f)]
    keys = [column for column in texts if column in frames[1]]
    bounds = (" low", " high")
    shared = [c for c in frames[0] if c in frames[1] and c not in keys and not c.endswith(bounds)]
    if not keys or not shared or any(frame.duplicated(keys).any() for frame in frames):
        return "The tables have no rows in common."
    both = frames[0].merge(frames[1], on=keys, how="outer", suffixes=(" A", " B"), sort=False)
    wanted = [*keys]
    for column in shared:
        wanted += [f"{column}{end} {side}" for side in COLUMNS for end in ("", *bounds)]
    both = both[[column for column in wanted if column in both]]
    ends = {f"{c}{end} {side}": f"{c} {side}{end}" for c in shared for end in bounds for side in COLUMNS}
    return "Tables\n\n" + tables.to_markdown(both.rename(columns=ends))
