"""Search against plain loops: BM25's formula, exact products, fusion by hand, ties, trec_eval's format."""

import itertools
import math

import ir_measures
import numpy as np
import pandas as pd
import pytest
import Stemmer
import torch
from hypothesis import given
from hypothesis import strategies as st

from finegrain import InputError
from finegrain.search import BM25, dense, exact_search, fuse, read_trec, run_from_scores, write_trec
from finegrain.seeding import generator

DOCUMENTS = pd.Series(
    {
        "d1": "Sorts an array in place.",
        "d2": "Sort arrays of arrays, sorting each array.",
        "d3": "Plots a histogram of sorted values",
        "d4": "Nothing in common",
        "d0": "Sorts an array in place.",
    }
)


def run(*rows):
    return pd.DataFrame(rows, columns=["query_id", "document_id", "score", "rank"])


def bm25(query, documents, k1=1.5, b=0.75):
    """Lucene's BM25, word by word."""
    stem = Stemmer.Stemmer("english").stemWord
    stop = {"an", "in", "of", "a", "each"}

    def words(text):
        kept = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
        return [stem(word) for word in kept if len(word) > 1 and word not in stop - {"each"}]

    texts = {name: words(text) for name, text in documents.items()}
    mean = sum(map(len, texts.values())) / len(texts)
    scores = {}
    for name, text in texts.items():
        scores[name] = 0.0
        for word in words(query):
            holding = sum(word in other for other in texts.values())
            times = text.count(word)
            weight = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
            scores[name] += weight * times / (times + k1 * (1 - b + b * len(text) / mean))
    return scores


@pytest.mark.parametrize("query", ["sorting arrays", "array array sorted", "histograms of values", "unknown sort"])
@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4)])
def test_bm25_is_its_formula(query, k1, b):
    expected = {name: score for name, score in bm25(query, DOCUMENTS, k1, b).items() if score > 0}
    found = BM25(DOCUMENTS, k1=k1, b=b).search(pd.Series({"q": query}), k=10)
    assert dict(zip(found["document_id"], found["score"], strict=True)) == pytest.approx(expected, rel=1e-5)
    assert found["document_id"].tolist() == sorted(found["document_id"], key=lambda name: (-expected[name], name))


def test_bm25_leaves_out_what_shares_no_word_and_keeps_the_order_of_the_queries():
    found = BM25(DOCUMENTS).search(pd.Series({"z": "array", "none": "xyzzy", "a": "histogram"}), k=2)
    assert found["query_id"].tolist() == ["z", "z", "a"]
    assert found["rank"].tolist() == [1, 2, 1]
    assert BM25(DOCUMENTS).bytes > 0


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), max_size=4),
    st.permutations([f"d{number}" for number in range(7)]),
    st.integers(1, 9),
)
def test_a_run_is_the_sorted_scores_with_ties_by_document(scores, documents, k):
    queries = [f"q{number}" for number in range(len(scores))]
    expected = [
        (query, name, float(score), rank)
        for query, row in zip(queries, scores, strict=True)
        for rank, (score, name) in enumerate(
            sorted(zip(row, documents, strict=True), key=lambda pair: (-pair[0], pair[1]))[:k], 1
        )
    ]
    found = run_from_scores(np.array(scores).reshape(-1, 7), queries, documents, k)
    assert list(found.itertuples(index=False, name=None)) == expected


def test_a_document_with_score_minus_infinity_is_left_out():
    found = run_from_scores(np.array([[-np.inf, 1.0, -np.inf]]), ["q"], ["a", "b", "c"], k=3)
    assert found["document_id"].tolist() == ["b"]


@pytest.fixture(params=["float32", "bfloat16"])
def products(request, monkeypatch):
    """What exact search looks for candidates in, whatever this processor is good at and however few the queries."""
    monkeypatch.setattr("finegrain.search.dense._FEW", 0)
    monkeypatch.setattr("finegrain.search.dense.pick_dtype", lambda *_: getattr(torch, request.param))
    return request.param


