"""Rows of the run layer: a kernel's start, `make all` against a loop of papermill, a call with nothing to do."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from rows import Row, in_turn, seconds

from finegrain import files
from finegrain.run import forked, kernel

HEAVY = "import torch, transformers, sentence_transformers, open_clip, sklearn.linear_model, matplotlib.pyplot"
COUNTS = (15, 200)  # notebooks of a checkout with nothing to do
SYNTHETIC = (  # such a notebook: it uses the whole library, and does nothing
    "import finegrain.data.glyphs, finegrain.data.docstrings, finegrain.evaluate.claims, finegrain.models.text\n"
    "import finegrain.search.dense, finegrain.report.figures\nfrom pathlib import Path\n"
    "Path(out, 'table.csv').write_text('a')"
)
NO_OP, GROWTH = 0.5, 0.005  # seconds: the most for 15 notebooks, and for each more


def kernel_start(repeats):
    """From asking for a kernel to the end of its first cell, which imports what a notebook of each task would."""
    with tempfile.TemporaryDirectory() as folder, _preloaded() as address:
        _first_cell(Path(folder), address)  # waits for the imports of the preloaded process

        def forking():
            _first_cell(Path(folder), address)

        def cold():
            _first_cell(Path(folder), "")

        yield Row("a kernel's first imports, forked", "a cold kernel", "s", *in_turn(repeats, forking, cold), 9.6)


def make_all(repeats):
    """All notebooks at smoke from nothing but the data sets, the backbones trained too."""
    times = {"make": [], "loop": []}
    for _ in range(max(1, repeats // 3)):  # minutes each
        for name, run in (("make", _make), ("loop", _loop)):
            with tempfile.TemporaryDirectory() as folder:
                build = Path(folder)
                shutil.copytree(files.build("worlds"), build / "worlds")
                times[name].append(seconds(lambda run=run, build=build: run(build)))
    yield Row("make all, smoke, from nothing", "papermill in a shell loop", "s", times["make"], times["loop"], 3)


def no_op(repeats):
    """`make all` where nothing has changed, in checkouts of 15 and of 200 notebooks that each use the whole library."""
    taken = {}
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            kit = _checkout(Path(folder), count)
            assert kit.make("all", timeout=None).returncode == 0
            assert kit.make("all").stdout == "Everything is up to date.\n"
            taken[count] = [seconds(lambda kit=kit: kit.make("all")) for _ in range(max(5, repeats))]
    few, many = (taken[count] for count in COUNTS)
    yield Row(f"make all with nothing to do, {COUNTS[0]} notebooks", "its limit", "s", few, [NO_OP] * len(few), 1)
    grown = [(b - a) / (COUNTS[1] - COUNTS[0]) for a, b in zip(few, many, strict=True)]
    ms = [1000 * one for one in grown]
    yield Row(f"... each notebook more, up to {COUNTS[1]}", "its limit", "ms", ms, [1000 * GROWTH] * len(ms), 1)


def warm(repeats):
    """A leaderboard with all that it remembers, against its first run; minutes, so once."""
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder)
        for part in ("worlds", "backbones", "default/backbones"):
            shutil.copytree(files.build(part), build / part)
        environment = _environment(FINEGRAIN_BUILD=str(build), PYTHONPATH=str(files.root() / "lib"))
        words = [sys.executable, "-m", "finegrain.run", "run", "text_classification/leaderboard"]
        words += ["--parameters", "seeds=0:5"]
        first, second = (seconds(lambda: _call(words, files.root(), environment)) for _ in range(2))
    yield Row("a leaderboard's second run", "its first run", "s", [second], [first], 10)


ROWS = {"kernel": kernel_start, "make": make_all, "noop": no_op, "warm": warm}


# --- how ------------------------------------------------------------------------------------------------------------


@contextmanager
def _preloaded():
    given = kernel.environment(1, None, None, online=False)
    held = forked.begin(given)
    if held is None:
        raise SystemExit("kernels cannot be forked here: a GPU, or not Linux")
    try:
        yield os.environ.pop(forked.ADDRESS)
    finally:
        os.close(held)


def _first_cell(folder, address):
    """Start a kernel, forked where an address is given, run its first cell, end it."""
    place = Path(tempfile.mkdtemp(dir=folder))
    os.environ[forked.ADDRESS] = address
    manager = kernel.start(place, kernel.environment(1, None, None, online=False))
    client = manager.client()
    try:
        client.start_channels()
        _wait(client.wait_for_ready(timeout=120))
        answer = _wait(client.execute_interactive(HEAVY, timeout=120))
        assert answer["content"]["status"] == "ok", answer["content"]
    finally:
        client.stop_channels()
        kernel.stop(manager)
        del os.environ[forked.ADDRESS]


def _wait(answer):
    from jupyter_core.utils import run_sync

    async def it():
        return await answer

    return run_sync(it)()


def _environment(**more) -> dict:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FINEGRAIN_", "MAKE", "MFLAGS"))}
    return kept | {"FINEGRAIN_PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"} | more


def _make(build):
    environment = _environment(FINEGRAIN_BUILD=str(build), FINEGRAIN_FIGURES=str(build / "figures"))
    del environment["OMP_NUM_THREADS"]
    _call(["make", "all", "SCALE=smoke"], files.root(), environment)


def _loop(build):
    """The same notebooks in an order that works, each by a papermill of its own, as a script would do it."""
    kernel.write_spec(build / "jupyter" / "kernels", forks=False)
    environment = _environment(
        FINEGRAIN_BUILD=str(build),
        FINEGRAIN_FIGURES=str(build / "figures"),
        JUPYTER_PATH=str(build / "jupyter"),
        PYTHONPATH=str(files.root() / "lib"),
        HF_HUB_OFFLINE="1",
    )
    found = sorted((files.root() / "notebooks").glob("*/*.ipynb"))
    found.sort(key=lambda path: path.parent.name != "backbones")
    words = f"{sys.executable} -m papermill --no-progress-bar -k finegrain -p scale smoke"
    lines = [f'{words} "{path}" "{build / path.name}"' for path in found]
    _call(["sh", "-ec", "\n".join(lines)], files.root(), environment)


def _checkout(root, count):
    """A checkout of so many small notebooks, such as the tests use."""
    sys.path.append(str(files.root() / "tests"))
    from conftest import Kit

    kit = Kit(root)
    for number in range(count):
        kit.notebook(f"retrieval/paper_{number:03d}", SYNTHETIC)
    return kit


def _call(words, root, environment):
    ended = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{words[0]} failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
