"""Execute one notebook: in a kernel of its own, all of it or nothing, with a record at the end."""

import contextlib
import copy
import datetime
import fcntl
import json
import os
import re
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from finegrain import files
from finegrain.errors import InputError
from finegrain.run import depend, kernel, limits, places, provenance, record
from finegrain.run.cells import run_cells
from finegrain.run.notebooks import Notebook
from finegrain.run.parameters import check, declared
from finegrain.run.places import Place


@dataclass
class Outcome:
    """How one run ended: status is ran, unchanged, skipped, failed or interrupted.

    error: the last line of what went wrong; bad_input: it was the user's input; executed: the path of the executed
    notebook from the root, to read what happened.
    """

    name: str
    status: str
    seconds: float = 0.0
    verdicts: list = field(default_factory=list)
    error: str = ""
    bad_input: bool = False
    executed: str = ""


def values(notebook: Notebook, scale: str, given: dict | None = None) -> dict:
    """All parameters of a run: the declared defaults, the scale, then what was given; checked."""
    known = declared(notebook)
    scaled = {"scale": scale} if "scale" in known else {}
    return {name: parameter.default for name, parameter in known.items()} | check(scaled | dict(given or {}), known)


def execute(
    notebook: Notebook, place: Place, parameters: dict, threads: int = 1, *, always=False, progress=False
) -> Outcome:
    """Run the notebook in its place unless its record says that nothing has changed.

    parameters: all values, as `values` gives them; always: run in any case; progress: show a bar.
    One run at a time in a place: a second one waits, and then finds the work done. Raises InputError if
    the place cannot be written, KeyboardInterrupt when it is interrupted; both leave the place without a
    record and without anything half written.
    """
    with _turn(place):
        if not always and record.stale(notebook, place, parameters, threads) is None:
            os.utime(place.record)
            return Outcome(notebook.name, "unchanged")
        for maker in [] if always else depend.needed(notebook):
            if not places.committed(maker, place.scale).record.exists():
                return Outcome(notebook.name, "skipped", error=f"it needs {maker}, which has not run well")
        _check_writable(place.figures)
        place.record.unlink(missing_ok=True)
        shutil.rmtree(place.scratch, ignore_errors=True)
        try:
            (place.scratch / "out").mkdir(parents=True)
            with _interruptible():
                return _run(notebook, place, parameters, threads, progress)
        except OSError as error:
            raise InputError(f"cannot write {files.shown(place.folder)}: {error.strerror or error}") from None
        finally:
            shutil.rmtree(place.scratch, ignore_errors=True)


def _run(notebook, place, parameters, threads, progress) -> Outcome:
    from finegrain.seeding import expand_seeds  # brings numpy: not for a look at a record

    seeds = expand_seeds(parameters["seeds"]) if parameters.get("seeds") else None
    before, begun, started = record.sources(), time.time(), time.monotonic()
    start = datetime.datetime.fromtimestamp(begun, datetime.UTC).isoformat(timespec="seconds")
    scratch_notebook, reads = place.scratch / "executed.ipynb", place.scratch / "reads.json"
    given = _differing(notebook, parameters)
    if "out" in parameters:
        given["out"] = files.shown(place.scratch / "out")
    environment = kernel.environment(threads, reads, place.backbones, online=_asks_for_hub(parameters))
    # With parameters of the user's own a run takes what it takes; within `make all` it has a budget.
    usual = place == places.committed(notebook.name, place.scale) if place.scale in places.SCALES else False
    allowed = limits.limits(notebook.facts().get("budget", {}).get(place.scale) if usual else None)
    error = run_cells(notebook.path, scratch_notebook, given, environment, progress, allowed)
    seconds = round(time.monotonic() - started, 1)
    executed, noted = record.load(scratch_notebook) or {}, record.load(reads) or {}
    if executed:
        _clean(executed, _differing(notebook, parameters))
        error = error or _incomplete(executed, notebook, place, noted)
        files.write_text(place.executed, json.dumps(executed, indent=1, ensure_ascii=False) + "\n")
    if error:
        where = files.shown(place.executed) if executed else ""
        bad_input = error.startswith("InputError: ")
        return Outcome(notebook.name, "failed", seconds, [], error.removeprefix("InputError: "), bad_input, where)
    process = noted.pop("process")
    inputs = record.inputs(notebook, place, parameters, threads, noted | {"folders": record.folders(noted)})
    inputs["lock"], inputs["backbones"] = before["lock"], noted["backbones"]  # as they were when they were read
    inputs["modules"] = {name: before.get(name, record.MISSING) for name in inputs["modules"]}
    whole = {
        "notebook": notebook.name,
        "scale": place.scale,
        "parameters": inputs["parameters"],
        "seeds": seeds,
        "threads": threads,
        "verdicts": _verdicts(place.scratch / "out"),
        "started": start,
        "seconds": seconds,
        **process,
        "commit": record.commit(),
        "data": noted["data"],
        "inputs": inputs,
        "outputs": {},
        "cells": [_cell(cell) for cell in executed["cells"]],
    }
    executed["metadata"]["provenance"] = provenance.of(whole)
    files.write_text(place.executed, json.dumps(executed, indent=1, ensure_ascii=False) + "\n")
    provenance.stamp(place.scratch / "out" / "claims.json", whole)
    _finish(notebook, place, whole)
    if record.sources() != before or notebook.path.stat().st_mtime > begun:
        os.utime(place.record, (begun, begun))  # someone edits while it runs: Make shall look at it once more
    return Outcome(notebook.name, "ran", seconds, whole["verdicts"], executed=files.shown(place.executed))


