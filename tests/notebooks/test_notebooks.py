"""Every notebook: anatomy, parameters, committed form, budget; and it runs at smoke scale with whole results.

The walk finds notebooks by itself: a new paper adds no test code.
"""

import ast
import functools
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from running import finegrain, jargon, on_folder, smoke

from finegrain.models import _registry
from finegrain.run import notebooks, parameters, places, session

ROOT = Path(__file__).resolve().parents[2]
NAMES = [notebooks.TEMPLATE, *notebooks.names()]

# The sections of each kind of notebook, in this order; a heading may say more than its first words.
SECTIONS = {
    "paper": (
        "Parameters",
        "Data",
        "Method",
        "Baselines and controls",
        "Claims",
        "Experiment",
        "Results",
        "With real models and data",
        "Departures",
    ),
    "leaderboard": ("Data", "Claims", "Experiment", "Results", "With real models and data", "Departures"),
    "other": (),
}
OTHERS = ("foundations/claims_simulation", "foundations/tour", *_registry.MADE_BY.values())  # no paper's notebooks

# Names that mean the same in every notebook have the same type there.
NAMES_OF = {"str", "list", "list[str]", "str or list", "str or list[str]"}
SHARED = {
    "scale": {"str", "'smoke' or 'default' or 'full'"},
    "seeds": {"int or str or list"},
    "fold": {"str"},
    "device": {"str"},
    "out": {"str"},
    "dataset": NAMES_OF,
    "backbone": NAMES_OF,
    "llm": NAMES_OF,
}
DEFAULTS = {"scale": "default", "fold": "test", "device": "auto", "out": ""}

SMOKE, DEFAULT, LEADERBOARD = 15, 180, 240  # core-seconds a notebook, imports apart
BACKBONES_SMOKE, BACKBONES_DEFAULT = 30, 2 * 12 * 60  # all backbones together; 12 minutes on two cores
METHOD_LINES = 150
ABSOLUTE = re.compile(r"(?<![\w.:/~-])/(home|root|Users|tmp|work|mnt|data|opt|var)/")


@functools.cache
def notebook(name):
    return notebooks.find(name)


def kind(name):
    return "other" if name in OTHERS else "leaderboard" if name.endswith("/leaderboard") else "paper"


def headings(name, level):
    texts = (cell.source for cell in notebook(name).cells if cell.kind == "markdown")
    marks = "#" * level + " "
    return [line.removeprefix(marks).strip() for text in texts for line in text.splitlines() if line.startswith(marks)]


each = pytest.mark.parametrize("name", NAMES)


@each
def test_the_first_cell_is_the_title(name):
    first = notebook(name).cells[0]
    assert first.kind == "markdown"
    assert first.source.startswith("# ")
    assert len(headings(name, 1)) == 1


@each
def test_the_sections_stand_in_their_order(name):
    found = headings(name, 2)
    rest = iter(found)
    missing = [section for section in SECTIONS[kind(name)] if not any(h.startswith(section) for h in rest)]
    assert not missing, f"no section {missing[0]!r} in its place among {found}"


@each
def test_the_parameters_cell_can_be_read_and_shared_names_are_typed_alike(name):
    declared = parameters.declared(notebook(name))
    assert {"scale", "out"} <= declared.keys()
    for shared in SHARED.keys() & declared.keys():
        _, _, type_ = str(declared[shared]).partition(": ")
        assert type_ in SHARED[shared], f"{shared}: {type_}"
        assert declared[shared].default == DEFAULTS.get(shared, declared[shared].default)
    assert [parameter.name for parameter in declared.values() if not parameter.comment] == []


@each
def test_it_is_committed_without_outputs_and_in_the_common_form(name):
    text = notebook(name).path.read_text(encoding="utf-8")
    assert text == notebooks.text(notebooks.stripped(json.loads(text))), "make strip brings it into this form"


@each
def test_method_cells_are_short_definitions(name):
    cells = notebook(name).tagged("method")
    for cell in cells:
        assert [ast.unparse(s) for s in ast.parse(cell.source).body if not defines(s)] == []
    assert sum(len(cell.source.splitlines()) for cell in cells) <= METHOD_LINES
    assert cells or kind(name) != "paper"


