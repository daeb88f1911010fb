"""Answers on disk: one file each, written whole, verified when read, the one not read for longest gone first.

A file holds the SHA-256 of the rest, a line of facts as JSON, and the pickled answer. Nothing of an entry is unpickled
before its digest is found right.
"""

import contextlib
import fcntl
import io
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

from finegrain import files
from finegrain.errors import InputError

LIMIT_GB = 8.0  # all answers together, unless $FINEGRAIN_CACHE_GB says otherwise; 0 keeps none
ABANDONED = 3600.0  # seconds after which a half-written file is a killed process's


def folder() -> Path:
    """Where answers lie."""
    return files.build("cache", "memo")


def limit() -> int:
    """Bytes that all answers may take."""
    text = os.environ.get("FINEGRAIN_CACHE_GB", "")
    try:
        return round(float(text or LIMIT_GB) * 2**30)
    except ValueError:
        raise InputError(f"FINEGRAIN_CACHE_GB={text!r}: give a number of gigabytes, 0 for no cache") from None


def entries(name: str, key: str) -> list[Path]:
    """The files that answer a key: one for each state of the backbones that were read."""
    return sorted(folder().glob(f"{name}-{key}-*.memo"))


def facts(path: Path) -> dict | None:
    """The facts of an entry, as far as they can be read; they are verified with the answer."""
    try:
        with open(path, "rb") as file:
            file.readline()
            found = json.loads(file.readline())
            return found if isinstance(found, dict) else None
    except (OSError, ValueError):
        return None


def read(path: Path) -> tuple[Any, dict] | None:
    """The answer and its facts, or None where the file is damaged, which a warning says, or gone."""
    import joblib

    try:
        whole = path.read_bytes()
    except OSError:
        return None
    digest, _, rest = whole.partition(b"\n")
    try:
        if files.digest(rest) != digest.decode("ascii", "replace"):
            raise ValueError("its digest is another")
        line, _, answer = rest.partition(b"\n")
        with contextlib.suppress(OSError):
            os.utime(path)  # read last: it goes last
        return joblib.load(io.BytesIO(answer)), json.loads(line)
    except Exception as error:  # noqa: BLE001 (whatever unpickling raises: a class that is no longer there)
        warnings.warn(f"the cached {files.shown(path)} is damaged ({error}): it is computed again", stacklevel=4)
        path.unlink(missing_ok=True)
        return None


def packed(answer) -> bytes:
    """The answer as bytes; InputError where it cannot be one."""
    import joblib

    buffer = io.BytesIO()
    try:
        joblib.dump(answer, buffer)
    except Exception as error:  # pickle raises a dozen kinds
        raise InputError(
            f"a cached function returns what cannot be kept ({error}): return arrays, frames, texts and numbers"
        ) from error
    return buffer.getvalue()


def unpacked(answer: bytes):
    """The answer from its bytes."""
    import joblib

    return joblib.load(io.BytesIO(answer))


def write(name: str, key: str, facts: dict, answer: bytes) -> None:
    """Keep an answer, if it fits; a disk without room is a warning, for the answer itself is there."""
    rest = json.dumps(facts, sort_keys=True).encode() + b"\n" + answer
    if len(rest) > limit():
        return
    path = folder() / f"{name}-{key}-{files.digest(json.dumps(facts['reads']))[:8]}.memo"
    try:
        with files.whole(path) as beside:
            beside.write_bytes(files.digest(rest).encode() + b"\n" + rest)
        shrink()
    except InputError as error:
        warnings.warn(f"an answer is not kept: {error}", stacklevel=4)


def shrink() -> None:
    """Remove the answers that were not read for longest until the limit holds, and what killed processes left."""
    found, now = [], time.time()
    for path in folder().iterdir():
        with contextlib.suppress(FileNotFoundError):
            state = path.stat()
            if path.suffix == ".lock":
                continue
            if path.name.startswith("."):
                if now - state.st_mtime > ABANDONED:
                    path.unlink(missing_ok=True)
            else:
                found.append((state.st_mtime, path.name, state.st_size, path))
    total, most = sum(size for _, _, size, _ in found), limit()
    for _, _, size, path in sorted(found):
        if total <= most:
            break
        path.unlink(missing_ok=True)
        total -= size


@contextlib.contextmanager
def turn(name: str, key: str):
    """Hold the key's lock: of two processes that want the same answer, the second waits and reads what the first made.

    The lock's file goes with the last holder. Where a file system knows no locks, both compute.
    """
    path = folder() / f".{name}-{key}.lock"
    handle = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                if os.fstat(handle).st_ino == os.stat(path).st_ino:
                    break  # else the holder before us has removed the file that we hold
            except FileNotFoundError:
                pass
            os.close(handle)
            handle = None
    except OSError:
        pass
    try:
        yield
    finally:
        if handle is not None:
            path.unlink(missing_ok=True)
            os.close(handle)
