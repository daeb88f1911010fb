"""Embeddings files: data set and model in one, and every way in which one can be broken."""

import os
from pathlib import Path

import numpy as np
import pytest

from finegrain import InputError, files
from finegrain.data import load
from finegrain.evaluate import hits, recall_at_k
from finegrain.models import class_embeddings, load_image_text

REAL = Path(os.environ.get("FINEGRAIN_REAL_DATA") or files.root().parent / "shared" / "data")
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="no real data beside the checkout (FINEGRAIN_REAL_DATA)")

IMAGES = np.array([[2.0, 0, 0], [0, 0.5, 0], [0, 0, 1], [1, 1, 0]])
WHOLE = {
    "image": IMAGES,
    "text": np.eye(3)[:2] * 4,
    "texts": ["a heron", "a wren"],
    "labels": [0, 1, 1, 0],
    "classes": ["heron", "wren"],
    "templates": ["a {}"],
    "logit_scale": 20.0,
}


@pytest.fixture
def birds(tmp_path):
    np.savez(tmp_path / "birds.npz", **WHOLE)
    return str(tmp_path / "birds.npz")


def test_it_is_a_data_set_of_images(birds):
    data = load(birds, "images")
    assert len(data) == 4
    assert data.classes["name"].tolist() == ["heron", "wren"]
    assert data.labels.tolist() == [0, 1, 1, 0]
    assert set(data.items["fold"]) == {"test"}
    assert data.templates == ("a {}",)
    assert data.select([3, 0]).labels.tolist() == [0, 0]
    np.testing.assert_array_equal(data.select([3, 0]).images, IMAGES[[3, 0]].astype(np.float32))


def test_it_is_the_model_that_encodes_them(birds):
    data, model = load(birds), load_image_text(birds)
    assert model.logit_scale == 20
    vectors = model.encode_image(data.images)
    np.testing.assert_allclose(vectors, IMAGES / np.linalg.norm(IMAGES, axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(model.encode_image(data.images[[1, 2]]), vectors[1:3])
    texts = class_embeddings(model, [["a heron"], ["a wren"]])
    np.testing.assert_allclose(texts, np.eye(3)[:2])
    assert hits(vectors @ texts.T, data.labels).tolist() == [True, True, False, True]  # the third ties: class 0
    assert model.knows(["a wren"])
    assert not model.knows(["a wren", "wren"])


def test_a_text_that_it_lacks_is_named(birds):
    with pytest.raises(InputError, match="no vector of the text 'wren'"):
        load_image_text(birds).encode_text(["a heron", "wren"])


def test_real_images_are_refused_with_the_mend(birds):
    with pytest.raises(InputError, match=f"dataset={birds}"):
        load_image_text(birds).encode_image(np.zeros((2, 8, 8), np.uint8))


def test_without_labels_images_and_texts_are_pairs(tmp_path):
    path = tmp_path / "pairs.npz"
    np.savez(path, image=np.eye(3), text=np.eye(3), texts=["one", "two", "three"], fold=["test", "dev", "test"])
    data = load(str(path))
    assert data.labels.tolist() == [0, 1, 2]
    assert data.classes["name"].tolist() == ["one", "two", "three"]
    assert data.items["fold"].tolist() == ["test", "dev", "test"]


BROKEN = {
    "image": (None, "lacks the array 'image'"),
    "text": (np.eye(4)[:2], "vectors of 3 and 4 numbers"),
    "texts": (["a heron"], "1 texts and 2 vectors"),
    "labels": ([0, 1, 2, 0], "labels from 0 to 1"),
    "classes": (None, "`labels` and `classes` come together"),
    "fold": (["test", "test", "exam", "test"], "`fold` must name one of train, dev, test, confirm"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_named(tmp_path, name):
    value, message = BROKEN[name]
    arrays = {key: one for key, one in (WHOLE | {name: value}).items() if one is not None}
    np.savez(tmp_path / "broken.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load(str(tmp_path / "broken.npz"))


def test_nan_a_single_class_and_a_damaged_file_are_refused(tmp_path):
    path = tmp_path / "broken.npz"
    np.savez(path, **(WHOLE | {"image": np.full((4, 3), np.nan)}))
    with pytest.raises(InputError, match="'image' must be"):
        load(str(path))
    np.savez(path, **(WHOLE | {"classes": ["heron"], "labels": [0] * 4}))
    with pytest.raises(InputError, match="at least two"):
        load(str(path))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="no readable"):
        load(str(path))


@needs_real_data
def test_real_clip_vectors_give_the_accuracy_that_clip_has(tmp_path):
    folder = REAL / "clip" / "cifar10_500"
    images, texts = np.load(folder / "data.npz"), np.load(folder / "class_text_embeddings.npz")["text"]
    names = files_json(folder / "meta.json")["classes"]
    path = str(tmp_path / "cifar10.npz")
    prompts = [f"a {name}" for name in names]
    np.savez(path, image=images["clip_vitb32"], text=texts, texts=prompts, labels=images["labels"], classes=names)
    data, model = load(path), load_image_text(path)
    scores = model.encode_image(data.images) @ model.encode_text(prompts).T
    assert 100 * hits(scores, data.labels).mean() == pytest.approx(90.4, abs=0.05)


@needs_real_data
def test_real_pairs_of_pictures_and_captions_find_each_other(tmp_path):
    found = np.load(REAL / "clip" / "coco_pairs_500" / "data.npz")
    path = str(tmp_path / "coco.npz")
    captions = [f"caption {row}" for row in range(500)]
    np.savez(path, image=found["image"], text=found["text"], texts=captions)
    data, model = load(path), load_image_text(path)
    scores = model.encode_image(data.images) @ model.encode_text(captions).T
    right = np.eye(500, dtype=bool)
    assert recall_at_k(scores.T, right, 1).mean() == pytest.approx(0.506)  # text to image
    assert recall_at_k(scores, right, 5).mean() == pytest.approx(0.77, abs=0.05)


def files_json(path):
    import json

    return json.loads(path.read_text())
