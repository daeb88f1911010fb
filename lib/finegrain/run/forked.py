"""Kernels forked from a preloaded process, for whatever starts kernels through Jupyter; cold ones where none fits.

`begin` starts the process, `Provisioner` is Jupyter's way to it: papermill, nbclient and JupyterLab find it by the
kernel's name. Whatever is odd (no such process, another environment, a GPU, macOS) makes a cold kernel.
"""

import asyncio
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

from jupyter_client.provisioning import LocalProvisioner

from finegrain.run import kernel, preload

ADDRESS = "FINEGRAIN_PRELOADED"  # the variable that names the process to whoever starts kernels
WAIT = 60.0  # seconds: the imports of a process that has just begun, on a busy machine
GPUS = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/kfd", "/dev/dxg")
LOST = 1  # the status of a kernel whose end nobody saw, the preloaded process being gone


def possible() -> bool:
    """Whether kernels may be forked here: on Linux, without a GPU, and not where $FINEGRAIN_PRELOAD is 0."""
    return sys.platform == "linux" and os.environ.get("FINEGRAIN_PRELOAD") != "0" and not any(map(os.path.exists, GPUS))


def begin(given: dict) -> int | None:
    """Start a preloaded process for kernels that will have the environment `given`; it imports while others go on.

    Its address is in this process's environment afterwards, for whoever starts kernels below it. Returns a descriptor:
    when no copy of it is open any more and no kernel is in use, the process ends. None where kernels start cold.
    """
    if not possible():
        return None
    address = f"finegrain-{os.getuid()}-{os.urandom(16).hex()}"
    hold, held = os.pipe()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(f"\0{address}")
            listener.listen(128)
            subprocess.Popen(
                [sys.executable, "-m", "finegrain.run.preload", str(listener.fileno())],
                stdin=hold,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                env=given | kernel.own_environment(),
                start_new_session=True,
            )
    except OSError:
        return None
    finally:
        os.close(hold)
    os.environ[ADDRESS] = address
    return held


class Provisioner(LocalProvisioner):
    """Starts a kernel by forking where that can be, as `LocalProvisioner` does else; the rest is the same for both."""

    async def launch_kernel(self, cmd, **kwargs):
        """Start the kernel; returns its connection."""
        try:
            forked = await _fork(cmd, kwargs)
        except (OSError, ValueError) as odd:
            forked = f"{type(odd).__name__}: {odd}"
        if isinstance(forked, str):
            self.log.debug("A cold kernel: %s", forked)
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid = forked, forked.pid, forked.pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info


class Forked:
    """A forked kernel as `subprocess.Popen` shows a process. It ends when this object is closed or gone."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, life: socket.socket, process: int):
        self.pid = process
        self.returncode: int | None = None
        self._connection, self._life, self._begun = connection, life, _running(process)

    def poll(self) -> int | None:
        """The status (negative: the signal that killed it), or None while it runs."""
        if self.returncode is None:
            try:
                said = self._connection.recv(preload.LARGEST)
            except BlockingIOError:
                return None
            except OSError:
                said = b""
            if said:
                self.returncode = json.loads(said)["status"]
            elif _running(self.pid) != self._begun:
                self.returncode = LOST
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        begun = time.monotonic()
        while self.poll() is None:
            if timeout is not None and time.monotonic() - begun > timeout:
                raise subprocess.TimeoutExpired(kernel.NAME, timeout)
            time.sleep(0.02)
        self.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(9)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(15)

    def close(self) -> None:
        """Let go of it: if it still runs, it ends."""
        self._connection.close()
        self._life.close()


async def _fork(cmd, given) -> Forked | str:
    """The kernel, forked; or why it cannot be. given: what LocalProvisioner takes beside the command."""
    address = os.environ.get(ADDRESS)
    if not address or not possible():
        return "there is no preloaded process"
    if cmd[:3] != [sys.executable, "-m", "finegrain.run.kernel"]:
        return "it has a command of its own"
    if set(given) - {"env", "cwd", "stdout", "stderr", "independent", "kernel_id", "extra_arguments"}:
        return "it is started in an unusual way"
    request = {
        "circumstances": preload.circumstances(given["env"]),
        "environment": given["env"],
        "arguments": cmd[3:],
        "folder": str(given.get("cwd") or Path.cwd()),
        "limits": [resource.getrlimit(number)[0] for number in preload.LIMITS],
        "umask": _umask(),
    }
    with contextlib.ExitStack() as open_here, contextlib.ExitStack() as kept:
        connection = kept.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        mine, its = socket.socketpair()
        kept.enter_context(mine)
        open_here.enter_context(its)
        connection.setblocking(False)
        connection.connect(f"\0{address}")
        if preload.peer(connection) != os.getuid():
            return "the preloaded process is another user's"
        descriptors = [_descriptor(given.get(name), own, open_here) for name, own in (("stdout", 1), ("stderr", 2))]
        socket.send_fds(connection, [json.dumps(request).encode()], [*descriptors, its.fileno()])
        answer = asyncio.get_running_loop().sock_recv(connection, preload.LARGEST)
        said = json.loads(await asyncio.wait_for(answer, WAIT) or '{"refused": "the preloaded process has ended"}')
        if "process" not in said:
            return said["refused"]
        kept.pop_all()
        return Forked(connection, mine, said["process"])


def _descriptor(stream, own: int, opened: contextlib.ExitStack) -> int:
    """The descriptor behind what `subprocess` takes for a stream; raises ValueError for a pipe to be made."""
    if stream is None:
        return own
    if stream == subprocess.DEVNULL:
        return opened.enter_context(open(os.devnull, "wb")).fileno()
    if isinstance(stream, int) and stream < 0:
        raise ValueError("its output goes to a pipe")
    return stream if isinstance(stream, int) else stream.fileno()


def _running(process: int) -> str | None:
    """When a process has begun, by the clock of the system, or None if it does not run any more."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state[0] in "ZX" else state[19]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
