"""The kit's own modules behind a name, with all that they import, by the content that this process has loaded."""

import ast
import functools
import importlib
import os
from pathlib import Path

from finegrain import files

LIB = Path(__file__).resolve().parents[2]


def behind(module: str) -> dict[str, str]:
    """Path below lib -> digest, of a module of the kit (a package: of all its modules) and whatever those import."""
    found, waiting = {}, _modules(module)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = _SEEN[path][1] if path in _SEEN else _look(path)[1]
            waiting += _imports(path, found[path])
    return {str(path.relative_to(LIB)): digest for path, digest in sorted(found.items())}


def edited(paths) -> list[str]:
    """Those of the files below lib that are not any more what this process saw first: its code may be the old one."""
    changed = []
    for name in paths:
        path = LIB / name
        stamp, digest = _SEEN[path]
        if _stamp(path) != stamp and (not path.exists() or files.digest(path) != digest):
            changed.append(name)
    return changed


def _stamp(path: Path):
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _look(path: Path):
    _SEEN[path] = (_stamp(path), files.digest(path))
    return _SEEN[path]


def _modules(name: str) -> list[Path]:
    """The files of a module by its dotted name: all of a package."""
    path = LIB.joinpath(*name.split("."))
    if path.is_dir():
        return sorted(path.rglob("*.py")) if name != "finegrain" else [path / "__init__.py"]
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []


@functools.cache
def _imports(path: Path, digest: str) -> list[Path]:
    """The kit's files that a file imports, at its head or within a function.

    Those of `finegrain.memo` are left out: how answers are kept changes none, and what a key means has a VERSION.
    """
    found: list[Path] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found += [file for name in names if name.partition(".")[0] == "finegrain" for file in _modules(name)]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "finegrain":
            for alias in node.names:
                found += _from(node.module or "", alias.name)
    return [file for file in found if file.parent != LIB / "finegrain" / "memo"]


def _from(module: str, name: str) -> list[Path]:
    """What `from module import name` brings: a sub-module, the module behind a lazy name, or the module."""
    below = _modules(f"{module}.{name}")
    if below:
        return below
    face = getattr(importlib.import_module(module), "_FACE", {})
    return _modules(face[name]) if name in face else _modules(module)


# What the files held when this module was imported, which is when a notebook imports the kit.
_SEEN: dict[Path, tuple] = {}
for _path in LIB.joinpath("finegrain").rglob("*.py"):
    _look(_path)
