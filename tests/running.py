"""The notebooks at smoke scale, for all tests that look at what comes out."""

import functools
import os
import subprocess
import sys
from pathlib import Path

from finegrain.run import depend, notebooks, places

ROOT = Path(__file__).resolve().parents[1]


def finegrain(*words):
    """Run the command finegrain in the checkout, as from a shell."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FINEGRAIN_SESSION", "PYTEST_"))}
    environment |= {"PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-m", "finegrain.run", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900)


@functools.cache
def smoke(name):
    """Run the notebook at smoke scale, its backbones first, unless its record says that it has not changed.

    Two test processes may come here at once: the runner lets one of them wait for the other.
    """
    for maker in depend.needed(notebooks.find(name)):
        smoke(maker)
    result = finegrain("notebook", f"smoke/{name}")
    assert result.returncode == 0, result.stdout + result.stderr
    return places.committed(name, "smoke")
