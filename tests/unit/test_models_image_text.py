"""Image-text models through open_clip's local folders: equal after loading, refused without weights."""

import copy
import dataclasses
import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from torch.nn.functional import normalize
from transformers import PreTrainedTokenizerFast

from finegrain.errors import InputError
from finegrain.models import class_embeddings, load_image_text
from finegrain.seeding import generator, seeded

CAPTIONS = ["a drawing of omega", "small letter a with acute", "an arrow"]


def tokenizer_of_captions():
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<pad>", "<start>", "<end>", "<unk>"]
    tokenizer.train_from_iterator(CAPTIONS, trainers.WordLevelTrainer(special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")


def built(**vision):
    """A small model with such an image tower, and its configuration."""
    text = {"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 1}
    text |= {"pool_type": "eos", "eos_id": 2, "hf_tokenizer_name": "beside"}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    with seeded(0):
        return open_clip.CLIP(**json.loads(json.dumps(config))).eval(), config


def saved(model, config, folder):
    preprocess = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "interpolation": "bilinear", "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors", {"format": "pt"})
    tokenizer_of_captions().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def original():
    return built(image_size=16, patch_size=8, width=32, layers=1, head_width=16)


@pytest.fixture(scope="module")
def folder(original, tmp_path_factory):
    return saved(*original, tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def loaded(folder):
    return load_image_text(f"local-dir:{folder}")


def drawings(size, channels=()):
    return generator(0, "drawings").integers(0, 256, (5, size, size, *channels), dtype=np.uint8)


def test_a_loaded_model_gives_the_vectors_of_the_one_saved(original, loaded):
    model, _ = original
    images = drawings(16)
    pixels = torch.from_numpy(images / 255)[:, None].repeat(1, 3, 1, 1)
    pixels = (pixels - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.6, 0.7]).view(3, 1, 1)
    tokens = torch.zeros(3, 8, dtype=torch.long)
    for row, ids in enumerate(tokenizer_of_captions()(CAPTIONS)["input_ids"]):
        tokens[row, : len(ids)] = torch.tensor(ids)
    with torch.inference_mode():
        np.testing.assert_allclose(
            loaded.encode_image(images), model.encode_image(pixels.float(), normalize=True), atol=1e-6
        )
        np.testing.assert_allclose(loaded.encode_text(CAPTIONS), model.encode_text(tokens, normalize=True), atol=1e-6)
    assert loaded.width == 24
    assert loaded.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_arrays_and_pictures_give_the_same_vectors(loaded, channels):
    images = drawings(16, channels)
    pictures = [Image.fromarray(image) for image in images]
    np.testing.assert_allclose(loaded.encode_image(images), loaded.encode_image(pictures), atol=1e-6)
    larger = drawings(40, channels)
    resized = loaded.encode_image([Image.fromarray(image) for image in larger])
    np.testing.assert_allclose(loaded.encode_image(larger), resized, atol=1e-6)
    np.testing.assert_allclose(loaded.encode_image(images, batch_size=2), loaded.encode_image(images), atol=1e-6)
    assert loaded.encode_image(images[:0]).shape == (0, 24)


def test_many_images_go_through_convolutions_that_hold_the_batch_norms(tmp_path, monkeypatch):
    """The same vectors, of the weights that the model has by then."""
    model, config = built(image_size=32, layers=[1, 1, 1, 1], width=8, head_width=8)
    loaded = dataclasses.replace(load_image_text(f"local-dir:{saved(model, config, tmp_path)}"), cache=False)
    images, before, norms = drawings(32), None, []
    count = torch.nn.BatchNorm2d.forward
    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", lambda self, x: norms.append(self) or count(self, x))
    for seed in range(2):
        with seeded(seed):
            for norm in [part for part in loaded.model.modules() if isinstance(part, torch.nn.BatchNorm2d)]:
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2)
                norm.weight.data.normal_()
        few = loaded.encode_image(images, batch_size=3)
        assert norms
        norms.clear()
        many = loaded.encode_image(images, batch_size=2)
        assert not norms
        np.testing.assert_allclose(many, few, atol=1e-5)
        assert before is None or np.abs(many - before).max() > 0.01
        before = many


def test_a_text_does_not_depend_on_the_texts_beside_it(loaded):
    together = loaded.encode_text(CAPTIONS)
    np.testing.assert_allclose(loaded.encode_text(CAPTIONS[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("pool", "end"), [("eos", 2), ("eos", 0), ("argmax", None)])
def test_texts_are_read_up_to_where_the_last_ends_and_whole_where_that_would_matter(loaded, pool, end):
    tokens = loaded.tokenizer(["a", "a cat on a mat", "a cat"])
    assert tokens[:, -1].eq(0).all()  # all are padded, with what is the end where that is 0
    model = copy.deepcopy(loaded.model)
    model.text_pool_type, model.text_eos_id = pool, end
    with torch.inference_mode():
        whole = model.encode_text(tokens)
        read = dataclasses.replace(loaded, model=model)._read(tokens)
        torch.testing.assert_close(normalize(read), normalize(whole), atol=1e-6, rtol=1e-5)
        model.attn_mask = None  # each token looks at the padding as well
        seeing = dataclasses.replace(loaded, model=model)
        torch.testing.assert_close(seeing._read(tokens), model.encode_text(tokens))
        assert (model.encode_text(tokens) - whole).abs().max() > 1e-4


def test_what_follows_the_end_of_the_longest_text_is_not_computed(loaded, monkeypatch):
    widths = []
    count = type(loaded.model.transformer).forward
    monkeypatch.setattr(
        type(loaded.model.transformer),
        "forward",
        lambda self, x, **more: widths.append(x.shape[1]) or count(self, x, **more),
    )
    loaded._encode_texts(["a", "a cat on"], 2)
    assert widths == [5]  # start, three words, end; of eight


def test_class_embeddings_equal_open_clips_zero_shot_classifier(loaded):
    names, templates = ["omega", "arrow", "letter a"], ["a drawing of {}", "small {}", "{}"]
    ours = class_embeddings(loaded, [[template.format(name) for template in templates] for name in names])
    theirs = open_clip.build_zero_shot_classifier(loaded.model, loaded.tokenizer, names, templates)
    np.testing.assert_allclose(ours, theirs.T, atol=1e-6)


def test_without_renormalisation_a_class_is_the_plain_mean_of_its_unit_vectors(loaded):
    plain = class_embeddings(loaded, [CAPTIONS, CAPTIONS[:1]], renormalise=False)
    vectors = loaded.encode_text(CAPTIONS)
    np.testing.assert_allclose(plain, [vectors.mean(0), vectors[0]], atol=1e-6)
    with pytest.raises(ValueError, match="at least one prompt"):
        class_embeddings(loaded, [CAPTIONS, []])


def test_a_folder_without_weights_or_configuration_is_refused(folder, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    (bare / "open_clip_model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        load_image_text(f"local-dir:{bare}")
    (bare / "open_clip_config.json").unlink()
    with pytest.raises(InputError, match=r"open_clip_config\.json"):
        load_image_text(str(bare))


def test_unknown_names_are_refused_and_own_objects_pass_through():
    with pytest.raises(InputError, match="ViT-B-32/openai"):
        load_image_text("ViT-B-32/no-such-weights")

    class Own:
        def encode_image(self, images): ...

        def encode_text(self, texts): ...

    own = Own()
    assert load_image_text(own) is own
    with pytest.raises(InputError, match="lacks one"):
        load_image_text(object())
