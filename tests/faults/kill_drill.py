"""Kill any process of `make all` at random moments; the next `make all` finishes, with the bytes of a calm run.

    python tests/faults/kill_drill.py --kills 20 --seed 0 [--task retrieval] [--scale smoke]

works in the checkout that it lies in, below build/drill/, and says what it killed. A cycle starts from nothing, kills
several times in a row, each time in the next `make all`, then lets one finish and compares. README.md beside it holds
the results of the whole drill.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
IN_A_ROW = 4


def drill(root: Path, build: Path, environment: dict, words: list[str], *, kills: int, seed: int, longest: float):
    """Kill `kills` times; yields what was killed, and raises AssertionError where a run after that is not as it was.

    root: of the checkout; build: its build folder, which the environment names too; words: what `make all` is given;
    longest: seconds into a `make all` at most.
    """
    random_moment = random.Random(seed)
    shutil.rmtree(build, ignore_errors=True)
    calm = _make(root, environment, words)
    said = calm.communicate()[0]
    assert calm.returncode == 0, said
    expected = results(root, build)
    assert expected, "the calm run made nothing to compare"
    done = 0
    while done < kills:
        _forget(build, root)
        for _ in range(min(IN_A_ROW, kills - done)):
            running = _make(root, environment, words)
            wait = random_moment.uniform(0.05, longest)
            victim = _kill_one(running, wait, random_moment)
            running.communicate()
            if victim:
                done += 1
                yield f"{victim} after {wait:.1f} s"
        last = _make(root, environment, words)
        said = last.communicate()[0]
        assert last.returncode == 0, said
        found = results(root, build)
        differing = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        assert not differing, f"not as in a calm run: {differing}\n{said}"
        yield f"finished, {len(found)} files as in the calm run"


def results(root: Path, build: Path) -> dict[str, bytes]:
    """The published files by name, but for what a clock made."""
    folders = [build / "smoke" / "figures", build / "figures"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(build)): path.read_bytes()
        for path in files
        if path.name != "run.json" and not path.name.startswith("cost.")
    }


def _forget(build: Path, root: Path) -> None:
    """Start from nothing but the data sets."""
    for path in build.iterdir():
        if path.name != "worlds":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _make(root, environment, words):
    return subprocess.Popen(
        ["make", "all", *words],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _kill_one(running, wait, random_moment) -> str:
    """Kill one process of the tree after so many seconds, and say which; nothing if the run had ended before."""
    end = time.monotonic() + wait
    while time.monotonic() < end:
        if running.poll() is not None:
            return ""
        time.sleep(0.02)
    try:
        top = psutil.Process(running.pid)
        tree = [top, *top.children(recursive=True)]
        victim = random_moment.choice(tree)
        name = _name(victim)
        os.kill(victim.pid, signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return ""
    return f"killed {name}, one of {len(tree)} processes,"


def _name(process) -> str:
    words = process.cmdline()
    if "finegrain.run.kernel" in words or process.name() == "fg-kernel":
        return "a kernel"
    if "finegrain.run.preload" in words:
        return "the preloaded process"
    if "finegrain.run" in words:
        return f"the runner of {words[words.index('notebook') + 1]}" if "notebook" in words else "a command"
    return process.name()


def main() -> None:
    """The whole drill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=40.0)
    parser.add_argument("--scale", default="smoke")
    parser.add_argument("--task", default="")
    given = parser.parse_args()
    build = ROOT / "build" / "drill"
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "FINEGRAIN_"))},
        "FINEGRAIN_PYTHON": sys.executable,
        "FINEGRAIN_BUILD": str(build),
        "FINEGRAIN_FIGURES": str(build / "figures"),
    }
    words = [f"SCALE={given.scale}", f"TASK={given.task}"]
    begun = time.monotonic()
    options = {"kills": given.kills, "seed": given.seed, "longest": given.longest}
    for said in drill(ROOT, build, environment, words, **options):
        sys.stdout.write(f"{time.monotonic() - begun:6.0f} s  {said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
