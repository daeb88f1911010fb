"""The call that remembers, and the clock that counts what was remembered."""

import contextlib
import dataclasses
import functools
import os
import platform
import re
import time
import warnings
from collections.abc import Callable

from finegrain import files
from finegrain.memo import _meter, _modules, _store
from finegrain.memo._content import Content, bound
from finegrain.models import _registry
from finegrain.run import environment, reads

VERSION = 1  # of what a key holds
_skipped = 0.0  # seconds of computing that answers spared this process, less those that keeping and finding them took
_answers = {"answers": 0, "seconds": 0.0}


def cached(function: Callable, *, ignore: tuple[str, ...] = ()) -> Callable:
    """The function, remembering its answers on disk: call it in its place, or set it before a definition.

    ignore: names of arguments that change no answer, such as a progress bar's.

    The answer is what was pickled, whether it was computed now or earlier, so both ways give the same bytes. Raises
    InputError where an argument, or a variable that the code uses, has no content to compare.
    """

    @functools.wraps(function)
    def call(*arguments, **named):
        if _store.limit() == 0:
            return function(*arguments, **named)
        begun, skipped = time.perf_counter(), _skipped
        answer, seconds = _answer(function, arguments, named, ignore)
        _meter.forget()  # what it took to keep the answer or to find it
        _tell(skipped + seconds - (time.perf_counter() - begun))
        return answer

    call.memo_of = function  # type: ignore[attr-defined]  # what a key walks, in place of this wrapper
    return call


def clock() -> float:
    """Seconds, as `time.perf_counter` counts them, as if every cached answer had just been computed.

    The difference of two readings is what the work between them costs: an answer that is found counts with the
    seconds that it took when it was made, here or in another run; looking it up and keeping it count nothing.
    """
    return time.perf_counter() + _skipped


@contextlib.contextmanager
def metered():
    """What the work inside costs, as if every cached answer had just been computed; yields a `Cost`, full at the end.

    >>> with metered() as cost:
    ...     numbers = bytearray(50_000_000)
    >>> bool(cost.megabytes > 40 or cost.megabytes != cost.megabytes), cost.seconds > 0
    (True, True)
    """
    cost = _meter.Cost()
    with _meter.memory(cost):
        begun = clock()
        try:
            yield cost
        finally:
            cost.seconds = clock() - begun


def used() -> dict:
    """How many answers this process has found instead of computing them, and the seconds that they once took."""
    return dict(_answers)


def _tell(skipped: float) -> None:
    global _skipped
    _skipped = skipped


def _answer(function, arguments, named, ignore):
    """The answer, and the seconds that computing it takes or took."""
    content = Content()
    name = re.sub(r"\W+", "_", getattr(function, "__name__", "answer")).strip("_")[:40] or "answer"
    parts = [content.of(function, "the function"), *_machine()]
    for argument, value in bound(function, arguments, named, ignore).items():
        parts += [argument, content.of(value, f"{argument} of {name}")]
    edited = _modules.edited(content.modules)
    if edited:
        warnings.warn(f"{edited[0]} was edited since this kernel imported it: {name} is not cached", stacklevel=4)
        answer, cost, _ = _computed(function, arguments, named)
        return answer, cost.seconds
    key = files.digest(*parts)[:40]
    with _store.turn(name, key):
        found = _found(name, key)
        if found is not None:
            return found
        answer, cost, opened = _computed(function, arguments, named)
        packed = _store.packed(answer)
        if not any(_loose(one) for one in opened):
            facts = dataclasses.asdict(cost) | {"reads": opened, "modules": reads.noted()["modules"]}
            _store.write(name, key, facts | {"versions": reads.versions()}, packed)
    return _store.unpacked(packed), cost.seconds


def _computed(function, arguments, named):
    """The answer, what it cost, and what was opened by name."""
    _meter.forget()  # what the key took
    with reads.following() as opened:
        with metered() as cost:
            answer = function(*arguments, **named)
        return answer, cost, opened


def _found(name, key):
    """A kept answer whose backbones are as they were, and its seconds."""
    for path in _store.entries(name, key):
        facts = _store.facts(path)
        if facts is None or all(_holds(one) for one in facts.get("reads", ())):
            held = _meter.held()
            entry = _store.read(path)
            if entry is not None:
                answer, facts = entry
                reads.adopt(facts)
                _answers["answers"] += 1
                _answers["seconds"] += facts["seconds"]
                _meter.note(held + facts.get("megabytes", 0.0))  # older answers do not tell it
                return answer, facts["seconds"]
    return None


def _holds(one) -> bool:
    """Whether what a computation opened by name is still the same."""
    kind, name, digest, scale = one
    if kind == "backbones" and name in _registry.MADE_BY:
        return reads.backbone_digest(_registry.backbone_folder(name, scale)) == digest
    return True


def _loose(one) -> bool:
    """Whether the name of what was opened does not say what it holds: a folder, or a hub id without a commit."""
    kind, name, _, _ = one
    if kind == "backbones":
        return (
            name not in _registry.MADE_BY and name not in _registry.PACKAGED and not re.search("@[0-9a-f]{40}$", name)
        )
    return (files.root() / name.partition("?")[0]).exists()


def _machine() -> list[str]:
    import torch

    threads = [os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    numbers = (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cpu.get_cpu_capability(),
    )
    lock = files.root() / "requirements.lock"
    return [
        *map(str, (VERSION, platform.python_version(), platform.machine(), reads.cpu(), gpu, numbers, threads)),
        environment.lock_digest(lock, tools=False) if lock.exists() else str(reads.versions()),
        os.environ.get("FINEGRAIN_BACKBONES", ""),
        os.environ.get("PYTHONHASHSEED", ""),
    ]
