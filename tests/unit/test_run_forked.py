"""Kernels forked from a preloaded process: nothing leaks, the bytes are a cold one's, and a cold one is at hand."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")

# Everything that a notebook might leave behind in its process.
LEAKS = """
import builtins, os, random, sys, warnings
import matplotlib, numpy, pandas, torch
import finegrain.errors

builtins.leaked = os.environ["LEAKED"] = "yes"
sys.modules["leaked"] = sys
sys.path.insert(0, "/leaked")
finegrain.errors.leaked = torch.leaked = True
random.seed(0), numpy.random.seed(0), torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(2)
torch.use_deterministic_algorithms(True)
numpy.set_printoptions(precision=1)
pandas.options.display.max_rows = 1
matplotlib.rcParams["lines.linewidth"] = 77.0
warnings.simplefilter("error")
os.umask(0o077)
os.chdir("/")
"""
STATE = """
import builtins, json, os, random, sys, warnings
from pathlib import Path

process = Path("/proc/self/comm").read_text().strip()
loaded = sorted({"torch", "transformers", "sklearn", "leaked"} & set(sys.modules))
kit = sorted(name for name in sys.modules if name.partition(".")[0] == "finegrain")
directory, path = os.getcwd(), list(sys.path)
own = ("FINEGRAIN_", "JPY_", "JUPYTER_", "IPYTHONDIR", "PYTEST_")
environment = {key: value for key, value in os.environ.items() if not key.startswith(own)}
import matplotlib.pyplot, numpy, pandas, torch
import finegrain.errors

