"""The docstrings world is made here: read, cleaned, grouped, split, linked, and what goes into each of its tasks."""

import contextlib
import gc
import hashlib
import importlib.metadata
import re
from pathlib import Path

import pandas as pd

from finegrain import files
from finegrain.data import (
    _docstring_inline,
    _docstring_prose,
    _docstring_reading,
    _docstring_topics,
    _folds,
    _near_duplicates,
)
from finegrain.errors import InputError

SHARES = {"train": 0.6, "dev": 0.1, "test": 0.2, "confirm": 0.1}
MIN_WORDS = 20  # of a docstring, summary and body together
MIN_BODY_WORDS = 20  # of a document in the retrieval task
MIN_QUERY_WORDS = 4  # of two letters or more, of a query
CLASS_SIZES = (40, 400)  # smaller topics are no class; of larger ones the items with the least hashes are taken

_WORD = re.compile(r"[a-z0-9]+")
_SMALL_WORDS = {"a", "an", "and", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"}


def key() -> str:
    """What the world follows from: the source of the modules that make it and the versions of the packages read."""
    modules = (_docstring_inline, _docstring_prose, _docstring_reading, _docstring_topics, _folds, _near_duplicates)
    source = [Path(__file__), *(Path(module.__file__) for module in modules)]
    return files.digest(*source, *(f"{package.name} {_version(package)}" for package in _docstring_topics.PACKAGES))[
        :16
    ]


def _version(package):
    try:
        return importlib.metadata.version(package.name).partition("+")[0]  # "2.13.0+cpu" holds the prose of "2.13.0"
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"the data set docstrings reads the package {package.name}, which is missing; install requirements.lock"
        ) from None


def build() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The table of docstrings (index `name`), the pairs (first, second, relation) and the classes (topic, package)."""
    with _no_garbage_collection():  # syntax trees hold no cycles; looking for some takes a third of the time
        table, words = _clean_table(_read())
    groups = _near_duplicates.near_duplicate_groups(words)
    table["group"] = table.index[groups]
    table["fold"] = [_folds.fold_of(group, world="docstrings", shares=SHARES) for group in table["group"]]
    table["see_also"] = _resolved(table)
    table["in_texts"] = _in_texts(table)
    table["contains_class_word"] = [
        bool(content_words(topic) & content_words(f"{summary} {body}"))
        for topic, summary, body in zip(table["topic"], table["summary"], table["body"], strict=True)
    ]
    table["in_retrieval"] = _in_retrieval(table)
    pairs = _pairs(table)
    return table.drop(columns="object"), pairs, _classes(table)


def content_words(text: str) -> set[str]:
    """The lower-case words of a text without a plural's s and without articles and prepositions.

    >>> sorted(content_words("Windows of the signals"))
    ['signal', 'window']
    """
    return {word.removesuffix("s") for word in _WORD.findall(text.lower())} - _SMALL_WORDS


@contextlib.contextmanager
def _no_garbage_collection():
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _folder(package, name):
    return Path(importlib.metadata.distribution(package.name).locate_file(name))


def _read():
    """(package, docstring) of everything read, by package, file and line."""
    return [
        (package.name, found)
        for package in _docstring_topics.PACKAGES
        for name in package.folders
        for found in _docstring_reading.read_package(_folder(package, name), package.skipped, package.kept)
        if len(found.raw.split()) >= MIN_WORDS
    ]


def _clean_table(read):
    """The table of distinct, long enough docstrings, and the words of each."""
    clean = _docstring_inline.InlineCleaner({part for _, found in read for part in found.module.split(".")})
    rows, words, seen = [], [], set()
    for package, found in read:
        prose = _docstring_prose.parse(found.raw, clean)
        paragraphs, starts, position = [], [], 0
        for _, section in prose.sections:
            starts.append(position)
            paragraphs.extend(section)
            position += sum(len(paragraph) + 1 for paragraph in section)
        body = "\n".join(paragraphs)
        normal = _WORD.findall(f"{prose.summary} {body}".lower())
        name, content = f"{found.module}.{found.name}", " ".join(normal)
        if len(normal) < MIN_WORDS or not prose.summary or name in seen or content in seen:
            continue
        seen.update((name, content))
        words.append(normal)
        rows.append(
            {
                "name": name,
                "package": package,
                "module": found.module,
                "object": found.name,
                "topic": _docstring_topics.topic_of(found.module),
                "kind": found.kind,
                "summary": prose.summary,
                "body": body,
                "section_titles": tuple(title for title, _ in prose.sections),
                "section_starts": tuple(starts),
                "see_also": prose.see_also,
                "n_words": len(normal),
            }
        )
    return pd.DataFrame(rows).set_index("name"), words


def _resolved(table):
    """The See Also names of each row as names of rows; those that are not there or not unique are left out."""
    by_last = {}
    for row in table.itertuples():
        by_last.setdefault((row.package, row.object.split(".")[-1]), []).append(row)
    found = []
    for row in table.itertuples():
        owner = row.object.rpartition(".")[0]
        targets = []
        for target in row.see_also:
            *path, last = target.split(".")
            same = [other for other in by_last.get((row.package, last), ()) if other.Index != row.Index]
            if path:
                tiers = [[other for other in same if _runs_through(other.Index.split("."), path)]]
            else:
                of_module = [other for other in same if other.module == row.module]
                of_subpackage = [other for other in same if other.module.split(".")[:2] == row.module.split(".")[:2]]
                of_class = [other for other in of_module if other.object == f"{owner}.{last}"]
                tiers = [of_class, of_module, of_subpackage, same]
            nearest = next((tier for tier in tiers if tier), [])
            if len(nearest) > 1:  # several methods and one function of that name: the function is meant
                nearest = [other for other in nearest if other.kind != "method"]
            if len(nearest) == 1:
                targets.append(nearest[0].Index)
        found.append(tuple(dict.fromkeys(targets)))
    return found


def _runs_through(parts, path):
    """Whether the names of `path` occur in `parts`, in order: scipy.signal in scipy.signal.windows._windows.hann."""
    rest = iter(parts)
    return all(name in rest for name in path)


def _in_texts(table):
    least, most = CLASS_SIZES
    sizes = table["topic"].value_counts()
    large_enough = table[(table["topic"] != "") & table["topic"].isin(sizes[sizes >= least].index)]
    by_hash = large_enough.assign(hashed=[_hash(name) for name in large_enough.index]).sort_values("hashed")
    return table.index.isin(by_hash.groupby("topic").head(most).index)


def _in_retrieval(table):
    """Rows with a body, and a summary of their own that stands in no document."""
    long_enough = table["body"].str.split().str.len() >= MIN_BODY_WORDS
    words = table["summary"].str.findall(r"[A-Za-z]{2,}")
    askable = (words.str.len() >= MIN_QUERY_WORDS) & (words.str[0] != "See")
    own = ~_same_summary(table[long_enough]).reindex(table.index, fill_value=True)
    chosen = table[long_enough & askable & own]
    inside = _inside_a_document(list(chosen["summary"]), list(chosen["body"]))
    return table.index.isin(chosen.index[[not found for found in inside]])


def _same_summary(table):
    """Whether another row's summary has the same content words."""
    bags = [" ".join(sorted(content_words(summary))) for summary in table["summary"]]
    return pd.Series(bags, index=table.index).duplicated(keep=False)


