"""Random numbers from a seed and a name; nothing in the kit draws from a global generator."""

import contextlib
import zlib

import numpy as np

from finegrain.errors import InputError


def expand_seeds(seeds) -> list[int]:
    """The list of seeds that a `seeds` parameter means: a count, a list, or a range "start:stop".

    >>> expand_seeds(3)
    [0, 1, 2]
    >>> expand_seeds("100:103")
    [100, 101, 102]
    >>> expand_seeds([7, 3])
    [7, 3]
    """
    if isinstance(seeds, str):
        start, colon, stop = seeds.partition(":")
        if not colon or not start.strip().isdigit() or not stop.strip().isdigit():
            raise InputError(f'seeds={seeds!r}: give a count, a list, or a range such as "100:105"')
        expanded = list(range(int(start), int(stop)))
    elif isinstance(seeds, int) and not isinstance(seeds, bool):
        expanded = list(range(seeds))
    else:
        expanded = list(seeds)
    if any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in expanded):
        raise InputError(f"seeds={seeds!r}: seeds are whole numbers from 0 on")
    if not expanded:
        raise InputError(f"seeds={seeds!r}: at least one seed is needed")
    if len(set(expanded)) != len(expanded):
        raise InputError(f"seeds={seeds!r}: each seed may occur once")
    return expanded


def generator(seed: int, *names: str) -> np.random.Generator:
    """A numpy generator for `seed` and a purpose, independent of those for other names.

    >>> a, b = generator(0, "subsample"), generator(0, "noise")
    >>> bool(a.integers(1000) == b.integers(1000))
    False
    """
    return np.random.default_rng(_entropy(seed, names))


def torch_generator(seed: int, *names: str, device="cpu"):
    """The same for torch: a `torch.Generator` on `device`."""
    import torch

    return torch.Generator(device).manual_seed(_torch_seed(seed, names))


@contextlib.contextmanager
def seeded(seed: int, *names: str):
    """Within the block torch's default generators follow `seed` and `names`; afterwards they are as before.

    For code that takes no generator: the initialisation of layers, dropout.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(_torch_seed(seed, names))
        yield


def _entropy(seed, names):
    return [seed, *(zlib.crc32(name.encode()) for name in names)]


def _torch_seed(seed, names):
    return int(np.random.SeedSequence(_entropy(seed, names)).generate_state(1, np.uint64)[0] >> 1)
