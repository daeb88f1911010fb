"""README's table of papers, made from figures/: what each claimed, what came out here, and at which price."""

import json
from pathlib import Path

from finegrain import files
from finegrain.errors import InputError
from finegrain.run import record

START, END = "<!-- papers: start (make readme) -->", "<!-- papers: end -->"
HEAD = "| paper | task | claim | verdict | seconds | scale |\n|---|---|---|---|---:|---|\n"


def update(path: Path) -> None:
    """Replace what stands between the two markers in the file.

    Raises InputError where the file or one of its markers is missing.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise InputError(f"{path.name} has no lines {START!r} and {END!r} to write the table between")
    files.write_text(path, f"{before}{START}\n{table()}{END}{after}")


def table() -> str:
    """One row for each notebook with claims: its primary claim, from the full scale where there is one."""
    found = {}
    for path in sorted((files.root() / "figures").glob("*/*/**/claims.json")):
        task, name = path.relative_to(files.root() / "figures").parts[:2]
        found[task, name] = path  # `full/claims.json` sorts after `claims.json`
    return HEAD + "".join(_row(task, name, path) for (task, name), path in found.items())


def _row(task, name, path) -> str:
    whole = json.loads(path.read_text(encoding="utf-8"))
    claims = whole.get("claims", [])
    primary = next((claim for claim in claims if claim.get("primary")), claims[0] if claims else {})
    run = record.load(path.with_name(record.PUBLISHED)) or {}
    seconds = f"{run['seconds']:.0f}" if "seconds" in run else ""
    title = f"[{_cell(whole.get('title', name))}](notebooks/{task}/{name}.ipynb)"
    cells = [title, task.replace("_", " "), _cell(primary.get("statement", "")), primary.get("verdict", "")]
    return "| " + " | ".join([*cells, seconds, whole.get("scale", "default")]) + " |\n"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
