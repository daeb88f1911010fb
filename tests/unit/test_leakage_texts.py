"""Leaks between the folds and tasks of the docstrings, by measures that the code which makes them does not use.

The thresholds were written before they were measured; what was measured stands beside each.
"""

import re
import zlib

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from finegrain.data import load
from finegrain.data.docstrings import docstring_table

RUN = 5  # words


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


@pytest.fixture(scope="module")
def table():
    return docstring_table()


@pytest.fixture(scope="module")
def shared_runs(table):
    """Runs of 5 words: how many each text has, and a function of two folds giving the shared ones of each pair."""
    texts = [words(f"{summary} {body}") for summary, body in zip(table["summary"], table["body"], strict=True)]
    runs = [
        {zlib.crc32(" ".join(text[start : start + RUN]).encode()) for start in range(len(text) - RUN + 1)}
        for text in texts
    ]
    sizes = np.array([len(found) for found in runs])
    columns = np.unique(np.fromiter((run for found in runs for run in found), np.int64), return_inverse=True)[1]
    matrix = csr_matrix((np.ones(len(columns), np.float32), columns, np.r_[0, np.cumsum(sizes)]))
    folds = table["fold"].to_numpy()

    def shared(one, other):
        rows, against = np.flatnonzero(folds == one), np.flatnonzero(folds == other)
        transposed = matrix[against].T.tocsr()
        for start in range(0, len(rows), 500):
            block = rows[start : start + 500]
            counts = (matrix[block] @ transposed).tocoo()
            yield block[counts.row], against[counts.col], counts.data

    return sizes, shared


def test_no_text_stands_in_two_folds_word_for_word(table):
    normal = (table["summary"] + " " + table["body"]).map(lambda text: " ".join(words(text)))
    assert table["fold"].groupby(normal).nunique().max() == 1


def test_no_group_lies_in_two_folds(table):
    assert table["fold"].groupby(table["group"]).nunique().max() == 1


@pytest.mark.parametrize("other", ["train", "dev", "confirm"])
def test_near_identical_texts_of_the_test_fold_elsewhere(table, shared_runs, other):
    """Jaccard similarity of the runs of 5 words at least 0.5: at most 0.1 % of the test fold."""
    sizes, shared = shared_runs
    alike = set()
    for rows, against, counts in shared("test", other):
        near = counts >= 0.5 * (sizes[rows] + sizes[against] - counts)
        alike.update(rows[near])
    assert len(alike) <= 0.001 * (table["fold"] == "test").sum()


def test_texts_of_the_test_fold_that_are_part_of_a_training_text(table, shared_runs):
    """At least 80 % of a text's runs of 5 words in one training text: at most 2 % of the test fold."""
    sizes, shared = shared_runs
    inside = set()
    for rows, _, counts in shared("test", "train"):
        inside.update(rows[counts >= 0.8 * sizes[rows]])
    assert len(inside) <= 0.02 * (table["fold"] == "test").sum()


def test_texts_hold_no_dotted_path_and_no_package_name(table):
    """No path through a package; its bare name in at most 0.5 % of the texts (in compounds such as "non-NumPy")."""
    packages = "numpy|scipy|sklearn|torch|pytorch|pandas|matplotlib|networkx|sympy|torchvision|timm|seaborn"
    text = table["summary"] + "\n" + table["body"]
    assert not text.str.contains(rf"(?i)\b(?:{packages}|np|pd|plt|nx|transformers)\.[a-z_]{{2,}}\.\w").any()
    assert text.str.contains(rf"(?i)\b(?:{packages})\b").mean() <= 0.005


def test_class_words_are_marked(table):
    """The share of texts with a word of their class's name is known (at most 55 %) and marked item by item."""
    texts = load("docstrings")
    marked = texts.items["contains_class_word"].to_numpy()
    assert marked.mean() <= 0.55
    for text, label, mark in list(zip(texts.texts, texts.labels, marked, strict=True))[::50]:
        name = texts.classes["name"][label]
        stems = {word.rstrip("s") for word in words(name)} - {"and", "of", "in", "to", "on", "for"}
        assert mark == bool(stems & {word.rstrip("s") for word in words(text)}), name


def test_no_query_stands_in_a_document():
    """Word for word, neither in its own nor in another."""
    retrieval = load("docstrings", "retrieval")
    by_start = {}
    for text in retrieval.queries["text"]:
        by_start.setdefault(tuple(words(text)[:4]), []).append(words(text))
    found = []
    for text in map(words, retrieval.documents["text"]):
        for place, start in enumerate(zip(text, text[1:], text[2:], text[3:], strict=False)):
            found += [query for query in by_start.get(start, ()) if text[place : place + len(query)] == query]
    assert not found


def test_no_two_queries_ask_the_same():
    retrieval = load("docstrings", "retrieval")
    assert retrieval.queries["text"].map(lambda text: " ".join(sorted(words(text)))).is_unique


def test_documents_hold_no_see_also_section():
    documents = load("docstrings", "retrieval").documents["text"]
    assert not documents.str.contains(r"(?mi)^see also\W*$").any()


def test_both_sides_of_a_pair_lie_in_one_fold(table):
    pairs = load("docstrings", "pairs")
    for side in ("name", "name_second"):
        assert (pairs.items[side].map(table["fold"]) == pairs.items["fold"]).all()
