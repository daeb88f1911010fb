"""The environment of the kit: is it what requirements.lock says, and if there is none, make it.

Run as a script by whatever Python is there, before anything is installed: standard library only, and nothing
of the kit is imported.

    python environment.py check LOCK STAMPS      exit status 0 if this interpreter's packages satisfy the lock,
                                                 else 1 and one line that says what is missing
    python environment.py satisfied LOCK         the same, without a word and without remembering
    python environment.py prepare FOLDER LOCK TURN  make (or complete) the virtual environment FOLDER
    python environment.py lock FOLDER LOCK       resolve pyproject.toml afresh in FOLDER and write LOCK
"""

from __future__ import annotations  # `check` runs on whatever Python is active, and says so if it is too old

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
HEAD = "# Every package of the kit with its version: made by `make lock` (pip freeze of a fresh environment)."
STAMP = ".complete"  # written last, holds the digest of the pins that were installed
BEGUN = ".begun"  # lies in an environment from before the first package to after the last


def pins(lock):
    """The lock as {normalised name: version}."""
    lines = (line.split("#")[0].strip() for line in Path(lock).read_text(encoding="utf-8").splitlines())
    return {normalised(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def normalised(name):
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock_digest(lock):
    """Digest of the pins alone: comments and order do not count."""
    return hashlib.sha256(repr(sorted(pins(lock).items())).encode()).hexdigest()


def unsatisfied(lock):
    """What keeps this interpreter from satisfying the lock, as short texts; a local version (+cpu, +cu130) is fine."""
    from importlib import metadata

    here = sys.version_info[:2]
    if not OLDEST <= here <= NEWEST:
        return [f"Python {platform.python_version()}"]
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.name
        if name:  # a package that an interrupted removal left behind has none
            found.setdefault(normalised(name), distribution.version.split("+")[0])
    return [
        f"{name} {found[name]} (lock: {version})" if name in found else f"no {name}"
        for name, version in pins(lock).items()
        if found.get(name) != version
    ]


def check(lock, stamps):
    """Say whether this interpreter satisfies the lock; remembered for as long as its site-packages stay as they are."""
    packages = Path(sysconfig.get_path("purelib"))
    key = f"{sys.prefix} {packages.stat().st_mtime_ns} {lock_digest(lock)}"
    stamp = Path(stamps) / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not stamp.exists():
        missing = unsatisfied(lock)
        verdict = "" if not missing else missing[0] + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        stamp.parent.mkdir(parents=True, exist_ok=True)
        write(stamp, verdict)
    verdict = stamp.read_text()
    if verdict:
        print(verdict)
    return 1 if verdict else 0


def prepare(folder, lock, turn):
    """Make the virtual environment `folder` hold what the lock says and the kit itself; the file `turn` lets one
    process at a time do so."""
    import fcntl

    folder = Path(folder)
    stamp, begun, python = folder / STAMP, folder / BEGUN, folder / "bin" / "python"
    Path(turn).parent.mkdir(parents=True, exist_ok=True)
    with open(turn, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if begun.exists():  # an interrupted installation: no one knows what it left
            shutil.rmtree(folder)
        if stamp.exists() and stamp.read_text() == lock_digest(lock) and python.exists():
            os.utime(stamp)
            return
        folder.mkdir(parents=True, exist_ok=True)
        begun.touch()
        stamp.unlink(missing_ok=True)
        if not python.exists():
            print(f"making {folder} from {lock} (some minutes, 3 GB) ...", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
        satisfied = [str(python), "-I", __file__, "satisfied", lock]
        if subprocess.run(satisfied, check=False).returncode:
            subprocess.run([*pip, "-r", lock], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(Path(lock).resolve().parent)], check=True)
        begun.unlink()
        write(stamp, lock_digest(lock))


def satisfied(lock):
    """Exit status 0 if this interpreter satisfies the lock; nothing is remembered."""
    return 1 if unsatisfied(lock) else 0


def lock(folder, target):
    """Resolve the direct dependencies of pyproject.toml afresh in the new environment `folder`; pin what came out."""
    import tomllib

    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = project["dependencies"] + [name for extra in project["optional-dependencies"].values() for name in extra]
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", *sorted(set(direct))], check=True)
    subprocess.run([*pip, "check"], check=True, stdout=subprocess.DEVNULL)
    frozen = subprocess.run([*pip, "freeze", "--all"], check=True, stdout=subprocess.PIPE, text=True).stdout
    write(Path(target), locked(frozen))


def locked(frozen):
    """The text of the lock from what `pip freeze --all` says: names and versions, without local versions."""
    lines = (re.sub(r"\+[a-z0-9.]+$", "", line) for line in frozen.split())
    kept = sorted((line for line in lines if line.partition("==")[0] not in ("pip", "wheel")), key=str.lower)
    return "\n".join([HEAD, *kept, ""])


def write(path, text):
    """Write a file so that it appears whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    os.replace(beside, path)


COMMANDS: dict[str, Callable] = {"check": check, "prepare": prepare, "satisfied": satisfied, "lock": lock}

if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    try:
        sys.exit(COMMANDS[command](*arguments))
    except subprocess.CalledProcessError as error:
        sys.exit(f"the environment is not complete: {' '.join(error.cmd[:5])} ended with status {error.returncode}")
    except KeyboardInterrupt:
        sys.exit(130)
