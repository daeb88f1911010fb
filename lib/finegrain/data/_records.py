"""The four plain records that every data set is: images with text, texts, retrieval, pairs.

All are frozen. Rows of `items` belong to samples, rows of `classes` to classes; both carry whatever columns the
source knows beyond the ones named here. `fold` is one of train, dev, test, confirm; `group` names what must stay on
one side of a split and what statistics resample as one (a class, a duplicate group).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class ImageText:
    """Images of classes that have names and, where the source knows them, descriptors.

    images: N images; indexing with an array of row numbers gives an (n, H, W) or (n, H, W, 3) uint8 array where
        all have one size, and a list of PIL images otherwise.
    labels: (N,) int64, row numbers of `classes`.
    classes: C rows; `name` always; `alias`, `descriptors` (tuple of str), `path` (tuple of str, from the
        general to the special), `role` where the source has them.
    items: N rows; `fold` and `group` always.
    templates: prompt templates with one "{}" each, fit for the images of this source.
    digest: SHA-256 of the content.
    """

    name: str
    images: Sequence
    labels: np.ndarray
    classes: pd.DataFrame
    items: pd.DataFrame
    templates: tuple[str, ...]
    digest: str

    def __len__(self):
        return len(self.labels)

    def select(self, rows) -> "ImageText":
        """The same data set with only these items: row numbers (n,) or a mask (N,) bool. Classes stay."""
        rows = _row_numbers(rows, len(self))
        return dataclasses.replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            items=self.items.iloc[rows].reset_index(drop=True),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Texts:
    """Texts with one class each.

    texts: N strings.
    labels: (N,) int64, row numbers of `classes`.
    classes: C rows; `name` always, `path` (tuple of str) where there is a hierarchy.
    items: N rows; `fold` and `group` always.
    digest: SHA-256 of the content.
    """

    name: str
    texts: tuple[str, ...]
    labels: np.ndarray
    classes: pd.DataFrame
    items: pd.DataFrame
    digest: str

    def __len__(self):
        return len(self.texts)

    def select(self, rows) -> "Texts":
        """The same data set with only these texts: row numbers (n,) or a mask (N,) bool. Classes stay."""
        rows = _row_numbers(rows, len(self))
        return dataclasses.replace(
            self,
            texts=tuple(self.texts[row] for row in rows),
            labels=self.labels[rows],
            items=self.items.iloc[rows].reset_index(drop=True),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Retrieval:
    """Queries, documents and graded judgements.

    queries: Q rows, index `query_id` (str); `text`, `fold`, `group`.
    documents: D rows, index `document_id` (str); `text` (title and body as one string), `fold`, `group`.
    qrels: one row per judgement: `query_id`, `document_id`, `grade` (int, 0 = judged irrelevant).
    relevant_from: the least grade that MRR and Recall count as relevant.
    ignore_identical_ids: whether a document with the query's own id is left out of its ranking.
    digest: SHA-256 of the content.
    """

    name: str
    queries: pd.DataFrame
    documents: pd.DataFrame
    qrels: pd.DataFrame
    relevant_from: int
    ignore_identical_ids: bool
    digest: str

    def __len__(self):
        return len(self.queries)

    def select(self, query_ids, document_ids=None) -> "Retrieval":
        """The same data set with only these queries (and documents), and the judgements among them."""
        queries = self.queries.loc[list(query_ids)]
        documents = self.documents if document_ids is None else self.documents.loc[list(document_ids)]
        kept = self.qrels["query_id"].isin(queries.index) & self.qrels["document_id"].isin(documents.index)
        return dataclasses.replace(
            self, queries=queries, documents=documents, qrels=self.qrels[kept].reset_index(drop=True)
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of texts with a graded relation.

    first, second: N strings each.
    labels: (N,) float64, larger means more related.
    items: N rows; `fold` and `group` always.
    digest: SHA-256 of the content.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    labels: np.ndarray
    items: pd.DataFrame
    digest: str

    def __len__(self):
        return len(self.first)

    def select(self, rows) -> "Pairs":
        """The same data set with only these pairs: row numbers (n,) or a mask (N,) bool."""
        rows = _row_numbers(rows, len(self))
        return dataclasses.replace(
            self,
            first=tuple(self.first[row] for row in rows),
            second=tuple(self.second[row] for row in rows),
            labels=self.labels[rows],
            items=self.items.iloc[rows].reset_index(drop=True),
        )


def _row_numbers(rows, count):
    rows = np.asarray(rows)
    if rows.dtype == bool:
        if rows.shape != (count,):
            raise ValueError(f"a mask of shape {rows.shape} does not fit {count} items")
        return np.flatnonzero(rows)
    return rows.astype(np.int64)
