"""What a run read and ran on: every loader says so here, and the kernel writes the list after each cell."""

import builtins
import contextlib
import functools
import json
import os
import platform
import resource
import sys
from pathlib import Path

from finegrain import files

_noted: dict[str, dict[str, str]] = {"data": {}, "backbones": {}}
_followers: list[list] = []
# What cached answers were made with: modules and packages that this process need not have imported itself.
_adopted: dict = {"modules": set(), "versions": {}}
_named: set[str] = set()  # packages that the notebook and the kit have imported by name
_follows_imports = False


def note(kind: str, name: str, digest: str, scale: str = "") -> None:
    """Remember that this process read `name` of `kind` ("data" or "backbones") with this content digest.

    scale: of a backbone that the kit trains.
    """
    _noted[kind][name] = digest
    for follower in _followers:
        follower.append([kind, name, digest, scale])


@contextlib.contextmanager
def following():
    """Yields a list that gets whatever is noted within the block, as [kind, name, digest, scale]."""
    mine: list = []
    _followers.append(mine)
    try:
        yield mine
    finally:
        _followers[:] = [follower for follower in _followers if follower is not mine]


def adopt(facts: dict) -> None:
    """Take over what a cached answer read and ran on when it was computed: its "reads", "modules" and "versions"."""
    for one in facts["reads"]:
        note(*one)
    _adopted["modules"].update(facts["modules"])
    _adopted["versions"].update(facts["versions"])


def backbone_digest(folder: Path) -> str:
    """The content digest that a trained backbone's folder states; empty where there is none."""
    try:
        return json.loads((folder / "digest.json").read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@functools.cache
def cpu() -> str:
    """The processor's model, as the system names it; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def follow_imports() -> None:
    """Note from now on which packages the notebook and the kit's modules import by name.

    What `sys.modules` holds says less: a preloaded kernel has it all, and a package brings others along.
    """
    global _follows_imports
    plain, _follows_imports = builtins.__import__, True

    def noting(name, globals=None, locals=None, fromlist=(), level=0):
        if level == 0 and globals is not None:
            by = globals.get("__name__") or ""
            if by == "__main__" or by.partition(".")[0] == "finegrain":
                _named.add(name.partition(".")[0])
        return plain(name, globals, locals, fromlist, level)

    builtins.__import__ = noting


def _imported(name: str):
    """A package's module if it was imported; in a kernel: by name, by the notebook or the kit."""
    return None if _follows_imports and name not in _named else sys.modules.get(name)


def versions() -> dict[str, str]:
    """The packages that were imported, and those that cached answers were made with."""
    modules = {name: _imported(name) for name in list(sys.modules) if "." not in name}
    stated = {name: vars(module).get("__version__") for name, module in modules.items() if module is not None}
    found = {name: stated[name] for name in set(stated) - sys.stdlib_module_names if isinstance(stated[name], str)}
    return dict(sorted({**_adopted["versions"], **found}.items()))


def noted() -> dict:
    """Everything read so far: data and backbones with their digests, and the kit's modules by path from the root."""
    ours = [module for name, module in sys.modules.copy().items() if name.partition(".")[0] == "finegrain"]
    paths = {Path(path).resolve() for module in ours if (path := getattr(module, "__file__", None))}
    here = {str(path.relative_to(files.root())) for path in paths if path.is_relative_to(files.root() / "lib")}
    modules = sorted(here | _adopted["modules"])
    return {**{kind: dict(sorted(read.items())) for kind, read in _noted.items()}, "modules": modules}


def process() -> dict:
    """What this process is and has used: versions of what it imported, CPU capability, seconds, peak memory."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_mb": round(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)),
        "versions": versions(),
        "cpu": cpu(),
    }
    memo = sys.modules.get("finegrain.memo._call")
    if memo is not None:
        facts["cached"] = memo.used()
    torch = _imported("torch")
    if torch is not None:
        facts["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        facts["dtype"] = str(torch.get_default_dtype()).removeprefix("torch.")
        facts["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_initialized() else None
    return facts


def write_if_asked() -> None:
    """Write the list to the file that $FINEGRAIN_READS names, if it names one."""
    if os.environ.get("FINEGRAIN_READS"):
        files.write_text(os.environ["FINEGRAIN_READS"], json.dumps({**noted(), "process": process()}, indent=1))
