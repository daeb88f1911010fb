"""`make new`: a notebook begun from another one runs, with its test and its row; bad names write nothing."""

import shutil

import pytest

from finegrain import InputError, files
from finegrain.run import derive

SOURCE = "from finegrain.report import Report\nReport('retrieval/old', out=out)\n'make run NB=retrieval/old'"


@pytest.fixture
def checkout(kit, monkeypatch):
    """A small checkout with a notebook, the test of its method and a README, in which this process works."""
    kit.notebook("retrieval/old", SOURCE)
    kit.notebook("template", "Report('foundations/template')")
    folder = kit.root / "tests" / "methods"
    folder.mkdir(parents=True)
    (folder / "test_old.py").write_text('NOTEBOOK = "retrieval/old"\n')
    (kit.root / "README.md").write_text("<!-- papers: start (make readme) -->\n<!-- papers: end -->\n")
    monkeypatch.setattr(files, "root", lambda: kit.root)
    return kit.root


def test_a_notebook_from_another_one_carries_its_own_name_everywhere_and_its_test(checkout):
    written = derive.new("idea", "retrieval", "retrieval/old")
    assert [files.shown(path) for path in written] == [
        "notebooks/retrieval/idea.ipynb",
        "tests/methods/test_idea.py",
        "README.md",
    ]
    text = written[0].read_text()
    assert "retrieval/idea" in text
    assert "retrieval/old" not in text
    assert written[1].read_text() == 'NOTEBOOK = "retrieval/idea"\n'


def test_it_runs_at_once(kit):
    kit.notebook("retrieval/old", SOURCE)
    assert kit.make("new", "NAME=idea", "TASK=retrieval", "FROM=retrieval/old").returncode == 0
    result = kit.make("run", "NB=retrieval/idea")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_template_is_where_a_notebook_begins_by_itself(checkout):
    written = derive.new("idea", "retrieval")
    assert "retrieval/idea" in written[0].read_text()


def test_readme_says_what_has_not_run(checkout):
    raw = (checkout / "notebooks/retrieval/old.ipynb").read_text()
    head = '{"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Old | one"}'
    claims = head.replace("title", "claims").replace("# Old | one", "## Claims")
    raw = raw.replace('"cells": [', f'"cells": [{head}, {claims}, ', 1)
    (checkout / "notebooks/retrieval/old.ipynb").write_text(raw)
    derive.new("idea", "retrieval", "retrieval/old")
    assert (
        "| [Old \\| one](notebooks/retrieval/idea.ipynb) | retrieval |  | not run yet |  |  |"
        in (checkout / "README.md").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("idea", "retrieva", ""), "TASK='retrieva' is no folder below notebooks/; did you mean 'retrieval'"),
        (("My-Idea", "retrieval", ""), "small letters, digits and underscores"),
        (("idea", "retrieval", "retrieval/odl"), "did you mean 'retrieval/old'"),
        (("old", "retrieval", "retrieval/old"), "notebooks/retrieval/old.ipynb exists already"),
    ],
)
def test_bad_names_are_refused_before_anything_is_written(checkout, arguments, message):
    before = sorted(path for path in checkout.rglob("*") if path.is_file())
    with pytest.raises(InputError, match=message):
        derive.new(*arguments)
    assert sorted(path for path in checkout.rglob("*") if path.is_file()) == before


def test_a_test_of_that_name_is_not_overwritten(checkout):
    shutil.copy(checkout / "tests/methods/test_old.py", checkout / "tests/methods/test_idea.py")
    with pytest.raises(InputError, match=r"test_idea\.py exists already"):
        derive.new("idea", "retrieval", "retrieval/old")
    assert not (checkout / "notebooks/retrieval/idea.ipynb").exists()
