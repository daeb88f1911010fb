"""Data sets of the hub, with real folders in the hub's layout in its place; and no network at all."""

import dataclasses
import io

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finegrain import InputError, hub
from finegrain.data import _hub, _presets, load
from finegrain.models import load_image_text, load_text_encoder


@pytest.fixture
def repositories(tmp_path, monkeypatch):
    """Lets "owner/name" be a folder below tmp_path, in the layout of a hub repository."""
    real = datasets.load_dataset

    def here(repository, config=None, revision=None):
        folder = tmp_path / repository
        if not folder.is_dir():
            raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{repository}' doesn't exist on the Hub")
        return real(str(folder), config, cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset", here)
    return tmp_path


def write(folder, name, split, rows, features=None):
    """One split as parquet, as the hub keeps it."""
    path = folder / name / "data" / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(path))


def test_texts_with_named_classes_and_splits(repositories):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["sun", "rain"])}
    )
    write(repositories, "owner/weather", "train", {"text": ["dry", "wet"], "label": [0, 1]}, features)
    write(repositories, "owner/weather", "validation", {"text": ["warm"], "label": [0]}, features)
    data = load("hf:owner/weather")
    assert data.texts == ("dry", "wet", "warm")
    assert data.classes["name"].tolist() == ["sun", "rain"]
    assert data.labels.tolist() == [0, 1, 0]
    assert data.items["fold"].tolist() == ["train", "train", "dev"]
    assert load("hf:owner/weather?split=validation").texts == ("warm",)


def test_columns_are_mapped_by_options(repositories):
    write(repositories, "owner/reviews", "test", {"body": ["good", "bad", "fair"], "stars": [5, 1, 3]})
    data = load("hf:owner/reviews?text=body&label=stars")
    assert data.classes["name"].tolist() == ["1", "3", "5"]
    assert data.labels.tolist() == [2, 0, 1]
    with pytest.raises(InputError, match="no text column 'text'"):
        load("hf:owner/reviews?label=stars")


def test_images_stay_encoded_until_they_are_used(repositories):
    def encoded(colour):
        stream = io.BytesIO()
        Image.new("RGB", (4, 4), colour).save(stream, "PNG")
        return {"bytes": stream.getvalue(), "path": None}

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "blue"])})
    rows = {"image": [encoded((255, 0, 0)), encoded((0, 0, 255))], "label": [0, 1]}
    write(repositories, "owner/colours", "test", rows, features)
    data = load("hf:owner/colours", "images")
    assert [data.images[row].getpixel((0, 0)) for row in range(2)] == [(255, 0, 0), (0, 0, 255)]
    assert data.classes["name"].tolist() == ["red", "blue"]
    with pytest.raises(InputError, match="its columns give 'images'"):
        load("hf:owner/colours", "texts")


RETRIEVAL = """---
configs:
- config_name: corpus
  data_files: [{split: corpus, path: corpus.jsonl}]
- config_name: queries
  data_files: [{split: queries, path: queries.jsonl}]
- config_name: default
  data_files: [{split: test, path: qrels/test.jsonl}, {split: train, path: qrels/train.jsonl}]
---
"""


def facts(folder, document):
    """A small retrieval data set in MTEB's layout, whose test query is answered by the document."""
    (folder / "qrels").mkdir(parents=True)
    (folder / "README.md").write_text(RETRIEVAL)
    (folder / "corpus.jsonl").write_text(
        '{"_id": "1", "title": "T", "text": "one"}\n{"_id": "2", "title": "", "text": "two"}\n'
    )
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "which?"}\n{"_id": "r", "text": "what?"}\n')
    (folder / "qrels" / "test.jsonl").write_text(f'{{"query-id": "q", "corpus-id": "{document}", "score": 1}}\n')
    (folder / "qrels" / "train.jsonl").write_text('{"query-id": "r", "corpus-id": "1", "score": 2}\n')


def test_retrieval_in_the_layout_of_mteb(repositories):
    facts(repositories / "owner" / "facts", document=2)
    data = load("hf:owner/facts", "retrieval")
    assert data.documents["text"].tolist() == ["T one", "two"]
    assert data.queries["fold"].to_dict() == {"q": "test", "r": "train"}
    assert data.qrels["grade"].tolist() == [1, 2]
    facts(repositories / "owner" / "broken", document=9)
    with pytest.raises(InputError, match=r"judges the document '9', which hf:owner/broken \(corpus\) lacks"):
        load("hf:owner/broken", "retrieval")


