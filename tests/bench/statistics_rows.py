"""Rows of measures and statistics, and how time grows with the work.

ranx is no part of the lock, and is left out where it is absent: `pip install ranx==0.3.21`.
"""

import contextlib

import numpy as np
import pandas as pd
from rows import Row, in_turn, seconds

from finegrain.data import load
from finegrain.evaluate import estimates, measure
from finegrain.models import load_text_encoder
from finegrain.search import exact_search

QUERIES, DEPTH, JUDGED = 10_000, 1000, 20  # of a run
ITEMS, ARMS, RESAMPLES = 10_000, 20, 10_000
NAMES = ("nDCG@10", "AP", "R@100", "RR@10")


def _run(queries=QUERIES):
    rng = np.random.default_rng(0)
    order = np.argsort(rng.random((queries, DEPTH)), axis=1)
    query = np.repeat([f"q{i}" for i in range(queries)], DEPTH)
    rank = np.tile(np.arange(1, DEPTH + 1), queries)
    names = np.array([f"d{i}" for i in range(DEPTH)])
    run = pd.DataFrame({"query_id": query, "document_id": names[order.ravel()], "score": -rank.astype(float)})
    judged = np.repeat([f"q{i}" for i in range(queries)], JUDGED)
    grades = rng.integers(0, 3, len(judged))
    grades[::JUDGED] = 2
    qrels = pd.DataFrame({"query_id": judged, "document_id": np.tile(names[:JUDGED], queries), "grade": grades})
    return run.assign(rank=rank), qrels


def measures(repeats):
    """Four measures of each query, from the same tables, against ir-measures by itself and ranx where it is there."""
    import ir_measures

    run, qrels = _run()
    parsed = [ir_measures.parse_measure(name) for name in NAMES]
    theirs_run = run[["query_id", "document_id", "score"]].rename(columns={"document_id": "doc_id"})
    theirs_qrels = qrels.rename(columns={"document_id": "doc_id", "grade": "relevance"})

    def theirs():
        return list(ir_measures.iter_calc(parsed, theirs_qrels, theirs_run))

    found = measure(run, qrels, NAMES).set_index("query_id")
    apart = max(abs(found.loc[one.query_id, str(name)] - one.value) for one in theirs() for name in [one.measure])
    what = f"measures of {QUERIES:,} queries x {DEPTH:,} (apart by {apart:.0e} at most)"
    taken = in_turn(repeats, lambda: measure(run, qrels, NAMES), theirs)
    yield Row(what, "ir-measures", "s", *taken, 1)
    with contextlib.suppress(ImportError):
        import ranx

        positive = qrels[qrels["grade"] > 0]
        tables = [some.astype({"query_id": object, "document_id": object}) for some in (positive, run)]  # as it wants

        def compiled():
            judged = ranx.Qrels.from_df(tables[0], "query_id", "document_id", "grade")
            ranked = ranx.Run.from_df(tables[1], "query_id", "document_id", "score")
            return ranx.evaluate(judged, ranked, ["ndcg@10", "map", "recall@100", "mrr@10"], return_mean=False)

        means = [values.mean() for values in compiled().values()]
        apart = float(np.abs(found[list(NAMES)].mean() - means).max())
        taken = in_turn(repeats, lambda: measure(run, qrels, NAMES), compiled)
        what = f"measures of {QUERIES:,} queries x {DEPTH:,} (means apart by {apart:.0e} at most)"
        yield Row(what, "ranx, compiled", "s", *taken, 1)


def intervals(repeats):
    """Intervals of twenty arms, against scipy's bootstrap of the same arms over the same items."""
    from scipy import stats

    rng = np.random.default_rng(0)
    values = rng.random((ARMS, ITEMS))
    table = pd.DataFrame({"arm": np.repeat([f"arm {i}" for i in range(ARMS)], ITEMS), "value": values.ravel()})
    table = table.assign(seed=None, item=np.tile(np.arange(ITEMS), ARMS), cluster=np.tile(np.arange(ITEMS), ARMS))

    def theirs():
        return stats.bootstrap(
            (values,),
            np.mean,
            axis=-1,
            n_resamples=RESAMPLES,
            batch=50,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval

    one = theirs()
    ours = estimates(table, ["value"])
    width = float(np.median((ours["high"] - ours["low"]).to_numpy() / (one.high - one.low)))
    what = f"intervals of {ARMS} arms over {ITEMS:,} items ({width:.2f} times as wide)"
    repeats_of_theirs = max(1, repeats // 3)
    taken = in_turn(repeats_of_theirs, lambda: estimates(table, ["value"]), theirs)
    yield Row(what, f"scipy's bootstrap, {RESAMPLES:,} resamples", "s", *taken, 10)


def growth(repeats):
    """Exponents: how the time of embedding, search and statistics grows from the work to a hundred times the work."""
    rng = np.random.default_rng(0)
    few, many = (10, 100, 1000), (3_000, 30_000, 300_000)
    texts, encoder = load("docstrings", "texts").texts[: few[0]], load_text_encoder("minilm", device="cpu", cache=False)
    vectors = rng.standard_normal((many[-1], 64), dtype=np.float32)

    def embedding(size):  # the same texts over and over: of the same length
        return lambda: encoder.encode_text([texts[number % len(texts)] for number in range(size)])

    def search(size):
        names = [str(i) for i in range(size)]
        return lambda: exact_search(vectors[:64], vectors[:size], names[:64], names, 10)

    def statistics(size):
        items = np.arange(size)
        table = pd.DataFrame({"arm": "one", "seed": None, "item": items, "cluster": items, "value": rng.random(size)})
        return lambda: estimates(table, ["value"])

    for what, work, sizes in (
        ("embedding", embedding, few),
        ("exact search", search, many),
        ("intervals", statistics, many),
    ):
        taken = []
        for _ in range(repeats):
            times = [min(seconds(work(size)) for _ in range(1 if size == few[-1] else 3)) for size in sizes]
            taken.append(float(np.polyfit(np.log(sizes), np.log(times), 1)[0]))
        yield Row(f"{what}: exponent from {sizes[0]:,} to {sizes[-1]:,}", "its limit", "", taken, [1.05] * repeats, 1)


ROWS = {"measures": measures, "intervals": intervals, "growth": growth}
