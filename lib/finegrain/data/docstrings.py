"""Data set "docstrings": English technical prose of pinned packages, as topics, as retrieval and as pairs.

DATA CARD
"""

import functools

import numpy as np
import pandas as pd

from finegrain import files
from finegrain.data import _docstring_topics, _docstring_world
from finegrain.data._records import Pairs, Retrieval, Texts

_ABOUT = ["fold", "group", "package", "module", "topic", "kind"]


def load_docstrings(kind: str = "texts") -> Texts | Retrieval | Pairs:
    """The data set as "texts" (docstrings with topics), "retrieval" (a summary finds its body) or "pairs"."""
    return {"texts": _texts, "retrieval": _retrieval, "pairs": _pairs}[kind]()


def docstring_table() -> pd.DataFrame:
    """Every docstring that the data set knows, one row each, index `name` ("scipy.signal.windows._windows.hann").

    package, module, topic ("" where the module has none), kind (function, method or class);
    summary: the first sentence; body: the rest, one paragraph a line;
    section_titles, section_starts: the body's sections and where each begins in it ("" is text before any heading);
    see_also: names of other rows; n_words; group (near duplicates share one); fold;
    in_texts, in_retrieval: whether the row is used there; contains_class_word: whether the text holds a word of its topic.
    """
    return _world()[0]


@functools.cache
def _world():
    """Table, pairs and classes: made once for a version of the sources, then read from build/worlds."""
    stem = f"docstrings-{_docstring_world.key()}"
    paths = [files.build("worlds", f"{stem}-{part}.parquet") for part in ("table", "pairs", "classes")]
    try:
        table, pairs, classes = (pd.read_parquet(path) for path in paths)
        return table.set_index("name"), pairs, classes
    except (OSError, ValueError, KeyError):  # absent or unreadable
        table, pairs, classes = _docstring_world.build()
    for frame, path in zip((table.reset_index(), pairs, classes), paths, strict=True):
        with files.whole(path) as beside:
            frame.to_parquet(beside)
    return table, pairs, classes


def _texts():
    table, _, topics = _world()
    table = table[table["in_texts"]]
    titles = {package.name: package.title for package in _docstring_topics.PACKAGES}
    classes = pd.DataFrame(
        {
            "name": topics["topic"],
            "path": list(zip(topics["package"].map(titles), topics["topic"], strict=True)),
            "package": topics["package"],
            "description": topics["description"],
        }
    )
    texts = tuple(table["summary"].str.cat(table["body"], sep="\n").str.strip())
    rows = {topic: row for row, topic in enumerate(topics["topic"])}
    items = table.reset_index()[
        ["fold", "group", "name", "package", "topic", "module", "kind", "contains_class_word", "n_words"]
    ]
    items = items.rename(columns={"topic": "subpackage"})
    digest = _digest("texts", texts, items["name"], items["subpackage"], items["fold"], items["group"])
    return Texts("docstrings", texts, table["topic"].map(rows).to_numpy(np.int64), classes, items, digest)


def _retrieval():
    table = docstring_table()
    table = table[table["in_retrieval"]]
    queries = table[["summary", *_ABOUT]].rename(columns={"summary": "text"})
    documents = table[["body", *_ABOUT]].rename(columns={"body": "text"})
    # Ids of their own: a query's own document is what it is to find, not a copy to be left out.
    queries.index = pd.Index("q:" + table.index, name="query_id")
    documents.index = pd.Index("d:" + table.index, name="document_id")
    linked = table["see_also"].explode().dropna()
    linked = linked[linked.isin(table.index)]
    own = pd.DataFrame({"query_id": queries.index, "document_id": documents.index, "grade": 2})
    further = pd.DataFrame({"query_id": "q:" + linked.index, "document_id": "d:" + linked.array, "grade": 1})
    qrels = pd.concat([own, further]).sort_values(
        ["query_id", "grade", "document_id"], ascending=[True, False, True], ignore_index=True
    )
    digest = _digest(
        "retrieval", *(documents["text"], queries["text"], table["fold"], table["group"]), *qrels.T.to_numpy()
    )
    return Retrieval(
        "docstrings", queries, documents, qrels, relevant_from=2, ignore_identical_ids=False, digest=digest
    )


def _pairs():
    table, pairs, _ = _world()
    first, second = table.loc[pairs["first"]], table.loc[pairs["second"]]
    items = pd.DataFrame(
        {
            "fold": first["fold"].array,
            "group": first["group"].array,
            "group_second": second["group"].array,
            "relation": pairs["relation"],
            "name": pairs["first"],
            "name_second": pairs["second"],
        }
    )
    texts = tuple(first["summary"]), tuple(second["summary"])
    labels = (pairs["relation"] != "other package").to_numpy(np.float64)
    return Pairs("docstrings", *texts, labels, items, _digest("pairs", *texts, items["fold"], items["relation"]))


def _digest(kind, *columns):
    return files.digest(kind, *("\x1e".join(map(str, column)) for column in columns))
