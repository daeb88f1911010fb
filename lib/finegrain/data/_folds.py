"""Which fold a group of samples belongs to: a function of the group's name alone."""

import hashlib

FOLDS = ("train", "dev", "test", "confirm")


def fold_of(group: str, *, world: str, shares: dict[str, float]) -> str:
    """The fold of a group: its name is hashed to a number in [0, 1) that falls into one of the shares.

    group: what must stay on one side of a split (a homoglyph group, a duplicate group).
    world: salt, so that two worlds do not split equal names alike.
    shares: fold -> share, adding up to 1; the order of the keys is the order on the line.

    >>> fold_of("LATIN SMALL LETTER A", world="glyphs", shares={"train": 1.0})
    'train'
    """
    hashed = hashlib.sha256(f"{world}\0{group}".encode()).digest()
    position = int.from_bytes(hashed[:8], "big") / 2**64
    total = 0.0
    for fold, share in shares.items():
        total += share
        if position < total:
            return fold
    return fold
