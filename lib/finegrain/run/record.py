"""The run record: what one run read, made and cost. It alone means success, and it decides what is stale."""

import json
import subprocess
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
    record = load(place.record)
    if record is None:
        return "it has not run yet"
    if not place.executed.exists():
        return "the executed notebook is gone"
    then = record["inputs"]
    now = inputs(notebook, place, parameters, threads, then)
    for kind, value in now.items():
        if value != then[kind]:
            if not isinstance(value, dict):
                return f"{kind} changed"
            changed = sorted(name for name in {*value, *then[kind]} if value.get(name) != then[kind].get(name))
            return f"{kind} changed: {', '.join(changed)}"
    made = outputs(notebook, place, record["outputs"])
    for kind, value in made.items():
        changed = sorted(name for name, digest in record["outputs"][kind].items() if value[name] != digest)
        if changed:
            return f"{kind} are not what the run made: {', '.join(changed)}"
    return None


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
        "lock": environment.lock_digest(files.root() / "requirements.lock"),
        "modules": {name: of(files.root() / name) for name in read["modules"]},
        "backbones": {name: _of_backbone(name, place) or digest for name, digest in read["backbones"].items()},
        "folders": {name: of(files.root() / name.partition("?")[0]) for name in read["folders"]},
    }


def sources() -> dict[str, str]:
    """Digests of all that an edit may change under a run: the modules by path from the root, and "lock"."""
    modules = {files.shown(path): of(path) for path in (files.root() / "lib").rglob("*.py")}
    return modules | {"lock": environment.lock_digest(files.root() / "requirements.lock")}


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
