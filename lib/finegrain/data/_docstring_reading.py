"""The docstrings of an installed package, read from its files with `ast`; nothing is imported."""

import ast
import dataclasses
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

_SKIPPED_PARTS = re.compile(
    r"(^|_)(tests?|testing|\w*testutils|vendor(ed)?|externals?|compat|generated|benchmarks?|conftest)(_|$)"
)


@dataclasses.dataclass(frozen=True)
class Docstring:
    """One documented function, class or method as it stands in the source."""

    module: str
    name: str
    kind: str
    raw: str


def read_package(folder: Path, skipped: tuple[str, ...] = (), kept: tuple[str, ...] = ()) -> Iterator[Docstring]:
    """The docstrings of the classes and functions in a package's folder, by file name and then by line.

    skipped: prefixes of dotted module names that are not read ("torch._inductor"), but for those below one of `kept`.
    Tests, vendored and generated code are never read.
    """
    for file in sorted(folder.rglob("*.py"), key=lambda file: file.relative_to(folder).parts):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if any(_SKIPPED_PARTS.search(part) for part in parts[1:]) or (
            _under(module, skipped) and not _under(module, kept)
        ):
            continue
        if b'"""' not in file.read_bytes():
            continue
        for name, node in _definitions(_parsed(file), ()):
            raw = ast.get_docstring(node, clean=False)
            if raw:
                kind = "class" if isinstance(node, ast.ClassDef) else "method" if len(name) > 1 else "function"
                yield Docstring(module, ".".join(name), kind, raw)


def module_docstring(folder: Path, module: str) -> str | None:
    """The docstring of a module, given its dotted name and the folder that its package lies in."""
    stem = folder.joinpath(*module.split("."))
    file = next((file for file in (stem / "__init__.py", stem.with_suffix(".py")) if file.exists()), None)
    return ast.get_docstring(_parsed(file), clean=False) if file else None


def _parsed(file):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's invalid escapes
        return ast.parse(file.read_text(encoding="utf-8"))


def _under(module, prefixes):
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def _definitions(node, outer):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = (*outer, child.name)
            yield name, child
            if isinstance(child, ast.ClassDef):
                yield from _definitions(child, name)
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _definitions(child, outer)
