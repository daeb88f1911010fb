"""Vectors of a corpus that does not fit into memory: encoded in shards to disk, resumed, and read memory-mapped."""

import hashlib
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from finegrain import files
from finegrain.errors import InputError

STATE, VECTORS = "state.json", "vectors.npy"


def encode_to_disk(encoder, texts: Iterable[str], count: int, folder, *, shard: int = 8192, progress: bool = False):
    """The vectors of `count` texts as a memory-mapped array (count, d) float32, rows of unit length.

    encoder: an object with `encode_text` and `width`; a `TextEncoder` is asked without its cache.
    texts: any iterable, read once, `shard` texts at a time, so that neither texts nor vectors have to fit into memory.
    folder: holds vectors.npy and, per shard, what it was made of. A call after an interruption goes on behind the last
    whole shard; shards whose texts or whose encoder changed are encoded again.

    Raises InputError where the texts are not `count`, or the folder cannot be written.
    """
    from tqdm.auto import tqdm

    if hasattr(encoder, "cache"):
        import dataclasses

        encoder = dataclasses.replace(encoder, cache=False)
    folder = Path(folder)
    made_by = files.digest(*map(str, encoder.memo_content())) if hasattr(encoder, "memo_content") else ""
    vectors, state = _opened(folder, count, encoder.width, shard, made_by)
    texts, done = iter(texts), 0
    with tqdm(total=count, desc="encoding", unit=" texts", disable=not progress) as bar:
        for number in itertools.count():
            some = list(itertools.islice(texts, shard))
            if not some:
                break
            if done + len(some) > count:
                raise InputError(f"there are more than the {count:,} texts that were announced")
            digest = _digest(some)
            if not made_by or state["shards"].get(str(number)) != digest:
                vectors[done : done + len(some)] = encoder.encode_text(some)
                vectors.flush()
                state["shards"][str(number)] = digest
                files.write_text(folder / STATE, json.dumps(state) + "\n")
            done += len(some)
            bar.update(len(some))
    if done != count:
        raise InputError(f"there are {done:,} texts, and {count:,} were announced")
    return np.load(folder / VECTORS, mmap_mode="r")


def _opened(folder, count, width, shard, made_by):
    """The array of vectors, to write, and the state of the shards; both new where the old ones do not fit."""
    facts = {"encoder": made_by, "count": count, "width": width, "shard": shard}
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        vectors = np.load(folder / VECTORS, mmap_mode="r+")
        if {name: state[name] for name in facts} == facts and vectors.shape == (count, width):
            return vectors, state
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STATE).unlink(missing_ok=True)
        vectors = np.lib.format.open_memmap(folder / VECTORS, mode="w+", dtype=np.float32, shape=(count, width))
    except OSError as error:
        size = f"{count:,} vectors take {4 * count * width / 2**30:.1f} GB"
        raise InputError(f"cannot write {folder}: {error.strerror or error}; {size}") from None
    return vectors, {**facts, "shards": {}}


def _digest(texts) -> str:
    total = hashlib.sha256()
    for text in texts:
        total.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return total.hexdigest()
