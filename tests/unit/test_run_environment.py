"""Lock, pyproject and environment.yml say the same; an interrupted installation is never taken for complete."""

import itertools
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from finegrain.run import environment

ROOT = Path(__file__).resolve().parents[2]
LINES = (ROOT / "requirements.lock").read_text().splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_lock_holds_names_and_versions_only():
    parts = [list(some) for comment, some in itertools.groupby(LINES, lambda line: line.startswith("#")) if not comment]
    kit, tools = parts
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][0-9A-Za-z.]*", line) for line in kit + tools)
    assert all(part == sorted(part, key=str.lower) for part in parts)
    assert len(environment.pins(ROOT / "requirements.lock")) == len(kit + tools)
    assert "torch==2.13.0" in kit


def test_results_depend_on_what_the_kit_imports_alone(tmp_path):
    kit = environment.pins(ROOT / "requirements.lock", tools=False)
    assert {"torch", "numpy", "open-clip-torch"} <= kit.keys()
    assert not {"pytest", "ruff", "sphinx", "playwright"} & kit.keys()
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(f"numpy==2\n{environment.TOOLS}\npytest==9\n")
    two.write_text(f"numpy==2\n{environment.TOOLS}\npytest==10\n")
    assert environment.lock_digest(one) != environment.lock_digest(two)
    assert environment.lock_digest(one, tools=False) == environment.lock_digest(two, tools=False)


def test_every_direct_dependency_is_pinned():
    direct = PROJECT["dependencies"] + [name for extra in PROJECT["optional-dependencies"].values() for name in extra]
    pins = environment.pins(ROOT / "requirements.lock")
    for requirement in direct:
        name, _, version = requirement.partition("==")
        distribution = name.partition("[")[0]  # "a[b]" asks for a, and for what its extra b names
        assert pins[environment.normalised(distribution)] == version or not version


def test_conda_takes_the_lock_and_the_same_pythons():
    python, pip, *_, nested = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert python == f"python {PROJECT['requires-python']}"
    assert pip == "pip"
    assert nested == {"pip": ["-r requirements.lock", "-e ."]}


def test_the_pythons_of_the_makefile_are_those_of_the_package():
    oldest, newest = environment.OLDEST, environment.NEWEST
    assert PROJECT["requires-python"] == f">={oldest[0]}.{oldest[1]},<{newest[0]}.{newest[1] + 1}"
    assert f"{oldest} <= sys.version_info[:2] <= {newest}" in (ROOT / "Makefile").read_text()


def test_a_frozen_environment_becomes_a_lock_without_local_versions():
    kit = "torch==2.13.0+cpu\npip==26.0\nBabel==2.18.0\n"
    text = environment.locked(kit, kit.replace("2.18.0", "2.17.0") + "pytest==9.0\n")
    assert text.splitlines()[1:] == ["Babel==2.17.0", "torch==2.13.0", environment.TOOLS, "pytest==9.0"]


def test_this_environment_satisfies_a_lock_whatever_its_local_versions(tmp_path, monkeypatch):
    from importlib import metadata

    class Torch:
        name, version = "Torch_Thing", "2.13.0+cu130"

    monkeypatch.setattr(metadata, "distributions", lambda: [Torch])
    lock = tmp_path / "lock"
    lock.write_text("# made by hand\ntorch-thing==2.13.0\n")
    assert environment.unsatisfied(lock) == []
    lock.write_text("torch.thing==2.14.0\nnumpy==2.4.6\n")
    assert environment.unsatisfied(lock) == ["torch-thing 2.13.0 (lock: 2.14.0)", "no numpy"]


def test_a_check_is_remembered_until_the_lock_changes(tmp_path, monkeypatch, capsys):
    lock = tmp_path / "lock"
    lock.write_text("no-such-package==1\n")
    assert environment.check(lock, tmp_path / "stamps") == 1
    monkeypatch.setattr(environment, "unsatisfied", lambda lock: pytest.fail("looked again"))
    assert environment.check(lock, tmp_path / "stamps") == 1
    assert capsys.readouterr().out == "no no-such-package\n" * 2
    monkeypatch.setattr(environment, "unsatisfied", lambda lock: [])
    lock.write_text("another==1\n")
    assert environment.check(lock, tmp_path / "stamps") == 0


class Commands:
    """Stands for subprocess.run: makes the interpreter's file, and fails or is interrupted at the packages if told."""

    def __init__(self, folder, at_packages=None):
        self.folder, self.at_packages, self.seen = folder, at_packages, []

    def __call__(self, command, check=False, **options):
        kind = command[2] if command[2] == "venv" else command[-2] if "-e" in command else command[3]
        self.seen.append("package" if kind == "-e" else "check" if "satisfied" in command else kind)
        if kind == "venv":
            (self.folder / "bin").mkdir()
            (self.folder / "bin" / "python").touch()
        if "-r" in command and self.at_packages:
            raise self.at_packages
        return subprocess.CompletedProcess(command, 1 if "satisfied" in command else 0)


def prepare(tmp_path, monkeypatch, at_packages=None):
    commands = Commands(tmp_path / "venv", at_packages)
    monkeypatch.setattr(subprocess, "run", commands)
    environment.prepare(tmp_path / "venv", str(tmp_path / "lock"), tmp_path / "turn")
    return commands.seen


def test_an_environment_is_made_once(tmp_path, monkeypatch):
    (tmp_path / "lock").write_text("numpy==2.4.6\n")
    assert prepare(tmp_path, monkeypatch)[0] == "venv"
    os.utime(tmp_path / "lock")
    assert prepare(tmp_path, monkeypatch) == []
    (tmp_path / "lock").write_text("numpy==2.4.7\n")
    assert "venv" not in prepare(tmp_path, monkeypatch)  # the new pins go into the same one


@pytest.mark.parametrize("error", [KeyboardInterrupt(), subprocess.CalledProcessError(1, "pip")])
def test_an_interrupted_installation_starts_anew(tmp_path, monkeypatch, error):
    (tmp_path / "lock").write_text("numpy==2.4.6\n")
    with pytest.raises(type(error)):
        prepare(tmp_path, monkeypatch, at_packages=error)
    (tmp_path / "venv" / "half-a-package").touch()
    assert not (tmp_path / "venv" / environment.STAMP).exists()
    assert prepare(tmp_path, monkeypatch)[0] == "venv"
    assert not (tmp_path / "venv" / "half-a-package").exists()


@pytest.mark.parametrize(("status", "used"), [(0, "active/bin/python"), (1, ".venv/bin/python")])
def test_an_active_environment_is_used_if_it_satisfies_the_lock(kit, status, used):
    python = kit.root / "active/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n[ {status} = 0 ] || echo no torch\nexit {status}\n")
    python.chmod(0o755)
    shell = {k: v for k, v in kit.environment.items() if k not in ("FINEGRAIN_PYTHON", "VIRTUAL_ENV")}
    result = kit.make("--dry-run", "strip", env=shell | {"CONDA_PREFIX": str(kit.root / "active")})
    assert f"{used} -m finegrain.run strip" in result.stdout
    remark = "The active environment does not satisfy requirements.lock (no torch): using .venv"
    assert (remark in result.stdout) == bool(status)
