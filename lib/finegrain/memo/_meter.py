"""How much memory work takes, as the kernel counts it: the highest resident size since the counter was last reset."""

import contextlib
import ctypes
import dataclasses
import math

_open: list["Cost"] = []


@dataclasses.dataclass(eq=False)
class Cost:
    """What work costs. seconds: see `clock`. megabytes: the most that the process held beyond what it held before, in
    the computer's memory (a GPU's is not counted); NaN where the system does not tell (Linux does).
    """

    seconds: float = math.nan
    megabytes: float = math.nan


@contextlib.contextmanager
def memory(cost: Cost):
    """Count the memory of the work inside into `cost.megabytes`, and into what counts around it.

    All that is open holds the highest size so far, and at the end what it began with is taken off.
    """
    note(_resident()[1])
    _trim()
    _reset()
    before = cost.megabytes = held()
    _open.append(cost)
    try:
        yield
    finally:
        note(_resident()[1])
        _open.remove(cost)
        cost.megabytes -= before


def held() -> float:
    """Megabytes that the process holds."""
    return _resident()[0]


def note(highest: float) -> None:
    """Count that so many megabytes were held, or would have been, had a known answer been computed again."""
    for cost in _open:
        cost.megabytes = max(cost.megabytes, highest)


def forget() -> None:
    """Count nothing of what was held since the last time that the counter was read, but for what still is."""
    if _open:
        _reset()


def _resident() -> tuple[float, float]:
    """Megabytes that the process holds, and the most that it held since the counter was reset."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            found = {name: size for name, _, size in (line.partition(":") for line in status)}
        now, highest = (int(found[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
        return now, highest
    except (OSError, KeyError):
        return math.nan, math.nan


def _trim() -> None:
    """Give back what was freed, so that its use by what comes next is seen; for glibc, others do nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _reset() -> None:
    """Set the counter of the highest size to what is held now."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as counter:
        counter.write("5")
