"""The preloaded process: it has imported the heavy packages of the lock, and forks kernels that find them imported.

    python -m finegrain.run.preload LISTENER       LISTENER: the descriptor of a listening socket

It lives as long as somebody holds the other end of its standard input or uses one of its kernels: `make all` and
`make lab` hold it, and let go however they end. Its socket has a name that no file stands for, so nothing is left of
it, and it answers its own user alone. It forks a kernel only where a cold one would begin under the same
`circumstances`, so that the two give the same bytes. It does nothing but import: it has one thread, has drawn no random
numbers that a kernel would see, and touched no GPU. Of the kit it holds what the start needs, and a kernel forgets
that: an edit is never answered by old code.
"""

import builtins
import contextlib
import gc
import importlib
import io
import json
import os
import re
import resource
import runpy
import selectors
import signal
import socket
import struct
import sys
import sysconfig
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple, cast

from finegrain import _torchvision, files
from finegrain.run import environment, kernel

# What the notebooks had in sys.modules after a run at smoke, by what brings it. The first meet a kernel's shell when it
# is there; the others ask, when they are imported, whether that happens in a notebook, or may ask.
FIRST = (
    "ipykernel.zmqshell ipykernel.kernelapp ipykernel.debugger tornado.platform.asyncio ipywidgets matplotlib.pyplot"
)
OTHERS = (
    "numpy pandas pandas.io.formats.style pandas.io.formats.csvs pyarrow.parquet pyarrow.dataset scipy.stats scipy.io "
    "sklearn.linear_model sklearn.datasets sklearn.feature_extraction.text matplotlib.backends.backend_agg "
    "matplotlib.backends.backend_svg seaborn PIL.GifImagePlugin PIL.PpmImagePlugin joblib psutil bm25s Stemmer "
    "ir_measures pytrec_eval torch safetensors.torch tqdm.auto torchvision timm open_clip "
    "transformers.models.bert.modeling_bert transformers.models.bert.tokenization_bert "
    "transformers.models.mobilebert.modeling_mobilebert "
    "transformers.models.roberta_prelayernorm.modeling_roberta_prelayernorm sentence_transformers"
)
INLINE = "module://matplotlib_inline.backend_inline"  # what a kernel tells matplotlib, unless the user did
STAY = {"jemalloc_bg_thd"}  # threads that do not matter: this one tidies pyarrow's memory, and a kernel does without
# Variables that no import reads: the kit's own, Jupyter's and Make's, and what every shell sets anew.
UNREAD = re.compile(r"FINEGRAIN_|JPY_|JUPYTER_|IPYTHONDIR$|PYTEST_|MAKE|MFLAGS$|PWD$|OLDPWD$|SHLVL$|_$")
LIMITS = sorted(value for name, value in vars(resource).items() if name.startswith("RLIMIT_"))
LARGEST = 1 << 18  # bytes of a request


class Asked(NamedTuple):
    """What a forked process is to be: the request, and the descriptors of output, errors and its starter's life."""

    request: dict
    descriptors: list[int]


def circumstances(given: dict) -> dict:
    """All that the imports of a process with the environment `given`, begun here and now, may depend on, by name."""
    lock, code = files.root() / "requirements.lock", Path(__file__).parents[1]
    given = dict.fromkeys(kernel.THREADS, "1") | given
    return {
        "interpreter": [sys.executable, sys.version, sys.prefix],
        "packages": os.stat(sysconfig.get_path("purelib")).st_mtime_ns,
        "requirements.lock": environment.lock_digest(lock) if lock.exists() else None,
        "code": files.digest(*(code / name for name in ("_torchvision.py", "run/preload.py"))),
        "user": [os.getuid(), os.getgid(), sorted(os.getgroups())],
        "processors": sorted(os.sched_getaffinity(0)),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "control group": Path("/proc/self/cgroup").read_text(),
        "limits": [resource.getrlimit(number)[1] for number in LIMITS],
    } | {f"${name}": value for name, value in sorted(given.items()) if not UNREAD.match(name)}


def main() -> None:
    """Be the preloaded process, or a kernel that it has forked."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    before = dict(os.environ)
    here = json.loads(json.dumps(circumstances(before)))
    import_all()
    added = {name: value for name, value in os.environ.items() if name not in before and name != "MPLBACKEND"}
    gc.collect()
    gc.freeze()  # a collection in a kernel would write to every page that it shares
    asked = _Server(listener, here).serve()
    if asked is None:
        os._exit(0)  # at once: taking the packages down, module by module, takes a second
    _be_kernel(asked, added)


# --- importing --------------------------------------------------------------------------------------------------------


class _Stream(io.TextIOBase):
    """Standard output or errors, as they are when somebody writes: handlers of logs keep the stream that they find."""

    def __init__(self, name):
        self._name = name

    def _now(self):
        stream = getattr(sys, self._name)
        return getattr(sys, f"__{self._name}__") if stream is self else stream

    def write(self, text):
        return self._now().write(text)

    def flush(self):
        return self._now().flush()

    def isatty(self):
        return self._now().isatty()

    def fileno(self):
        return self._now().fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._now().encoding


class ZMQInteractiveShell:
    """Stands for a kernel's shell, by its name, where a package asks whether it is imported in a notebook."""

    config: dict = {"IPKernelApp": {}}  # noqa: RUF012 (nobody writes to it)
    kernel = None


