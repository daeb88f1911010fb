"""Runs: rankings as tables, made from scores, written and read in trec_eval's format."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from finegrain import files
from finegrain.errors import InputError

COLUMNS = ["query_id", "document_id", "score", "rank"]


def run_from_scores(scores: np.ndarray, query_ids: Sequence[str], document_ids: Sequence[str], k: int) -> pd.DataFrame:
    """The best k documents of each query.

    scores: (Q, D), larger is better; -inf leaves a document out.
    Returns a run: columns query_id, document_id, score, rank; equal scores rank by document_id, ascending.

    >>> run_from_scores(np.array([[0.5, 0.9, 0.5]]), ["q"], ["c", "b", "a"], k=2)
      query_id document_id  score  rank
    0        q           b    0.9     1
    1        q           a    0.5     2
    """
    scores = np.asarray(scores)
    ids = np.asarray(document_ids, dtype=object)
    place = places(ids)
    return assemble(query_ids, ids, [(columns, row[columns]) for row in scores for columns in [best(row, place, k)]])


def places(document_ids: np.ndarray) -> np.ndarray:
    """The place of each document in the order of ids, by which ties are broken: (D,) distinct numbers."""
    place = np.empty(len(document_ids), dtype=np.int64)
    place[np.argsort(np.asarray(document_ids, object).astype(str), kind="stable")] = np.arange(len(document_ids))
    return place


def best(scores: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
    """The columns of the k largest of (D,) scores, best first; equal scores by `place`, (D,) distinct numbers."""
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        columns = np.flatnonzero((scores >= least) & (scores > -np.inf))  # with all ties at the border
    else:
        columns = np.flatnonzero(scores > -np.inf)
    return columns[np.lexsort((place[columns], -scores[columns]))][:k]


def assemble(query_ids, document_ids, rows):
    """A run from one pair (columns, scores) a query."""
    lengths = [len(columns) for columns, _ in rows]
    if not sum(lengths):
        return pd.DataFrame({name: [] for name in COLUMNS}).astype({"score": float, "rank": np.int64})
    return pd.DataFrame(
        {
            "query_id": np.repeat(np.asarray(query_ids, dtype=object), lengths),
            "document_id": document_ids[np.concatenate([columns for columns, _ in rows])],
            "score": np.concatenate([scores for _, scores in rows]).astype(np.float64),
            "rank": np.concatenate([np.arange(1, length + 1) for length in lengths]),
        }
    )


def write_trec(run: pd.DataFrame, path, tag: str = "finegrain") -> None:
    """Write a run as trec_eval reads it: query, Q0, document, rank, score, tag; scores with all their digits.

    trec_eval ignores the rank and breaks ties by document, descending; `read_trec` gives the ranks as written.
    """
    for column in ("query_id", "document_id"):
        spaced = run[column][run[column].str.contains(r"\s")]
        if len(spaced):
            raise InputError(f"the {column} {spaced.iloc[0]!r} holds white space, which trec_eval's format cannot hold")
    lines = (
        f"{query} Q0 {document} {rank} {score!r} {tag}\n"
        for query, document, score, rank in run[COLUMNS].itertuples(index=False)
    )
    files.write_text(path, "".join(lines))


def read_trec(path) -> pd.DataFrame:
    """Read a run in trec_eval's format."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no run file {path}")
    names = ["query_id", "Q0", "document_id", "rank", "score", "tag"]
    try:
        run = pd.read_csv(
            path, sep=r"\s+", names=names, dtype={"query_id": str, "document_id": str, "rank": int, "score": float},
            keep_default_na=False, quoting=3,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(
            f"{path} is no run in trec_eval's format (query Q0 document rank score tag): {error}"
        ) from None
    return run[COLUMNS]
