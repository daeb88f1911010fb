"""Vectors on disk, keyed by the model and the whole ordered request; damaged entries are made again."""

import zipfile
from collections.abc import Callable, Sequence

import numpy as np

from finegrain import files


def cached(settings: Sequence, texts: Sequence[str], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `compute` gives, from build/cache/embeddings where the same request was answered before.

    settings: whatever else the array depends on; the versions, threads and CPU capability are added here, because
        vectors of another processor are equal by rounding only.
    """
    path = files.build("cache", "embeddings", files.digest(repr((*settings, *_machine())), *texts) + ".npz")
    vectors = _read(path)
    if vectors is None:
        vectors = compute()
        with files.whole(path) as beside, open(beside, "wb") as file:
            np.savez(file, vectors=vectors, digest=np.array(files.digest(vectors)))
    return vectors


def _read(path) -> np.ndarray | None:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as entry:
            vectors = entry["vectors"]
            return vectors if files.digest(vectors) == str(entry["digest"]) else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _machine():
    import importlib.metadata

    import torch

    versions = [importlib.metadata.version(package) for package in ("torch", "transformers", "sentence-transformers")]
    return *versions, torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
