"""Run a notebook's cells through papermill, in a kernel of their own, and say what went wrong."""

import contextlib
import logging
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import cast

from finegrain.run import kernel, limits, record

START_SECONDS = 300  # a kernel on a busy machine


def run_cells(
    source: Path, target: Path, given: dict, environment: dict, progress: bool, allowed: limits.Limits
) -> str:
    """Run the cells of the notebook `source`, with parameters given, and write the executed notebook to `target`.

    allowed: a kernel that uses more is ended.

    Returns what went wrong, in one line, or nothing. That it returns nothing is no proof of success: papermill
    takes a cell that never ran for a completed one. The kernel and all its children are gone afterwards.
    """
    folder, manager, status, error, watch = _short_folder(), None, None, "", None
    try:
        manager = kernel.start(folder, environment)
        with _without("rfc3987_syntax"):  # the kernel starts up while this process imports
            import nbformat
            from nbclient.exceptions import DeadKernelError
            from papermill import execute_notebook
            from papermill.exceptions import PapermillExecutionError
        logging.getLogger("papermill").setLevel(logging.CRITICAL)
        watch = limits.Watch(manager.provisioner.pid, allowed, lambda: _running(target))
        try:
            with watch:
                execute_notebook(
                    nbformat.read(source, as_version=4),
                    str(target),
                    parameters=given,
                    language="python",
                    kernel_name=kernel.NAME,
                    progress_bar=progress,
                    start_timeout=START_SECONDS,
                    km=manager,
                )
        except PapermillExecutionError as failed:
            error = _one_line(f"{failed.ename}: {failed.evalue}")
        except (DeadKernelError, RuntimeError) as failed:
            error = _one_line(f"{type(failed).__name__}: {failed}")
    finally:
        if manager is not None:
            status = kernel.stop(manager)
        if watch is not None and watch.reason:
            error = watch.reason
        elif status is not None and error:
            error = _died(status, folder / "log")
        shutil.rmtree(folder, ignore_errors=True)
    return error


def _running(target: Path) -> str:
    """The id of the cell that runs now, by what papermill has written; "" where none has begun."""
    executed = record.load(target) or {"cells": []}
    papermill = [(cell.get("id", ""), cell["metadata"].get("papermill", {})) for cell in executed["cells"]]
    return next((name for name, notes in papermill if notes.get("status") == "running"), "")


def _died(status: int, log: Path) -> str:
    """Why a kernel is dead: its signal or status, and the last thing it wrote."""
    if status < 0:
        hint = " (out of memory?)" if -status == signal.SIGKILL else ""
        text = f"the kernel was killed by {signal.Signals(-status).name}{hint}"
    else:
        text = f"the kernel ended with status {status}"
    last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
    return _one_line(": ".join([text, *last]))


def _one_line(text: str) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())[:500]


def _short_folder() -> Path:
    """A folder for sockets, whose paths may have about 100 characters."""
    folder = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="fg-", dir=folder if len(folder) < 60 else "/tmp"))


@contextlib.contextmanager
def _without(module: str):
    """Within the block the module cannot be imported, unless it is already.

    rfc3987_syntax compiles a grammar for 1.6 s when jsonschema, which nbformat imports, finds it; only the check
    of internationalised addresses would miss it, and notebooks hold none.
    """
    absent = module not in sys.modules
    if absent:
        cast(dict, sys.modules)[module] = None
    try:
        yield
    finally:
        if absent:
            del sys.modules[module]
