"""What a run read and ran on: every loader says so here, and the kernel writes the list after each cell."""

import json
import os
import platform
import resource
import sys
from pathlib import Path

from finegrain import files

_noted: dict[str, dict[str, str]] = {"data": {}, "backbones": {}}


def note(kind: str, name: str, digest: str) -> None:
    """Remember that this process read `name` of `kind` ("data" or "backbones") with this content digest."""
    _noted[kind][name] = digest


def noted() -> dict:
    """Everything read so far: data and backbones with their digests, and the kit's modules by path from the root."""
    ours = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "finegrain"]
    paths = {Path(path).resolve() for module in ours if (path := getattr(module, "__file__", None))}
    modules = sorted(str(path.relative_to(files.root())) for path in paths if path.is_relative_to(files.root() / "lib"))
    return {**{kind: dict(sorted(read.items())) for kind, read in _noted.items()}, "modules": modules}


def process() -> dict:
    """What this process is and has used: versions of what it imported, CPU capability, seconds, peak memory."""
    imported = {name: vars(module).get("__version__") for name, module in list(sys.modules.items()) if "." not in name}
    installed = sorted(set(imported) - sys.stdlib_module_names)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_mb": round(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)),
        "versions": {name: imported[name] for name in installed if isinstance(imported[name], str)},
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        facts["dtype"] = str(torch.get_default_dtype()).removeprefix("torch.")
        facts["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_initialized() else None
    return facts


def write_if_asked() -> None:
    """Write the list to the file that $FINEGRAIN_READS names, if it names one."""
    if os.environ.get("FINEGRAIN_READS"):
        files.write_text(os.environ["FINEGRAIN_READS"], json.dumps({**noted(), "process": process()}, indent=1))
