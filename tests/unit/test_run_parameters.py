"""The parameters cell is read without running it, and values are checked against it."""

from pathlib import Path

import pytest

from finegrain import InputError
from finegrain.run.notebooks import Cell, Notebook
from finegrain.run.parameters import check, declared, parse

CELL = """
from typing import Literal
scale: Literal["smoke", "default", "full"] = "default"  # how much
seeds: int | str | list = 5  # a count, a list or a range
backbone: list[str] = ["doc-bert"]  # names
rate: float = 1e-3  # a = sign in the comment
tuned: bool = False
limit: int | None = None
note: str = "a=b"  # text – not ASCII
"""


def cell(source):
    return Notebook("task/name", Path("name.ipynb"), (Cell("parameters", "code", source, ("parameters",)),), {})


@pytest.fixture(scope="module")
def known():
    return declared(cell(CELL))


def test_names_defaults_and_comments_come_from_the_cell(known):
    assert list(known) == ["scale", "seeds", "backbone", "rate", "tuned", "limit", "note"]
    assert known["rate"].default == 1e-3
    assert known["rate"].comment == "a = sign in the comment"
    assert known["note"].comment == "text – not ASCII"
    assert str(known["backbone"]) == "backbone: list[str]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("seeds=7", 7),
        ("seeds=100:105", "100:105"),
        ("seeds=1,2,3", [1, 2, 3]),
        ("seeds=[4]", [4]),
        ("backbone=minilm", ["minilm"]),
        ("backbone=minilm,doc-bert", ["minilm", "doc-bert"]),
        ("backbone='[\"a,b\"]'", ["a,b"]),
        ("rate=1", 1),
        ("rate=2e-4", 2e-4),
        ("tuned=true", True),
        ("limit=none", None),
        ("limit=3", 3),
        ("note=7", "7"),
        ("note='two words'", "two words"),
        ("scale=smoke", "smoke"),
    ],
)
def test_text_becomes_a_value_of_the_declared_type(known, text, value):
    (got,) = parse(text, known).values()
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bakbone=minilm", "no parameter 'bakbone'; did you mean 'backbone'"),
        ("scale=smok", "scale='smok' is not 'smoke' or 'default' or 'full'"),
        ("rate=fast", "rate='fast' is not float"),
        ("tuned=1", "tuned='1' is not bool"),
        ("limit=1.5", "limit='1.5' is not int or None"),
        ("seeds", "not of the form name=value"),
        ("seeds=1 seeds=2", "given twice"),
        ("note='open", "No closing quotation"),
    ],
)
def test_bad_text_is_refused_in_one_sentence(known, text, message):
    with pytest.raises(InputError, match=message) as error:
        parse(text, known)
    assert "\n" not in str(error.value)


def test_values_are_checked_by_type_without_conversion(known):
    assert check({"rate": 1, "seeds": [1]}, known) == {"rate": 1, "seeds": [1]}
    for name, value in {"seeds": True, "rate": "1", "backbone": [1], "scale": "x"}.items():
        with pytest.raises(InputError, match=name):
            check({name: value}, known)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("seeds = 5", "line 1: write `name: type = literal"),
        ("seeds: int = five()", "is not a literal"),
        ("seeds: int = 'five'", "default 'five' is not of its type"),
        ("seeds: Seeds = 5", "'Seeds' is not a type"),
        ("seeds: int = 1\nseeds: int = 2", "declared twice"),
        ("seeds: int =", "line 1: invalid syntax"),
        ("print(1)", "write `name: type = literal"),
    ],
)
def test_a_cell_of_another_form_is_refused(source, message):
    with pytest.raises(InputError, match=message):
        declared(cell(source))


def test_exactly_one_parameters_cell_is_needed():
    with pytest.raises(InputError, match="0 cells tagged"):
        declared(Notebook("task/name", Path("x"), (), {}))
