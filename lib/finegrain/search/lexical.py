"""Lexical search: BM25 over stemmed words, by bm25s."""

import logging

import numpy as np
import pandas as pd

from finegrain.errors import InputError
from finegrain.search import runs


class BM25:
    """An index of documents by the words they hold.

    score(query, document) = sum over the query's words w of
        log(1 + (D - n_w + 0.5) / (n_w + 0.5)) * f / (f + k1 * (1 - b + b * length / mean length)),
    Lucene's variant: D documents, n_w of them with w, f the times that w stands in the document. Words are runs of two
    or more letters, digits and underscores in lower case, without English stop words, stemmed by Snowball's English
    stemmer; a word that stands twice in the query counts twice.

    documents: texts, index = document ids.
    k1, b: saturation and length normalisation; Lucene uses 0.9, 0.4 or 1.2, 0.75; bm25s and we 1.5, 0.75.
    Raises InputError without documents, or if none holds a word.

    >>> index = BM25(pd.Series({"a": "sorts an array", "b": "plots a histogram"}))
    >>> index.search(pd.Series({"q": "sorting arrays"}), k=10)["document_id"].tolist()
    ['a']
    """

    def __init__(self, documents: pd.Series, k1: float = 1.5, b: float = 0.75):
        import bm25s

        if not len(documents):
            raise InputError("BM25 needs at least one document; give some")
        self.document_ids = np.asarray(documents.index, dtype=object)
        self._place = runs.places(self.document_ids)
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it tells each step where a root logger listens
        self._index = bm25s.BM25(method="lucene", k1=k1, b=b)
        words = _words(documents, numbered=True)
        if not any(words.ids):
            raise InputError("no document holds a word (two letters or more, no English stop word); give other texts")
        self._index.index(words, show_progress=False)

    @property
    def bytes(self) -> int:
        """The size of the index in memory, its vocabulary apart."""
        return sum(array.nbytes for array in self._index.scores.values() if isinstance(array, np.ndarray))

    def search(self, queries: pd.Series, k: int = 100) -> pd.DataFrame:
        """The run of `queries` (texts, index = query ids): at most k documents each, those that share a word."""
        rows = []
        for words in _words(queries):
            known = [word for word in words if word in self._index.vocab_dict]
            scores = self._index.get_scores(known) if known else np.zeros(len(self.document_ids), np.float32)
            columns = runs.best(np.where(scores > 0, scores, -np.inf), self._place, k)
            rows.append((columns, scores[columns]))
        return runs.assemble(queries.index, self.document_ids, rows)


def _words(texts, numbered=False):
    """The words of each text, or their numbers and the vocabulary."""
    import bm25s
    import Stemmer

    return bm25s.tokenize(
        list(texts), stopwords="en", stemmer=Stemmer.Stemmer("english"), return_ids=numbered, show_progress=False
    )
