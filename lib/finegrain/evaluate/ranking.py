"""Measures of rankings, per query.

A run is a frame with the columns query_id, document_id, score, rank (1 is best); qrels have query_id, document_id,
grade. The measures are those of ir-measures over trec_eval's code, under the names that ir-measures parses.
"""

import itertools

import numpy as np
import pandas as pd

from finegrain.errors import InputError

MEASURES = ("nDCG@10", "R(rel=2)@100", "RR(rel=2)@10")


def standard_measures(relevant_from: int) -> tuple[str, ...]:
    """nDCG@10, Recall@100 and MRR@10 for a collection whose documents count as relevant from this grade on.

    >>> standard_measures(1)
    ('nDCG@10', 'R(rel=1)@100', 'RR(rel=1)@10')
    """
    return ("nDCG@10", f"R(rel={relevant_from})@100", f"RR(rel={relevant_from})@10")


def measure(run, qrels, measures=MEASURES) -> pd.DataFrame:
    """Each query's measures: a frame with `query_id` and one column per measure, sorted by query.

    run: columns query_id, document_id, rank; a document stands once per query, a rank too. The order of ranks is
        what counts: trec_eval would sort again by score and break ties by document id, so it is given -rank as score.
    qrels: columns query_id, document_id, grade.
    measures: names for ir-measures. nDCG has linear gains; R and RR count documents from grade `rel` on.

    Queries are those of the qrels for which every measure is defined: that have a document of grade 1 and, where a
    measure says `rel=2`, one of grade 2. Other queries are left out of all measures, so that all are means over the
    same queries. A query that the run lacks counts 0 and stays.

    >>> qrels = pd.DataFrame({"query_id": ["q", "r"], "document_id": ["a", "a"], "grade": [2, 2]})
    >>> run = pd.DataFrame({"query_id": ["q", "q"], "document_id": ["b", "a"], "rank": [1, 2]})
    >>> measure(run, qrels, ["RR(rel=2)@10"])
      query_id  RR(rel=2)@10
    0        q           0.5
    1        r           0.0
    """
    import ir_measures

    parsed = [_parsed(name) for name in measures]
    _refuse_columns_missing("run", run, ("query_id", "document_id", "rank"))
    _refuse_columns_missing("qrels", qrels, ("query_id", "document_id", "grade"))
    for column in ("document_id", "rank"):
        twice = run.duplicated(["query_id", column])
        if twice.any():
            row = run[twice].iloc[0]
            value = row[column].item() if isinstance(row[column], np.generic) else row[column]
            raise InputError(f"run: query {row['query_id']!r} has {column} {value!r} twice; keep one of them")
    least = max(getattr(m, "params", {}).get("rel", 1) for m in parsed)
    best = qrels.groupby("query_id")["grade"].max()
    queries = sorted(best.index[best >= max(least, 1)])
    if not queries:
        raise InputError(f"qrels: no query has a document of grade {least}, which {', '.join(measures)} need")

    qrels, run = (_of_queries(some, queries) for some in (qrels, run))
    ranked = _nested(run["query_id"], run["document_id"], -run["rank"].astype(float))
    judged = _nested(qrels["query_id"], qrels["document_id"], qrels["grade"].astype(int))
    table = pd.DataFrame(0.0, index=pd.Index(queries, name="query_id"), columns=[str(m) for m in measures])
    if ranked:
        asked = [_whole(m) for m in parsed]
        names = {whole: str(whole) for whole, _ in asked}
        found = [(m.query_id, names[m.measure], m.value) for m in ir_measures.iter_calc(list(names), judged, ranked)]
        by_query = pd.DataFrame(found, columns=["query_id", "measure", "value"])
        by_query = by_query.pivot(index="query_id", columns="measure", values="value").reindex(queries, fill_value=0.0)
        for name, (whole, least) in zip(table.columns, asked, strict=True):
            values = by_query[names[whole]]
            table[name] = values.where(values >= least, 0.0)
    return table.reset_index()


def recall_at_k(similarity, relevant, k) -> np.ndarray:
    """Whether a relevant document is among the k most similar ones: (Q,) bool. Its mean is R@k.

    This is the convention of image-text retrieval, where one of several right captions is enough; `measure` with
    `R@k` gives the share of the relevant documents. For the other direction give both matrices transposed.

    similarity: (Q, D) float, larger is better, no NaN; ties go to the lower document number.
    relevant: (Q, D) bool; a query without any relevant document is refused.
    k: 1 or more.

    >>> recall_at_k([[0.9, 0.1, 0.5], [0.2, 0.2, 0.2]], [[False, False, True], [True, False, False]], k=1)
    array([False,  True])
    """
    similarity, relevant = np.asarray(similarity), np.asarray(relevant, dtype=bool)
    if similarity.ndim != 2 or similarity.shape != relevant.shape:
        raise InputError(f"similarity {similarity.shape} and relevant {relevant.shape}: give (Q, D) for both")
    if k < 1:
        raise InputError(f"k={k}: k is 1 or more")
    if np.isnan(similarity).any():
        raise InputError("similarity holds NaN; give every pair a number")
    if not relevant.any(1).all():
        raise InputError(f"query {int((~relevant.any(1)).argmax())} has no relevant document; leave it out")
    best = np.where(relevant, similarity, -np.inf).max(1, keepdims=True)
    first = (relevant & (similarity == best)).argmax(1)[:, None]
    before = np.arange(similarity.shape[1]) < first
    return ((similarity > best) | ((similarity == best) & before)).sum(1) < k


def _nested(queries, documents, values):
    """{query: {document: value}} of three columns, as trec_eval's code takes it; ir-measures makes it row by row."""
    rows, names = pd.factorize(queries)
    order = np.argsort(rows, kind="stable")
    columns, known = pd.factorize(documents)  # an id is one object wherever it stands, and hashed once
    documents, values = known.to_numpy(object)[columns[order]].tolist(), values.to_numpy()[order].tolist()
    ends = np.searchsorted(rows[order], np.arange(len(names) + 1)).tolist()
    return {
        query: dict(zip(documents[start:end], values[start:end], strict=True))
        for query, (start, end) in zip(names, itertools.pairwise(ends), strict=True)
    }


def _of_queries(table, queries):
    """The rows of these queries; the table itself where that is all, since a copy of a long one takes its time."""
    some = table["query_id"].isin(queries)
    return table if some.all() else table[some]


def _whole(measure):
    """What to ask for in place of a measure, and what its value must reach to count.

    trec_eval's code knows no cutoff of the reciprocal rank, and for RR@k ir-measures sorts each run once more, in
    Python. It is the whole reciprocal rank where the first relevant document has rank k at most, and 0 elsewhere.
    """
    if measure.NAME != "RR" or "cutoff" not in measure.params:
        return measure, -np.inf
    others = {name: value for name, value in measure.params.items() if name != "cutoff"}
    return type(measure)(**others), 1 / (measure.params["cutoff"] + 0.5)


def _parsed(name):
    import ir_measures

    try:
        return ir_measures.parse_measure(str(name))
    except (ValueError, NameError, KeyError):
        known = "nDCG@10, R(rel=2)@100, RR@10, AP, ..."
        raise InputError(f"measure {name!r} is unknown; ir-measures knows {known}") from None


def _refuse_columns_missing(what, frame, columns):
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"{what}: the column {missing[0]!r} is missing; it needs {', '.join(columns)}")
