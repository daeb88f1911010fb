"""The notebooks at smoke scale, for all tests that look at what comes out."""

import contextlib
import functools
import os
import socket
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


JUPYTERS = (  # the folders that are a user's own
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
)
TOKEN = "secret"


@contextlib.contextmanager
def laboratory(root, environment, home):
    """`make lab` of the checkout `root`, with its settings in the folder `home`: the process and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = environment | {name: str(home / name) for name in JUPYTERS} | {"JUPYTER_TOKEN": TOKEN}
    command = [sys.executable, "-m", "finegrain.run", "lab", "--no-browser", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", *(["--allow-root"] if os.geteuid() == 0 else [])]
    server = subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield server, port
    finally:
        server.terminate()
        server.wait(timeout=30)
