"""What the documents say is so: commands, links, the table, the example, the references."""

import functools
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

import finegrain
from finegrain.models import load_text_encoder
from finegrain.run import notebooks, papers, parameters, places

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
EVERYWHERE = (*DOCUMENTS, "CITATION.cff", "references.bib")
INTERNAL = {"notebooks", "runs"}  # targets that no one types
PUBLIC = {"arxiv.org", "doi.org"}  # hosts that a document may point to

each = pytest.mark.parametrize("name", DOCUMENTS)


@functools.cache
def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def code(name):
    """The commands in a document: code spans, indented and fenced blocks; a trailing comment is none of it."""
    spans = re.findall(r"`(make [^`\n]+|make)`", text(name))
    lines = [line.partition("  # ")[0].strip() for line in text(name).splitlines()]
    return spans + [line for line in lines if line.startswith("make ")]


def targets():
    found = re.findall(r"^\.PHONY:(.*)$", text("Makefile"), flags=re.M)
    return {target for line in found for target in line.split()}


@each
def test_every_make_target_that_is_named_exists(name):
    named = {target for command in code(name) for target in re.findall(r"\bmake ([a-z][a-z-]*)", command)}
    assert {"test"} < named <= targets()


def test_help_lists_every_target_that_is_meant_for_users():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+) ", said, flags=re.M)) == targets() - INTERNAL


@each
def test_notebooks_and_parameters_in_the_commands_exist(name):
    runs = [re.search(r'NB=(\S+)(?: P="([^"]*)")?', command) for command in code(name)]
    for found in filter(None, runs):
        notebook, given = found.groups()
        if notebook == "retrieval/my_method":  # the one that CONTRIBUTING tells how to make
            continue
        values = parameters.parse(given or "", parameters.declared(notebooks.find(notebook)))
        places.check_scale(values.get("scale", "default"))
    tasks = {task for command in code(name) for task in re.findall(r"TASK=(\w+)", command)}
    assert tasks <= {each.partition("/")[0] for each in notebooks.names()}


@each
def test_what_is_linked_exists(name):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text(name))
    for link in links:
        assert "://" in link or (ROOT / link).exists() or not_made_yet(link), link


def not_made_yet(link):
    """Figures of a notebook that has not run at the default scale yet."""
    _, task, name, *_ = [*Path(link).parts, "", "", ""]
    return link.startswith("figures/") and not (ROOT / "figures" / task / name).exists()


@each
def test_paths_in_code_spans_exist(name):
    """`lib/...`, `tests/...` and `notebooks/...` as far as they hold no placeholder."""
    paths = re.findall(r"`((?:lib|tests|notebooks)/[\w./]*)`", text(name))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_table_is_up_to_date():
    """`make readme` changes nothing; seconds may differ, since every run takes its own."""
    anew = papers.updated(text("README.md"), "README.md")
    assert without_seconds(anew) == without_seconds(text("README.md")), "make readme brings it up to date"


def without_seconds(document):
    return re.sub(r"\| \d* (\| (?:default|full) \|)$", r"\1", document, flags=re.M)


def test_the_numbers_of_the_data_table_are_those_of_the_data_cards():
    from finegrain.data import digits, docstrings, glyphs

    rows = {row.split("|")[1].strip(" `"): row for row in text("README.md").splitlines() if row.startswith("| `")}
    for module, name in ((digits, "digits"), (docstrings, "docstrings"), (glyphs, "glyphs")):
        numbers = re.findall(r"\d+,\d{3}", rows[name])
        assert numbers
        assert [number for number in numbers if number not in module.__doc__] == []


def test_the_encoder_of_the_example_is_taken_by_name_and_by_object():
    example = re.search(r"```python\n(.*?)```", text("README.md"), flags=re.S).group(1)
    names = {}
    exec(example, names)
    own = names["backbone"][0]
    assert load_text_encoder(own) is own
    assert f"{own}" == "trigrams"
    vectors = own.encode_text(["a heron", "an egret", "a heron"])
    assert vectors.shape == (3, 512)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_the_citation_names_this_version_and_licence():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == finegrain.__version__
    assert citation["license"] == "BSD-3-Clause"
    assert citation["authors"] == [{"name": "the finegrain authors"}]
    assert "Copyright (c) 2026, the finegrain authors" in text("LICENSE")


@pytest.mark.parametrize("name", EVERYWHERE)
def test_no_document_names_a_place_on_a_machine(name):
    assert re.findall(r"(?<![\w.:/~-])/(?:home|root|Users|tmp|work|mnt|data|opt|var)/", text(name)) == []
    assert set(re.findall(r"\w+://([^/\s)>]+)", text(name))) <= PUBLIC
    assert re.findall(r"\blocalhost\b|\b\d{1,3}(?:\.\d{1,3}){3}\b", text(name)) == []


def entries():
    """key -> {field: value} of references.bib."""
    found = re.findall(r"^@\w+\{([^,]+),\n(.*?)^\}$", text("references.bib"), flags=re.M | re.S)
    assert len(found) == text("references.bib").count("\n@")
    assert len(dict(found)) == len(found), "a key occurs twice"
    return {key: dict(re.findall(r"^  (\w+) = \{(.*)\},?$", body, flags=re.M)) for key, body in found}


def test_every_reference_is_whole():
    for key, fields in entries().items():
        assert {"title", "author", "year"} <= fields.keys(), key
        assert re.fullmatch(r"(19|20)\d\d", fields["year"]), key
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields.get("eprint", "0000.0000")), key
        assert all(value.count("{") == value.count("}") for value in fields.values()), key


def test_every_paper_that_a_notebook_names_by_its_arxiv_id_is_a_reference():
    known = {fields.get("eprint") for fields in entries().values()}
    for name in notebooks.names():
        prose = " ".join(cell.source for cell in notebooks.find(name).cells if cell.kind == "markdown")
        named = set(re.findall(r"arXiv[\s:]*(\d{4}\.\d{4,5})", prose, flags=re.I))
        assert named <= known, name


def test_the_start_page_lists_every_notebook_as_it_stands():
    cells = notebooks.find(notebooks.START).cells
    assert any(papers.contents() in cell.source for cell in cells)
