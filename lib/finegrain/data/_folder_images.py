"""Image folders: one folder a class."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from finegrain import files
from finegrain.data import folders
from finegrain.data._records import ImageText
from finegrain.errors import InputError

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
TEMPLATES = ("a photo of a {}.",)


class LazyImages(Sequence):
    """Encoded images that are decoded when they are asked for.

    sources: paths of files or encoded bytes; names: what to call them in errors.
    An index gives one RGB PIL image; a slice, a mask or an array of row numbers another `LazyImages`.
    Raises InputError where an image cannot be decoded.
    """

    def __init__(self, sources: Sequence, names: Sequence[str]):
        self._sources, self._names = list(sources), list(names)

    def __len__(self):
        return len(self._sources)

    def __getitem__(self, index):
        if isinstance(index, int | np.integer):
            return self._decoded(int(index))
        rows = np.arange(len(self))[index]
        return LazyImages([self._sources[row] for row in rows], [self._names[row] for row in rows])

    def memo_content(self) -> list[str]:
        """The digests of the encoded images, for `finegrain.memo`."""
        return [files.digest(source if isinstance(source, bytes) else Path(source)) for source in self._sources]

    def _decoded(self, row):
        from PIL import Image

        source = self._sources[row]
        try:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                return image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise broken(self._names[row], error) from None


def broken(name: str, error) -> InputError:
    return InputError(f"{name} is no readable image ({error}); replace or remove it")


def is_image_folder(path: Path) -> bool:
    return path.is_dir() and any(True for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def load_images(path: Path, options: dict) -> ImageText:
    """The images below `path`, by class folder and file name; each file's head is checked, the rest when it is used."""
    found = sorted(_image_files(path))
    if not found:
        raise InputError(f"{path} holds no class folders with images ({', '.join(sorted(ENDINGS))})")
    class_folders = sorted({class_folder for _, class_folder, _ in found})
    names = _class_names(path, class_folders)
    folders.check_classes(path, names)
    rows = {class_folder: row for row, class_folder in enumerate(class_folders)}
    paths = [file for _, _, file in found]
    contents = [_checked(file) for file in paths]
    items = pd.DataFrame(
        {
            "fold": [
                fold or folders.fold_by_content(content) for (fold, _, _), content in zip(found, contents, strict=True)
            ],
            "group": contents,
            "file": [str(file.relative_to(path)) for file in paths],
        }
    )
    return ImageText(
        path.name,
        LazyImages(paths, [str(file) for file in paths]),
        np.array([rows[class_folder] for _, class_folder, _ in found], np.int64),
        pd.DataFrame({"name": names, "folder": class_folders} | _descriptors(path, names)),
        items,
        TEMPLATES,
        files.digest("images", *names, *items["file"], *contents),
    )


def _image_files(path):
    """(fold or "", class folder, file) of each image."""
    children = [child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")]
    with_folds = children and all(child.name.lower() in folders.FOLD_NAMES for child in children)
    for child in children:
        class_folders = [inner for inner in child.iterdir() if inner.is_dir()] if with_folds else [child]
        for class_folder in class_folders:
            for file in class_folder.rglob("*"):
                if file.suffix.lower() in ENDINGS and not file.name.startswith("."):
                    yield folders.FOLD_NAMES[child.name.lower()] if with_folds else "", class_folder.name, file


def _checked(file):
    """The SHA-256 of a file whose head says that it is an image."""
    from PIL import Image

    content = file.read_bytes()
    try:
        Image.open(io.BytesIO(content))
    except (OSError, ValueError, SyntaxError) as error:
        reason = "it is empty" if not content else str(error).replace(repr(io.BytesIO), "").split(" <")[0]
        raise broken(str(file), reason) from None
    return hashlib.sha256(content).hexdigest()


def _class_names(path, class_folders):
    listed = path / "classnames.json"
    if not listed.exists():
        return [folder.replace("_", " ") for folder in class_folders]
    names = folders.read_json(listed, dict)
    for folder in class_folders:
        if not isinstance(names.get(folder), str):
            raise InputError(f'{listed} has no name for the class folder {folder!r}; add "{folder}": "its name"')
    return [names[folder] for folder in class_folders]


def _descriptors(path, names):
    """The column of descriptors, or none where the folder says nothing of them."""
    listed = path / "descriptors.json"
    if not listed.exists():
        return {}
    descriptors = folders.read_json(listed, dict)
    for name in names:
        if name not in descriptors:
            raise InputError(f"{listed} has no descriptors for the class {name!r}; add a list, which may be empty")
    return {"descriptors": [tuple(descriptors[name]) for name in names]}
