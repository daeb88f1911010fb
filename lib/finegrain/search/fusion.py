"""Fused search: several runs made one."""

import pandas as pd

from finegrain.search import runs


def fuse(*fused: pd.DataFrame, k: int = 60, depth: int | None = None) -> pd.DataFrame:
    """Reciprocal rank fusion: a document's score is the sum over the runs that hold it of 1 / (k + rank).

    k: how little the first places stand out; 60 as in Cormack, Clarke and Büttcher (SIGIR 2009).
    depth: how many documents of each query are kept; None keeps all.
    Returns a run with the queries in the order of the first run (then of those that only later runs hold).

    >>> one = pd.DataFrame({"query_id": "q", "document_id": ["a", "b"], "score": [9.0, 8.0], "rank": [1, 2]})
    >>> two = pd.DataFrame({"query_id": "q", "document_id": ["b", "c"], "score": [0.3, 0.1], "rank": [1, 2]})
    >>> fuse(one, two, k=60)["document_id"].tolist()
    ['b', 'a', 'c']
    """
    whole = pd.concat(fused, ignore_index=True)
    order = {query: place for place, query in enumerate(whole["query_id"].unique())}
    score = (1 / (k + whole["rank"])).groupby([whole["query_id"], whole["document_id"]], sort=False).sum()
    run = score.rename("score").reset_index()
    run = run.sort_values(
        ["query_id", "score", "document_id"],
        ascending=[True, False, True],
        key=lambda column: column.map(order) if column.name == "query_id" else column,
        ignore_index=True,
    )
    run["rank"] = run.groupby("query_id", sort=False).cumcount() + 1
    return (run if depth is None else run[run["rank"] <= depth].reset_index(drop=True))[runs.COLUMNS]