def import_all() -> None:
    """Import the packages as a kernel would; what is not installed is left out."""
    # OpenBLAS starts its threads when it is loaded; a kernel with more than one raises the number itself.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    os.environ["MPLBACKEND"] = os.environ.get("MPLBACKEND") or INLINE
    sys.stdout, sys.stderr = _Stream("stdout"), _Stream("stderr")
    _import(FIRST)
    ipython: Any = sys.modules["IPython"]
    get_ipython, ipython.get_ipython = ipython.get_ipython, ZMQInteractiveShell
    cast(Any, builtins).get_ipython = ZMQInteractiveShell
    try:
        _import(OTHERS)
    finally:
        ipython.get_ipython = get_ipython
        del cast(Any, builtins).get_ipython


def _import(names):
    for name in names.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


# --- serving ----------------------------------------------------------------------------------------------------------


class _Server:
    """Answers one request on each connection with a kernel, which lives no longer than the connection is open."""

    def __init__(self, listener, here):
        self._listener, self._here = listener, here
        self._kernels: dict[socket.socket, int] = {}  # connection -> process, 0 before there is one
        self._told: set[int] = set()  # processes whose status was sent
        self._ending: set[int] = set()  # processes that nobody waits for
        self._held = True
        self._woken, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for one in (listener, self._woken, self._wake):
            one.setblocking(False)
        for source in (listener, self._woken, 0):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self) -> Asked | None:
        """Serve until nobody needs this process; in a forked one return at once, with what it is to be."""
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        while self._held or self._kernels:
            for key, _ in self._selector.select():
                if key.fileobj == 0:
                    self._held = False  # nobody ever writes there: it was closed
                    self._selector.unregister(0)
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._woken:
                    self._woken.recv(LARGEST)
                    self._tell()
                else:
                    asked = self._hear(key.fileobj)
                    if asked:
                        return asked
        return None

    def _accept(self):
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            if peer(connection) == os.getuid():
                connection.setblocking(False)
                self._kernels[connection] = 0
                self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection) -> Asked | None:
        try:
            text, descriptors, _, _ = socket.recv_fds(connection, LARGEST, 3, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            text, descriptors = b"", []
        if not text or self._kernels[connection]:
            self._end(connection)
            return None
        request = json.loads(text)
        refused = self._refused(request)
        process = 0
        if not refused:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of threads, which were looked at
                process = os.fork()
            if process == 0:
                self._forget()
                return Asked(request, descriptors)
            self._kernels[connection] = process
        for descriptor in descriptors:
            os.close(descriptor)
        _send(connection, {"refused": refused} if refused else {"process": process})
        return None

    def _refused(self, request) -> str:
        """Why no kernel can be forked for the request; nothing if one can."""
        here, there = self._here, request["circumstances"]
        other = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
        if other:
            return f"another {', '.join(other[:3])}"
        threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
        if len([name for name in threads if name not in STAY]) != 1:
            return "a package has started threads"
        torch = sys.modules.get("torch")
        return "the GPU is in use" if torch is not None and torch.cuda.is_initialized() else ""

    def _tell(self):
        """Send the status of kernels that have ended; they stay zombies, their numbers theirs, until it was heard."""
        for connection, process in self._kernels.items():
            if process and process not in self._told:
                ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended:
                    self._told.add(process)
                    left = ended.si_code == os.CLD_EXITED
                    _send(connection, {"status": ended.si_status if left else -ended.si_status})
        self._ending = {process for process in self._ending if os.waitpid(process, os.WNOHANG) == (0, 0)}

    def _end(self, connection):
        """Nobody waits for the kernel any more: it ends, with all processes of its group."""
        process = self._kernels.pop(connection)
        self._selector.unregister(connection)
        connection.close()
        if process:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(process, signal.SIGKILL)
            self._told.discard(process)
            self._ending.add(process)
            self._tell()

    def _forget(self):
        """Close, in a forked process, all that is the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for one in (self._listener, self._woken, self._wake, *self._kernels):
            one.close()


def peer(connection) -> int:
    """The user at the other end of a socket."""
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]


def _send(connection, message):
    with contextlib.suppress(OSError):  # who asked may be gone; its connection says so next
        connection.send(json.dumps(message).encode())


# --- being a kernel ---------------------------------------------------------------------------------------------------


def _be_kernel(asked, added) -> None:
    """Do in this forked process what a cold kernel does; added: what imports have put into the environment."""
    request = asked.request
    output, errors, life = asked.descriptors
    os.setsid()
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (errors, 2)):
        os.dup2(source, target)
        os.close(source)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    Path("/proc/self/comm").write_text("fg-kernel")
    os.environ.clear()
    os.environ.update(added | request["environment"])
    os.umask(request["umask"])
    for number, limit in zip(LIMITS, request["limits"], strict=True):
        resource.setrlimit(number, (limit, resource.getrlimit(number)[1]))
    os.chdir(request["folder"])
    sys.path[0] = os.getcwd()
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    _anew(int(request["environment"].get("OPENBLAS_NUM_THREADS") or 1))
    sys.argv = [sys.argv[0], *request["arguments"], "--IPKernelApp.parent_handle=1"]  # it need not watch its parent
    guard = _torchvision._library  # what it declares is gone when the object is
    for name in [name for name in sys.modules if name.partition(".")[0] == "finegrain"]:
        del sys.modules[name]
    runpy.run_module("finegrain.run.kernel", run_name="__main__", alter_sys=True)
    del guard


def _anew(threads):
    """Random numbers and threads as if the packages had just been imported; `random` does that itself."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed()
    if torch is not None:
        torch.random.default_generator.seed()
    if threads != 1:
        import threadpoolctl

        threadpoolctl.threadpool_limits(threads, user_api="blas")


def _end_with(life):
    """End this kernel and its group when its starter is gone."""
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
