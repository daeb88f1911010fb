"""Runs that are killed, interrupted, or find no room: reported, nothing half written, no process left."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

TABLE = "from pathlib import Path\nPath(out, 'table.csv').write_text('a\\n1\\n')"
# Says which processes it is, then waits; a child of its own stands for a worker of a library.
WAITS = """
import os, subprocess, time
child = subprocess.Popen(['sleep', '300'])
with open('pids.part', 'w') as file:
    file.write(f'{os.getpid()} {child.pid}')
os.rename('pids.part', 'pids')
time.sleep(300)
"""


def nothing_but_locks(kit, *allowed):
    return [name for name in kit.files("build", "figures") if name not in allowed] == []


def waiting(kit):
    """Start a notebook that waits; the runner, and the processes of its kernel once they are there."""
    kit.notebook("retrieval/waits", TABLE, WAITS)
    command = [sys.executable, "-m", "finegrain.run", "notebook", "default/retrieval/waits"]
    runner = subprocess.Popen(command, cwd=kit.root, env=kit.environment, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (kit.root / "pids").exists():
        assert time.monotonic() < deadline
        assert runner.poll() is None
        time.sleep(0.05)
    return runner, [int(pid) for pid in (kit.root / "pids").read_text().split()]


def alive(pids):
    """Those of the processes that still run; a zombie does not."""
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]


def all_gone(pids, seconds):
    deadline = time.monotonic() + seconds
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not alive(pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_and_nothing_half_written(kit, number):
    runner, pids = waiting(kit)
    runner.send_signal(number)
    said, _ = runner.communicate(timeout=60)
    assert runner.returncode == 130
    assert "interrupted" in said
    assert all_gone(pids, seconds=10)
    assert nothing_but_locks(kit)


def test_a_killed_runner_takes_its_kernel_along_and_the_next_run_starts_clean(kit):
    runner, (kernel, child) = waiting(kit)
    runner.kill()
    runner.communicate()
    assert all_gone([kernel], seconds=30)
    os.kill(child, signal.SIGKILL)  # a kernel that loses its runner ends itself, not its children
    kit.notebook("retrieval/waits", TABLE)
    assert kit.make("all").returncode == 0
    assert not (kit.root / "build/default/retrieval/.waits.scratch").exists()


def test_a_kernel_that_is_killed_is_a_failure_that_names_the_signal(kit):
    kit.notebook("retrieval/dies", TABLE, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "1")
    result = kit.make("all")
    assert result.returncode != 0
    assert "the kernel was killed by SIGKILL" in result.stdout
    assert nothing_but_locks(kit, "build/graph.mk", "build/default/retrieval/dies.ipynb")


def test_a_kernel_that_exits_is_a_failure(kit):
    kit.notebook("retrieval/exits", TABLE, "import os\nos._exit(3)")
    assert "the kernel ended with status 3" in kit.make("all").stdout


ENDLESS = """
import time
while True:
    try:
        time.sleep(0.1)
    except KeyboardInterrupt:
        pass
"""


def test_a_cell_that_never_ends_is_ended_at_the_limit_and_named(kit):
    kit.notebook("retrieval/endless", TABLE, ENDLESS, "1")
    result = kit.make("all", "LIMIT=4")
    assert result.returncode != 0
    assert "it ran for more than 4 s, in cell cell-1 at last; LIMIT=seconds allows more" in result.stdout
    assert nothing_but_locks(kit, "build/graph.mk", "build/default/retrieval/endless.ipynb")


LARGE = "import time\nheld = bytearray(400_000_000)\nheld[::4096] = b'x' * len(held[::4096])\ntime.sleep(30)"


def test_a_kernel_that_takes_too_much_memory_is_ended_and_says_how_much(kit):
    kit.notebook("retrieval/large", TABLE, LARGE, "1")
    result = kit.make("all", "MEMORY=0.3")
    assert result.returncode != 0
    assert re.search(r"it used 0\.[3-9] GB of memory, in cell cell-1, more than 0\.3 GB; MEMORY=gig", result.stdout)
    assert nothing_but_locks(kit, "build/graph.mk", "build/default/retrieval/large.ipynb")


def test_limits_that_are_no_numbers_are_refused(kit):
    kit.notebook("retrieval/plain", TABLE)
    for words, name in ((["LIMIT=soon"], "LIMIT='soon'"), (["MEMORY=-1"], "MEMORY='-1'")):
        result = kit.make("all", *words)
        assert result.returncode != 0
        assert f"{name}: give a number of" in result.stdout


SHOUTS = """
import sys
for number in range(1_000_000):
    print(f'{number:>99}')
