"""README's table of papers, made from figures/: what each claimed, what came out here, and at which price."""

import json
import re
from pathlib import Path

from finegrain import files
from finegrain.errors import InputError
from finegrain.run import notebooks, record

START, END = "<!-- papers: start (make readme) -->", "<!-- papers: end -->"
TASKS = ("vision_language", "text_classification", "retrieval", "foundations", "backbones")  # as readers meet them
HEAD = "| paper | task | claim | verdict | seconds | scale |\n|---|---|---|---|---:|---|\n"
# How likely a claim that is false comes out as "supported": the two-sided level of the intervals, 5 %, on one side.
FALSE_SUPPORTED = 0.025
CLAIMS = "claims.json"


def update(path: Path) -> None:
    """Replace what stands between the two markers in the file.

    Raises InputError where the file or one of its markers is missing.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    files.write_text(path, updated(text, path.name))


def update_start() -> None:
    """Write the list of notebooks on JupyterLab's start page anew, where there is one."""
    path = notebooks.folder() / f"{notebooks.START}.ipynb"
    if path.exists():
        raw = json.loads(path.read_text(encoding="utf-8"))
        for cell in raw["cells"]:
            source = "".join(cell["source"])
            if START in source:
                cell["source"] = updated(source, path.name, contents()).splitlines(keepends=True)
        files.write_text(path, notebooks.text(raw))


def updated(text: str, name: str, inner: str = "") -> str:
    """The text with the table and the sentence about chance, or `inner`, between its markers.

    name: the file's, for the error.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise InputError(f"{name} has no lines {START!r} and {END!r} to write the table between")
    inner = inner or f"{table()}\n{chance()}"
    return f"{before}{START}\n{inner}\n{END}{after}"


def contents() -> str:
    """A list of links to all notebooks, by task, with the primary claim's verdict; as seen from notebooks/."""
    parts = []
    names, found = notebooks.names(), _published()
    for task in tasks(names):
        parts.append(f"\n## {task.replace('_', ' ').capitalize()}\n")
        for name in (one for one in names if one.startswith(f"{task}/")):
            claims = _claims(found[name]) if name in found else []
            verdict = next((claim["verdict"] for claim in claims if claim["primary"]), "")
            parts.append(f"- [{title(notebooks.find(name))}]({name}.ipynb)" + (f": {verdict}" if verdict else ""))
    return "\n".join(parts) + "\n"


def tasks(names: list[str]) -> list[str]:
    """The tasks of these notebooks, in the order in which readers meet them; others after those that are known."""
    found = {name.partition("/")[0] for name in names}
    return [task for task in TASKS if task in found] + sorted(found.difference(TASKS))


def opening(notebook: notebooks.Notebook) -> str:
    """The text of its first cell; "" where that is code."""
    cells = notebook.cells
    return cells[0].source if cells and cells[0].kind == "markdown" else ""


def title(notebook: notebooks.Notebook) -> str:
    """The heading that it begins with, or its name."""
    found = re.match(r"# (.+)", opening(notebook))
    return found[1].strip() if found else notebook.name


def judged(folder: Path) -> Path:
    """Where the verdicts of a notebook's published folder stand: in its folder of the full scale, or in itself."""
    return folder / "full" if (folder / "full" / CLAIMS).exists() else folder


def table() -> str:
    """One row for each notebook with claims: its primary claim, from the full scale where there is one.

    A notebook that has a section for claims and has not run yet says so.
    """
    rows = {name: _row(name, path) for name, path in _published().items()}
    for name in notebooks.names():
        notebook = notebooks.find(name)
        if name not in rows and any(re.match(r"## Claims\b", cell.source) for cell in notebook.cells):
            cell = f"[{_cell(title(notebook))}](notebooks/{name}.ipynb)"
            rows[name] = f"| {cell} | {name.partition('/')[0].replace('_', ' ')} |  | not run yet |  |  |\n"
    return HEAD + "".join(row for _, row in sorted(rows.items()))


def chance() -> str:
    """How many false "supported" the verdicts behind the table may hold by chance, in words.

    A primary claim that does not hold comes out as supported with a probability of 2.5 % at most: its 95 % interval has
    two sides. Holm's correction gives all secondary claims of a notebook together the same 2.5 %. The numbers are
    bounds: they are reached where no claim holds and each lies on the edge of what it says.
    """
    notebooks = [_claims(path) for path in _published().values()]
    claims = [claim for judged in notebooks for claim in judged]
    if not claims:
        return "No claim has been judged yet."
    primary = sum(claim["primary"] for claim in claims)
    families = sum(any(not claim["primary"] for claim in judged) for judged in notebooks)
    supported = sum(claim["verdict"] == "supported" for claim in claims)
    return (
        f"{_count(len(claims), 'claim')} judged, {supported} of them supported. How many of those may be false? "
        "A primary claim that does not hold passes by chance in 2.5 % of cases at most (one side of its interval); "
        "a notebook's secondary claims, corrected together by Holm's procedure, let one pass in 2.5 % at most. "
        "So even if no claim held, "
        f"at most {FALSE_SUPPORTED * primary:.2g} of the {_count(primary, 'primary claim')} would be expected to pass, "
        f"and secondary ones in {FALSE_SUPPORTED * families:.2g} of the {_count(families, 'notebook')} that have any."
    )


def _published() -> dict[str, Path]:
    """Notebook -> its claims.json, that of the full scale where there is one."""
    root = files.root() / "figures"
    found = {path.relative_to(root).as_posix(): judged(path) / CLAIMS for path in sorted(root.glob("*/*"))}
    return {name: path for name, path in found.items() if path.exists()}


def _claims(path) -> list[dict]:
    claims = json.loads(path.read_text(encoding="utf-8")).get("claims", [])
    return [claim for claim in claims if claim["verdict"] != "not testable offline"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _row(name, path) -> str:
    whole = json.loads(path.read_text(encoding="utf-8"))
    claims = whole.get("claims", [])
    primary = next((claim for claim in claims if claim.get("primary")), claims[0] if claims else {})
    paid = record.price(record.load(path.with_name(record.PUBLISHED)) or {})
    task, _, plain = name.partition("/")
    cells = [
        f"[{_cell(whole.get('title', plain))}](notebooks/{name}.ipynb)",
        task.replace("_", " "),
        _cell(primary.get("statement", "")),
        primary.get("verdict", ""),
        "" if paid is None else f"{paid:.0f}",
        whole.get("scale", "default"),
    ]
    return f"| {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
