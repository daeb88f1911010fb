"""Bad data sets and backbones, from the command line to the end: one sentence, status 2, nothing half written."""

import json
import os

import pytest

PARAMETERS = 'scale: str = "default"\ndataset: str = ""\nbackbone: str = ""\nout: str = ""'
READS = """
from pathlib import Path
Path(out, "table.csv").write_text("a\\n1\\n")
if dataset:
    from finegrain.data import load
    data = load(dataset)
    used = list(getattr(data, "images", ()))
if backbone:
    from finegrain.models import load_text_encoder
    load_text_encoder(backbone, scale)
"""


def write(root, contents):
    """Files in the folder `mine`: their texts by name."""
    for name, text in contents.items():
        path = root / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def beir(root):
    corpus, queries = '{"_id": "d1", "text": "a document"}\n', '{"_id": "q1", "text": "a query"}\n'
    qrels = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td7\t1\n"
    write(root, {"corpus.jsonl": corpus, "queries.jsonl": queries, "qrels/test.tsv": qrels})


def broken_image(root):
    write(root, {"heron/1.png": "no image", "gull/1.png": "no image"})


def empty_text_file(root):
    write(root, {"train.csv": ""})


def no_text_in_a_row(root):
    write(root, {"train.csv": "text,label\nsome words,a\n,b\n"})


def no_label_column(root):
    write(root, {"train.csv": "text,stars\nsome words,1\nother words,2\n"})


def folder_without_data(root):
    write(root, {"notes.txt": "nothing"})


def unreadable(root):
    write(root, {"train.csv": "text,label\nsome words,a\nother words,b\n"})
    (root / "mine").chmod(0)


def corrupt_backbone(root):
    folder = root / "build/backbones/doc-bert"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"not what was saved")
    (folder / "digest.json").write_text(json.dumps({"digest": "0", "files": {"model.safetensors": "0" * 64}}))


def nothing(root):
    pass


not_for_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")


@pytest.mark.parametrize(
    ("prepare", "given", "message"),
    [
        (nothing, "dataset=glyfs", "there is no data set or folder 'glyfs'; did you mean glyphs?"),
        (nothing, "dataset=mine", "there is no data set or folder 'mine'; give one of"),
        (nothing, "dataset=hf:owner/name", "the data set owner/name is not in the hub's cache, and "),
        (folder_without_data, "dataset=mine", "mine holds no data set"),
        pytest.param(unreadable, "dataset=mine", "cannot read mine", marks=not_for_root),
        (beir, "dataset=mine", "mine/qrels/test.tsv judges the document 'd7', which mine/corpus.jsonl lacks"),
        (broken_image, "dataset=mine", "1.png is no readable image"),
        (empty_text_file, "dataset=mine", "mine/train.csv"),
        (no_text_in_a_row, "dataset=mine", "row 1 has no text in the column 'text'"),
        (no_label_column, "dataset=mine", "mine has no label column 'label'; its columns are text, stars"),
        (nothing, "backbone=minilmm", "no model is called 'minilmm'"),
        (nothing, "backbone=doc-bert", "the backbone doc-bert is not trained yet"),
        (corrupt_backbone, "backbone=doc-bert", "the backbone doc-bert is damaged"),
        (nothing, "backbone=./mine/model", "no folder ./mine/model"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_is_one_sentence_and_nothing_half_written(kit, prepare, given, message):
    kit.notebook("retrieval/reads", READS, parameters=PARAMETERS)
    prepare(kit.root)
    before = kit.files("build", "figures")
    result = kit.finegrain("run", "retrieval/reads", "--parameters", given)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert "Error" not in result.stderr
    left = [name for name in kit.files("build", "figures") if name not in before]
    assert [name.rpartition("/")[2] for name in left] == ["reads.ipynb"]  # what happened, to read


def test_make_ends_with_the_sentence_and_a_status_of_its_own(kit):
    kit.notebook("retrieval/reads", READS, parameters=PARAMETERS)
    result = kit.make("run", "NB=retrieval/reads", "P=dataset=glyfs")
    assert result.returncode == 2
    said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert said == ["finegrain: there is no data set or folder 'glyfs'; did you mean glyphs?"]
