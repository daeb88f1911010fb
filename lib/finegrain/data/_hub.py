"""Data sets of the hub, and folders that the package datasets has saved, as the kit's plain records.

"hf:owner/name@revision?option=value": the options are those of tables (`text`, `label`, `image`, `fold`: names of
columns), `config` (a configuration of the data set) and `split` (one split, or several with commas; else all whose
names are folds). A retrieval data set has the configurations `corpus`, `queries` and one of judgements, as in MTEB.
"""

import contextlib
import urllib.parse
from pathlib import Path

import numpy as np
import pandas as pd

from finegrain import files, hub
from finegrain.data import _folder_beir, _folder_tables, folders
from finegrain.data._records import ImageText, Retrieval, Texts
from finegrain.errors import InputError

OPTIONS = (*folders.OPTIONS, "config", "split")
CORPUS, QUERIES, JUDGEMENTS = "corpus", "queries", ("qrels", "default")


def split_name(name: str) -> tuple[str, str | None, dict[str, str]]:
    """Repository, revision and options of "hf:owner/name@revision?option=value".

    >>> split_name("hf:owner/name@v1?label=stars")
    ('owner/name', 'v1', {'label': 'stars'})
    """
    address, _, query = name.partition("?")
    options = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise InputError(f"{name}: unknown option {unknown[0]!r}; the options are {', '.join(OPTIONS)}")
    found = hub.parsed(address)
    if found is None:
        raise InputError(f"{name} is no data set of the hub: write hf:owner/name, hf:owner/name@revision")
    return *found, options


def load_hub(name: str, kind: str | None = None) -> ImageText | Texts | Retrieval:
    """A data set of the hub, downloaded or from the hub's cache.

    Raises InputError where there is none, it is gated, there is no network, or its columns are others.
    """
    repository, revision, options = split_name(name)
    if kind == "retrieval":
        return _retrieval(name, repository, revision)
    splits = _loaded(repository, revision, options.get("config"))
    return record_of_splits(name, splits, options, kind)


def is_saved(path: Path) -> bool:
    """Whether the package datasets saved a data set here (`save_to_disk`)."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def load_saved(path: Path, options: dict, kind: str | None = None) -> ImageText | Texts:
    """A folder that `save_to_disk` has written: one split or several."""
    import datasets

    loaded = datasets.load_from_disk(str(path))
    splits = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    return record_of_splits(str(path), splits, options, kind)


def record_of_splits(name: str, splits: dict, options: dict, kind: str | None) -> ImageText | Texts:
    """The record of a data set's splits: split -> `datasets.Dataset`."""
    wanted = options["split"].split(",") if "split" in options else [one for one in splits if one in folders.FOLD_NAMES]
    wanted = wanted or list(splits)
    lacking = [one for one in wanted if one not in splits]
    if lacking:
        raise InputError(f"{name} has no split {lacking[0]!r}; it has {', '.join(splits)}")
    columns = {role: options[role] for role in ("text", "label", "image", "fold") if role in options}
    parts, listed = [], None
    for split in wanted:
        frame, names = _frame(splits[split], columns)
        frame["__fold__"] = folders.FOLD_NAMES.get(split, "")
        parts.append(frame)
        listed = names or listed
    table = pd.concat(parts, ignore_index=True)
    if "fold" in columns:
        table["__fold__"] = _folder_tables.folds_of(name, table, columns["fold"])
    record = _folder_tables.record_of(name, name, table, columns, listed, "")
    given = "images" if isinstance(record, ImageText) else "texts"
    if kind not in (None, given):
        raise InputError(f"{name} cannot be loaded as {kind!r}: its columns give {given!r}")
    digest = files.digest("hub", *record.classes["name"], *record.items["group"], record.labels)
    return _with_digest(record, digest)


def _with_digest(record, digest):
    import dataclasses

    return dataclasses.replace(record, digest=digest)


