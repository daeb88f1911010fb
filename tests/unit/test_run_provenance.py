"""Every result tells its run: code, data, machine and clock; no person, host or folder."""

import getpass
import json
import os
import socket
import subprocess

import pytest

CLAIMS = """
import json
from pathlib import Path
from finegrain.data import load
from finegrain.run import reads
reads.note('data', 'glyphs', 'a' * 64)
claims = [{'name': 'it', 'statement': 'It is so.', 'primary': True, 'verdict': 'supported'}]
Path(out, 'claims.json').write_text(json.dumps({'title': 'A paper', 'scale': scale, 'claims': claims}))
Path(out, 'table.csv').write_text('a\\n1\\n')
"""
PARAMETERS = 'scale: str = "default"\nseeds: int = 3\ndataset: str = "/home/someone/birds?text=a"\nout: str = ""'
FILES = [
    "build/default/retrieval/plain.ipynb",
    "build/default/retrieval/plain.run.json",
    "figures/retrieval/plain/claims.json",
    "figures/retrieval/plain/run.json",
    "figures/retrieval/plain/table.csv",
]


@pytest.fixture
def ran(kit):
    """A checkout with a commit, where one notebook ran."""
    kit.notebook("retrieval/plain", CLAIMS, parameters=PARAMETERS)
    (kit.root / ".gitignore").write_text("build/\n__pycache__/\n")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=kit.root, check=True)
    assert kit.make("all").returncode == 0
    return kit


def test_each_kind_of_file_tells_its_run(ran):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ran.root, capture_output=True, text=True, check=True).stdout
    for file in FILES:
        said = ran.finegrain("provenance", file).stdout
        lines = dict(line.split(None, 1) for line in said.splitlines())
        assert lines["commit"] == head.strip(), file
        assert lines["seeds"] == "0, 1, 2"
        assert lines["data"] == "glyphs " + "a" * 64
        assert "scale='default' seeds=3 dataset='.../birds?text=a'" in lines["parameters"]
        assert lines["started"].startswith("20")
        assert lines["started"].endswith("+00:00 (UTC)")
        assert lines["duration"].partition(" ")[2] == "s"
        assert len(lines["lock"]) == 64
        assert lines["threads"].startswith("1,")
        assert "ipykernel" in lines["versions"]
        assert lines["verdicts"] == "supported"
        host = socket.gethostname() if len(socket.gethostname()) > 4 else str(ran.root)
        names = [str(ran.root), host, os.path.expanduser("~") + "/", "/home/"]
        names += [getpass.getuser()] if len(getpass.getuser()) > 4 else []
        assert [name for name in names if name in said] == []


def test_nothing_published_names_a_folder_of_the_machine(ran):
    for path in (ran.root / "figures").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "/home/" not in text
            assert str(ran.root) not in text
    assert ".../birds?text=a" in (ran.root / "figures/retrieval/plain/run.json").read_text()


def test_changes_that_are_not_committed_are_told(ran):
    path = ran.root / "lib/finegrain/errors.py"
    path.write_text(path.read_text() + "\n# edited\n")
    ran.finegrain("run", "retrieval/plain")
    said = ran.finegrain("provenance", "build/runs/retrieval/plain/defaults/plain.ipynb").stdout
    assert "with changes that are not committed" in said


def test_claims_are_the_same_bytes_in_two_runs_and_name_what_the_run_read(ran):
    ran.finegrain("run", "retrieval/plain")
    folders = [ran.root / "figures/retrieval/plain", ran.root / "build/runs/retrieval/plain/defaults/figures"]
    one, other = [(folder / "claims.json").read_bytes() for folder in folders]
    assert one == other
    run = json.loads(one)["run"]
    assert run["data"] == {"glyphs": "a" * 64}
    assert run.keys() == {"lock", "source", "modules", "data", "backbones"}


def test_a_file_that_was_changed_or_that_no_run_tells_is_named(ran):
    table = ran.root / "figures/retrieval/plain/table.csv"
    assert "table.csv: as the run made it" in ran.finegrain("provenance", str(table)).stdout
    table.write_text("a\n2\n")
    assert "NOT what the run made" in ran.finegrain("provenance", str(table)).stdout
    (table.parent / "notes.txt").write_text("mine")
    for file, message in (
        ("figures/retrieval/plain/notes.txt", "did not make it"),
        ("notebooks/retrieval/plain.ipynb", "was not executed by `make`"),
        ("Makefile", "no run.json lies beside"),
        ("nothing.csv", "there is no file"),
    ):
        result = ran.finegrain("provenance", file)
        assert result.returncode == 2
        assert message in result.stderr
