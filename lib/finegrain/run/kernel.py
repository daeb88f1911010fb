"""The kernel `finegrain`: an ordinary IPython kernel that starts at the checkout's root and says what it has read.

As a program (`python -m finegrain.run.kernel -f FILE`) it is the kernel's process; as a module it makes kernel specs
and starts kernels, by forking where a preloaded process has the imports done (`finegrain.run.forked`).
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from finegrain import files

NAME = "finegrain"
PROVISIONER = "finegrain-preloaded"  # by this name Jupyter knows the way to a preloaded process
SPEC: dict[str, Any] = {
    # `python` alone: Jupyter puts its own interpreter there, so that the spec holds in any environment.
    "argv": ["python", "-m", "finegrain.run.kernel", "-f", "{connection_file}"],
    "display_name": "finegrain",
    "language": "python",
    "metadata": {"debugger": True},
    "env": {"PYTHONHASHSEED": "0"},  # the order of a set of words is part of a result
}
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def write_spec(kernels, *, forks: bool) -> Path:
    """Write the spec below a folder of kernel specs; for this installation of the kit, wherever Jupyter runs.

    forks: the kernel comes through the kit's provisioner, which the Jupyter that reads the spec has to know: by
    `provide`, or by the entry point of the installed kit.
    """
    folder = Path(kernels) / NAME
    spec = SPEC | {"env": own_environment()}
    if forks:
        provisioner = {"provisioner_name": PROVISIONER, "config": {}}
        spec["metadata"] = SPEC["metadata"] | {"kernel_provisioner": provisioner}
    files.write_text(folder / "kernel.json", json.dumps(spec, indent=1) + "\n")
    return folder


def own_environment() -> dict:
    """The variables that every kernel of the kit has, whoever starts it."""
    return SPEC["env"] | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def provide() -> None:
    """Let the Jupyter of this process know the kit's provisioner, also where the kit is not installed."""
    from importlib.metadata import EntryPoint

    from jupyter_client.provisioning import KernelProvisionerFactory as Factory

    Factory.provisioners[PROVISIONER] = EntryPoint(PROVISIONER, "finegrain.run.forked:Provisioner", Factory.GROUP_NAME)


def provided() -> bool:
    """Whether the kit is installed in this environment with its provisioner."""
    from importlib.metadata import entry_points

    return bool(entry_points(group="jupyter_client.kernel_provisioners", name=PROVISIONER))


def environment(threads: int, reads: Path | None, backbones: Path | None, online: bool) -> dict:
    """The environment of a kernel that runs a notebook: threads, where to say what was read, no network unasked.

    reads: the file for what was read, if somebody asks; it is replaced.
    backbones: where it saves and finds trained backbones, if not in the shared place.
    """
    set_here = {name: str(threads) for name in THREADS} | {"TOKENIZERS_PARALLELISM": "false"}
    if reads:
        set_here["FINEGRAIN_READS"] = str(reads.resolve())
    if backbones:
        set_here["FINEGRAIN_BACKBONES"] = str(backbones.resolve())
    if not online:
        set_here["HF_HUB_OFFLINE"] = "1"
    return {**os.environ, **set_here}


def start(folder: Path, environment: dict):
    """Start a kernel and return its manager; connection file and sockets lie in `folder`, a short path of its own.

    Sockets in a common folder cross wires when several runs start at once, ports are taken by others.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync

    provide()
    write_spec(folder / "kernels", forks=True)
    specs = KernelSpecManager(kernel_dirs=[str(folder / "kernels")], ensure_native_kernel=False)
    manager = AsyncKernelManager(
        kernel_name=NAME,
        kernel_spec_manager=specs,
        connection_file=str(folder / "c.json"),
        transport="ipc",
        ip=str(folder / "s"),
    )
    environment = environment | {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder)}
    with open(folder / "log", "wb") as log:
        run_sync(manager.start_kernel)(
            extra_arguments=["--HistoryManager.enabled=False"],
            env=environment,
            cwd=str(files.root()),
            stdout=log,
            stderr=log,
        )
    return manager


def stop(manager) -> int | None:
    """End the kernel and every process of its group.

    Returns its exit status if it had ended by itself before (negative: the signal that killed it), else None.
    """
    import contextlib
    import signal

    from jupyter_core.utils import run_sync

    process = manager.provisioner.process
    status = process.poll() if process else None
    run_sync(manager.shutdown_kernel)(now=True)
    if process:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what a dead kernel left behind
    return status


def main() -> None:
    """Be the kernel's process."""
    from ipykernel.kernelapp import IPKernelApp

    from finegrain.run import outputs, reads

    for name in THREADS:
        os.environ.setdefault(name, "1")
    os.chdir(files.root())  # a path in a parameter means the same from the command line and in JupyterLab
    app = IPKernelApp.instance()
    app.initialize(sys.argv[1:])
    for name, meet in (("matplotlib.pyplot", "install_repl_displayhook"), ("ipywidgets", "register_comm_target")):
        if name in sys.modules:  # preloaded: it was imported before there was a shell to meet
            getattr(sys.modules[name], meet)()
    reads.follow_imports()
    if os.environ.get("FINEGRAIN_READS") and app.shell is not None:
        outputs.limit(app.shell, [sys.stdout, sys.stderr])
        # After each cell, not at exit: a kernel may be gone before it can say anything.
        app.shell.events.register("post_run_cell", lambda result: reads.write_if_asked())
    app.start()


if __name__ == "__main__":
    main()
