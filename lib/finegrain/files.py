"""Where the kit's files lie, and how they are written: whole or not at all."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from finegrain.errors import InputError


def root() -> Path:
    """The folder of the checkout: $FINEGRAIN_ROOT, else the parent of `lib/` that this module lies in."""
    if os.environ.get("FINEGRAIN_ROOT"):
        return Path(os.environ["FINEGRAIN_ROOT"])
    return Path(__file__).resolve().parents[2]


def build(*parts: str) -> Path:
    """A path below the ignored folder for executed notebooks, backbones and caches ($FINEGRAIN_BUILD)."""
    folder = Path(os.environ.get("FINEGRAIN_BUILD") or root() / "build")
    return folder.joinpath(*parts)


def figures() -> Path:
    """The folder of published results ($FINEGRAIN_FIGURES, which `make verify` sets for its fresh ones)."""
    return Path(os.environ.get("FINEGRAIN_FIGURES") or root() / "figures")


def shown(path) -> str:
    """A path as messages and records show it: from the root where it lies below it."""
    path = Path(path)
    return str(path.relative_to(root())) if path.is_relative_to(root()) else str(path)


@contextlib.contextmanager
def whole(path):
    """Write a file so that it appears whole or not at all: yields a path beside it, renamed at the end.

    The data is flushed to disk before the rename; after an error the file beside it is removed and the
    old file, if any, stands as it was. Raises InputError with the path where the folder cannot be written
    or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield Path(beside)
        with open(beside, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)


def write_text(path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, whole or not at all."""
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def digest(*parts) -> str:
    """SHA-256 over byte strings, strings, paths of files (by content) and numpy arrays (dtype and shape too).

    >>> digest("a", b"b") == digest("ab")
    False
    """
    total = hashlib.sha256()
    for part in parts:
        total.update(_digest_one(part))
    return total.hexdigest()


def _digest_one(part) -> bytes:
    if isinstance(part, Path):
        with open(part, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    if isinstance(part, str):
        part = part.encode("utf-8", "surrogatepass")
    if isinstance(part, bytes | bytearray | memoryview):
        return hashlib.sha256(part).digest()
    import numpy as np

    array = np.ascontiguousarray(part)
    if array.dtype.hasobject:
        raise TypeError("digest() takes arrays of numbers, not of objects")
    head = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(head + hashlib.sha256(array.tobytes()).digest()).digest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(path, error) -> InputError:
    why = error.strerror or error
    return InputError(f"cannot write {path}: {why}; free space or choose a folder that you may write")