@pytest.mark.usefixtures("products")
def test_exact_search_is_the_sorted_product_and_equal_documents_tie(monkeypatch):
    rng = generator(0, "vectors")
    queries, documents = rng.standard_normal((30, 24)), rng.standard_normal((200, 24))
    documents[150] = documents[20]
    ids = [f"d{number:03d}" for number in range(200)]
    expected = np.argsort(-np.round(queries.astype("f4") @ documents.astype("f4").T, 6), axis=1, kind="stable")[:, :50]
    names = [f"q{number}" for number in range(30)]
    found = exact_search(queries, documents, names, ids, k=50)
    assert found["document_id"].tolist() == [ids[column] for column in expected.ravel()]
    monkeypatch.setattr("finegrain.search.dense._QUERIES", 1)  # one query at a time: the same ranking
    pd.testing.assert_frame_equal(exact_search(queries, documents, names, ids, k=50), found)


@pytest.mark.parametrize(
    ("texts", "told"),
    [([], "at least one document; give some"), (["", "the", "a b"], "no document holds a word")],
)
def test_bm25_without_words_is_told(texts, told):
    with pytest.raises(InputError, match=told):
        BM25(pd.Series(texts, index=[str(number) for number in range(len(texts))], dtype=object))


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("order", ["as drawn", "worst first", "best first"])
@pytest.mark.parametrize("k", [1, 7, 40, 150])
def test_exact_search_in_blocks_keeps_all_that_may_yet_win(order, k, monkeypatch):
    """Blocks smaller than k and larger; documents that come ever nearer; scores that tie, at the border as well."""
    rng = generator(1, "vectors")
    queries, documents = rng.standard_normal((5, 2)), np.round(rng.standard_normal((120, 2)), 1)
    if order != "as drawn":
        documents = documents[np.argsort(documents @ queries[0])[:: 1 if order == "worst first" else -1]]
    ids = [f"d{number:03d}" for number in rng.permutation(120)]
    scores = np.round(queries.astype("f4") @ documents.astype("f4").T, 6)
    expected = [sorted(range(120), key=lambda row: (-some[row], ids[row]))[:k] for some in scores]
    monkeypatch.setattr("finegrain.search.dense._DOCUMENTS", 16)
    found = exact_search(queries, documents, list("abcde"), ids, k=k)
    assert found["document_id"].tolist() == [ids[row] for rows in expected for row in rows]
    assert found["rank"].tolist() == [*range(1, min(k, 120) + 1)] * 5


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize(("size", "step"), [(0.5, 1e-7), (100.0, 7.6e-6)])
def test_exact_search_keeps_scores_that_round_to_the_same(size, step, monkeypatch):
    """What is a little worse than the border and rounds to it may have the lower id."""
    rng = generator(2, "vectors")
    documents = (size + np.arange(64).repeat(3)[:, None] * step).astype("f4")
    documents = documents[rng.permutation(len(documents))]
    ids = [f"d{number:03d}" for number in range(len(documents))]
    monkeypatch.setattr("finegrain.search.dense._DOCUMENTS", 64)
    for k in (1, 4, 10, 50):
        found = exact_search(np.ones((1, 1)), documents, ["q"], ids, k=k)
        order = sorted(range(len(ids)), key=lambda row: (-np.round(documents[row, 0], 6), ids[row]))
        assert found["document_id"].tolist() == [ids[row] for row in order[:k]]


@pytest.mark.parametrize("spread", [0.0, 1.5])
def test_exact_search_by_products_in_bfloat16_finds_the_same(spread, monkeypatch):
    """Vectors of one length and of very different ones."""
    rng = generator(3, "vectors")
    queries, documents = rng.standard_normal((200, 32)), rng.standard_normal((3000, 32))
    documents *= np.exp(spread * rng.standard_normal((3000, 1)))
    names, ids = [f"q{number}" for number in range(200)], [f"d{number}" for number in range(3000)]
    monkeypatch.setattr("finegrain.search.dense._DOCUMENTS", 500)
    monkeypatch.setattr("finegrain.search.dense.pick_dtype", lambda *_: torch.float32)
    expected = exact_search(queries, documents, names, ids, k=10)
    answers, near = [], dense._Half.near
    monkeypatch.setattr("finegrain.search.dense.pick_dtype", lambda *_: torch.bfloat16)
    monkeypatch.setattr(dense._Half, "near", lambda *given: answers.append(near(*given)) or answers[-1])
    found = exact_search(queries, documents, names, ids, k=10)
    assert len(answers) == 5
    assert all(0 < len(rows) < 0.1 * 200 * 500 for rows, _ in answers)
    pd.testing.assert_frame_equal(found, expected, atol=3e-6)


