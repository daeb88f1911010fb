"""A new notebook from one that there is, with its test and its row in README."""

import re
from pathlib import Path

from finegrain import files
from finegrain.errors import InputError
from finegrain.run import notebooks, papers


def new(name: str, task: str, source: str = "") -> list[Path]:
    """Write the notebook task/name as a copy of another one, the test of its method likewise; returns what it wrote.

    source: "retrieval/leaderboard"; "" means the template. Wherever the source is called by its name, the new name
    stands. README's table gets a row. Raises InputError, before anything is written, where a name is not fit or taken.
    """
    tasks = sorted(path.name for path in notebooks.folder().iterdir() if path.is_dir() and path.name[0] != ".")
    if task not in tasks:
        raise InputError(f"TASK={task!r} is no folder below notebooks/; {notebooks.nearest(task, tasks)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"NAME={name!r}: a notebook's name has small letters, digits and underscores only")
    whole = f"{task}/{name}"
    target = notebooks.folder() / f"{whole}.ipynb"
    if target.exists():
        raise InputError(f"{files.shown(target)} exists already: choose another NAME")
    from_ = notebooks.find(source or notebooks.TEMPLATE)
    old = from_.name if source else f"foundations/{from_.name}"
    written = {target: from_.path.read_text(encoding="utf-8").replace(old, whole)}
    for path in sorted((files.root() / "tests" / "methods").glob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        told = f'NOTEBOOK = "{from_.name}"'
        if told in text:
            written[path.with_name(f"test_{name}.py")] = text.replace(told, f'NOTEBOOK = "{whole}"')
    taken = next((path for path in written if path.exists()), None)
    if taken:
        raise InputError(f"{files.shown(taken)} exists already: choose another NAME")
    for path, text in written.items():
        files.write_text(path, text)
    readme = files.root() / "README.md"
    if readme.exists():
        papers.update(readme)
        papers.update_start()
    return [*written, *([readme] if readme.exists() else [])]
