"""A package's face: its names are imported when they are first used."""

import importlib


def lazy(package: str, face: dict[str, str]):
    """`__getattr__` and `__dir__` of a package. face: the module in which each of its names stands."""

    def __getattr__(name):
        if name not in face:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(face[name]), name)

    return __getattr__, lambda: sorted(face)
