"""Data set "docstrings": English technical prose of pinned packages, as topics, as retrieval and as pairs.

What
    28,088 distinct docstrings of 20 words or more, 3.2 million words, of 23 packages: functions, methods and
    classes, public and private, as they stand in the installed files. They are read with `ast`, never imported, so
    compiled functions are missing. `_docstring_prose` says how they are cleaned, `_docstring_topics` what is read
    and what it is called.

Kinds
    texts: 22,142 docstrings of 180 topics. A topic is a sub-package or a few of its modules with a name that a
        person would give ("signal processing"); it has at least 40 docstrings, and of more than 400 those 400 with
        the least hashes of their names. The path of a class is package > topic; `module` goes on from there. 48 %
        of the texts hold a word of their topic's name (column `contains_class_word`): give the accuracy without
        them too.
    retrieval: 18,887 queries and as many documents. The query is the summary, its document (grade 2) the body
        without "See Also"; the bodies of the objects named there have grade 1 (6,080 judgements of 2,673 queries).
        Left out: bodies under 20 words, summaries under 4 words, summaries with the same content words as
        another's, and summaries that stand word for word in any document. Queries of a fold are asked of the whole
        corpus unless documents are selected.
    pairs: 21,612 pairs of summaries, both of one fold, none of one group: 10,806 related (1.0; 2,003 by See Also,
        the others of one module) and as many of two packages (0.0).

Folds
    By group of near duplicates (`_near_duplicates`; 23,953 groups, the largest has 70), so that what torch or
    transformers repeat stays on one side: train 59 %, dev 10 %, test 21 %, confirm 10 % of all docstrings.

Licences
    The texts are their packages' and are not copied into this kit: BSD-3-Clause (IPython, Jinja, mpmath, NetworkX,
    NumPy, pandas, Prompt Toolkit, scikit-learn, SciPy, seaborn, SymPy, PyTorch, torchvision), MIT (Beautiful Soup,
    fontTools, Rich), MIT-CMU (Pillow), Apache-2.0 (Hugging Face Hub, Sentence Transformers, timm, Tornado,
    Transformers) and Matplotlib's own.

Known biases
    Python for mathematics and learning, by few hands: house styles give packages away even where their names are
    removed (as words and in dotted paths; ordinary words stay, so "rich" and "transformers" do). PyTorch, SymPy and
    Transformers are 40 %. 42 of the 5,781 docstrings of the test fold are part of a longer one of the training fold
    (`tests/unit/test_leakage_texts.py`). See Also is what authors thought of: the absence of a link is no
    judgement. all-MiniLM-L6-v2 has seen code documentation in training, so its zero-shot results are not those of a
    new domain. Another version of a package is another version of this data set; a test pins the digests.
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
    in_texts, in_retrieval: whether the row is used there;
    contains_class_word: whether the text holds a word of its topic's name, plurals apart.
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
