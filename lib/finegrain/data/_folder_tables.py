"""Tables: parquet or CSV files with texts (or encoded images) and labels."""

import difflib
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from finegrain import files
from finegrain.data import folders
from finegrain.data._folder_images import TEMPLATES, LazyImages
from finegrain.data._records import ImageText, Texts
from finegrain.errors import InputError

ENDINGS = (".parquet", ".csv", ".csv.gz")
IMAGE_COLUMNS = ("jpeg", "png", "image")


def is_table(path: Path) -> bool:
    return path.name.endswith(ENDINGS) if path.is_file() else path.is_dir() and bool(_table_files(path))


def kind_of_table(path: Path, options: dict) -> str:
    """ "images" where a column of encoded images is named or stands there without a text column, else "texts"."""
    columns = () if "image" in options else _read(_table_files(path)[0][1]).columns
    return "images" if has_images(columns, options) else "texts"


def load_table(path: Path, options: dict) -> Texts | ImageText:
    """The rows of the file, or of all files of the folder in the order of their folds."""
    parts, contents = [], []
    for fold, file in _table_files(path):
        part = _read(file)
        part["__fold__"] = folds_of(str(file), part, options["fold"]) if "fold" in options else fold
        parts.append(part)
        contents.append(file)
    table = pd.concat(parts, ignore_index=True)
    listed = (path if path.is_dir() else path.parent) / "labels.json"
    listed_names = [str(name) for name in folders.read_json(listed, list)] if listed.exists() else None
    digest = files.digest("table", repr(sorted(options.items())), *(listed_names or []), *contents)
    return record_of(path.name, str(path), table, options, listed_names, digest)


def has_images(columns, options: dict) -> bool:
    """Whether a column of encoded images is named, or stands there without a column of texts."""
    if "image" in options:
        return True
    return options.get("text", "text") not in columns and any(name in columns for name in IMAGE_COLUMNS)


def record_of(name: str, path: str, table: pd.DataFrame, options: dict, listed: list[str] | None, digest: str):
    """The record of a table's rows, wherever they were read.

    name: of the record; path: what errors call the source. table: its columns and "__fold__" (a fold, or "" where it
    follows from the content). listed: class names that whole-number labels point into, or None.
    """
    label = _column(path, table, "label", options)
    names, labels = _classes(path, table[label], label, listed)
    as_images = has_images(table.columns, options)
    if as_images:
        image = options.get("image") or next(name for name in IMAGE_COLUMNS if name in table.columns)
        column = _column(path, table, "image", {"image": image})
        sources = [_encoded(path, column, value) for value in table[column]]
        groups = [hashlib.sha256(source).hexdigest() for source in sources]
    else:
        column = _column(path, table, "text", options)
        texts = table[column]
        blank = np.flatnonzero(texts.isna() | (texts.astype(str).str.strip() == ""))
        if len(blank):
            raise InputError(f"{path}: row {blank[0]} has no text in the column {column!r}; remove it or fill it in")
        texts = tuple(texts.astype(str))
        groups = [hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest() for text in texts]
    used = {column, label, "__fold__", options.get("fold")}
    items = pd.DataFrame(
        {
            "fold": [
                fold or folders.fold_by_content(group) for fold, group in zip(table["__fold__"], groups, strict=True)
            ],
            "group": groups,
            **{name: table[name] for name in table.columns if name not in used | {"fold", "group"}},
        }
    )
    classes = pd.DataFrame({"name": names})
    if not as_images:
        return Texts(name, texts, labels, classes, items, digest)
    rows = [f"row {row} of {path}" for row in range(len(table))]
    return ImageText(name, LazyImages(sources, rows), labels, classes, items, TEMPLATES, digest)


def _encoded(path, column, value) -> bytes:
    """The bytes of an image, from bytes or from what the package datasets keeps: bytes, or a path of its cache."""
    if isinstance(value, dict):
        value = value["bytes"] if value.get("bytes") is not None else Path(value["path"]).read_bytes()
    if not isinstance(value, bytes):
        raise InputError(f"{path}: the column {column!r} holds no encoded images (bytes)")
    return value


def _table_files(path):
    """(fold or "", file) of each table file, folds in their order; only files with folds' names where there are any."""
    if path.is_file():
        return [("", path)]
    found = sorted(file for file in path.iterdir() if file.name.endswith(ENDINGS) and not file.name.startswith("."))
    named = [
        (folders.FOLD_NAMES[file.name.split(".")[0].lower()], file)
        for file in found
        if file.name.split(".")[0].lower() in folders.FOLD_NAMES
    ]
    order = list(folders.FOLD_NAMES.values())
    return sorted(named, key=lambda pair: (order.index(pair[0]), pair[1])) or [("", file) for file in found]


def _read(file):
    try:
        if file.suffix == ".parquet":
            table = pd.read_parquet(file)
        else:
            table = pd.read_csv(file, keep_default_na=False, na_values=[""])
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    except OSError as error:
        if error.errno is not None:
            raise
        raise InputError(f"{file} is not readable as {file.suffix.lstrip('.')}: {error}") from None
    except ValueError as error:  # also pandas' and Arrow's own errors
        raise InputError(f"{file} is not readable as a table: {error}") from None
    if not len(table):
        raise InputError(f"{file} is empty; it must hold at least one row")
    return table


def _column(path, table, role, options):
    column = options.get(role, role)
    if column in table.columns:
        return column
    names = [name for name in map(str, table.columns) if name != "__fold__"]
    nearest = difflib.get_close_matches(column, names, n=1)
    hint = nearest[0] if nearest else names[0]
    raise InputError(
        f"{path} has no {role} column {column!r}; its columns are {', '.join(names)}: name one, as in "
        f'"{path}?{role}={hint}"'
    )


def folds_of(file: str, table: pd.DataFrame, column: str) -> pd.Series:
    """The folds that a column names, row by row."""
    column = _column(file, table, "fold", {"fold": column})
    values = table[column].astype(str).str.lower()
    unknown = values[~values.isin(folders.FOLD_NAMES)]
    if len(unknown):
        raise InputError(
            f"{file}: {unknown.iloc[0]!r} in the column {column!r} is no fold; use train, dev, test or confirm"
        )
    return values.map(folders.FOLD_NAMES)


def _classes(path, values, column, listed):
    """The class names and each row's class."""
    if values.isna().any():
        raise InputError(f"{path}: row {np.flatnonzero(values.isna())[0]} has no label in the column {column!r}")
    if listed is not None:
        names = listed
        folders.check_classes(path, names)
        if pd.api.types.is_integer_dtype(values):
            outside = values[(values < 0) | (values >= len(names))]
            if len(outside):
                raise InputError(
                    f"{path} has the label {outside.iloc[0]}, but {len(names)} class names are listed, from 0 on"
                )
            return names, values.to_numpy(np.int64)
        unknown = sorted(set(values.astype(str)) - set(names))
        if unknown:
            raise InputError(f"{path} has the label {unknown[0]!r}, which the list of class names lacks")
    else:
        names = [str(value) for value in sorted(values.unique())]
        folders.check_classes(path, names)
    rows = {name: row for row, name in enumerate(names)}
    return names, np.array([rows[value] for value in values.astype(str)], np.int64)
