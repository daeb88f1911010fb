"""Rows of what the kit computes with: text embedding and search, against the packages that do it elsewhere."""

import numpy as np
import pandas as pd
from rows import Row, in_turn

from finegrain.data import load
from finegrain.models import load_text_encoder
from finegrain.search import BM25, exact_search

TEXTS = 768  # docstrings that are embedded
DOCUMENTS, QUERIES, WIDTH, DEPTH = 1_000_000, 1000, 384, 100  # of exact search


def embedding(repeats):
    """MiniLM over docstrings of mixed length, against sentence-transformers sorted and batched as it does by itself."""
    import torch

    texts = load("docstrings", "texts").texts
    some = [texts[row] for row in np.random.default_rng(0).choice(len(texts), TEXTS, replace=False)]
    encoder = load_text_encoder("minilm", device="cpu", cache=False)
    model = encoder.model
    encoder.encode_text(some[:32])
    found = encoder.encode_text(some)

    def peer():
        return model.encode(some, normalize_embeddings=True, show_progress_bar=False)

    cosine = float((found * peer()).sum(axis=1).min())
    what = f"MiniLM over {TEXTS} docstrings (least cosine {cosine:.4f})"
    taken = in_turn(repeats, lambda: encoder.encode_text(some), peer)
    yield Row(what, "sentence-transformers, float32", "s", *taken, 6)

    def half():
        with torch.autocast("cpu", torch.bfloat16):
            return model.encode(some, normalize_embeddings=True, show_progress_bar=False)

    taken = in_turn(repeats, lambda: encoder.encode_text(some), half)
    yield Row(f"MiniLM over {TEXTS} docstrings", "sentence-transformers, bfloat16", "s", *taken, 1.7)


def dense(repeats):
    """The hundred largest inner products among a million vectors, exactly."""
    import faiss

    rng = np.random.default_rng(0)
    documents = rng.standard_normal((DOCUMENTS, WIDTH), dtype=np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    queries = documents[rng.choice(DOCUMENTS, QUERIES, replace=False)]
    names, asked = [str(i) for i in range(DOCUMENTS)], [str(i) for i in range(QUERIES)]
    index = faiss.IndexFlatIP(WIDTH)
    index.add(documents)
    faiss.omp_set_num_threads(1)
    taken = in_turn(
        repeats,
        lambda: exact_search(queries, documents, asked, names, DEPTH),
        lambda: index.search(queries, DEPTH),
    )
    yield Row(f"exact search, {DOCUMENTS:,} x {WIDTH}, {QUERIES:,} queries", "faiss, IndexFlatIP", "s", *taken, 1)


def lexical(repeats):
    """BM25 over the docstrings: the index and the answers, against the package inside as its page shows it."""
    import bm25s
    import Stemmer

    texts = list(load("docstrings", "texts").texts)
    queries = [" ".join(text.split()[:8]) for text in texts[:QUERIES]]
    frames = [pd.Series(some, index=[str(i) for i in range(len(some))]) for some in (texts, queries)]
    stemmer = Stemmer.Stemmer("english")

    def published():
        index = bm25s.BM25()
        index.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
        asked = bm25s.tokenize(queries, stemmer=stemmer, show_progress=False)
        return index.retrieve(asked, k=DEPTH, show_progress=False)

    taken = in_turn(repeats, lambda: BM25(frames[0]).search(frames[1], DEPTH), published)
    yield Row(f"BM25, {len(texts):,} docstrings, {QUERIES:,} queries", "bm25s by itself", "s", *taken, 1)


ROWS = {"embedding": embedding, "dense": dense, "lexical": lexical}
