"""Splits that a published data set lacks."""

import dataclasses

from finegrain import files
from finegrain.data._folds import fold_of
from finegrain.data._records import ImageText, Texts

HELD_OUT = 0.2


def with_dev(data: Texts | ImageText, share: float = HELD_OUT) -> Texts | ImageText:
    """The data set with a fold dev: where it has train but no dev, as most published ones, this share of train.

    An item moves by a hash of its group, so equal items stay together and the same ones move each time. A data set
    that has a dev, or no train, is given back as it is.

    >>> from finegrain.data import load
    >>> data = load("docstrings", "texts")
    >>> with_dev(data) is data
    True
    """
    folds = data.items["fold"]
    if (folds == "dev").any() or not (folds == "train").any():
        return data
    shares = {"dev": share, "train": 1 - share}
    moved = [
        fold_of(str(group), world="held out", shares=shares) if fold == "train" else fold
        for fold, group in zip(folds, data.items["group"], strict=True)
    ]
    digest = files.digest("with dev", data.digest, repr(share))
    return dataclasses.replace(data, items=data.items.assign(fold=moved), digest=digest)
