"""Committed notebooks: found by name, digested by content, brought into one form."""

import json

import pytest

from finegrain import InputError
from finegrain.run import depend, notebooks, places


@pytest.fixture(autouse=True)
def root(kit, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_ROOT", str(kit.root))
    monkeypatch.delenv("FINEGRAIN_BUILD", raising=False)
    kit.notebook("retrieval/leaderboard", "arms = ['doc-bert', 'bm25']")
    kit.notebook("backbones/doc_bert", "name = 'doc-bert'")
    kit.notebook("backbones/glyph_clip", "1")
    kit.notebook("template", "1")


def test_names_are_those_in_task_folders(kit):
    kit.notebook(".ipynb_checkpoints/template-checkpoint", "1")
    kit.notebook("retrieval/.hidden", "1")
    assert notebooks.names() == ["backbones/doc_bert", "backbones/glyph_clip", "retrieval/leaderboard"]


def test_a_notebook_is_found_with_or_without_folder_and_suffix():
    assert notebooks.find("notebooks/retrieval/leaderboard.ipynb").name == "retrieval/leaderboard"


def test_an_unknown_name_brings_the_nearest():
    with pytest.raises(InputError, match="did you mean 'retrieval/leaderboard'"):
        notebooks.find("retrieval/leaderbord")


def test_a_file_that_is_no_notebook_is_refused(kit):
    (kit.root / "notebooks/retrieval/leaderboard.ipynb").write_text("{")
    with pytest.raises(InputError, match="is not a notebook"):
        notebooks.find("retrieval/leaderboard")


def test_the_digest_follows_sources_and_tags_alone(kit):
    before = notebooks.find("retrieval/leaderboard").digest()
    path = kit.root / "notebooks/retrieval/leaderboard.ipynb"
    raw = json.loads(path.read_text())
    raw["cells"][1] |= {"id": "other", "execution_count": 3, "outputs": [{"output_type": "stream", "text": "x"}]}
    path.write_text(json.dumps(raw, indent=3))
    assert notebooks.find("retrieval/leaderboard").digest() == before
    raw["cells"][1]["source"] += " # edited"
    path.write_text(json.dumps(raw))
    assert notebooks.find("retrieval/leaderboard").digest() != before


def test_a_backbone_is_needed_where_its_name_stands_in_the_code():
    assert depend.needed(notebooks.find("retrieval/leaderboard")) == ["backbones/doc_bert"]
    assert depend.needed(notebooks.find("backbones/doc_bert")) == []


def test_the_graph_gives_default_and_full_the_same_backbones():
    graph = depend.graph()
    assert "build/smoke/retrieval/leaderboard.run.json: " in graph
    for scale in ("default", "full"):
        line = next(line for line in graph.splitlines() if line.startswith(f"build/{scale}/retrieval"))
        assert line.endswith("build/default/backbones/doc_bert.run.json")


def test_stripping_takes_outputs_and_gives_ids_and_is_idempotent():
    code = {
        "cell_type": "code",
        "metadata": {"tags": ["method"], "papermill": {}},
        "execution_count": 3,
        "outputs": [1],
    }
    raw = {"cells": [code | {"source": "a = 1\nb = 2"}, code | {"source": ["a = 1\n", "b = 2"]}], "metadata": {"x": 1}}
    clean = notebooks.stripped(raw)
    assert [cell["id"] for cell in clean["cells"]] == ["a-1-b-2", "a-1-b-2-2"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in clean["cells"])
    assert clean["cells"][0]["metadata"] == {"tags": ["method"]}
    assert notebooks.stripped(clean) == clean


def test_each_scale_has_its_own_place(kit):
    figures = {
        scale: places.committed("a/b", scale).figures.relative_to(kit.root).as_posix() for scale in places.SCALES
    }
    assert figures == {"smoke": "build/smoke/figures/a/b", "default": "figures/a/b", "full": "figures/a/b/full"}
    with pytest.raises(InputError, match="did you mean 'smoke'"):
        places.committed("a/b", "smok")


def test_separate_runs_with_other_parameters_have_other_places():
    one = places.separate("a/b", "default", {"seeds": [1, 2], "dataset": "x/y"})
    two = places.separate("a/b", "default", {"seeds": [1, 2], "dataset": "x-y"})
    assert one.folder != two.folder
    assert one.folder.name.startswith("seeds=1+2,dataset=x-y")
    assert places.separate("a/b", "default", {"out": "there"}).figures == places.files.root() / "there"
