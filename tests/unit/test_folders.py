"""Local folders in three layouts, and every way in which one can be broken."""

import gzip
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finegrain import InputError, files
from finegrain.data import load
from finegrain.evaluate.ranking import measure
from finegrain.search import BM25

REAL = Path(os.environ.get("FINEGRAIN_REAL_DATA") or files.root().parent / "shared" / "data")
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="no real data beside the checkout (FINEGRAIN_REAL_DATA)")


def picture(path, colour=(10, 20, 30), size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def refused(name, kind=None):
    with pytest.raises(InputError) as refusal:
        load(str(name), kind)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


# ------------------------------------------------------------------------------------------------ image folders


@pytest.fixture
def birds(tmp_path):
    for number in range(3):
        picture(tmp_path / "grey_heron" / f"{number}.png", (number, 0, 0))
        picture(tmp_path / "wren" / "deeper" / f"{number}.jpg", (0, number * 40, 0), (3, 5))
    return tmp_path


def test_an_image_folder_has_its_classes_folds_and_lazy_images(birds):
    data = load(str(birds))
    assert data.classes["name"].tolist() == ["grey heron", "wren"]
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.items["file"].tolist()[0] == "grey_heron/0.png"
    assert data.images[1].getpixel((0, 0)) == (1, 0, 0)
    assert data.images[1].mode == "RGB"
    assert [image.size for image in data.images[[0, 3]]] == [(6, 4), (3, 5)]
    assert len(data.select(data.labels == 1).images) == 3
    assert load(str(birds)).items.equals(data.items)


def test_names_and_descriptors_beside_the_classes(birds):
    assert "descriptors" not in load(str(birds)).classes  # a folder that says nothing of them has no such column
    (birds / "classnames.json").write_text('{"grey_heron": "heron", "wren": "winter wren", "absent": "x"}')
    (birds / "descriptors.json").write_text('{"heron": ["long neck", "grey"], "winter wren": []}')
    classes = load(str(birds)).classes
    assert classes["name"].tolist() == ["heron", "winter wren"]
    assert classes["descriptors"].tolist() == [("long neck", "grey"), ()]


def test_folders_above_the_classes_are_folds(tmp_path):
    for fold in ("train", "val", "test"):
        for bird in ("heron", "wren"):
            picture(tmp_path / fold / bird / "a.png")
    data = load(str(tmp_path))
    assert sorted(data.items["fold"]) == ["dev", "dev", "test", "test", "train", "train"]
    assert data.classes["name"].tolist() == ["heron", "wren"]


def test_equal_images_share_a_fold_whatever_they_are_called(tmp_path):
    for number in range(20):
        picture(tmp_path / ("a" if number % 2 else "b") / f"{number}.png")
    assert load(str(tmp_path)).items["fold"].nunique() == 1


def test_a_broken_image_is_named_when_its_head_is_read_or_when_it_is_used(birds):
    whole = (birds / "wren" / "deeper" / "1.jpg").read_bytes()
    (birds / "wren" / "deeper" / "1.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"1\.jpg is no readable image"):
        list(load(str(birds)).images)
    (birds / "wren" / "deeper" / "1.jpg").write_bytes(b"not an image")
    assert "1.jpg is no readable image" in refused(birds)
    (birds / "wren" / "deeper" / "1.jpg").write_bytes(b"")
    assert "it is empty" in refused(birds)


def test_image_folders_that_say_too_little_or_too_much(birds):
    assert "holds no data set" in refused(birds / "wren" / "deeper")
    assert "1 class;" in refused(birds / "wren")
    (birds / "classnames.json").write_text('{"grey_heron": "bird", "wren": "bird"}')
    assert "two classes are called 'bird'" in refused(birds)
    (birds / "classnames.json").write_text('{"grey_heron": "bird"}')
    assert "no name for the class folder 'wren'" in refused(birds)
    (birds / "classnames.json").write_text("{")
    assert "classnames.json is not valid JSON" in refused(birds)
    (birds / "classnames.json").write_text("[]")
    assert "must hold a JSON object" in refused(birds)
    (birds / "classnames.json").unlink()
    (birds / "descriptors.json").write_text('{"wren": ["small"]}')
    assert "no descriptors for the class 'grey heron'" in refused(birds)


# ------------------------------------------------------------------------------------------------ tables


@pytest.fixture
def table():
    return pd.DataFrame(
        {"text": ["It rains", "It shines", "Rain again", "Sun"], "label": ["rain", "sun", "rain", "sun"]}
    )


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_table_is_read_from_each_format(tmp_path, table, ending):
    path = tmp_path / f"weather.{ending}"
    table.to_parquet(path) if ending == "parquet" else table.to_csv(path, index=False)
    data = load(str(path))
    assert data.texts == tuple(table["text"])
    assert data.classes["name"].tolist() == ["rain", "sun"]
    assert data.labels.tolist() == [0, 1, 0, 1]


def test_files_of_a_folder_are_folds_and_labels_point_into_the_list(tmp_path, table):
    table.assign(label=[1, 0, 1, 0], source="x").to_parquet(tmp_path / "train.parquet")
    table.assign(label=[1, 0, 1, 0]).to_csv(tmp_path / "validation.csv", index=False)
    (tmp_path / "labels.json").write_text('["sun", "rain", "snow"]')
    data = load(str(tmp_path))
    assert data.items["fold"].tolist() == ["train"] * 4 + ["dev"] * 4
    assert data.classes["name"].tolist() == ["sun", "rain", "snow"]
    assert data.labels.tolist() == [1, 0, 1, 0] * 2
    assert data.items["source"].tolist()[:4] == ["x"] * 4


def test_columns_are_named_after_the_path(tmp_path, table):
    table = table.rename(columns={"text": "report", "label": "sky"}).assign(split=["train", "test", "val", "train"])
    table.to_csv(tmp_path / "w.csv", index=False)
    data = load(f"{tmp_path}/w.csv?text=report&label=sky&fold=split")
    assert data.items["fold"].tolist() == ["train", "test", "dev", "train"]
    assert data.texts == tuple(table["report"])


def test_equal_texts_share_a_group_and_a_fold(tmp_path):
    texts = [f"text {number // 2}" for number in range(40)]
    pd.DataFrame({"text": texts, "label": [0, 1] * 20}).to_csv(tmp_path / "w.csv", index=False)
    items = load(str(tmp_path / "w.csv")).items
    assert items.groupby("group")["fold"].nunique().max() == 1
    assert items["group"].nunique() == 20
    assert items["fold"].nunique() > 1


def test_a_column_of_encoded_images_makes_images(tmp_path):
    encoded = []
    for number in range(4):
        buffer = io.BytesIO()
        Image.new("RGB", (5, 5), (number, 0, 0)).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    encoded[3] = encoded[3][:20]
    pd.DataFrame({"png": encoded, "label": [0, 1, 0, 1]}).to_parquet(tmp_path / "test.parquet")
    (tmp_path / "labels.json").write_text('["a", "b"]')
    data = load(str(tmp_path), "images")
    assert data.images[2].getpixel((0, 0)) == (2, 0, 0)
    with pytest.raises(InputError, match="row 3"):
        data.images[3]


def test_broken_tables_are_refused_with_what_to_do(tmp_path, table):
    path = tmp_path / "w.csv"
    table.to_csv(path, index=False)
    assert "no label column 'labels'; its columns are text, label" in refused(
        f"{path}?labels=x".replace("labels=x", "label=labels")
    )
    assert "unknown option 'lable'" in refused(f"{path}?lable=x")
    assert "cannot be loaded as 'retrieval'" in refused(path, "retrieval")
    table.drop(columns="label").to_csv(path, index=False)
    assert "no label column 'label'" in refused(path)
    path.write_text("")
    assert "w.csv is empty" in refused(path)
    path.write_text("text,label\n")
    assert "w.csv is empty" in refused(path)
    path.write_text("text,label\nyes,a\n ,b\n")
    assert "row 1 has no text" in refused(path)
    path.write_text("text,label\nyes,a\nno,\n")
    assert "row 1 has no label" in refused(path)
    path.write_text("text,label\nyes,a\nno,a\n")
    assert "1 class;" in refused(path)
    path.write_text('text,label\n"yes,a\n')
    assert "not readable as a table" in refused(path)
    path.write_text("text,label\nyes,0\nno,2\n")
    (tmp_path / "labels.json").write_text('["a", "b"]')
    assert "the label 2, but" in refused(path)
    (tmp_path / "labels.json").write_text('["a", "a"]')
    assert "two classes are called 'a'" in refused(path)
    (tmp_path / "w.parquet").write_bytes(b"PAR1 no")
    assert "w.parquet is not readable" in refused(tmp_path / "w.parquet")


# ------------------------------------------------------------------------------------------------ BEIR


@pytest.fixture
def beir(tmp_path):
    lines(
        tmp_path / "corpus.jsonl.gz",
        [{"_id": "d1", "title": "Sorting", "text": "of arrays"}, {"_id": "d2", "text": "plots"}],
    )
    lines(
        tmp_path / "queries.jsonl",
        [{"_id": "q1", "text": "sort"}, {"_id": "q2", "text": "plot"}, {"_id": "q3", "text": "?"}],
    )
    lines(tmp_path / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore\n", "q1\td1\t2\n"])
    lines(tmp_path / "qrels" / "dev.tsv", ["query-id\tcorpus-id\tscore\n", "q2\td2\t1\n", "q2\td1\t0\n"])
    return tmp_path


def test_a_beir_folder_has_its_corpus_judged_queries_and_grades(beir):
    data = load(str(beir))
    assert data.documents["text"].to_dict() == {"d1": "Sorting of arrays", "d2": "plots"}
    assert data.queries["fold"].to_dict() == {"q1": "test", "q2": "dev"}
    assert sorted(data.qrels.itertuples(index=False, name=None)) == [("q1", "d1", 2), ("q2", "d1", 0), ("q2", "d2", 1)]
    assert data.relevant_from == 1
    assert not data.ignore_identical_ids
    chosen = data.select(["q1"])
    assert len(chosen.qrels) == 1
    assert len(chosen.documents) == 2


def test_equal_ids_are_left_out_only_where_queries_are_documents(beir):
    lines(beir / "queries.jsonl", [{"_id": "d1", "text": "of arrays"}, {"_id": "d2", "text": "plots"}])
    lines(beir / "qrels" / "test.tsv", ["d1\td2\t1\n"])
    (beir / "qrels" / "dev.tsv").unlink()
    assert load(str(beir)).ignore_identical_ids
    lines(beir / "queries.jsonl", [{"_id": "d1", "text": "another text"}, {"_id": "d2", "text": "plots"}])
    assert not load(str(beir)).ignore_identical_ids


def test_broken_beir_folders_are_refused_with_what_to_do(beir):
    lines(beir / "qrels" / "dev.tsv", ["q2\td9\t1\n"])
    assert "dev.tsv judges the document 'd9'" in refused(beir)
    lines(beir / "qrels" / "dev.tsv", ["q9\td1\t1\n"])
    assert "judges the query 'q9'" in refused(beir)
    lines(beir / "qrels" / "dev.tsv", ["q1\td2\t1\n"])
    assert "'q1' is judged in two splits" in refused(beir)
    lines(beir / "qrels" / "dev.tsv", ["q2 d1 1\n", "q2 d1 1\n"])
    assert "dev.tsv, line 2: expected" in refused(beir)
    lines(beir / "qrels" / "dev.tsv", [])
    assert "dev.tsv is empty" in refused(beir)
    (beir / "qrels" / "dev.tsv").unlink()
    lines(beir / "queries.jsonl", [{"_id": "q1", "text": "sort"}, {"_id": "q1", "text": "twice"}])
    assert "line 2: the id 'q1' occurs twice" in refused(beir)
    lines(beir / "queries.jsonl", ['{"_id": "q1"}\n'])
    assert "queries.jsonl, line 1: expected" in refused(beir)
    (beir / "queries.jsonl").unlink()
    assert "no queries.jsonl" in refused(beir)
    lines(beir / "queries.jsonl", [{"_id": "q1", "text": "sort"}])
    whole = (beir / "corpus.jsonl.gz").read_bytes()
    (beir / "corpus.jsonl.gz").write_bytes(whole[:-12])
    assert "corpus.jsonl.gz is damaged" in refused(beir)
    (beir / "corpus.jsonl.gz").write_bytes(whole)
    (beir / "qrels" / "test.tsv").unlink()
    assert "holds no judgements" in refused(beir)
    assert "option 'text' is for tables" in refused(f"{beir}?text=x")


def test_a_folder_that_may_not_be_read_is_named(beir, monkeypatch):
    def denied(path, *args):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("finegrain.data._folder_beir._read_lines", denied)
    assert "corpus.jsonl.gz: Permission denied; check" in refused(beir)


# ------------------------------------------------------------------------------------------------ real data


@needs_real_data
@pytest.mark.parametrize(
    ("folder", "kind", "classes", "folds"),
    [
        ("text/banking77", "texts", 77, {"train": 10003, "test": 3080}),
        ("text/trec6", "texts", 6, {"train": 5452, "test": 500}),
        ("text/sst2", "texts", 2, {"train": 6920, "dev": 872, "test": 1821}),
        ("images/cifar10", "images", 10, {"train": 10000, "test": 10000}),
    ],
)
def test_real_tables(folder, kind, classes, folds):
    data = load(str(REAL / folder), kind)
    assert data.items["fold"].value_counts().to_dict() == folds
    assert len(np.unique(data.labels)) == len(data.classes) == classes


@needs_real_data
@pytest.mark.parametrize(
    ("folder", "queries", "documents", "least"), [("scifact", 300, 5183, 0.65), ("cranfield", 225, 1400, 0.36)]
)
def test_bm25_on_real_collections_is_where_others_have_it(folder, queries, documents, least):
    """SciFact: BEIR reports 0.665 and Anserini 0.679; Cranfield's folder says 0.379."""
    data = load(str(REAL / "retrieval" / folder))
    asked = data.queries[data.queries["fold"] == "test"]
    assert (len(asked), len(data.documents)) == (queries, documents)
    run = BM25(data.documents["text"]).search(asked["text"], k=10)
    found = measure(run, data.select(asked.index).qrels, ["nDCG@10"])["nDCG@10"].mean()
    assert least < found < least + 0.05
