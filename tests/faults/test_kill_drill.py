"""The short form of the drill with random kills: two light notebooks, three kills."""

import importlib.util
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("kill_drill", Path(__file__).with_name("kill_drill.py"))
kill_drill = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(kill_drill)

REMEMBERS = """
import time
from pathlib import Path
from finegrain.memo import cached
def arm(seed):
    time.sleep(0.2)
    return seed * 2
Path(out, 'table.csv').write_text('seed,hit\\n' + ''.join(f'{seed},{cached(arm)(seed)}\\n' for seed in range(8)))
"""
PLAIN = "import time\nfrom pathlib import Path\ntime.sleep(1)\nPath(out, 'table.csv').write_text('a\\n1\\n')"


def test_after_any_kill_the_next_run_finishes_with_the_bytes_of_a_calm_one(kit):
    kit.notebook("retrieval/remembers", REMEMBERS)
    kit.notebook("retrieval/plain", PLAIN)
    build = kit.root / "build"
    environment = kit.environment | {"FINEGRAIN_BUILD": str(build), "FINEGRAIN_FIGURES": str(build / "figures")}
    options = {"kills": 3, "seed": 0, "longest": 4.0}
    said = list(kill_drill.drill(kit.root, build, environment, ["JOBS=2"], **options))
    assert sum("killed" in line for line in said) == 3
    assert said[-1] == "finished, 2 files as in the calm run"


STOPS = """
import os, signal
from pathlib import Path
from finegrain.memo import cached
def arm(seed):
    with open('log', 'a') as file:
        file.write(f'{seed} ')
    return seed * 2
for seed in range(5):
    if seed == 3 and not Path('again').exists():
        os.kill(os.getpid(), signal.SIGKILL)
    cached(arm)(seed)
"""


def test_a_killed_and_edited_notebook_computes_only_what_it_had_not(kit):
    kit.notebook("retrieval/stops", STOPS)
    assert "SIGKILL" in kit.make("all").stdout
    (kit.root / "again").touch()
    kit.notebook("retrieval/stops", STOPS, PLAIN)
    again = kit.make("all")
    assert again.returncode == 0, again.stdout
    assert (kit.root / "log").read_text() == "0 1 2 3 4 "
