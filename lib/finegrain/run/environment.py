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
TOOLS = "# Tests, checks and the site need these as well. No result depends on them."
STAMP = ".complete"  # written last, holds the digest of the pins that were installed
BEGUN = ".begun"  # lies in an environment from before the first package to after the last


def pins(lock, tools=True):
    """The lock as {normalised name: version}; without the packages below the line TOOLS if told so."""
    text = Path(lock).read_text(encoding="utf-8")
    lines = (line.split("#")[0].strip() for line in (text if tools else text.partition(TOOLS)[0]).splitlines())
    return {normalised(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def normalised(name):
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock_digest(lock, tools=True):
    """Digest of the pins alone: comments and order do not count. What a result depends on is that without tools."""
    return hashlib.sha256(repr(sorted(pins(lock, tools).items())).encode()).hexdigest()


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
    tools = [name for extra in project["optional-dependencies"].values() for name in extra]
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    frozen = []
    for some in (project["dependencies"], project["dependencies"] + tools):
        subprocess.run([*pip, "install", "--quiet", *sorted(set(some))], check=True)
        frozen.append(subprocess.run([*pip, "freeze", "--all"], check=True, stdout=subprocess.PIPE, text=True).stdout)
    subprocess.run([*pip, "check"], check=True, stdout=subprocess.DEVNULL)
    write(Path(target), locked(*frozen))


def locked(kit, whole):
    """The text of the lock: names and versions, without local versions.

    kit, whole: what `pip freeze --all` says with the packages of the kit alone, and with those of tests and the site
    as well. A version is that of the whole.
    """

    def name(line):
        return line.partition("==")[0]

    of_kit = {name(line) for line in kit.split()}
    lines = [re.sub(r"\+[a-z0-9.]+$", "", line) for line in sorted(whole.split(), key=str.lower)]
    kept = [line for line in lines if name(line) not in ("pip", "wheel")]
    parts = [[line for line in kept if (name(line) in of_kit) == inside] for inside in (True, False)]
    return "\n".join([HEAD, *parts[0], TOOLS, *parts[1], ""])


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
