"""The digest of a value by its content, and of a function by the code that it depends on."""

import contextlib
import dataclasses
import dis
import functools
import inspect
import sys
import sysconfig
import types
from pathlib import Path

import numpy as np

from finegrain import files
from finegrain.errors import InputError
from finegrain.memo import _modules

PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range, slice)
LIBRARY = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")})


class Content:
    """Digests of values that belong together; `modules` collects the kit's modules behind them, by path below lib."""

    def __init__(self):
        self.modules: dict[str, str] = {}
        self._open: dict[int, int] = {}  # functions, classes and containers that are being walked: a cycle ends there
        self._done: dict[int, tuple] = {}  # what was walked already, kept alive so that its id stays its own

    def of(self, value, where: str = "the argument") -> str:
        """The digest of a value. where: what it is, for the error. Raises InputError if it has no known content."""
        if type(value) in PLAIN:
            return files.digest(type(value).__name__, value if isinstance(value, str | bytes) else repr(value))
        if id(value) in self._open:
            return f"the one {self._open[id(value)]} above"
        if id(value) in self._done:
            return self._done[id(value)][1]
        self._open[id(value)] = len(self._open)
        try:
            found = self._walked(value, where)
        finally:
            del self._open[id(value)]
        self._done[id(value)] = (value, found)
        return found

    def _walked(self, value, where) -> str:
        if isinstance(value, types.ModuleType):
            return self._module(value.__name__)
        if isinstance(value, types.MethodType):
            return files.digest("method", self.of(value.__func__, where), self.of(value.__self__, where))
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, functools.partial):
            return self._parts("partial", [value.func, value.args, value.keywords], where)
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType | np.ufunc) or hasattr(
            value, "__wrapped__"
        ):
            return self._function(value, where)
        if type(value) in (list, tuple):
            return self._parts(type(value).__name__, value, where)
        if type(value) is dict or isinstance(value, types.MappingProxyType):
            return self._parts("dict", [part for item in value.items() for part in item], where)
        if type(value) in (set, frozenset):
            return files.digest(type(value).__name__, *sorted(self.of(part, where) for part in value))
        return self._arrays(value, where) or self._object(value, where)

    def _parts(self, name, parts, where) -> str:
        return files.digest(name, *[self.of(part, where) for part in parts])

    # --- arrays and tables ------------------------------------------------------------------------------------------

    def _arrays(self, value, where) -> str:
        """The digest of numpy's, pandas', scipy's and torch's containers of numbers; nothing for another value."""
        if isinstance(value, np.random.Generator | np.random.RandomState | np.random.BitGenerator):
            raise _refused(where, value, "give the seed and make the generator inside")
        if isinstance(value, np.ndarray | np.generic):
            value = np.asarray(value)
            if value.dtype.hasobject:
                return self._parts(f"objects {value.shape}", value.ravel().tolist(), where)
            return files.digest("array", value)
        package = type(value).__module__.partition(".")[0]
        if package == "pandas":
            return self._table(value, where)
        if package == "scipy" and hasattr(value, "tocsr"):
            rows = value.tocsr(copy=True)
            rows.sum_duplicates()
            head = f"{type(value).__name__} {rows.shape}"
            return self._parts(head, [rows.data, rows.indices, rows.indptr], where)
        if package == "torch":
            return self._tensor(value, where)
        if package == "PIL" and hasattr(value, "tobytes"):
            return files.digest(f"image {value.mode} {value.size}", value.tobytes())
        return ""

    def _table(self, value, where) -> str:
        import pandas as pd

        if isinstance(value, pd.DataFrame):
            columns = [value.iloc[:, column] for column in range(value.shape[1])]
            return self._parts("frame", [value.columns, value.index, *columns], where)
        if isinstance(value, pd.Series):
            return self._parts("series", [value.name, value.index, value.array], where)
        if isinstance(value, pd.MultiIndex):
            return self._parts("index", [list(value.names), value.to_list()], where)
        if isinstance(value, pd.RangeIndex):
            return files.digest("range index", repr(value))
        if isinstance(value, pd.Index):
            return self._parts("index", [value.name, value.array], where)
        if isinstance(value, pd.Categorical):
            return self._parts(f"categories {value.ordered}", [value.categories, value.codes], where)
        if isinstance(value, pd.api.extensions.ExtensionArray):
            plain = value.to_numpy(dtype=object) if value.dtype.kind in "OSU" else value.to_numpy()
            return self._parts(str(value.dtype), [plain], where)
        if value is pd.NA or value is pd.NaT or isinstance(value, pd.Timestamp | pd.Timedelta | pd.Interval):
            return files.digest(type(value).__name__, repr(value))
        raise _refused(where, value)

    def _tensor(self, value, where) -> str:
        import torch

        if isinstance(value, torch.Tensor):
            whole = value.detach().to("cpu").contiguous()
            raw = whole.reshape(-1).view(torch.uint8).numpy() if whole.numel() else np.zeros(0, np.uint8)
            return files.digest(f"tensor {value.dtype} {tuple(value.shape)} {value.device.type}", raw)
        if isinstance(value, torch.device | torch.dtype):
            return files.digest(str(value))
        if isinstance(value, torch.Generator):
            raise _refused(where, value, "give the seed and make the generator inside")
        return ""

    # --- objects ----------------------------------------------------------------------------------------------------

    def _object(self, value, where) -> str:
        kind = type(value)
        if hasattr(value, "memo_content"):  # an object of the kit says itself what it is made of
            return files.digest("object", self._class(kind), self.of(value.memo_content(), where))
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.nn.Module):
            return self._network(value, where)
        if hasattr(value, "backend_tokenizer"):
            facts = [value.backend_tokenizer.to_str(), value.padding_side, value.truncation_side]
            return self._parts("tokenizer", [*facts, str(value.model_max_length)], where)
        if dataclasses.is_dataclass(value):
            state = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        elif _home(kind.__module__) != "library" and hasattr(value, "__dict__"):
            base = next((plain for plain in PLAIN[:6] if isinstance(value, plain)), None)
            state = {"": base(value) if base else None, **vars(value)}
        else:
            raise _refused(where, value)
        return files.digest("object", self._class(kind), self.of(state, where))

    def _network(self, value, where) -> str:
        """A torch module: the classes and settings of its parts, and all weights."""
        torch = sys.modules["torch"]
        inner = set(vars(torch.nn.Module()))
        parts: list = []
        for name, part in value.named_modules():
            parts += [name, self._class(type(part)), part.extra_repr(), part.training]
            if _home(type(part).__module__) != "library":
                own = {key: content for key, content in vars(part).items() if key not in inner}
                parts.append(self.of(own, f"{where}.{name}"))
        config = getattr(value, "config", None)
        if config is not None and hasattr(config, "to_json_string"):
            parts.append(config.to_json_string(use_diff=False))
        parts += [text for key, tensor in value.state_dict().items() for text in (key, self._tensor(tensor, where))]
        return files.digest("network", *map(str, parts))

    # --- code -------------------------------------------------------------------------------------------------------

    def _module(self, name: str) -> str:
        if name.partition(".")[0] != "finegrain":
            return files.digest("module", name)  # by the lock
        found = _modules.behind(name)
        self.modules |= found
        return files.digest("module", *[part for item in found.items() for part in item])

    def _function(self, value, where) -> str:
        while hasattr(value, "memo_of") or (
            hasattr(value, "__wrapped__") and not isinstance(value, types.FunctionType)
        ):
            value = getattr(value, "memo_of", None) or value.__wrapped__  # of `cached` or of functools.cache
        if isinstance(value, types.FunctionType) and hasattr(value, "__wrapped__") and _is_library(value.__code__):
            return self._decorated(value, where)
        name = f"{value.__module__ if hasattr(value, '__module__') else ''}.{getattr(value, '__qualname__', value)}"
        home = _home(getattr(value, "__module__", None))
        if not isinstance(value, types.FunctionType) or home == "library":
            if getattr(value, "__self__", None) is not None and not isinstance(value.__self__, types.ModuleType | type):
                return files.digest("builtin", name, self.of(value.__self__, where))
            return files.digest("function", name)  # by the lock
        if home == "kit":
            closure = [cell.cell_contents for cell in value.__closure__ or ()]
            return self._parts("function", [name, self._module(value.__module__), closure], where)
        parts = [*self._code(value.__code__), self.of(value.__defaults__, where), self.of(value.__kwdefaults__, where)]
        for variable, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:
                continue  # not yet set, as a local function within itself
            parts.append(self.of(content, f"{variable}, which {value.__qualname__} uses,"))
        for variable in sorted(_globals(value.__code__)):
            if variable in value.__globals__:
                content = self.of(value.__globals__[variable], f"{variable}, which {value.__qualname__} uses,")
                parts += [variable, content]
        for module in sorted(_kit_imports(value.__code__)):
            parts.append(self._module(module))
        return files.digest("function", *parts)

    def _decorated(self, value, where) -> str:
        """A function under a library's decorator: what it wraps, and those settings of the decorator with a content."""
        parts = [value.__code__.co_qualname, self.of(value.__wrapped__, where)]
        for cell in value.__closure__ or ():
            with contextlib.suppress(InputError):
                parts.append(self.of(cell.cell_contents, where))
        return files.digest("decorated", *parts)

    def _code(self, code) -> list[str]:
        """The parts of a code object that say what it does; lines and names of files do not count."""
        parts = [code.co_code, *code.co_names, *code.co_varnames, *code.co_freevars, str(code.co_flags)]
        for constant in code.co_consts:
            parts += self._code(constant) if isinstance(constant, types.CodeType) else [self.of(constant)]
        return [part if isinstance(part, str) else files.digest(part) for part in parts]

    def _class(self, kind: type) -> str:
        name = f"{kind.__module__}.{kind.__qualname__}"
        home = _home(kind.__module__)
        if home == "library":
            return files.digest("class", name)
        if home == "kit":
            return files.digest("class", name, self._module(kind.__module__))
        if id(kind) in self._done:
            return self._done[id(kind)][1]
        bases = [self.of(base) for base in kind.__bases__]
        parts = [kind.__qualname__, *bases]
        for key, value in vars(kind).items():
            value = getattr(value, "__func__", value)  # of a class method or a static one
            if isinstance(value, property):
                parts += [key, *(self.of(part) for part in (value.fget, value.fset, value.fdel))]
            elif isinstance(value, types.FunctionType):
                if not (dataclasses.is_dataclass(kind) and key.startswith("__") and _is_generated(value)):
                    parts += [key, self.of(value)]
            elif key == "__dataclass_fields__":
                parts += [f"{field.name} {_default(field)}" for field in value.values()]
            elif not key.startswith("__") and not isinstance(value, types.MemberDescriptorType):
                parts += [key, self.of(value, f"{key} of {kind.__qualname__}")]
        return files.digest("class", *parts)


