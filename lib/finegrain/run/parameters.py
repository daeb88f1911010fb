"""A notebook's parameters: what its `parameters` cell declares, and values checked against that before a run."""

import ast
import shlex
from dataclasses import dataclass

from finegrain.errors import InputError
from finegrain.run.notebooks import Notebook, nearest

TYPES = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "dict": dict, "None": type(None)}


@dataclass(frozen=True)
class Kind:
    """One alternative of an annotation: a type by name, the type of a list's elements, or a set of literal choices."""

    name: str
    element: "tuple[Kind, ...]" = ()
    choices: tuple = ()

    def accepts(self, value) -> bool:
        """Whether a Python value is of this kind; True and False are no numbers, whole numbers are floats."""
        if self.name == "Literal":
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        if self.name == "list":
            return isinstance(value, list) and (
                not self.element or all(any(kind.accepts(v) for kind in self.element) for v in value)
            )
        if isinstance(value, bool):
            return self.name == "bool"
        return isinstance(value, (int, float) if self.name == "float" else TYPES[self.name])

    def __str__(self) -> str:
        if self.name == "Literal":
            return " or ".join(map(repr, self.choices))
        return f"list[{_words(self.element)}]" if self.element else self.name


@dataclass(frozen=True)
class Parameter:
    """A declared parameter: its name, the kinds of value it takes, the default and the comment beside it."""

    name: str
    kinds: tuple[Kind, ...]
    default: object
    comment: str = ""

    def accepts(self, value) -> bool:
        """Whether the value is of a declared kind."""
        return any(kind.accepts(value) for kind in self.kinds)

    def __str__(self) -> str:
        return f"{self.name}: {_words(self.kinds)}"


def declared(notebook: Notebook) -> dict[str, Parameter]:
    """The parameters by name, read from the cell tagged `parameters` without running it.

    Raises InputError, naming the line, where the cell is not a list of `name: type = literal  # comment`.
    """
    cells = notebook.tagged("parameters")
    if len(cells) != 1:
        raise InputError(f"{notebook.name} has {len(cells)} cells tagged `parameters`, and must have one")
    source = cells[0].source
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise InputError(f"{notebook.name}, parameters cell, line {error.lineno}: {error.msg}") from None
    found: dict[str, Parameter] = {}
    for statement in statements:
        if isinstance(statement, ast.ImportFrom) and statement.module == "typing":
            continue
        parameter = _parameter(statement, source, f"{notebook.name}, parameters cell, line {statement.lineno}")
        if parameter.name in found:
            raise InputError(f"{notebook.name}, parameters cell: {parameter.name} is declared twice")
        found[parameter.name] = parameter
    return found


def _parameter(statement, source: str, where: str) -> Parameter:
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name) or not statement.value:
        raise InputError(f"{where}: write `name: type = literal  # comment`, not {ast.unparse(statement)!r}")
    try:
        default = ast.literal_eval(statement.value)
    except ValueError:
        raise InputError(f"{where}: the default {ast.unparse(statement.value)!r} is not a literal") from None
    line = source.splitlines()[(statement.end_lineno or 1) - 1]
    comment = line.encode()[statement.end_col_offset :].decode().partition("#")[2].strip()  # offsets count bytes
    parameter = Parameter(statement.target.id, _kinds(statement.annotation, where), default, comment)
    if not parameter.accepts(default):
        raise InputError(f"{where}: the default {default!r} is not of its type, {parameter}")
    return parameter


def _kinds(annotation, where) -> tuple[Kind, ...]:
    """The alternatives of an annotation: names, list[...], Literal[...], and unions of them with `|`."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _kinds(left, where) + _kinds(right, where)
        case ast.Name(id=name) if name in TYPES:
            return (Kind(name),)
        case ast.Constant(value=None):
            return (Kind("None"),)
        case ast.Subscript(value=ast.Name(id="list"), slice=element):
            return (Kind("list", element=_kinds(element, where)),)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            values = ast.literal_eval(choices)
            return (Kind("Literal", choices=values if isinstance(values, tuple) else (values,)),)
    raise InputError(
        f"{where}: {ast.unparse(annotation)!r} is not a type that a parameter may have ({', '.join(TYPES)})"
    )


def parse(text: str, parameters: dict[str, Parameter]) -> dict:
    """Values from the text of P="seeds=5 dataset=glyphs,digits", each read as its declared type.

    Quotes group words as in a shell; a list is written a,b or ["a", "b"].
    Raises InputError for an unknown name (with the nearest), a wrong type, a name given twice.
    """
    try:
        words = shlex.split(text or "")
    except ValueError as error:
        raise InputError(f"parameters {text!r}: {error}") from None
    given: dict = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InputError(f"parameters: {word!r} is not of the form name=value")
        if name in given:
            raise InputError(f"parameters: {name} is given twice")
        given[name] = _read(value, _known(name, parameters))
    return given


def check(values: dict, parameters: dict[str, Parameter]) -> dict:
    """The values as they are, or InputError: an unknown name, or a value that is not of its declared type."""
    for name, value in values.items():
        if not _known(name, parameters).accepts(value):
            raise _wrong(parameters[name], value)
    return values


def _known(name, parameters) -> Parameter:
    if name not in parameters:
        raise InputError(f"there is no parameter {name!r}; {nearest(name, parameters)}")
    return parameters[name]


def _wrong(parameter, value) -> InputError:
    return InputError(f"{parameter.name}={value!r} is not {_words(parameter.kinds)}")


def _words(kinds) -> str:
    return " or ".join(map(str, kinds))


def _read(text: str, parameter: Parameter):
    """The text as the first of the declared kinds that it can be; str last, because it takes everything."""
    order = ("Literal", "None", "bool", "int", "float", "dict", "list", "str")
    for kind in sorted(parameter.kinds, key=lambda kind: order.index(kind.name)):
        several = len(parameter.kinds) > 1
        for value in _readings(text, kind, several):
            if kind.accepts(value):
                return value
    raise _wrong(parameter, text)


def _readings(text: str, kind: Kind, several: bool):
    """What a text may mean as a value of one kind."""
    if kind.name == "str":
        yield text
    elif kind.name == "Literal":
        yield from (choice for choice in kind.choices if str(choice) == text)
    elif kind.name == "bool":
        yield {"true": True, "false": False}.get(text.lower(), text)
    elif kind.name == "None":
        yield None if text.lower() == "none" else text
    elif kind.name == "list" and text[:1] != "[":
        if "," in text or not several:  # beside other types a single word is no list
            yield [_element(part.strip(), kind.element) for part in text.split(",") if part.strip()]
    else:
        yield _literal(text)


def _element(text: str, kinds):
    for kind in kinds:
        for value in _readings(text, kind, several=True):
            if kind.accepts(value):
                return value
    return _literal(text)


def _literal(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
