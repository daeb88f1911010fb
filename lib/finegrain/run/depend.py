"""What depends on what, in Make's language: the graph of backbones, and the file of what one run has read."""

from pathlib import Path

from finegrain import files
from finegrain.models import _registry
from finegrain.run import notebooks, places
from finegrain.run.places import Place


def needed(notebook: notebooks.Notebook) -> list[str]:
    """The notebooks whose backbones this one may use: those that any string in its code names.

    A name counts wherever it stands, in the parameters cell or in a choice by scale; a dependency too many costs
    nothing but order. The backbones' own notebooks start from packaged models.
    """
    if notebook.name in _registry.MADE_BY.values():
        return []
    named = notebook.strings()
    return sorted({maker for name, maker in _registry.MADE_BY.items() if name in named})


def graph() -> str:
    """Make rules: each record depends on its notebook and on the records of the backbones that it needs."""
    known = set(notebooks.names())
    lines = ["# Made from notebooks/ by `finegrain graph`: which record needs which."]
    for name in sorted(known):
        notebook = notebooks.find(name)
        for scale in places.SCALES:
            target = places.committed(name, scale)
            if target.scale == scale:
                records = [places.committed(maker, scale).record for maker in needed(notebook) if maker in known]
                lines.append(f"{_path(target.record)}: {' '.join(map(_path, [notebook.path, *records]))}")
    return "\n".join(lines) + "\n"


def rule(notebook: notebooks.Notebook, place: Place, inputs: dict, outputs: dict) -> str:
    """The rule of one run: its record depends on all that it read, on its results being there, and on the threads.

    Every prerequisite is also a target without a recipe, so that a file which disappears makes the run stale
    instead of stopping Make. `anew` is one that never exists.
    """
    read = [notebook.path, files.root() / "requirements.lock", *(files.root() / name for name in inputs["modules"])]
    for folder in [
        *(place.backbone(name) for name in [*inputs["backbones"], *outputs["backbones"]] if name in _registry.MADE_BY),
        *(files.root() / name.partition("?")[0] for name in inputs["folders"]),
    ]:
        read += [folder, *sorted(folder.rglob("*"))]  # sub-folders too: a new file changes their time alone
    made = [place.figures / name for name in outputs["figures"]] + [place.items / name for name in outputs["items"]]
    prerequisites = [_path(path) for path in dict.fromkeys([*read, place.executed, *made])]
    record, threads = _path(place.record), inputs["threads"]
    lines = [
        f"{record}: {' '.join(prerequisites)}",
        f"ifneq ($(THREADS),{threads})",
        f"{record}: anew",
        "endif",
        "anew:",
    ]
    return "\n".join(lines + [f"{path}:" for path in prerequisites[1:]]) + "\n"


def _path(path: Path) -> str:
    """As Make reads it: from the root where it lies below it, with blanks and Make's own signs escaped."""
    return (
        files.shown(path)
        .replace("\\", "\\\\")
        .replace("$", "$$")
        .replace(" ", "\\ ")
        .replace("#", "\\#")
        .replace("%", "\\%")
    )
