"""What the tests share: a small checkout of the kit in a folder of its own, with notebooks of a few lines."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import finegrain  # noqa: F401 (before any test imports transformers or open_clip: its guard for torchvision)

# One thread, as in the kernels of the runs: small tensors in several processes are many times slower with more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS = 'scale: str = "default"  # smoke, default or full\nout: str = ""  # folder for the results'


class Kit:
    """A checkout below a temporary folder: the real library and Makefile, and whatever notebooks a test writes."""

    def __init__(self, root: Path):
        self.root = root
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, root / name)
        shutil.copytree(ROOT / "lib", root / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        (root / "notebooks").mkdir()

    def notebook(self, name: str, *sources: str, parameters: str = PARAMETERS, **facts) -> Path:
        """Write a notebook: a parameters cell, then one cell for each source; facts: its finegrain metadata."""
        cells = [{"cell_type": "code", "source": parameters, "id": "parameters", "metadata": {"tags": ["parameters"]}}]
        cells += [
            {"cell_type": "code", "source": text, "id": f"cell-{i}", "metadata": {}} for i, text in enumerate(sources)
        ]
        for cell in cells:
            cell |= {"execution_count": None, "outputs": []}
        kernel = {"name": "finegrain", "display_name": "finegrain", "language": "python"}
        raw = {
            "cells": cells,
            "metadata": {"kernelspec": kernel, "finegrain": facts},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = self.root / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(raw), encoding="utf-8")
        return path

    @property
    def environment(self) -> dict:
        """A shell's environment in which this checkout runs with the interpreter of the tests."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FINEGRAIN_", "MAKE", "MFLAGS", "PYTEST_"))}
        return kept | {"FINEGRAIN_PYTHON": sys.executable, "PYTHONPATH": str(self.root / "lib")}

    def make(self, *words: str, **more) -> subprocess.CompletedProcess:
        """Run make in the checkout."""
        return self.call("make", *words, **more)

    def finegrain(self, *words: str, **more) -> subprocess.CompletedProcess:
        """Run the command finegrain in the checkout."""
        return self.call(sys.executable, "-m", "finegrain.run", *words, **more)

    def call(self, *words: str, **more) -> subprocess.CompletedProcess:
        """Run a command in the checkout; output is text."""
        options = {
            "cwd": self.root,
            "env": self.environment,
            "capture_output": True,
            "text": True,
            "timeout": 300,
        } | more
        return subprocess.run(words, check=False, **options)

    def files(self, *folders: str) -> list[str]:
        """The files below the folders, without locks."""
        found = (path for folder in folders for path in (self.root / folder).rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.root)) for path in found if not path.name.endswith(".lock"))


@pytest.fixture
def kit(tmp_path):
    """An empty small checkout."""
    (tmp_path / "kit").mkdir()
    return Kit(tmp_path / "kit")


@pytest.fixture(scope="session")
def new_kit(tmp_path_factory):
    """A function that makes an empty small checkout, for what several tests look at."""
    return lambda: Kit(tmp_path_factory.mktemp("kit"))
