"""The run record: what one run read, made and cost. It alone means success, and it decides what is stale."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from finegrain import files
from finegrain.models import _registry, backbones
from finegrain.run import environment
from finegrain.run.notebooks import Notebook
from finegrain.run.places import Place

MISSING = "missing"
PUBLISHED = "run.json"  # the record's copy beside the published figures


def load(path) -> dict | None:
    """A record, or None if there is none that can be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write(path: Path, record: dict) -> None:
    """Write a record, whole."""
    files.write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def stale(notebook: Notebook, place: Place, parameters: dict, threads: int) -> str | None:
    """Why the notebook has to run, in words, or None if its record says that everything is as it was."""
    return next(reasons(notebook, place, parameters, threads), None)


def reasons(notebook: Notebook, place: Place, parameters: dict, threads: int) -> Iterator[str]:
    """Everything that makes the notebook run, each in a few words; nothing if it is up to date."""
    record = load(place.record)
    if record is None:
        yield "its last run did not end well" if place.executed.exists() else "it has not run here yet"
        return
    if not place.executed.exists():
        yield "the executed notebook is gone"
    then = record["inputs"]
    now = inputs(notebook, place, parameters, threads, then)
    for name in _differing(now["parameters"], then["parameters"]):
        yield f"parameter {name}: {_value(then['parameters'], name)} -> {_value(now['parameters'], name)}"
    if now["notebook"] != then["notebook"]:
        values_tell = now["parameters"] != then["parameters"]
        yield from _changed_cells(notebook, record, {"parameters"} if values_tell else set())
    if now["threads"] != then["threads"]:
        yield f"threads: {then['threads']} -> {now['threads']}"
    if now["lock"] != then["lock"]:
        yield "requirements.lock changed"
    for kind, words in (("modules", ""), ("backbones", "backbone "), ("folders", "data folder ")):
        for name in _differing(now[kind], then[kind]):
            yield f"{words}{name} {'is gone' if now[kind].get(name) == MISSING else 'changed'}"
    made = outputs(notebook, place, record["outputs"])
    where = {"figures": f"{files.shown(place.figures)}/", "items": f"{files.shown(place.items)}/"}
    for kind, digests in record["outputs"].items():
        for name in _differing(made[kind], digests):
            end = "is gone" if made[kind].get(name) == MISSING else "is not what the run made"
            yield f"{where.get(kind, 'backbone ')}{name} {end}"


def _differing(now: dict, then: dict) -> list[str]:
    return sorted(name for name in {*now, *then} if now.get(name) != then.get(name))


def _value(values: dict, name: str) -> str:
    return repr(values[name]) if name in values else "none"


def _changed_cells(notebook: Notebook, record: dict, told_already: set[str]) -> Iterator[str]:
    """Which cells are not those of the record; a cell with a tag of `told_already` goes without saying."""
    then = {cell["id"]: cell["source"] for cell in record["cells"] if cell["id"] != "injected-parameters"}
    now = {cell.id: source_digest(cell.source) for cell in notebook.cells}
    shared = [name for name in now if name in then]
    told = [f"cell {name} is new" for name in now if name not in then]
    told += [f"cell {name} changed" for name in shared if now[name] != then[name]]
    told += [f"cell {name} is gone" for name in then if name not in now]
    silent = {f"cell {cell.id} changed" for cell in notebook.cells if told_already & set(cell.tags)}
    yield from [words for words in told if words not in silent] if told else ["the order or tags of the cells changed"]


def source_digest(source: str) -> str:
    """A cell's source in the record: enough of its digest to tell two apart."""
    return files.digest(source)[:16]


def inputs(notebook: Notebook, place: Place, parameters: dict, threads: int, read: dict) -> dict:
    """Digests, as they are now, of all that a run depends on.

    read: what a run has noted, "modules", "backbones" and "folders" by name (an earlier record's inputs will do).
    The offline worlds are functions of modules and pinned packages, packaged and hub models of their names; a
    trained backbone and a local folder count with their contents.
    """
    return {
        "notebook": notebook.digest(),
        "parameters": {name: value for name, value in parameters.items() if name != "out"},
        "threads": threads,
        "lock": environment.lock_digest(files.root() / "requirements.lock", tools=False),
        "modules": {name: of(files.root() / name) for name in read["modules"]},
        "backbones": {name: _of_backbone(name, place) or digest for name, digest in read["backbones"].items()},
        "folders": {name: of(files.root() / name.partition("?")[0]) for name in read["folders"]},
    }


def sources() -> dict[str, str]:
    """Digests of all that an edit may change under a run: the modules by path from the root, and "lock"."""
    modules = {files.shown(path): of(path) for path in (files.root() / "lib").rglob("*.py")}
    return modules | {"lock": environment.lock_digest(files.root() / "requirements.lock", tools=False)}


def outputs(notebook: Notebook, place: Place, names: dict) -> dict:
    """Digests of what a run has made, as it is now: "figures" and "items" of the names given, and backbones."""
    made = [name for name, maker in _registry.MADE_BY.items() if maker == notebook.name]
    return {
        "figures": {name: of(place.figures / name) for name in names.get("figures", ())},
        "items": {name: of(place.items / name) for name in names.get("items", ())},
        "backbones": {name: _of_backbone(name, place) for name in made},
    }


def of(path: Path) -> str:
    """Digest of a file, or of the names and contents of all files in a folder; "missing" if there is neither."""
    if path.is_file():
        return files.digest(path)
    found = sorted(file for file in path.rglob("*") if file.is_file())
    return files.digest(*(part for file in found for part in (str(file.relative_to(path)), file))) if found else MISSING


def _of_backbone(name: str, place: Place) -> str:
    """Digest of a trained backbone's tensors and texts; empty for a model that is not trained here."""
    if name not in _registry.MADE_BY:
        return ""
    folder = place.backbone(name)
    return backbones.folder_digest(folder) if folder.is_dir() else MISSING


def folders(noted: dict) -> list[str]:
    """Which of the data sets and models that were read are local folders or files; options follow a path after "?"."""
    names = [*noted["data"], *noted["backbones"]]
    return [name for name in names if (files.root() / name.partition("?")[0]).exists()]


def commit() -> dict:
    """The commit of the checkout, and whether what runs depend on is as committed; None for both without git."""

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=files.root(), capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "lib", "notebooks", "requirements.lock")
        return {"hash": git("rev-parse", "HEAD"), "clean": not changed}
    except (OSError, subprocess.SubprocessError):
        return {"hash": None, "clean": None}


def price(run: dict) -> float | None:
    """Seconds of a recorded run, remembered answers with those that they once took; None where none are recorded."""
    return run["seconds"] + run.get("cached", {}).get("seconds", 0) if "seconds" in run else None
