"""What one notebook may use, time and memory, and the watch that ends a kernel which uses more.

The watch looks at a process by its number, whoever started it. What it ends it ends at once, since a cell may be deep
in compiled code or catch an interrupt; the runner then says which cell it was and how to allow more.
"""

import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from finegrain.errors import InputError

TIME, MEMORY = "FINEGRAIN_LIMIT", "FINEGRAIN_MEMORY"  # seconds and gigabytes; 0 for none
LEAST_SECONDS, BUDGETS = 600.0, 20.0  # a run may take so many times its budget, on a busy machine too
SHARE = 0.75  # of the memory here
EVERY = 0.25  # seconds between two looks


@dataclass(frozen=True)
class Limits:
    """seconds of the whole run, bytes of the kernel and its children together; None is no limit."""

    seconds: float | None = None
    memory: int | None = None


def limits(budget: float | None) -> Limits:
    """The limits of a run: as the variables say; else by its budget in core-seconds (None: any time), and by the
    memory here.

    Raises InputError where a variable is no number.
    """
    seconds, gigabytes = _given(TIME, "seconds"), _given(MEMORY, "gigabytes")
    if seconds is None and budget is not None:
        seconds = max(LEAST_SECONDS, BUDGETS * budget)
    memory = SHARE * memory_here() if gigabytes is None else gigabytes * 2**30
    return Limits(seconds or None, round(memory) or None)


def memory_here() -> int:
    """The bytes that processes here may use together: the machine's, or less where a control group or Slurm says so."""
    import psutil

    found = [psutil.virtual_memory().total]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(name).read_text()))
    with contextlib.suppress(ValueError):
        found.append(int(os.environ.get("SLURM_MEM_PER_NODE", "")) * 2**20)
    return min(found)


class Watch:
    """Ends the process group of a kernel that uses more than it may; `reason` then says what it was, else it is "".

    process: the kernel's number, that of its group too. running: called for the cell that runs, for the reason.
    """

    def __init__(self, process: int, allowed: Limits, running):
        self.reason = ""
        self._process, self._allowed, self._running = process, allowed, running
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()

    def _look(self):
        while not self._over.wait(EVERY):
            reason = self._too_long() or self._too_large()
            if reason:
                cell = self._running()
                self.reason = reason.replace("CELL", f"in cell {cell}" if cell else "before its first cell")
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process, signal.SIGKILL)
                return

    def _too_long(self) -> str:
        most = self._allowed.seconds
        if most is None or time.monotonic() - self._begun <= most:
            return ""
        return f"it ran for more than {most:.0f} s, CELL at last; LIMIT=seconds allows more, LIMIT=0 any time"

    def _too_large(self) -> str:
        most = self._allowed.memory
        if most is None:
            return ""
        used = resident(self._process)
        if used <= most:
            return ""
        return (
            f"it used {_gigabytes(used)} of memory, CELL, more than {_gigabytes(most)}; MEMORY=gigabytes allows more, "
            "MEMORY=0 any"
        )


def resident(process: int) -> int:
    """Bytes in memory of a process and all its children, each by itself: pages that they share count for each."""
    import psutil

    total = 0
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        top = psutil.Process(process)
        for one in (top, *top.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += one.memory_info().rss
    return total


def _given(name, unit) -> float | None:
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else None
    except ValueError:
        value = -1.0
    if value is not None and not 0 <= value < float("inf"):
        raise InputError(f"{name.removeprefix('FINEGRAIN_')}={text!r}: give a number of {unit}, 0 for no limit")
    return value


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GB"
