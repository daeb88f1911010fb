"""Language models: missing weights refused, the head where it is read, the causal mask, packed rows."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertLMHeadModel

from finegrain.errors import InputError
from finegrain.models import backbones, language, load_causal_lm, load_masked_lm, load_text_encoder
from finegrain.models.minilm import minilm_folder
from finegrain.seeding import generator, seeded


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(minilm_folder())


def tiny(kind, **config):
    config = BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, **config
    )
    with seeded(0):
        return kind(config).eval()


@pytest.fixture(scope="module")
def masked():
    return tiny(BertForMaskedLM)


@pytest.fixture(scope="module")
def causal():
    return tiny(BertLMHeadModel, is_decoder=True)


def test_a_saved_model_loads_equal_with_a_tied_head_and_encodes_as_a_text_encoder(
    causal, tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setenv("FINEGRAIN_BUILD", str(tmp_path))
    backbones.save_backbone("doc-gpt", "smoke", lambda f: language.save_language_model(causal, tokenizer, f))
    loaded, again = load_causal_lm("doc-gpt", "smoke")
    tokens = torch.tensor([[101, 2000, 3000, 102]])
    assert torch.equal(loaded(tokens).logits, causal(tokens).logits)
    assert not loaded.training
    assert loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight
    assert again("an array")["input_ids"] == tokenizer("an array")["input_ids"]
    encoder = load_text_encoder("doc-gpt", "smoke", dtype="float32", cache=False)
    with torch.inference_mode():
        mean = causal.bert(torch.tensor(tokenizer(["an array"])["input_ids"])).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(encoder.encode_text(["an array"])[0], mean / mean.norm(), atol=1e-5)


def test_missing_weights_are_refused_unless_named():
    with pytest.raises(InputError, match="lacks 6 weights"):
        load_masked_lm("minilm")
    with seeded(0):
        model, _ = load_masked_lm("minilm", new=["cls"], hidden_dropout_prob=0.0)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert model.dtype == torch.float32
    assert model.config.hidden_dropout_prob == 0.0


def test_a_later_token_does_not_change_what_a_causal_model_says_before_it(causal):
    tokens = torch.randint(1000, 2000, (1, 8), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 5] = 999
    here, there = causal(tokens).logits, causal(changed).logits
    assert torch.equal(here[:, :5], there[:, :5])
    assert not torch.equal(here[:, 5:], there[:, 5:])


def test_minilm_under_a_causal_mask_is_causal():
    model, _ = load_causal_lm("minilm", new=["cls"], is_decoder=True)
    tokens = torch.tensor([[101, 2023, 2003, 1037, 3231, 102]])
    changed = tokens.clone()
    changed[0, -1] = 2000
    torch.testing.assert_close(model(tokens).logits[:, :-1], model(changed).logits[:, :-1])


def test_logits_at_chosen_positions_are_those_of_the_whole_model(masked):
    tokens = torch.randint(1000, 2000, (2, 6), generator=torch.Generator().manual_seed(0))
    real = torch.ones(2, 6, dtype=torch.bool)
    real[1, 4:] = False
    where = torch.tensor([[0, 1, 0, 0, 0, 1], [1, 0, 0, 1, 0, 0]]).bool()
    whole = masked(tokens, attention_mask=real.long()).logits[where]
    torch.testing.assert_close(language.logits_at(masked, tokens, where, real), whole)


def test_logits_of_other_families_of_models_pass_through_their_own_head():
    from transformers import RobertaPreLayerNormConfig, RobertaPreLayerNormForCausalLM

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with seeded(0):
        other = RobertaPreLayerNormForCausalLM(RobertaPreLayerNormConfig(vocab_size=50, is_decoder=True, **size)).eval()
    tokens = torch.randint(4, 50, (2, 6), generator=torch.Generator().manual_seed(0))
    where = torch.eye(6)[:2].bool()
    torch.testing.assert_close(language.logits_at(other, tokens, where), other(tokens).logits[where])


def test_a_heads_bias_starts_at_log_frequencies_by_hand():
    found = language.log_frequencies(np.array([[0, 1, 1], [1, 2, 1]]), vocabulary=4)
    np.testing.assert_allclose(found.exp(), np.array([2, 5, 2, 1]) / 10, rtol=1e-6)


@pytest.mark.parametrize("ahead", [0, 1])
def test_an_aligned_head_is_the_ridge_regression_of_scikit_learn(ahead):
    from sklearn.linear_model import Ridge

    one = tiny(BertLMHeadModel, is_decoder=True, initializer_range=0.5)
    tokens = torch.randint(1000, 1050, (30, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        hidden = one.bert(tokens).last_hidden_state[:, : 20 - ahead].flatten(0, 1).double()
        embeddings = one.get_input_embeddings().weight.double()
    wanted = embeddings[tokens[:, ahead:].flatten()] - embeddings.mean(0)
    strength = 0.01 * hidden.square().sum().item() / hidden.shape[1]
    expected = Ridge(alpha=strength, fit_intercept=False).fit(hidden.numpy(), wanted.detach().numpy()).coef_
    language.align_head(one, tokens, ahead)
    dense = one.cls.predictions.transform.dense
    np.testing.assert_allclose(dense.weight.detach(), expected, atol=2e-3)
    assert not dense.bias.any()


def test_token_losses_equal_the_definition_and_do_not_see_padding(masked):
    tokens = np.array([[101, 1500, 103, 102, 0, 0], [101, 103, 1501, 1502, 1503, 102]])
    targets = np.array([[101, 1500, 1700, 102, 0, 0], [101, 1701, 1501, 1502, 1503, 102]])
    where, real = tokens == 103, tokens != 0
    losses, hits = language.score_tokens(masked, tokens, targets, where, real, dtype="float32")
    with torch.inference_mode():
        alone = masked(torch.tensor(tokens[:1, :4])).logits[0, 2].log_softmax(-1)
    assert losses[0] == pytest.approx(-alone[1700].item(), abs=1e-5)
    assert hits[0] == (alone.argmax().item() == 1700)
    assert losses.shape == hits.shape == (2,)


def test_packed_rows_are_the_stream_of_texts_cut_after_every_row(tokenizer):
    rows = language.pack(["one two three", "four five"], tokenizer, length=4)
    one, two, three, four, five = tokenizer("one two three four five", add_special_tokens=False)["input_ids"]
    assert rows.tolist() == [[101, one, two, three], [101, 102, four, five]]  # the last 102 fills no row
    with pytest.raises(InputError, match="do not fill one row"):
        language.pack(["short"], tokenizer, length=128)


def test_rows_of_single_texts_mark_the_tokens_of_the_text(tokenizer):
    tokens, inside = language.rows_of(["one two three", ""], tokenizer, length=4)
    assert tokens[0].tolist()[::3] == [101, 102]
    assert tokens[1].tolist() == [101, 102, 0, 0]
    assert inside.tolist() == [[False, True, True, False], [False] * 4]


def test_batches_pass_over_all_rows_in_a_new_order():
    rows = np.arange(8)[:, None]
    batches = language.batches_of(rows, 4, generator(0))
    passes = [torch.cat([next(batches), next(batches)]).flatten().tolist() for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(8))
    assert passes[0] != passes[1]
