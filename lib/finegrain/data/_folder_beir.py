"""BEIR folders: a corpus, queries and judgements."""

import contextlib
import gzip
import json
from pathlib import Path

import pandas as pd

from finegrain import files
from finegrain.data import folders
from finegrain.data._records import Retrieval
from finegrain.errors import InputError


def is_beir(path: Path) -> bool:
    return path.is_dir() and _plain_or_gzipped(path / "corpus.jsonl") is not None


def load_beir(path: Path, options: dict) -> Retrieval:
    """The whole corpus, and the queries that are judged.

    A document's text is its title, a space and its text. A query's fold is the split whose file judges it. Grades from
    1 on count as relevant. A document with the query's own id is left out of rankings only where queries are documents
    (the texts under a shared id are equal), as in ArguAna and Quora; elsewhere equal ids mean nothing.
    """
    corpus, queries = _plain_or_gzipped(path / "corpus.jsonl"), _plain_or_gzipped(path / "queries.jsonl")
    if queries is None:
        raise InputError(f"{path} holds corpus.jsonl but no queries.jsonl; BEIR's layout needs both")
    judged_in = _qrels_files(path)
    documents, asked = _read_lines(corpus), _read_lines(queries)
    qrels = pd.concat([_read_qrels(file).assign(split=split) for split, file in judged_in], ignore_index=True)
    sources = {"document_id": corpus, "query_id": queries, **dict(judged_in)}
    return record_of(
        path.name, documents, asked, qrels, sources, files.digest("beir", corpus, queries, *sources.values())
    )


def record_of(name: str, documents: dict, asked: dict, qrels: pd.DataFrame, sources: dict, digest: str) -> Retrieval:
    """The record of a corpus, queries and judgements, wherever they were read.

    documents, asked: id -> {"text", "title"}. qrels: query_id, document_id, grade, split. sources: what to call the
    corpus ("document_id"), the queries ("query_id") and each split's judgements (by its name) in an error.
    """
    for column, known in (("document_id", documents), ("query_id", asked)):
        missing = qrels[~qrels[column].isin(known.keys())]
        if len(missing):
            raise InputError(
                f"{sources[missing['split'].iloc[0]]} judges the {column.removesuffix('_id')} "
                f"{missing[column].iloc[0]!r}, which {sources[column]} lacks; remove the line or complete the file"
            )
    splits = qrels.drop_duplicates(["query_id", "split"])
    twice = splits[splits.duplicated("query_id")]
    if len(twice):
        raise InputError(f"{name}: the query {twice['query_id'].iloc[0]!r} is judged in two splits; keep it in one")
    split_of = dict(zip(splits["query_id"], splits["split"], strict=True))
    judged = [query for query in asked if query in split_of]
    folds = [folders.FOLD_NAMES.get(split_of[query]) or folders.fold_by_content(query) for query in judged]
    shared = [query for query in judged if query in documents]
    queries_are_documents = bool(shared) and all(
        asked[one]["text"].strip() in (documents[one]["text"].strip(), _text(documents[one])) for one in shared
    )
    return Retrieval(
        name,
        pd.DataFrame(
            {"text": [asked[query]["text"] for query in judged], "fold": folds, "group": judged},
            index=pd.Index(judged, name="query_id"),
        ),
        pd.DataFrame(
            {"text": [_text(document) for document in documents.values()], "fold": "all", "group": list(documents)},
            index=pd.Index(list(documents), name="document_id"),
        ),
        qrels[["query_id", "document_id", "grade"]],
        relevant_from=1,
        ignore_identical_ids=queries_are_documents,
        digest=digest,
    )


def _plain_or_gzipped(path):
    return next((file for file in (path, path.with_name(path.name + ".gz")) if file.exists()), None)


def _text(document):
    return f"{document.get('title') or ''} {document['text']}".strip()


def _qrels_files(path):
    """(split, file) of each file of judgements."""
    found = [
        *path.glob("qrels/*.tsv"),
        *path.glob("qrels/*.tsv.gz"),
        *path.glob("qrels*.tsv"),
        *path.glob("qrels*.tsv.gz"),
    ]
    if not found:
        raise InputError(f"{path} holds no judgements; BEIR's layout has them in qrels/test.tsv")
    return [(file.name.split(".")[0].removeprefix("qrels").lstrip("_-").lower(), file) for file in sorted(found)]


def _open(file):
    return gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else open(file, encoding="utf-8")


@contextlib.contextmanager
def _told(file):
    try:
        yield
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is damaged: {error}") from None


def _read_lines(file):
    """id -> {"text": ..., "title": ...} of a JSON-lines file, in its order."""
    rows = {}
    with _told(file), _open(file) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                identity, text = str(row["_id"]), row["text"]
            except (ValueError, KeyError, TypeError):
                raise InputError(f'{file}, line {number}: expected a JSON object with "_id" and "text"') from None
            if identity in rows:
                raise InputError(f"{file}, line {number}: the id {identity!r} occurs twice")
            rows[identity] = {"text": str(text), "title": row.get("title")}
    if not rows:
        raise InputError(f"{file} is empty; it must hold at least one line")
    return rows


def _read_qrels(file):
    """Columns query_id, document_id, grade of a file with or without BEIR's header line."""
    rows = []
    with _told(file), _open(file) as lines:
        for number, line in enumerate(lines, 1):
            parts = line.rstrip("\n").split("\t")
            if not line.strip() or (number == 1 and not parts[-1].strip().lstrip("-").isdigit()):
                continue
            if len(parts) == 4:  # trec's qrels: query, iteration, document, grade
                parts = [parts[0], parts[2], parts[3]]
            if len(parts) != 3 or not parts[2].strip().lstrip("-").isdigit():
                raise InputError(
                    f"{file}, line {number}: expected query-id, corpus-id and a whole-number score, tab-separated"
                )
            rows.append((parts[0], parts[1], int(parts[2])))
    if not rows:
        raise InputError(f"{file} is empty; it must hold at least one judgement")
    return pd.DataFrame(rows, columns=["query_id", "document_id", "grade"])
