"""Rows of what the kit computes with: text embedding and search, against the packages that do it elsewhere.

rank-bm25 is no part of the lock, and is left out where it is absent: `pip install rank-bm25==0.2.2`.
"""

import contextlib

import numpy as np
import pandas as pd
from rows import Row, in_turn

from finegrain.data import load
from finegrain.memo import metered
from finegrain.models import load_text_encoder
from finegrain.search import BM25, exact_search

TEXTS = 768  # docstrings that are embedded
DOCUMENTS, QUERIES, WIDTH, DEPTH = 1_000_000, 1000, 384, 100  # of exact search


def docstrings():
    """The kit's MiniLM, warm, and docstrings of mixed length."""
    texts = load("docstrings", "texts").texts
    some = [texts[row] for row in np.random.default_rng(0).choice(len(texts), TEXTS, replace=False)]
    encoder = load_text_encoder("minilm", device="cpu", cache=False)
    encoder.encode_text(some[:32])
    return encoder, some


def embedding(repeats):
    """MiniLM over docstrings of mixed length, against sentence-transformers sorted and batched as it does by itself."""
    import torch

    encoder, some = docstrings()
    model = load_text_encoder("minilm", device="cpu", dtype="float32", cache=False).model  # as its package loads it
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
    yield Row("... per multiplication and addition", "4,096-wide bfloat16", "ps", *_prices(repeats, encoder, some))


def _prices(repeats, encoder, texts):
    """Picoseconds of an operation while embedding, and in the product of two large matrices: the processor's limit.

    Counted for a text of n tokens: 2 for each weight of the layers and token, and 4 n d for attention, for each layer.
    """
    import torch

    body, config = encoder.model[0].model, encoder.model[0].model.config
    weights = sum(p.numel() for p in body.encoder.parameters() if p.ndim == 2)
    tokens = encoder.model.tokenizer(texts, truncation=True, max_length=encoder.max_length)["input_ids"]
    lengths = np.array([len(one) for one in tokens])
    work = (2 * weights * lengths + 4 * config.num_hidden_layers * config.hidden_size * lengths**2).sum()
    matrix = torch.randn(4096, 4096).bfloat16()
    taken, limit = in_turn(repeats, lambda: encoder.encode_text(texts), lambda: matrix @ matrix)
    return [1e12 * some / work for some in taken], [1e12 * some / (2 * 4096**3) for some in limit]


def vectors():
    """Queries and documents: unit vectors (Q, d), (D, d), the queries some of the documents."""
    rng = np.random.default_rng(0)
    documents = rng.standard_normal((DOCUMENTS, WIDTH), dtype=np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    return documents[rng.choice(DOCUMENTS, QUERIES, replace=False)], documents


def search(queries, documents):
    """Exact search with rows' numbers for names."""
    asked, names = ([str(row) for row in range(len(some))] for some in (queries, documents))
    return exact_search(queries, documents, asked, names, DEPTH)


def dense(repeats):
    """The hundred largest inner products among a million vectors, exactly; the names of the documents included."""
    import faiss

    queries, documents = vectors()
    faiss.omp_set_num_threads(1)
    with metered() as theirs:
        index = faiss.IndexFlatIP(WIDTH)
        index.add(documents)
        scores, rows = index.search(queries, DEPTH)
    with metered() as ours:
        found = search(queries, documents)
    apart = float(np.abs(found["score"].to_numpy() - scores.ravel()).max())
    same = float((found["document_id"].to_numpy() == rows.ravel().astype(str)).mean())
    what = f"exact search, {DOCUMENTS:,} x {WIDTH}, {QUERIES:,} queries ({same:.2%} the same, apart by {apart:.0e})"
    taken = in_turn(repeats, lambda: search(queries, documents), lambda: index.search(queries, DEPTH))
    yield Row(what, "faiss, IndexFlatIP", "s", *taken, 1)
    yield Row("... memory beyond the vectors", "faiss, IndexFlatIP", "MB", [ours.megabytes], [theirs.megabytes], 1)


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

    best = BM25(frames[0]).search(frames[1], 1)["score"].to_numpy()
    apart = float(np.abs(best - published().scores[:, 0]).max())
    taken = in_turn(repeats, lambda: BM25(frames[0]).search(frames[1], DEPTH), published)
    what = f"BM25, {len(texts):,} docstrings, {QUERIES:,} queries"
    yield Row(f"{what} (best scores apart by {apart:.0e})", "bm25s by itself", "s", *taken, 1)
    with contextlib.suppress(ImportError):
        import rank_bm25

        def plain():
            told = {"stopwords": "en", "stemmer": stemmer, "return_ids": False, "show_progress": False}
            words = [bm25s.tokenize(some, **told) for some in (texts, queries)]
            index = rank_bm25.BM25Okapi(words[0])
            return [np.argsort(-index.get_scores(one))[:DEPTH] for one in words[1]]

        taken = in_turn(max(1, repeats // 3), lambda: BM25(frames[0]).search(frames[1], DEPTH), plain)
        yield Row(what, "rank-bm25", "s", *taken, 1)


ROWS = {"embedding": embedding, "dense": dense, "lexical": lexical}
