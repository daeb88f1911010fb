"""Batches that fit: a batch that is too large for the memory is halved, and the work goes on."""

import warnings
from collections.abc import Callable
from typing import Any

from finegrain.errors import InputError


def halving(work: Callable[[int], Any], batch_size: int, device, too_large: str) -> Any:
    """What `work(batch_size)` gives; where the device's memory does not hold the batch, that of half the size.

    too_large: what does not fit if one sample does not, as the start of the sentence that then says so (InputError).
    Warns each time that it goes on with less.
    """
    import torch

    while True:
        try:
            return work(batch_size)
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise InputError(
                    f"{too_large} does not fit into the memory of {device}; lower max_length, or give device=cpu"
                ) from None
            batch_size //= 2
            warnings.warn(f"out of memory on {device}: going on with batches of {batch_size}", stacklevel=3)