def _incomplete(executed, notebook, place, noted) -> str:
    """What a run that seemed to end well lacks: a cell that did not run, a declared output."""
    for number, cell in enumerate(executed["cells"], 1):
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip() and not cell["execution_count"]:
            return f"cell {number} did not run"
    if not noted:
        return "the kernel did not say what it read: is the kernel's package this one?"
    made = place.scratch / "out"
    missing = [name for name in notebook.facts().get("outputs", []) if not (made / name).is_file()]
    missing += [
        name for name, digest in record.outputs(notebook, place, {})["backbones"].items() if digest == record.MISSING
    ]
    return f"it did not write {', '.join(missing)}" if missing else ""


def _finish(notebook, place, whole) -> None:
    """Publish what the run made, then say so: dependency file, published record, record, in this order."""
    made = place.scratch / "out"
    items = _keep_items(made / "items", place.items)
    whole["outputs"] = record.outputs(notebook, place, {"figures": _publish(made, place.figures), "items": items})
    if whole["outputs"]["figures"]:
        record.write(place.figures / record.PUBLISHED, provenance.public(whole))
    files.write_text(place.dependencies, depend.rule(notebook, place, whole["inputs"], whole["outputs"]))
    record.write(place.record, whole)


def _keep_items(made: Path, target: Path) -> list[str]:
    """Move the per-item results beside the executed notebook, in place of an earlier run's, and say their names."""
    shutil.rmtree(target, ignore_errors=True)
    if not made.is_dir():
        return []
    made.replace(target)
    return sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())


def _publish(made: Path, target: Path) -> list[str]:
    """Move all files to their place, each whole, and say their names; what an earlier run had left there goes."""
    new = sorted(path.name for path in made.iterdir() if path.is_file())
    earlier = record.load(target / record.PUBLISHED) or {"outputs": {"figures": {}}}
    for name in new:
        with files.whole(target / name) as beside:
            shutil.copyfile(made / name, beside)
    for name in earlier["outputs"]["figures"]:  # by name: the folder may hold other things of the user's
        if name not in new:
            (target / name).unlink(missing_ok=True)
    return new


def _clean(executed: dict, given: dict) -> None:
    """Take papermill's own notes out of an executed notebook: they name paths, and call dead cells completed."""
    executed["metadata"].pop("papermill", None)
    for cell in executed["cells"]:
        if "injected-parameters" in cell["metadata"].get("tags", []):
            cell["id"] = "injected-parameters"
            lines = [f"{name} = {value!r}" for name, value in given.items()] or ["# all as declared"]
            cell["source"] = "\n".join(["# The parameters of this run", *lines]).splitlines(keepends=True)


def _differing(notebook: Notebook, parameters: dict) -> dict:
    """The parameters that are not as declared, but for `out`, which is the runner's."""
    known = declared(notebook)
    return {name: value for name, value in parameters.items() if name != "out" and value != known[name].default}


def _cell(cell: dict) -> dict:
    """A cell in the record: what it was, what came out, and how long it took."""
    timing = cell["metadata"].pop("papermill", {})
    outputs = copy.deepcopy(cell.get("outputs", []))
    for output in outputs:
        output.pop("execution_count", None)
    return {
        "id": cell["id"],
        "source": record.source_digest("".join(cell["source"])),
        "outputs": files.digest(json.dumps(outputs, sort_keys=True))[:16] if outputs else "",
        "seconds": round(timing.get("duration") or 0.0, 2),
    }


def _verdicts(made: Path) -> list[str]:
    return [claim["verdict"] for claim in (record.load(made / "claims.json") or {"claims": []})["claims"]]


def _asks_for_hub(parameters: dict) -> bool:
    """Whether a parameter names something on the hub: "hf:owner/name", "hf-hub:...", owner/name that is no path, or a
    public data set by its short name."""
    from finegrain.data._presets import PRESETS

    named = (value for name, value in parameters.items() if name != "out")
    texts = [text for value in named for text in (value if isinstance(value, list) else [value])]
    return any(
        isinstance(text, str)
        and (
            text.startswith(("hf:", "hf-hub:"))
            or re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?", text) is not None
            or text in PRESETS
        )
        and not (files.root() / text).exists()
        for text in texts
    )


def _check_writable(folder: Path) -> None:
    """Refuse a folder for results that cannot be written before any work is done."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "you may not write to" if there.is_dir() else "there is a file at"
        raise InputError(f"cannot write results to {files.shown(folder)}: {why} {files.shown(there)}")


@contextlib.contextmanager
def _turn(place: Place):
    """Hold the place's lock; the others wait."""
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        with open(place.turn, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise InputError(f"cannot write {files.shown(place.folder)}: {error.strerror or error}") from None


@contextlib.contextmanager
def _interruptible():
    """SIGINT, SIGTERM and SIGHUP end the block with KeyboardInterrupt, also where a shell had them ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
