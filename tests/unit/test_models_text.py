"""Text encoders: unit vectors that depend on the text alone, the cache, the user's own objects."""

import dataclasses

import numpy as np
import pytest
import torch

from finegrain.errors import InputError
from finegrain.models import load_text_encoder

TEXTS = ["Return the sum of all elements.", "Draw a line.", "x", "A longer text about arrays. " * 20, ""]


@pytest.fixture(autouse=True)
def build_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_BUILD", str(tmp_path / "build"))
    return tmp_path / "build"


@pytest.fixture(scope="module")
def encoder():
    return load_text_encoder("minilm", dtype="float32", max_length=64, cache=False)


def test_vectors_have_unit_length_and_equal_the_definition(encoder):
    from transformers import AutoModel, AutoTokenizer

    from finegrain.models.minilm import minilm_folder

    vectors = encoder.encode_text(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 384) == (5, encoder.width)
    body = AutoModel.from_pretrained(minilm_folder()).eval()
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    for text, vector in zip(TEXTS, vectors, strict=True):
        with torch.inference_mode():
            tokens = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
            mean = body(**tokens).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, mean / mean.norm(), atol=1e-6)


def test_a_vector_does_not_depend_on_its_batch(encoder):
    together = encoder.encode_text(TEXTS)
    np.testing.assert_allclose(encoder.encode_text(TEXTS[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_text(TEXTS, batch_tokens=1), together, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([encoder.encode_text([text]) for text in TEXTS]), together, atol=1e-6)


def test_no_texts_give_no_vectors(encoder):
    assert encoder.encode_text([]).shape == (0, 384)


def test_bfloat16_points_the_same_way(encoder):
    fast = load_text_encoder("minilm", dtype="bfloat16", max_length=64, cache=False)
    found = fast.encode_text(TEXTS[:4])
    assert found.dtype == np.float32
    assert (np.abs(found - encoder.encode_text(TEXTS[:4])).max(1) > 1e-5).all()  # it is another precision
    assert (found * encoder.encode_text(TEXTS[:4])).sum(1).min() > 0.999
    pooled = fast.model.forward(fast.model.preprocess(TEXTS[:4]))["sentence_embedding"]
    assert pooled.dtype == torch.float32


def test_the_cache_answers_the_same_request_and_repairs_itself(encoder, build_folder):
    cached = dataclasses.replace(encoder, cache=True)
    first = cached.encode_text(TEXTS[:2])
    (entry,) = (build_folder / "cache" / "memo").iterdir()

    def must_not_run(*_, **__):
        raise AssertionError("computed although cached")

    silent = dataclasses.replace(cached, model=type("Model", (), dict.fromkeys(ENCODE, must_not_run))())
    assert np.array_equal(silent.encode_text(TEXTS[:2]), first)
    for other in (TEXTS[1::-1], TEXTS[:1]):
        with pytest.raises(AssertionError):
            silent.encode_text(other)
    for damage in (b"", entry.read_bytes()[:100], entry.read_bytes().replace(first[0].tobytes(), first[1].tobytes())):
        entry.write_bytes(damage)
        with pytest.warns(UserWarning, match="is damaged"):
            assert np.array_equal(cached.encode_text(TEXTS[:2]), first)
        assert np.array_equal(silent.encode_text(TEXTS[:2]), first)


ENCODE = ("encode", "encode_query", "encode_document")


def test_own_objects_pass_through_and_others_are_refused():
    class Own:
        def encode_text(self, texts):
            return np.ones((len(texts), 2), np.float32)

    own = Own()
    assert load_text_encoder(own) is own
    with pytest.raises(InputError, match="encode_text"):
        load_text_encoder(object())


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="no model"):
        load_text_encoder(str(tmp_path))


def test_out_of_memory_halves_the_batch_and_says_so(encoder, monkeypatch):
    class Small:
        """Holds two texts at a time."""

        def encode(self, texts, batch_size, **options):
            if batch_size > 2:
                raise torch.OutOfMemoryError
            return encoder.model.encode(texts, batch_size=batch_size, **options)

        encode_query = encode_document = encode

    small = dataclasses.replace(encoder, model=Small(), cache=False)
    with pytest.warns(UserWarning, match="out of memory on cpu: going on with batches of 2"):
        vectors = small.encode_text(TEXTS, batch_tokens=64 * 8)
    np.testing.assert_allclose(vectors, encoder.encode_text(TEXTS), atol=1e-6)

    class Tiny(Small):
        def encode(self, texts, batch_size, **options):
            raise torch.OutOfMemoryError

        encode_query = encode_document = encode

    with (
        pytest.raises(InputError, match="one text of 64 tokens does not fit"),
        pytest.warns(UserWarning, match="batches of 1"),
    ):
        dataclasses.replace(small, model=Tiny()).encode_text(TEXTS, batch_tokens=64 * 2)