def test_a_folder_that_the_package_saved_is_a_data_set_too(tmp_path):
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]})
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(str(tmp_path / "saved"))
    data = load(str(tmp_path / "saved"))
    assert data.items["fold"].tolist() == ["train", "train", "test", "test"]
    rows.save_to_disk(str(tmp_path / "single"))
    assert len(load(str(tmp_path / "single"))) == 2


def test_a_wrong_id_is_one_sentence(repositories, monkeypatch):
    monkeypatch.setattr(hub, "reachable", lambda: True)
    with pytest.raises(InputError, match="the hub has no data set owner/none, or it is private"):
        load("hf:owner/none")


def test_without_network_every_kind_of_name_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(hub, "reachable", lambda: False)
    for attempt in (
        lambda: load("hf:owner/name@abc123"),
        lambda: load("pets"),
        lambda: load_text_encoder("owner/encoder@abc123"),
        lambda: load_image_text("hf-hub:owner/clip"),
        lambda: load_image_text("ViT-B-32/openai"),
    ):
        with pytest.raises(
            InputError, match=r"not in the hub's cache, and (the hub cannot be reached|HF_HUB_OFFLINE is set)"
        ):
            attempt()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("GatedRepoError", "is gated: accept its terms"),
        ("RevisionNotFoundError", "no revision 'v9'"),
        ("RepositoryNotFoundError", "or it is private"),
        ("LocalEntryNotFoundError", "not in the hub's cache"),
    ],
)
def test_each_refusal_of_the_hub_says_what_to_do(error, message):
    from huggingface_hub import errors

    kind = getattr(errors, error)
    refusal = kind.__new__(kind)
    with pytest.raises(InputError, match=message), hub.told("model", "owner/name", "v9"):
        raise refusal


def test_a_full_disk_is_named_and_other_system_errors_are_not_hidden():
    with (
        pytest.raises(InputError, match="no space left to keep the model owner/name"),
        hub.told("model", "owner/name", None),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(PermissionError), hub.told("model", "owner/name", None):
        raise PermissionError(13, "Permission denied")


# ------------------------------------------------------------------------------------------------ presets


@pytest.mark.parametrize("name", _presets.PRESETS)
def test_a_preset_is_whole(name):
    preset = _presets.PRESETS[name]
    assert preset.kind in ("images", "texts", "retrieval")
    templates = preset.templates() if callable(preset.templates) else preset.templates
    assert bool(templates) == (preset.kind == "images")
    assert all(template.count("{}") == 1 for template in templates)
    assert len(set(templates)) == len(templates)
    if preset.source:
        repository, revision, _ = _hub.split_name(preset.source)
        assert "/" in repository
        assert revision is None or len(revision) == 40 or revision == "refs/convert/parquet"
    assert preset.published is None or 0 < preset.published[0] <= 100


def test_clips_template_counts_are_those_that_were_published():
    counts = {name: preset.templates for name, preset in _presets.PRESETS.items() if preset.kind == "images"}
    counts = {name: len(some() if callable(some) else some) for name, some in counts.items()}
    expected = {"cifar10": 18, "cifar100": 18, "imagenet": 80, "dtd": 8, "eurosat": 3, "pets": 1, "food101": 1}
    assert expected.items() <= counts.items()


def test_imagenet_has_its_thousand_names():
    names = _presets.PRESETS["imagenet"].names()
    assert len(names) == len(set(names)) or len(names) == 1000


def test_a_preset_brings_its_templates_and_names(repositories, monkeypatch):
    write(repositories, "owner/two", "test", {"text": ["a", "b"], "label": [0, 1]})
    preset = _presets.Preset("texts", "hf:owner/two", "accuracy", names=lambda: ["zero", "one"])
    monkeypatch.setitem(_presets.PRESETS, "two", preset)
    data = load("two")
    assert data.classes["name"].tolist() == ["zero", "one"]
    monkeypatch.setitem(_presets.PRESETS, "none", dataclasses.replace(preset, source=""))
    with pytest.raises(InputError, match="give a local folder"):
        load("none")


def test_digests_follow_the_content(repositories):
    write(repositories, "owner/a", "test", {"text": ["a", "b"], "label": ["x", "y"]})
    write(repositories, "owner/b", "test", {"text": ["a", "c"], "label": ["x", "y"]})
    assert load("hf:owner/a").digest != load("hf:owner/b").digest
    assert isinstance(load("hf:owner/a").items, pd.DataFrame)
    assert load("hf:owner/a").labels.dtype == np.int64
