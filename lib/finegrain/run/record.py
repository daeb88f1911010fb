"""The run record: what one run read, made and cost. It alone means success, and it decides what is stale."""

import json
import os
import subprocess
from pathlib import Path

from finegrain import files
from finegrain.models import _registry
from finegrain.run import environment
from finegrain.run.notebooks import Notebook
from finegrain.run.places import Place

PUBLISHED = "run.json"  # the record's copy beside the published figures


def load(path) -> dict | None:
    """A record, or None if there is none that can be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write(place: Place, record: dict) -> None:
    """Write the record, whole."""
    files.write_text(place.record, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def stale(notebook: Notebook, place: Place, parameters: dict, threads: int) -> str | None:
    """Why the notebook has to run, in words, or None if its record says that everything is as it was."""
    record = load(place.record)
    if record is None:
        return "it has not run yet"
    if not place.executed.exists():
        return "the executed notebook is gone"
    then = record["inputs"]
    now = inputs(notebook, place.scale, parameters, threads, then)
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


def inputs(notebook: Notebook, scale: str, parameters: dict, threads: int, read: dict) -> dict:
    """Digests, as they are now, of all that a run depends on.

    read: what a run has noted, "modules", "backbones" and "folders" by name (an earlier record's inputs will do).
    The offline worlds are functions of modules and pinned packages; a local folder counts with its contents.
    """
    return {
        "notebook": notebook.digest(),
        "parameters": {name: value for name, value in parameters.items() if name != "out"},
        "threads": threads,
        "lock": environment.lock_digest(files.root() / "requirements.lock"),
        "modules": {name: _of_file(files.root() / name) for name in read["modules"]},
        "backbones": {name: of_folder(_registry.backbone_folder(name, scale)) for name in read["backbones"]},
        "folders": {name: of_folder(files.root() / name) for name in read["folders"]},
    }


def outputs(notebook: Notebook, place: Place, names: dict) -> dict:
    """Digests of what a run has made, as it is now: "figures" and "items" of the names given, and backbones."""
    made = [name for name, maker in _registry.MADE_BY.items() if maker == notebook.name]
    return {
        "figures": {name: _of_file(place.figures / name) for name in names.get("figures", ())},
        "items": {name: _of_file(place.items / name) for name in names.get("items", ())},
        "backbones": {name: of_folder(_registry.backbone_folder(name, place.scale)) for name in made},
    }


def of_folder(folder: Path) -> str:
    """Digest of a folder: the names and contents of all files in it; empty if there is none."""
    found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return files.digest(*(part for path in found for part in (str(path.relative_to(folder)), path))) if found else ""


def folders(noted: dict) -> list[str]:
    """Which of the data sets that were read are local folders or files: their paths from the root."""
    paths = [files.root() / name.partition("?")[0] for name in noted["data"]]  # options follow a path after "?"
    return [os.path.relpath(path, files.root()) for path in paths if path.exists()]


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


def _of_file(path: Path) -> str:
    return files.digest(path) if path.exists() else ""