@pytest.mark.parametrize("off", ["queries", "documents", "both"])
def test_no_product_is_lost_to_the_rounding_of_its_vectors(off):
    """Numbers just below where they would be rounded up; the product of the rounded ones is rounded down as well."""
    below = np.full(64, 1 + 0.99 * 2.0**-8, np.float32)
    exact = np.ones(64, np.float32)
    exact[0] = 1.2421875  # makes the sum of all 64.24, which is 64 in bfloat16
    queries = (exact if off == "documents" else below) * np.array([[1], [4], [2.0**-10]], np.float32)
    block = np.zeros((50, 64), np.float32)
    block[7] = exact if off == "queries" else below
    rows, columns = dense._Half(queries).near(block, np.vecdot(queries.astype(float), block[7]).astype("f4"))
    assert rows.tolist() == [0, 1, 2]
    assert columns.tolist() == [7, 7, 7]


def test_products_in_bfloat16_are_not_asked_where_they_would_not_pay():
    half = dense._Half(np.ones((1, 1), np.float32))
    assert half.near(np.ones((9, 1), np.float32), np.array([0.5], np.float32)) is None  # all are near
    negative = np.array([[-0.25]] * 50 + [[-1]], np.float32)
    assert half.near(negative, np.array([-0.5], np.float32)) is None


def test_fusion_adds_reciprocal_ranks():
    one = run(("q", "a", 9.0, 1), ("q", "b", 8.0, 2), ("r", "a", 1.0, 1))
    two = run(("q", "b", 0.3, 1), ("q", "c", 0.1, 2), ("s", "x", 1.0, 1))
    expected = [
        ("q", "b", 1 / 62 + 1 / 61, 1),
        ("q", "a", 1 / 61, 2),
        ("q", "c", 1 / 62, 3),
        ("r", "a", 1 / 61, 1),
        ("s", "x", 1 / 61, 1),
    ]
    assert list(fuse(one, two).itertuples(index=False, name=None)) == expected
    assert len(fuse(one, two, depth=1)) == 3


def test_fusion_breaks_ties_by_document_and_ignores_the_order_of_the_runs():
    one, two = run(("q", "b", 1.0, 1), ("q", "a", 0.0, 2)), run(("q", "a", 5.0, 1), ("q", "b", 4.0, 2))
    for runs in itertools.permutations([one, two]):
        assert fuse(*runs)["document_id"].tolist() == ["a", "b"]


def test_a_run_survives_trec_evals_format_and_ir_measures_reads_it(tmp_path):
    scores = generator(1, "scores").standard_normal((3, 20)).astype("f4")
    written = run_from_scores(scores, ["q1", "2", "NA"], [f"d:{number}.x" for number in range(20)], k=7)
    write_trec(written, tmp_path / "run.trec", tag="test")
    pd.testing.assert_frame_equal(read_trec(tmp_path / "run.trec"), written, check_dtype=False)
    read = list(ir_measures.read_trec_run(str(tmp_path / "run.trec")))
    assert [(one.query_id, one.doc_id, one.score) for one in read] == list(
        written[["query_id", "document_id", "score"]].itertuples(index=False, name=None)
    )


def test_white_space_in_an_id_and_other_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match="'a b'"):
        write_trec(run(("q", "a b", 1.0, 1)), tmp_path / "run.trec")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"other\.csv"):
        read_trec(tmp_path / "other.csv")
    with pytest.raises(InputError, match="no run file"):
        read_trec(tmp_path / "absent")