matplotlib.pyplot.close(matplotlib.pyplot.figure())  # with the first figure the backend and its settings come
mask = os.umask(0)
os.umask(mask)
state = {
    "leaked": [hasattr(thing, "leaked") for thing in (builtins, torch, finegrain.errors)],
    "dtype": str(torch.get_default_dtype()),
    "threads": torch.get_num_threads(),
    "deterministic": torch.are_deterministic_algorithms_enabled(),
    "numpy": numpy.get_printoptions(),
    "pandas": pandas.options.display.max_rows,
    "matplotlib": {key: str(value) for key, value in matplotlib.rcParams.items()},
    "warnings": ["error" in filter for filter in warnings.filters].count(True),
    "signals": [str(signal_) for signal_ in map(__import__("signal").getsignal, (2, 15, 17))],
    "streams": [type(stream).__name__ for stream in (sys.stdout, sys.stderr)],
    "umask": mask,
    "directory": directory,
    "path": path,
    "environment": environment,
    "kit": kit,
}
draws = [random.random(), float(numpy.random.rand()), torch.rand(()).item()]
smaps = dict(line.split()[:2] for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
memory = {"resident": int(smaps["Rss:"]), "own": int(smaps["Private_Dirty:"]) + int(smaps["Private_Clean:"])}
found = {"process": process, "loaded": loaded, "draws": draws, "memory": memory, "state": state}
Path(out, "found.json").write_text(json.dumps(found, default=str))
"""
# One thing of each kind that a paper's notebook makes: text, a table, a figure, a trained model.
RESULTS = (
    "import matplotlib.pyplot as plt\nimport numpy as np\nimport pandas as pd\nimport torch\n"
    "from pathlib import Path\nfrom sklearn.linear_model import LogisticRegression\nfrom finegrain import seeding\n"
    "print({'some', 'words', 'in', 'a', 'set'})",
    "generator = np.random.default_rng(0)\nx = generator.normal(size=(200, 30))\ny = (x[:, 0] > 0).astype(int)\n"
    "table = pd.DataFrame(LogisticRegression().fit(x, y).coef_).round(12)\ntable",
    "torch.manual_seed(0)\n"
    "layer = torch.nn.Sequential(torch.nn.Linear(30, 64), torch.nn.GELU(), torch.nn.Linear(64, 2))\n"
    "steps = torch.optim.AdamW(layer.parameters())\n"
    "for _ in range(20):\n"
    "    loss = torch.nn.functional.cross_entropy(layer(torch.tensor(x, dtype=torch.float32)), torch.tensor(y))\n"
    "    steps.zero_grad(), loss.backward(), steps.step()\n"
    "loss.item()",
    "plt.plot(x[:20, 0])\nplt.show()",
    "table.to_csv(Path(out, 'table.csv'))\nPath(out, 'loss.txt').write_text(repr(loss.item()))",
)


@pytest.fixture(scope="module")
def ran(new_kit):
    """A checkout in which notebooks ran below one preloaded process, one after the other, and then again, cold."""
    kit = new_kit()
    for name, sources in {"leaks": [LEAKS], "state": [STATE], "again": [STATE], "results": RESULTS}.items():
        kit.notebook(f"retrieval/{name}", *sources)
    runs = [
        f"{sys.executable} -m finegrain.run notebook default/retrieval/{name}"
        for name in ("leaks", "state", "again", "results")
    ]
    for folder, before in (("forked", ["preloaded"]), ("cold", [])):
        words = [sys.executable, "-m", "finegrain.run", *before] if before else []
        ended = kit.call(*words, "sh", "-ec", "\n".join(runs))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        (kit.root / "build").rename(kit.root / folder)
        shutil.rmtree(kit.root / "build", ignore_errors=True)
        (kit.root / "figures").rename(kit.root / folder / "figures")
    return kit


def found(kit, folder, name):
    return json.loads((kit.root / folder / "figures/retrieval" / name / "found.json").read_text())


def test_a_kernel_below_a_preloaded_process_begins_with_the_packages_and_without_the_kit(ran):
    forked, cold = found(ran, "forked", "state"), found(ran, "cold", "state")
    assert (forked["process"], forked["loaded"]) == ("fg-kernel", ["sklearn", "torch", "transformers"])
    assert cold["process"] != "fg-kernel"
    assert cold["loaded"] == []


def test_nothing_of_one_notebook_is_left_in_the_next(ran):
    forked, cold = found(ran, "forked", "state"), found(ran, "cold", "state")
    added = set(forked["state"]["environment"]) - set(cold["state"]["environment"])
    assert added <= {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TORCHINDUCTOR_CACHE_DIR"}  # importing sets them
    for name in added:
        del forked["state"]["environment"][name]
    assert forked["state"] == cold["state"]
    assert forked["state"]["leaked"] == [False] * 3


def test_what_is_drawn_without_a_seed_differs_from_kernel_to_kernel(ran):
    one, other = found(ran, "forked", "state")["draws"], found(ran, "forked", "again")["draws"]
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_the_memory_of_a_forked_kernel_is_mostly_shared(ran):
    memory = found(ran, "forked", "state")["memory"]
    assert memory["own"] < 0.35 * memory["resident"]


def test_results_and_outputs_are_those_of_a_cold_kernel_to_the_byte(ran):
    def outputs(folder):
        raw = json.loads((ran.root / folder / "default/retrieval/results.ipynb").read_text())
        return [cell.get("outputs") for cell in raw["cells"]]

    def files(folder):
        published = ran.root / folder / "figures/retrieval/results"
        return {path.name: path.read_bytes() for path in published.iterdir() if path.name != "run.json"}

    assert outputs("forked") == outputs("cold")
    assert {"image/png", "text/html"} <= {
        kind for cell in outputs("cold") for out in cell for kind in out.get("data", ())
    }
    assert files("forked") == files("cold")
    assert set(files("cold")) == {"table.csv", "loss.txt"}


def test_both_kernels_record_the_same_packages_and_modules(ran):
    records = [
        json.loads((ran.root / folder / "figures/retrieval/results/run.json").read_text())
        for folder in ("forked", "cold")
    ]
    assert records[0]["versions"] == records[1]["versions"]
    assert "transformers" not in records[0]["versions"]  # imported beforehand, used by nobody


PROCESS = "from pathlib import Path\nPath(out, 'process').write_text(Path('/proc/self/comm').read_text())"


@pytest.mark.parametrize(
    "before",
    [
        {"FINEGRAIN_PRELOAD": "0"},
        {"FINEGRAIN_PRELOADED": "finegrain-there-is-none"},
        {"MKL_CBWR": "COMPATIBLE"},  # read by an import: the preloaded process began without it
    ],
    ids=lambda before: "".join(before),
)
def test_a_cold_kernel_is_started_where_forking_does_not_fit(kit, before):
    kit.notebook("retrieval/process", PROCESS)
    words = [f"{name}={value}" for name, value in before.items()]
    run = ["env", *words, sys.executable, "-m", "finegrain.run", "notebook", "default/retrieval/process"]
    begun = time.monotonic()
    ended = kit.finegrain("preloaded", *run)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (kit.root / "figures/retrieval/process/process").read_text().strip() != "fg-kernel"
    assert time.monotonic() - begun < 60  # it did not wait for a process that never answers


def test_the_preloaded_process_ends_with_the_command_and_may_be_killed_before(kit):
    script = (
        "import os, sys, time, psutil\n"
        "tree = psutil.Process().children(recursive=True)\n"
        "print(*[p.pid for p in tree if 'finegrain.run.preload' in p.cmdline()])\n"
    )
    ended = kit.finegrain("preloaded", sys.executable, "-c", script)
    processes = [int(word) for word in ended.stdout.split()]
    assert len(processes) == 1, ended.stderr
    deadline = time.monotonic() + 60  # it is importing
    while any(psutil.pid_exists(pid) for pid in processes):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_notebooks_go_on_when_the_preloaded_process_is_killed(kit):
    waits = "Path('begun').touch()\nwhile not Path('go').exists(): time.sleep(0.05)"
    kit.notebook("retrieval/waits", "import time\nfrom pathlib import Path", waits, PROCESS)
    kit.notebook("retrieval/zlast", PROCESS)
    runner = subprocess.Popen(
        ["make", "all", "-j1"], cwd=kit.root, env=kit.environment, stdout=subprocess.PIPE, text=True
    )
    while not (kit.root / "begun").exists():
        assert runner.poll() is None
        time.sleep(0.05)
    tree = psutil.Process(runner.pid).children(recursive=True)
    preloaded = [p for p in tree if p.name() != "fg-kernel" and "finegrain.run.preload" in p.cmdline()]
    assert len(preloaded) == 1
    os.kill(preloaded[0].pid, signal.SIGKILL)
    (kit.root / "go").touch()
    said = runner.communicate(timeout=120)[0]
    assert runner.returncode == 0, said
    read = [(kit.root / f"figures/retrieval/{name}/process").read_text().strip() for name in ("waits", "zlast")]
    assert read[0] == "fg-kernel" != read[1]