print('an error at the end', file=sys.stderr)
"""


def test_a_kernel_that_prints_100_megabytes_leaves_a_notebook_that_can_be_opened(kit):
    kit.notebook("retrieval/shouts", TABLE, SHOUTS, "print('short')")
    result = kit.make("all")
    assert result.returncode == 0, result.stdout
    executed = kit.root / "build/default/retrieval/shouts.ipynb"
    assert executed.stat().st_size < 2_000_000
    cells = json.loads(executed.read_text())["cells"]
    said = {"stdout": "", "stderr": ""}
    for output in cells[-2]["outputs"]:
        said[output["name"]] += "".join(output["text"])
    first, cut, last = re.split(r"\n\[\.\.\. ([\d,]+) characters left out \.\.\.\]\n", said["stdout"])
    assert len(first) + int(cut.replace(",", "")) + len(last) == 100_000_000
    assert first.startswith(f"{0:>99}\n{1:>99}\n")
    assert last.endswith(f"{999_999:>99}\n")
    assert said["stderr"] == "an error at the end\n"
    assert "".join(cells[-1]["outputs"][0]["text"]) == "short\n"
    assert json.loads((kit.root / "build/default/retrieval/shouts.run.json").read_text())["peak_memory_mb"] < 400


def test_a_cell_that_leaves_early_is_a_failure(kit):
    kit.notebook("retrieval/leaves", TABLE, "raise SystemExit", "1")
    result = kit.make("all")
    assert "1 failed" in result.stdout
    assert not (kit.root / "build/default/retrieval/leaves.run.json").exists()


def test_a_syntax_error_is_reported_and_publishes_nothing(kit):
    kit.notebook("retrieval/broken", TABLE, "def f(:")
    assert "FAILED: SyntaxError" in kit.make("all").stdout
    assert kit.files("figures") == []


def test_bad_input_in_a_notebook_is_its_sentence_alone(kit):
    kit.notebook("retrieval/asks", "from finegrain import InputError\nraise InputError('there is no data set x')")
    result = kit.finegrain("run", "retrieval/asks")
    assert result.returncode == 2
    assert result.stderr == "finegrain: there is no data set x\n"


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))  # as a full disk: writing fails at some point


BACKBONE = "from finegrain.models import save_backbone\n"
BACKBONE += "save_backbone('doc-bert', scale, lambda folder: (folder / 'weights').write_bytes(bytes(400_000)))"


@pytest.mark.parametrize(
    "source", ["files.write_text(out + '/table.csv', 'x' * 400_000)", "print('x' * 400_000)", BACKBONE]
)
def test_a_disk_without_room_is_one_sentence(kit, source):
    kit.notebook("retrieval/large", f"from finegrain import files\n{source}")
    result = kit.finegrain("run", "retrieval/large", preexec_fn=small_files)
    assert result.returncode == 2
    assert "cannot write" in result.stderr
    assert result.stderr.count("\n") == 1
    left = [name for name in kit.files("build", "figures") if not name.endswith("large.ipynb")]
    assert left == []


def test_a_results_folder_that_cannot_be_one_is_refused_before_anything_runs(kit):
    kit.notebook("retrieval/plain", TABLE)
    (kit.root / "figures").write_text("a file")
    result = kit.make("all")
    assert "cannot write results to figures/retrieval/plain: there is a file at figures" in result.stdout
    assert nothing_but_locks(kit, "figures", "build/graph.mk")


@contextlib.contextmanager
def mounted(folder, options):
    """A file system of its own in the folder; the test is left out where none may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_a_disk_that_is_really_full_is_one_sentence_and_the_results_stay_as_they_were(kit):
    path = kit.notebook("retrieval/plain", TABLE)
    with mounted(kit.root / "figures", "size=64k") as figures:
        assert kit.make("all").returncode == 0
        before = (figures / "retrieval/plain/table.csv").read_text()
        path.write_text(path.read_text().replace("'a\\\\n1\\\\n'", "'x' * 400_000"))
        os.utime(path, (time.time() + 2, time.time() + 2))
        result = kit.make("all")
        assert result.returncode != 0
        assert re.search(r"cannot write .*table.csv: No space left on device", result.stdout)
        assert (figures / "retrieval/plain/table.csv").read_text() == before
        assert sorted(path.name for path in figures.rglob("*") if path.is_file()) == ["run.json", "table.csv"]


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_a_read_only_results_folder_is_refused_before_anything_runs(kit):
    kit.notebook("retrieval/plain", "from pathlib import Path\nPath('ran').touch()", TABLE)
    with mounted(kit.root / "figures", "ro"):
        result = kit.make("all")
        assert result.returncode != 0
        assert "cannot write results to figures/retrieval/plain: you may not write to figures" in result.stdout
        assert not (kit.root / "ran").exists()


def test_an_interrupt_of_make_ends_all_kernels_within_seconds_and_leaves_nothing_half_written(kit):
    for name in ("one", "two"):
        kit.notebook(f"retrieval/{name}", TABLE, WAITS.replace("pids", f"pids-{name}"))
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    running = subprocess.Popen(["make", "-j2", "all"], cwd=kit.root, env=kit.environment, **options)
    files = [kit.root / f"pids-{name}" for name in ("one", "two")]
    deadline = time.monotonic() + 120
    while not all(file.exists() for file in files):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.05)
    tree = [running.pid, *(child.pid for child in psutil.Process(running.pid).children(recursive=True))]
    tree += [int(number) for file in files for number in file.read_text().split()]
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to every process in front
    assert all_gone(set(tree), seconds=5)
    said, _ = running.communicate()
    assert running.returncode != 0
    assert "2 notebooks at scale default: 2 interrupted" in said
    assert [name for name in kit.files("build", "figures") if name != "build/graph.mk"] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(kit):
    kit.notebook("retrieval/plain", TABLE)
    (kit.root / "mine").mkdir(mode=0o555)
    result = kit.finegrain("run", "retrieval/plain", "--parameters", "out=mine")
    assert result.returncode == 2
    assert "you may not write to mine" in result.stderr