def _home(module: str | None) -> str:
    """Whose code a module is: the "kit"'s, a "library"'s (the lock's or Python's), or "own": the user's."""
    if module is None:
        return "library"
    if module.partition(".")[0] == "finegrain":
        return "kit"
    loaded = sys.modules.get(module)
    path = getattr(loaded, "__file__", None)
    if module == "__main__" or loaded is None:
        return "own"
    return "library" if path is None or str(Path(path)).startswith(LIBRARY) else "own"


def _is_library(code) -> bool:
    return code.co_filename.startswith(LIBRARY)


def _globals(code) -> set[str]:
    """The global names that a function reads, those of the functions inside it too."""
    found = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return found.union(*(_globals(part) for part in code.co_consts if isinstance(part, types.CodeType)))


def _kit_imports(code) -> set[str]:
    """The kit's modules that a function imports when it runs."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME"}
    found = {name for name in names if name.partition(".")[0] == "finegrain"}
    return found.union(*(_kit_imports(part) for part in code.co_consts if isinstance(part, types.CodeType)))


def _is_generated(function) -> bool:
    """Whether `dataclass` wrote the function: it follows from the fields."""
    return function.__code__.co_filename == "<string>"


def _default(field) -> str:
    return "" if field.default is dataclasses.MISSING else repr(field.default)


def _refused(where, value, mend="give what it holds, or make it inside the function") -> InputError:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return InputError(f"{where} is a {kind}, which has no content to key a cached answer by: {mend}")


def bound(function, arguments, named, ignore) -> dict:
    """All arguments of a call by name, with defaults, without those to ignore."""
    try:
        call = inspect.signature(function).bind(*arguments, **named)
    except ValueError:  # a function without a signature
        return {"arguments": arguments, **named}
    call.apply_defaults()
    return {name: value for name, value in call.arguments.items() if name not in ignore}
