"""Cross-encoders: raw scores that depend on the pair alone, the cache, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch

from finegrain.errors import InputError
from finegrain.models import load_reranker

QUERIES = ["a b", "c", "a b", "d e f"]
DOCUMENTS = ["a b c d", "e f g h a b c", "", "h"]


@pytest.fixture(autouse=True)
def build_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_BUILD", str(tmp_path / "build"))
    return tmp_path / "build"


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh"]
    tokens = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokens, model_max_length=32, **special)


def saved(folder, kind, tokenizer, **config):
    """A tiny BERT of a kind with random weights, saved as transformers saves one."""
    import transformers

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    shape |= {"vocab_size": 12, "max_position_embeddings": 32, "initializer_range": 0.5}
    torch.manual_seed(0)
    config = transformers.BertConfig(**shape, **config)
    getattr(transformers, kind)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    return saved(tmp_path_factory.mktemp("cross"), "BertForSequenceClassification", tokenizer, num_labels=1)


@pytest.fixture(scope="module")
def reranker(folder):
    return load_reranker(folder, dtype="float32", device="cpu", cache=False)


def test_scores_are_the_models_logits(reranker, folder, tokenizer):
    from transformers import AutoModelForSequenceClassification

    plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    scores = reranker.score_pairs(QUERIES, DOCUMENTS)
    assert scores.dtype == np.float32
    for query, document, score in zip(QUERIES, DOCUMENTS, scores, strict=True):
        with torch.inference_mode():
            logit = plain(**tokenizer([query], [document], return_tensors="pt")).logits.item()
        assert score == pytest.approx(logit, abs=2e-6)


def test_a_score_does_not_depend_on_its_batch(reranker):
    together = reranker.score_pairs(QUERIES, DOCUMENTS)
    np.testing.assert_allclose(reranker.score_pairs(QUERIES[::-1], DOCUMENTS[::-1])[::-1], together, atol=2e-6)
    np.testing.assert_allclose(reranker.score_pairs(QUERIES, DOCUMENTS, batch_tokens=1), together, atol=2e-6)


def test_long_documents_are_cut(folder):
    short = load_reranker(folder, dtype="float32", device="cpu", max_length=8, cache=False)
    assert short.max_length == 8
    # [CLS] a [SEP], four words of the document, [SEP]
    one, same, other = short.score_pairs(["a"] * 3, ["b c d e f g h", "b c d e h h", "b c d f e"])
    assert one == pytest.approx(same, abs=1e-6)
    assert one != pytest.approx(other, abs=1e-6)


def test_no_pairs_and_unequal_numbers(reranker):
    assert reranker.score_pairs([], []).shape == (0,)
    with pytest.raises(ValueError, match="shorter"):
        reranker.score_pairs(["a", "b"], ["c"])


def test_scores_are_remembered(reranker, folder):
    cached = dataclasses.replace(reranker, cache=True)
    first = cached.score_pairs(QUERIES, DOCUMENTS)
    silent = dataclasses.replace(cached, model=None)
    assert np.array_equal(silent.score_pairs(QUERIES, DOCUMENTS), first)
    with pytest.raises(AttributeError):
        silent.score_pairs(QUERIES[::-1], DOCUMENTS)


def test_out_of_memory_halves_the_batch_and_says_so(reranker):
    class Small:
        """Holds one pair at a time."""

        def predict(self, pairs, batch_size, **options):
            if batch_size > 1:
                raise torch.OutOfMemoryError
            return reranker.model.predict(pairs, batch_size=batch_size, **options)

    small = dataclasses.replace(reranker, model=Small())
    with pytest.warns(UserWarning, match="out of memory on cpu: going on with batches of 1"):
        scores = small.score_pairs(QUERIES, DOCUMENTS, batch_tokens=64)
    np.testing.assert_allclose(scores, reranker.score_pairs(QUERIES, DOCUMENTS), atol=2e-6)


def test_a_model_of_the_wrong_kind_is_refused(tmp_path, tokenizer):
    body = saved(tmp_path / "body", "BertModel", tokenizer)
    with pytest.raises(InputError, match="is a BertModel, without a head that scores pairs"):
        load_reranker(body)
    classes = saved(tmp_path / "classes", "BertForSequenceClassification", tokenizer, num_labels=3)
    with pytest.raises(InputError, match="gives 3 scores for a pair"):
        load_reranker(classes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is no model of transformers"):
        load_reranker(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="no model is called"):
        load_reranker("no-such-model")


def test_own_objects_pass_through_and_others_are_refused():
    class Own:
        def score_pairs(self, queries, documents):
            return np.array([len(document) for document in documents], np.float32)

    own = Own()
    assert load_reranker(own) is own
    with pytest.raises(InputError, match="score_pairs"):
        load_reranker(object())