def _inside_a_document(queries, documents):
    """Which queries stand word for word in a document, their own or another."""
    texts = [f" {' '.join(_WORD.findall(text.lower()))} " for text in documents]
    having = {}
    for row, text in enumerate(texts):
        for word in set(text.split()):
            having.setdefault(word, []).append(row)
    inside = []
    for query in queries:
        words = _WORD.findall(query.lower())
        run = f" {' '.join(words)} "
        rarest = min((having.get(word, ()) for word in words), key=len)
        inside.append(any(run in texts[row] for row in rarest))
    return inside


def _pairs(table):
    """Related pairs of names (by See Also, else neighbours by hash in a module) and as many from two packages."""
    table = table[~_same_summary(table)]
    table = table.assign(hashed=[_hash(name) for name in table.index]).sort_values("hashed")
    fold, group, package = (table[column].to_dict() for column in ("fold", "group", "package"))
    related = {}
    for name, targets in table["see_also"].items():
        for target in targets:
            if fold.get(target) == fold[name] and group[target] != group[name]:
                related.setdefault(frozenset((name, target)), (name, target, "see also"))
    for _, block in table.groupby(["module", "fold"]):
        for pair in zip(block.index[::2], block.index[1::2], strict=False):
            if group[pair[0]] != group[pair[1]]:
                related.setdefault(frozenset(pair), (*pair, "same module"))
    by_fold = {name: list(block.index) for name, block in table.groupby("fold")}
    unrelated = []
    for row, (name, _, _) in enumerate(related.values()):
        others = by_fold[fold[name]]
        place = int(_hash(f"{row} {name}")[:12], 16) % len(others)
        while package[others[place]] == package[name]:
            place = (place + 1) % len(others)
        unrelated.append((name, others[place], "other package"))
    return pd.DataFrame(sorted([*related.values(), *unrelated]), columns=["first", "second", "relation"])


def _classes(table):
    """The topics that are classes, in the order of the table, with what their first module says it is."""
    chosen = table[table["in_texts"]].drop_duplicates("topic")
    packages = {package.name: package for package in _docstring_topics.PACKAGES}
    clean = _docstring_inline.InlineCleaner({part for module in table["module"].unique() for part in module.split(".")})
    descriptions = []
    for topic, name in zip(chosen["topic"], chosen["package"], strict=True):
        raws = (
            _docstring_reading.module_docstring(_folder(packages[name], ""), module)
            for module, other in _docstring_topics.TOPICS.items()
            if other == topic
        )
        summaries = (_docstring_prose.parse(raw, clean).summary for raw in raws if raw)
        descriptions.append(
            next((summary for summary in summaries if len(summary.split()) >= 3 and "__init__" not in summary), "")
        )
    return pd.DataFrame(
        {"topic": chosen["topic"].array, "package": chosen["package"].array, "description": descriptions}
    )


def _hash(text):
    return hashlib.sha256(f"docstrings\0{text}".encode()).hexdigest()
