"""Data sets in local folders and files, in five ordinary layouts, as the kit's plain records.

Image folder
    One folder a class, images below it: `root/heron/1.jpg`. Optional above the classes: a folder a fold
    (`root/train/heron/1.jpg`). Optional beside the classes: `classnames.json` {folder: name}, `descriptors.json`
    {name: [descriptor, ...]}.
Table
    A parquet or CSV file, or a folder of them, one file a fold (`train.parquet`, `test.csv.gz`), with a column of
    texts and one of labels; or with a column of encoded images (bytes) and one of labels. Optional beside them:
    `labels.json`, the list of class names that whole-number labels point into.
BEIR
    `corpus.jsonl`, `queries.jsonl` and judgements in `qrels/test.tsv` or `qrels_test.tsv`; any of them may be gzipped.
Saved by the package datasets
    A folder that `save_to_disk` has written, with the columns of a table.
Embeddings
    One `.npz` file with the vectors of images and of texts; see `finegrain.data._folder_embeddings`.

Folds are read off the names of a folder's files and folders (train; dev, val, valid or validation; test; confirm).
Where there are none, and for a single file, an item's fold follows from a hash of its content: 60 % train, 10 % dev,
20 % test, 10 % confirm; equal items share a fold.

Options stand after the path as in an address: "reviews.csv?text=review&label=stars". They are `text`, `label`,
`image` and `fold`: the names of a table's columns.
"""

import json
import urllib.parse
from pathlib import Path

from finegrain.data._folds import fold_of
from finegrain.data._records import ImageText, Retrieval, Texts
from finegrain.errors import InputError

FOLD_NAMES = {
    "train": "train", "training": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev",
    "test": "test", "confirm": "confirm",
}  # fmt: skip
SHARES = {"train": 0.6, "dev": 0.1, "test": 0.2, "confirm": 0.1}
OPTIONS = ("text", "label", "image", "fold")


def split_options(name: str) -> tuple[Path, dict[str, str]]:
    """The path and the options of "path?option=value&option=value".

    >>> split_options("reviews.csv?label=stars")
    (PosixPath('reviews.csv'), {'label': 'stars'})
    """
    path, _, query = str(name).partition("?")
    options = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    for option in options:
        if option not in OPTIONS:
            raise InputError(f"{name}: unknown option {option!r}; the options are {', '.join(OPTIONS)}")
    return Path(path).expanduser(), options


def load_folder(name: str, kind: str | None = None) -> ImageText | Texts | Retrieval:
    """Load a folder or file by its layout; `kind` only says what is expected. See the module's docstring."""
    from finegrain.data import _folder_beir, _folder_embeddings, _folder_images, _folder_tables, _hub

    path, options = split_options(name)
    try:
        if _folder_beir.is_beir(path):
            given, record = "retrieval", _folder_beir.load_beir
        elif _hub.is_saved(path):
            return _hub.load_saved(path, options, kind)
        elif _folder_tables.is_table(path):
            given, record = _folder_tables.kind_of_table(path, options), _folder_tables.load_table
        elif _folder_embeddings.is_embeddings(path):
            given, record = "images", _folder_embeddings.load_embeddings
        elif _folder_images.is_image_folder(path):
            given, record = "images", _folder_images.load_images
        else:
            raise InputError(
                f"{path} holds no data set: expected class folders with images, parquet or CSV files, BEIR's "
                "corpus.jsonl, queries.jsonl and qrels, or an .npz file of embeddings"
            )
        if options and record is not _folder_tables.load_table:
            raise InputError(f"{name}: the option {next(iter(options))!r} is for tables, and {path} holds {given}")
        if kind not in (None, given):
            raise InputError(f"{path} cannot be loaded as {kind!r}: its layout gives {given!r}")
        return record(path, options)
    except OSError as error:
        culprit = error.filename or path
        raise InputError(
            f"cannot read {culprit}: {error.strerror or error}; check the path and its permissions"
        ) from None


def fold_by_content(digest: str) -> str:
    """The fold of an item in a source without folds."""
    return fold_of(digest, world="folder", shares=SHARES)


def read_json(path: Path, wanted: type):
    """The content of a JSON file, which must be a `wanted` (dict or list)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, wanted):
        raise InputError(f"{path} must hold a JSON {'object' if wanted is dict else 'list'}")
    return content


def check_classes(path: Path, names) -> None:
    """Refuse class names that occur twice or stand alone."""
    names = list(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: two classes are called {twice[0]!r}; give each class a name of its own")
    if len(names) < 2:
        raise InputError(f"{path} holds {len(names)} class{'' if len(names) == 1 else 'es'}; at least two are needed")
