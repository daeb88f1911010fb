"""Lets torchvision be imported beside a torch that its compiled operators were not built for.

The registry's torchvision is built for CUDA; beside a CPU build of torch its compiled part cannot be
loaded, and importing it stops at an operator that nobody has declared. open_clip, timm and transformers all
import it. Declaring the two operators is enough for everything but calling them. Nothing is done where
the compiled part loads.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library = None  # the declarations live as long as this object


def watch() -> None:
    """Declare the operators just before the first import of torchvision, whoever asks for it."""
    if "torchvision" not in sys.modules and not any(isinstance(f, _Watcher) for f in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


class _Watcher(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            declare_missing_operators()
        return  # the ordinary finders find the module itself


def declare_missing_operators() -> bool:
    """Declare torchvision's operators if its compiled part does not load; say whether that was needed."""
    global _library
    if _library is not None or _compiled_part_loads():
        return False
    import torch

    _library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        _library.define(operator)
    return True


def _compiled_part_loads() -> bool:
    import torch

    spec = importlib.machinery.PathFinder.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return True  # no torchvision: nothing to mend
    suffixes = importlib.machinery.EXTENSION_SUFFIXES
    finder = importlib.machinery.FileFinder(
        spec.submodule_search_locations[0], (importlib.machinery.ExtensionFileLoader, suffixes)
    )
    compiled = finder.find_spec("_C")
    if compiled is None:
        return False
    try:
        torch.ops.load_library(compiled.origin)
    except (OSError, ImportError, RuntimeError):
        return False
    return True