@each
def test_its_method_has_a_test_module_with_mutations(name):
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests/methods").glob("test_*.py")]
    mine = [source for source in sources if f'NOTEBOOK = "{name}"' in source]
    assert len(mine) == bool(notebook(name).tagged("method"))
    assert all("MUTATIONS = [" in source for source in mine)


def defines(statement):
    """Whether it is a function, a class, an import, or a constant named in capitals."""
    if isinstance(statement, ast.Assign):
        return all(isinstance(target, ast.Name) and target.id.isupper() for target in statement.targets)
    return isinstance(statement, (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom))


@each
def test_it_names_no_absolute_path(name):
    found = [match.group() for cell in notebook(name).cells for match in ABSOLUTE.finditer(cell.source)]
    assert found == []


@each
def test_it_declares_a_budget_within_the_limits(name):
    budget = notebook(name).facts()["budget"]
    if name not in _registry.MADE_BY.values():
        assert 0 < budget["smoke"] <= SMOKE
        assert 0 < budget["default"] <= (LEADERBOARD if kind(name) == "leaderboard" else DEFAULT)


def test_the_backbones_together_stay_within_their_budget():
    budgets = [notebook(name).facts()["budget"] for name in NAMES if name in _registry.MADE_BY.values()]
    assert sum(budget["smoke"] for budget in budgets) <= BACKBONES_SMOKE
    assert sum(budget["default"] for budget in budgets) <= BACKBONES_DEFAULT


# --- at smoke scale ---------------------------------------------------------------------------------------------------


@each
def test_it_runs_at_smoke_scale_with_whole_results(name):
    place = smoke(name)
    record = json.loads(place.record.read_text())
    assert record["parameters"]["scale"] == "smoke"
    lines = (place.record.read_text() + place.executed.read_text()).splitlines()
    assert not [line[:300] for line in lines if str(ROOT) in line]
    published = {path.name: path for path in place.figures.glob("*")} if place.figures.exists() else {}
    assert record["outputs"]["figures"].keys() <= published.keys()
    if kind(name) != "other":
        assert {"table.csv", "table.md", "claims.json"} <= published.keys()
        assert any(file.endswith(".svg") for file in published)
    for file, path in published.items():
        check_published(file, path)


def check_published(file, path):
    if file.endswith(".csv"):
        table = pd.read_csv(path)
        assert len(table), f"{file} has no rows"
        empty = [column for column in table if table[column].isna().all()]
        assert not empty, f"{file}: {empty} hold nothing"
    elif file.endswith(".svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("}svg")
    elif file == "claims.json":
        claims = json.loads(path.read_text())["claims"]
        assert sum(claim["primary"] for claim in claims) <= 1
        assert {claim["verdict"] for claim in claims} <= set(session.VERDICTS)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("text_classification/")])
def test_texts_of_a_users_own_are_enough(name, tmp_path):
    classes = {"heron": "wader water", "rust": "iron air", "loaf": "flour oven", "canoe": "paddle river"}
    for split, count in {"train": 40, "test": 12}.items():
        texts = jargon(count * len(classes), 12)
        labels = list(classes) * count
        rows = {"text": [f"{text} {classes[label]} no {i}" for i, (text, label) in enumerate(zip(texts, labels))]}
        pd.DataFrame(rows | {"label": labels}).to_csv(tmp_path / f"{split}.csv", index=False)
    status, said = on_folder(name, tmp_path)
    assert status == 0, said
    assert len(pd.read_csv(tmp_path / "out/table.csv")) > 2


def test_a_second_run_gives_the_same_bytes():
    first = smoke(notebooks.TEMPLATE)
    result = finegrain("run", notebooks.TEMPLATE, "--parameters", "scale=smoke")
    assert result.returncode == 0, result.stdout + result.stderr
    second = places.separate(notebooks.TEMPLATE, "smoke", {"scale": "smoke"})
    names = {path.name for path in first.figures.glob("*")}
    assert names == {path.name for path in second.figures.glob("*")}
    for name in names:
        if name != "run.json" and not name.startswith("cost."):
            assert (first.figures / name).read_bytes() == (second.figures / name).read_bytes(), name
