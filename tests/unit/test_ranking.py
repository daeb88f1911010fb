"""Measures of rankings against definitions written out as loops."""

import ir_measures
import numpy as np
import pandas as pd
import pytest

from finegrain import InputError
from finegrain.evaluate import measure, recall_at_k
from finegrain.evaluate.ranking import standard_measures


def world(queries=12, documents=30, seed=0):
    rng = np.random.default_rng(seed)
    run, qrels = [], []
    for q in range(queries):
        for rank, d in enumerate(rng.permutation(documents)[:20], 1):
            run.append((f"q{q}", f"d{d:02}", 1.0, rank))  # all scores tie: only ranks tell the order
        for grade, d in zip([2, 1, 1, 0], rng.permutation(documents), strict=False):
            qrels.append((f"q{q}", f"d{d:02}", grade))
    columns = ["query_id", "document_id"]
    return pd.DataFrame(run, columns=[*columns, "score", "rank"]), pd.DataFrame(qrels, columns=[*columns, "grade"])


def by_hand(run, qrels, query):
    grades = qrels[qrels["query_id"] == query].set_index("document_id")["grade"]
    ranked = run[run["query_id"] == query].sort_values("rank")["document_id"]
    gains = [grades.get(d, 0) for d in ranked]
    dcg = sum(gain / np.log2(i + 2) for i, gain in enumerate(gains[:10]))
    ideal = sum(gain / np.log2(i + 2) for i, gain in enumerate(sorted(grades, reverse=True)[:10]))
    first = next((i for i, gain in enumerate(gains[:10], 1) if gain >= 2), None)
    recall = sum(gain >= 2 for gain in gains[:100]) / (grades >= 2).sum()
    return dcg / ideal, recall, 1 / first if first else 0.0


def test_measures_equal_their_definitions():
    run, qrels = world()
    table = measure(run, qrels)
    assert list(table.columns) == ["query_id", "nDCG@10", "R(rel=2)@100", "RR(rel=2)@10"]
    expected = [by_hand(run, qrels, query) for query in table["query_id"]]
    np.testing.assert_allclose(table.drop(columns="query_id"), expected, atol=1e-9)


def test_the_order_of_ranks_counts_whatever_scores_and_ids_say():
    run, qrels = world()
    misleading = run.assign(score=run["rank"].astype(float))  # the worst score for the best document
    pd.testing.assert_frame_equal(measure(misleading, qrels), measure(run, qrels))
    pd.testing.assert_frame_equal(measure(run.sample(frac=1, random_state=0), qrels), measure(run, qrels))


def test_reciprocal_ranks_are_cut_as_ir_measures_cuts_them():
    """The first relevant document at each rank from 1 to 14, for several cutoffs and grades at once."""
    names = ["RR@10", "RR(rel=2)@10", "RR(rel=2)@3", "RR", "RR@1"]
    ranks = range(1, 15)
    run = pd.DataFrame([(f"q{r:02}", f"d{n}", n) for r in ranks for n in range(1, 15)])
    run.columns = ["query_id", "document_id", "rank"]
    qrels = pd.DataFrame([(f"q{r:02}", f"d{n}", g) for r in ranks for n, g in ((r, 2), (r % 14 + 1, 1))])
    qrels.columns = ["query_id", "document_id", "grade"]
    found = measure(run, qrels, names).set_index("query_id")
    parsed = [ir_measures.parse_measure(name) for name in names]
    theirs = run.rename(columns={"document_id": "doc_id"}).assign(score=-run["rank"].astype(float))
    judged = qrels.rename(columns={"document_id": "doc_id", "grade": "relevance"})
    expected = {(one.query_id, str(one.measure)): one.value for one in ir_measures.iter_calc(parsed, judged, theirs)}
    assert len(expected) == 14 * 5
    for (query, name), value in expected.items():
        assert found.loc[query, name] == pytest.approx(value, abs=1e-12)
    assert found["RR(rel=2)@10"].tolist() == [1 / r if r <= 10 else 0 for r in ranks]


def test_a_query_without_results_counts_zero():
    run, qrels = world()
    table = measure(run[run["query_id"] != "q3"], qrels)
    assert len(table) == 12
    assert (table.set_index("query_id").loc["q3"] == 0).all()
    assert (measure(run.iloc[:0], qrels).drop(columns="query_id") == 0).all(axis=None)


def test_queries_without_the_grade_that_a_measure_needs_are_left_out_of_all():
    run, qrels = world()
    lowered = qrels.assign(grade=qrels["grade"].where(qrels["query_id"] != "q5", qrels["grade"].clip(upper=1)))
    assert "q5" not in set(measure(run, lowered)["query_id"])
    assert "q5" in set(measure(run, lowered, ["nDCG@10"])["query_id"])
    assert "q5" in set(measure(run, lowered, standard_measures(1))["query_id"])


def test_a_run_is_not_changed():
    run, qrels = world()
    before = run.copy(), qrels.copy()
    measure(run, qrels)
    pd.testing.assert_frame_equal(run, before[0])
    pd.testing.assert_frame_equal(qrels, before[1])


def test_bad_runs_and_measures_are_refused_by_name():
    run, qrels = world()
    with pytest.raises(InputError, match=r"query 'q0' has document_id"):
        measure(pd.concat([run, run.iloc[:1].assign(rank=99)]), qrels)
    with pytest.raises(InputError, match=r"query 'q0' has rank 1 twice"):
        measure(pd.concat([run, run.iloc[:1].assign(document_id="d99")]), qrels)
    with pytest.raises(InputError, match="column 'rank' is missing"):
        measure(run.drop(columns="rank"), qrels)
    with pytest.raises(InputError, match=r"measure 'nDGC@10' is unknown"):
        measure(run, qrels, ["nDGC@10"])
    with pytest.raises(InputError, match="no query has a document of grade 2"):
        measure(run, qrels.assign(grade=1))


def test_recall_at_k_equals_a_stable_sort_both_ways():
    rng = np.random.default_rng(0)
    similarity = rng.integers(0, 4, (20, 15)).astype(float)  # many ties
    relevant = rng.random((20, 15)) < 0.2
    relevant[np.arange(20), rng.integers(0, 15, 20)] = True
    relevant[rng.integers(0, 20, 15), np.arange(15)] = True
    for a, b in ((similarity, relevant), (similarity.T, relevant.T)):
        order = np.argsort(-a, axis=1, kind="stable")
        for k in (1, 5, 10):
            np.testing.assert_array_equal(recall_at_k(a, b, k), np.take_along_axis(b, order[:, :k], 1).any(1))


def test_recall_at_k_refuses_queries_without_relevant_documents():
    with pytest.raises(InputError, match="query 1 has no relevant"):
        recall_at_k(np.zeros((2, 2)), [[True, False], [False, False]], 1)
