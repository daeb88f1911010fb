"""Embeddings files: images and texts that someone has encoded already, as one `.npz` file.

Arrays of the file:

- `image` (N, d): the images' vectors, of any lengths;
- `text` (M, d) and `texts` (M,): vectors of texts in the same space, and the texts themselves;
- `labels` (N,) and `classes` (C,): each image's class, as a row number of the class names; without both, image i
  belongs to text i (pairs, as captions are);
- optional: `templates` (T,), prompts with one "{}" each whose texts stand among `texts`; `fold` (N,), else all images
  are of the fold test; `logit_scale`, the factor from cosines to logits; `model`, what made the vectors.

The same file is the model that encodes them: `dataset=clip.npz backbone=clip.npz`.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from finegrain import files
from finegrain.data import folders
from finegrain.data._folds import FOLDS
from finegrain.data._records import ImageText
from finegrain.errors import InputError

NEEDED = ("image", "text", "texts")


class ImageVectors(Sequence):
    """Vectors that stand for images: an index gives one, (d,); a slice, a mask or row numbers an array (n, d)."""

    def __init__(self, vectors: np.ndarray):
        self.vectors = vectors

    def __len__(self):
        return len(self.vectors)

    def __getitem__(self, index):
        return self.vectors[index]


def is_embeddings(path: Path) -> bool:
    return path.is_file() and path.suffix == ".npz"


def read_embeddings(path: Path) -> dict:
    """The arrays of the file by name, vectors as float32; shapes are checked.

    Raises InputError where an array is missing, does not fit the others, or holds NaN.
    """
    try:
        with np.load(path) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no readable .npz file of plain arrays: {error}") from None
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise InputError(f"{path} lacks the array {missing[0]!r}; it holds {', '.join(sorted(found)) or 'nothing'}")
    for name in ("image", "text"):
        found[name] = found[name].astype(np.float32)
        if found[name].ndim != 2 or not np.isfinite(found[name]).all():
            raise InputError(f"{path}: {name!r} must be (rows, width) finite numbers, and is {found[name].shape}")
    if found["image"].shape[1] != found["text"].shape[1]:
        widths = f"{found['image'].shape[1]} and {found['text'].shape[1]}"
        raise InputError(f"{path}: images and texts have vectors of {widths} numbers; they must be of one space")
    if len(found["texts"]) != len(found["text"]):
        raise InputError(f"{path}: {len(found['texts'])} texts and {len(found['text'])} vectors of texts")
    if ("labels" in found) != ("classes" in found):
        raise InputError(f"{path}: `labels` and `classes` come together, or neither where images and texts are pairs")
    return found


def load_embeddings(path: Path, options: dict) -> ImageText:
    """The images' vectors with their classes; see the module's docstring."""
    found = read_embeddings(path)
    count = len(found["image"])
    names = [str(name) for name in found.get("classes", found["texts"])]
    labels = np.asarray(found.get("labels", np.arange(count)), np.int64)
    folders.check_classes(path, names)
    if labels.shape != (count,) or (count and not (labels.min() >= 0 and labels.max() < len(names))):
        raise InputError(f"{path}: {count} images need {count} labels from 0 to {len(names) - 1}, one for each")
    fold = [str(one) for one in found.get("fold", np.full(count, "test"))]
    unknown = sorted(set(fold) - set(FOLDS))
    if len(fold) != count or unknown:
        raise InputError(f"{path}: `fold` must name one of {', '.join(FOLDS)} for each image")
    templates = tuple(str(one) for one in found.get("templates", ["{}"]))
    items = pd.DataFrame({"fold": fold, "group": [f"image {row}" for row in range(count)]})
    classes = pd.DataFrame({"name": names})
    return ImageText(
        path.name, ImageVectors(found["image"]), labels, classes, items, templates, files.digest("embeddings", path)
    )
