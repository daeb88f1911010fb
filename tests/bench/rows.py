"""A row of the bench, and how two things are timed side by side."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One comparison. kit, other: the same quantity (less is better) by repetition; target: the ratio to reach."""

    what: str
    against: str
    unit: str
    kit: list[float]
    other: list[float]
    target: float | None = None

    def ratios(self) -> list[float]:
        """How many times as good the kit is, by repetition."""
        return [theirs / ours for ours, theirs in zip(self.kit, self.other, strict=True)]


def seconds(call: Callable) -> float:
    """What a call takes on the wall."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def in_turn(repeats: int, kit: Callable, other: Callable) -> tuple[list[float], list[float]]:
    """Seconds of both by repetition, one after the other; the order changes from repetition to repetition."""
    taken: dict[Callable, list[float]] = {kit: [], other: []}
    for number in range(repeats):
        for call in (kit, other) if number % 2 == 0 else (other, kit):
            taken[call].append(seconds(call))
    return taken[kit], taken[other]
