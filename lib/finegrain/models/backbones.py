"""The folders of the backbones that the kit trains: saved whole, verified when opened."""

import difflib
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from finegrain import files
from finegrain.errors import InputError
from finegrain.models._registry import MADE_BY, PACKAGED, backbone_folder
from finegrain.run import reads

__all__ = ["backbone_folder", "folder_digest", "open_backbone", "save_backbone", "sha256"]

DIGEST = "digest.json"  # {"digest": of the content, "files": {name: SHA-256}}, written last


def save_backbone(name: str, scale: str, write: Callable[[Path], None]) -> str:
    """Save a backbone so that its folder appears whole or not at all; returns its content digest.

    write: called with an empty folder beside the final one, fills it. `digest.json` is added, the folder is then
    renamed into place, and one that stood there is removed.
    """
    check_name(name)
    folder = backbone_folder(name, scale)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder.parent, ignore_cleanup_errors=True) as beside:
            new, old = Path(beside, "new"), Path(beside, "old")
            new.mkdir()
            write(new)
            digest = folder_digest(new)
            content = {"digest": digest, "files": _file_digests(new)}
            (new / DIGEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            for path in [*_files(new), new]:
                _flush(path)
            if folder.exists():
                os.replace(folder, old)  # a folder cannot be renamed onto one that has files
            os.replace(new, folder)
    except OSError as error:
        raise InputError(
            f"cannot write {folder}: {error.strerror or error}; free space or choose a folder that you may write"
        ) from None
    return digest


def open_backbone(name: str, scale: str = "default") -> tuple[Path, str]:
    """The folder of a trained backbone and its content digest; every file's SHA-256 is checked.

    Raises InputError if the name is unknown, the backbone is not trained yet, or a file is missing or damaged; the
    sentence holds the command that makes it.
    """
    check_name(name)
    folder = backbone_folder(name, scale)
    smoke = ' P="scale=smoke"' if scale == "smoke" else ""
    mend = f"run `make run NB={MADE_BY[name]}{smoke}`"
    try:
        stored = json.loads((folder / DIGEST).read_text(encoding="utf-8"))
        expected, digest = stored["files"], stored["digest"]
    except FileNotFoundError:
        raise InputError(f"the backbone {name} is not trained yet (nothing in {folder}); {mend}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the backbone {name} is damaged ({folder / DIGEST}: {error}); {mend}") from None
    for file, sha in expected.items():
        path = folder / file
        if not path.is_file() or sha256(path) != sha:
            raise InputError(f"the backbone {name} is damaged ({path} is not what was saved); {mend}")
    reads.note("backbones", name, digest, scale)
    return folder, digest


def folder_digest(folder) -> str:
    """SHA-256 of a model's folder: names and contents of its files, of safetensors files the tensors.

    Two safetensors files of the same tensors may differ in the order of their metadata; their digest does not.
    """
    parts = []
    for path in _files(Path(folder)):
        state = path.stat()
        stamp = (state.st_ino, state.st_mtime_ns, state.st_size)
        parts += [
            str(path.relative_to(folder)),
            _tensors_digest(path, stamp) if path.suffix == ".safetensors" else path,
        ]
    return files.digest(*parts)


def check_name(name: str) -> None:
    """Raise InputError, with the nearest known name, if no backbone is called `name`."""
    if name not in MADE_BY:
        near = difflib.get_close_matches(name, MADE_BY, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join([*MADE_BY, *PACKAGED])}"
        raise InputError(f"no backbone is called {name!r}; {hint}")


def sha256(path: Path) -> str:
    """The plain SHA-256 of a file, as `sha256sum` prints it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=64)
def _tensors_digest(path: Path, stamp: tuple) -> str:
    """Digest of a safetensors file's tensors: name, dtype, shape and bytes, by name.

    stamp: of the file, so that one which many notebooks use is read once.
    """
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start, parts = file.tell(), []
        for name, tensor in sorted(header.items()):
            if name != "__metadata__":
                begin, end = tensor["data_offsets"]
                file.seek(start + begin)
                parts += [f"{name} {tensor['dtype']} {tensor['shape']}", file.read(end - begin)]
    return files.digest(*parts)


def _file_digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256(path) for path in _files(folder)}


def _files(folder: Path) -> list[Path]:
    hidden = (DIGEST, ".cache")  # .cache: what the hub's client keeps beside a download
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] not in hidden)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
