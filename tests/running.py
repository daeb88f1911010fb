"""The notebooks at smoke scale, for all tests that look at what comes out."""

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from finegrain.run import depend, notebooks, places
from finegrain.seeding import generator

ROOT = Path(__file__).resolve().parents[1]


def environment():
    """The environment in which the tests began, else no kernel is forked from what `make test` preloads."""
    of_pytest = ("FINEGRAIN_SESSION", "PYTEST_", "COLUMNS", "LINES")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(of_pytest)}
    return kept | {"PYTHONPATH": str(ROOT / "lib")}


def finegrain(*words):
    """Run the command finegrain in the checkout, as from a shell."""
    command = [sys.executable, "-m", "finegrain.run", *words]
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=900
    )


def on_folder(name, folder, *more):
    """Run a notebook at smoke scale on a folder of data, into its `out`: the exit status and what was said."""
    for maker in depend.needed(notebooks.find(name)):
        smoke(maker)
    given = " ".join(["scale=smoke", f"dataset={folder}", f"out={folder / 'out'}", *more])
    done = finegrain("run", name, "--parameters", given)
    return done.returncode, done.stdout + done.stderr


def beir(folder, texts):
    """A small BEIR folder of these documents: queries with several, with one and with no relevant document."""
    documents = len(texts)
    lines = [{"_id": f"d{i:03}", "title": "", "text": text} for i, text in enumerate(texts)]
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = [{"_id": f"q{i:03}", "text": " ".join(texts[i % documents].split()[:4])} for i in range(2 * documents)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in asked))
    judged = {"train": range(80), "test": range(80, 2 * documents)}
    for split, numbers in judged.items():
        rows = [(f"q{i:03}", f"d{i % documents:03}", int(i % 9 != 0)) for i in numbers]
        rows += [(f"q{i:03}", f"d{(i + 7) % documents:03}", 1) for i in numbers if i % 9 and i % 3 == 0]
        frame = pd.DataFrame(rows, columns=["query-id", "corpus-id", "score"])
        frame.to_csv(folder / f"qrels/{split}.tsv", sep="\t", index=False)


def awkward(folder, length, fourth=None):
    """A small BEIR folder: texts of so many words, one twice and one very long; `fourth` takes a place, if given."""
    texts = jargon(60, length)
    texts[1], texts[2] = texts[0], " ".join(texts * 4)
    if fourth is not None:
        texts[3] = fourth
    beir(folder, texts)


def told_without_queries_or_documents(run, folder, fold):
    """A BEIR folder without training queries, then without documents, is told in one sentence; nothing is written.

    run: runs the notebook on the folder, as `on_folder`. fold: the one that then has no query, train or dev.
    """
    (folder / "qrels/train.tsv").unlink()
    status, said = run(folder)
    assert status == 2
    assert f"has no query in the fold {fold} with a relevant document" in said
    (folder / "corpus.jsonl").write_text("")
    status, said = run(folder)
    assert status == 2
    assert "corpus.jsonl is empty" in said
    assert not (folder / "out/table.csv").exists()


def jargon(documents, length):
    """Texts of so many words of a small vocabulary."""
    rng = generator(0, "beir")
    words = [f"{a}{b}" for a in ("matrix", "plot", "graph", "tensor", "string") for b in ("", "s", " axis", " node")]
    return [" ".join(rng.choice(words, length)) for _ in range(documents)]


@functools.cache
def smoke(name):
    """Run the notebook at smoke scale, its backbones first, unless its record says that it has not changed.

    Two test processes may come here at once: the runner lets one of them wait for the other.
    """
    for maker in depend.needed(notebooks.find(name)):
        smoke(maker)
    result = finegrain("notebook", f"smoke/{name}")
    assert result.returncode == 0, result.stdout + result.stderr
    return places.committed(name, "smoke")


JUPYTERS = (  # the folders that are a user's own
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
)
TOKEN = "secret"


@contextlib.contextmanager
def laboratory(root, environment, home):
    """`make lab` of the checkout `root`, settings in the folder `home`: its process and port, when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = environment | {name: str(home / name) for name in JUPYTERS} | {"JUPYTER_TOKEN": TOKEN}
    command = [sys.executable, "-m", "finegrain.run", "lab", "--no-browser", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", *(["--allow-root"] if os.geteuid() == 0 else [])]
    server = subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            assert server.poll() is None, "JupyterLab ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10):
                break
            time.sleep(0.2)
        else:
            raise AssertionError("JupyterLab did not answer within a minute")
        yield server, port
    finally:
        server.terminate()
        server.wait(timeout=30)