def _frame(split, columns: dict) -> tuple[pd.DataFrame, list[str] | None]:
    """A split as a frame, images still encoded, and the names of its classes where it lists them."""
    import datasets

    for column, feature in split.features.items():
        if isinstance(feature, datasets.Image):
            split = split.cast_column(column, datasets.Image(decode=False))
    label = split.features.get(columns.get("label", "label"))
    names = list(label.names) if isinstance(label, datasets.ClassLabel) else None
    return split.to_pandas(), names


def _retrieval(name, repository, revision) -> Retrieval:
    """Corpus, queries and judgements, each a configuration of its own."""
    corpus, queries = (_loaded(repository, revision, config) for config in (CORPUS, QUERIES))
    judged = _loaded(repository, revision, *JUDGEMENTS)
    documents, asked = (_texts(name, part) for part in (corpus, queries))
    parts = []
    for split, rows in judged.items():
        frame = rows.to_pandas()
        columns = ("query-id", "corpus-id", "score")
        missing = [column for column in columns if column not in frame]
        if missing:
            raise InputError(f"{name}: its judgements have no column {missing[0]!r}; they have {', '.join(frame)}")
        part = frame[list(columns)].set_axis(["query_id", "document_id", "grade"], axis=1)
        ids = {column: part[column].astype(str) for column in ("query_id", "document_id")}
        parts.append(part.assign(**ids, grade=part["grade"].astype(int), split=split))
    qrels = pd.concat(parts, ignore_index=True)
    sources = {"document_id": f"{name} (corpus)", "query_id": f"{name} (queries)"}
    sources |= {split: f"{name} ({split})" for split in judged}
    told = [text for part in (documents, asked) for one, row in part.items() for text in (one, row["text"])]
    digest = files.digest("hub", *told, *qrels["query_id"], *qrels["document_id"], np.asarray(qrels["grade"]))
    return _folder_beir.record_of(name, documents, asked, qrels, sources, digest)


def _texts(name, splits) -> dict:
    """id -> {"text", "title"} of a corpus or of queries, which have one split."""
    frame = pd.concat([part.to_pandas() for part in splits.values()], ignore_index=True)
    identity = "_id" if "_id" in frame else "id"
    if identity not in frame or "text" not in frame:
        raise InputError(f"{name}: expected the columns _id and text, and found {', '.join(frame)}")
    titles = frame["title"] if "title" in frame else [None] * len(frame)
    rows = zip(frame[identity].astype(str), frame["text"].astype(str), titles, strict=True)
    return {one: {"text": text, "title": title} for one, text, title in rows}


def _loaded(repository, revision, *configs) -> dict:
    """split -> dataset of the first of the configurations that there is (None: the only or the default one)."""
    import datasets

    offline = contextlib.nullcontext() if hub.reachable() else hub.cache_only()
    refusal: Exception | None = None
    with hub.told("data set", repository, revision), offline, _quiet():
        for config in configs:
            try:
                loaded = datasets.load_dataset(repository, config, revision=revision)
            except datasets.exceptions.DatasetNotFoundError as error:
                _refuse(repository, revision, error)
            except ValueError as error:  # no such configuration, or one has to be chosen
                refusal = error
                continue
            except RuntimeError as error:  # a data set that is a program
                raise InputError(f"the data set {repository} cannot be loaded: {_first_line(error)}") from None
            return dict(loaded)
    raise InputError(f"the data set {repository}: {_first_line(refusal)}; name a configuration with ?config=")


def _refuse(repository, revision, error):
    text, asked = str(error), repository + (f"@{revision}" if revision else "")
    if "gated" in text:
        raise InputError(
            f"the data set {asked} is gated: accept its terms on its page, log in with `hf auth login`, and run again"
        ) from None
    raise InputError(
        f"the hub has no data set {asked}, or it is private: check the name, or log in with `hf auth login`"
    ) from None


@contextlib.contextmanager
def _quiet():
    """Without the package's progress bars; they would count files, not what the user waits for."""
    import datasets

    shown = datasets.utils.logging.is_progress_bar_enabled()
    datasets.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            datasets.utils.logging.enable_progress_bar()


def _first_line(error) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
