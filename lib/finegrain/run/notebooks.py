"""The committed notebooks: where they are, what their cells hold, and which form they have in git."""

import ast
import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from finegrain import files
from finegrain.errors import InputError

TEMPLATE = "template"  # what `make new` copies
START = "start"  # what `make lab` opens


@dataclass(frozen=True)
class Cell:
    """One cell: its id, "code" or "markdown", the source and the tags."""

    id: str
    kind: str
    source: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notebook:
    """A notebook as committed: its name below notebooks/ ("retrieval/leaderboard"), file, cells and metadata."""

    name: str
    path: Path
    cells: tuple[Cell, ...]
    metadata: dict

    def tagged(self, tag: str) -> list[Cell]:
        """The cells that carry a tag, in their order."""
        return [cell for cell in self.cells if tag in cell.tags]

    def facts(self) -> dict:
        """What the notebook declares about itself for the kit: `budget` by scale, `outputs` by name."""
        return self.metadata.get("finegrain", {})

    def digest(self) -> str:
        """Digest of what an execution depends on: kind, tags and source of each cell; ids and layout do not count."""
        parts = [part for cell in self.cells for part in (cell.kind, ",".join(cell.tags), cell.source)]
        return files.digest(*parts)

    def strings(self) -> set[str]:
        """Every string literal in the code cells; a cell that is not plain Python adds none."""
        found = set()
        for cell in self.cells:
            if cell.kind == "code":
                try:
                    tree = ast.parse(cell.source)
                except SyntaxError:
                    continue
                found |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        return found


def folder() -> Path:
    """Where the notebooks lie."""
    return files.root() / "notebooks"


def names() -> list[str]:
    """The names of all notebooks in the task folders; the template is none of them."""
    found = folder().glob("[!.]*/[!.]*.ipynb")  # JupyterLab keeps its checkpoints in hidden folders
    return sorted(path.relative_to(folder()).with_suffix("").as_posix() for path in found)


def beside() -> list[str]:
    """The names of the notebooks beside the task folders, such as the template: `make all` leaves them alone."""
    return sorted(path.stem for path in folder().glob("*.ipynb"))


def find(name: str) -> Notebook:
    """The notebook of that name; "retrieval/leaderboard" or "template", with or without `notebooks/` and `.ipynb`.

    Raises InputError with the nearest name if there is none, or if the file is not a notebook.
    """
    plain = name.removeprefix("notebooks/").removesuffix(".ipynb")
    if not plain:
        raise InputError("no notebook given: NB=task/name, one of " + ", ".join(names()))
    if plain not in [*beside(), *names()]:
        raise InputError(f"there is no notebook {name!r}; {nearest(plain, names())}")
    return read(folder() / f"{plain}.ipynb", plain)


def read(path, name: str | None = None) -> Notebook:
    """The notebook in a file."""
    path = Path(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        cells = tuple(
            Cell(
                cell.get("id", ""),
                cell["cell_type"],
                "".join(cell["source"]),
                tuple(cell.get("metadata", {}).get("tags", ())),
            )
            for cell in raw["cells"]
        )
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a notebook of format 4 ({type(error).__name__}: {error})") from None
    return Notebook(name or path.stem, path, cells, raw.get("metadata", {}))


def nearest(given: str, known) -> str:
    """The end of an error message: the name most like the one given, or all of them.

    >>> nearest("leaderbord", ["leaderboard", "template"])
    "did you mean 'leaderboard'?"
    >>> nearest("x", ["leaderboard", "template"])
    'there are: leaderboard, template'
    """
    known = list(known)
    like = difflib.get_close_matches(given, known, n=1)
    return f"did you mean {like[0]!r}?" if like else "there are: " + (", ".join(known) or "none")


def stripped(raw: dict) -> dict:
    """The committed form of a notebook: no outputs, no counts, no traces of tools; every cell with an id of its own.

    A cell without an id, or with another cell's, gets one from its first words, so that the same file comes out
    whoever makes it.
    """
    taken: set[str] = set()
    cells = []
    for cell in raw["cells"]:
        source = "".join(cell["source"])
        name = cell.get("id") or _slug(source, cell["cell_type"])
        unique, count = name, 1
        while unique in taken:
            count += 1
            unique = f"{name[:60]}-{count}"
        taken.add(unique)
        given = cell.get("metadata", {})
        metadata = {"tags": given["tags"]} if given.get("tags") else {}
        if given.get("jupyter", {}).get("source_hidden"):  # JupyterLab shows the outputs alone
            metadata["jupyter"] = {"source_hidden": True}
        clean = {"cell_type": cell["cell_type"], "id": unique, "metadata": metadata}
        if cell["cell_type"] == "code":
            clean |= {"execution_count": None, "outputs": []}
        cells.append(clean | {"source": source.splitlines(keepends=True)})
    kernel = {"display_name": "finegrain", "language": "python", "name": "finegrain"}
    whole = {"kernelspec": kernel, "language_info": {"name": "python"}}
    if "finegrain" in raw.get("metadata", {}):
        whole["finegrain"] = raw["metadata"]["finegrain"]
    return {"cells": cells, "metadata": whole, "nbformat": 4, "nbformat_minor": 5}


def text(raw: dict) -> str:
    """A notebook as it is written to disk: one space of indentation, characters as they are, a line end at the end."""
    return json.dumps(raw, indent=1, ensure_ascii=False) + "\n"


def _slug(source: str, kind: str) -> str:
    words = re.findall(r"[a-z0-9]+", source.lower())[:5]
    return "-".join(words)[:48].strip("-") or f"{kind}-cell"
