"""The methods of doc-bert and doc-gpt: what is hidden, what is asked, the losses by hand, the computed start."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertLMHeadModel

from finegrain.models import fit
from finegrain.seeding import seeded, torch_generator

SPECIAL, MASK, V = torch.tensor([0, 1, 2]), 3, 50


@pytest.fixture(scope="module")
def bert(methods):
    return methods("backbones/doc_bert")


@pytest.fixture(scope="module")
def gpt(methods):
    return methods("backbones/doc_gpt")


def model(kind, **config):
    config = BertConfig(
        vocab_size=V, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, **config
    )
    with seeded(0):
        return kind(config).eval()


def tokens(rows, length):
    drawn = torch.randint(4, V, (rows, length), generator=torch_generator(0, "tokens"))
    drawn[:, 0], drawn[:, -1] = 1, 2
    return drawn


def test_words_are_hidden_in_berts_shares_and_special_tokens_never(bert):
    given = tokens(2000, 50)
    read, chosen = bert.corrupted(given, 0.3, SPECIAL, MASK, V, torch_generator(0, "masks"))
    assert not chosen[:, [0, -1]].any()
    assert chosen[:, 1:-1].float().mean() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(read[~chosen], given[~chosen])
    shares = [(read[chosen] == MASK).float().mean(), (read[chosen] == given[chosen]).float().mean()]
    assert shares == pytest.approx([0.8 + 0.1 / V, 0.1 + 0.1 / V], abs=0.01)


def test_nothing_is_hidden_at_rate_nought_and_all_words_at_rate_one(bert):
    given = tokens(3, 9)
    assert not bert.corrupted(given, 0.0, SPECIAL, MASK, V, torch_generator(0))[1].any()
    assert bert.corrupted(given, 1.0, SPECIAL, MASK, V, torch_generator(0))[1][:, 1:-1].all()


def test_the_masked_loss_is_the_mean_of_minus_log_p_over_hidden_words(bert):
    masked = model(BertForMaskedLM)
    given = tokens(2, 8)
    read, chosen = bert.corrupted(given, 0.5, SPECIAL, MASK, V, torch_generator(0, "masks"))
    by_hand = []
    for row in range(2):
        p = masked(read[row : row + 1]).logits[0].softmax(-1)
        by_hand += [-p[i, given[row, i]].log().item() for i in range(8) if chosen[row, i]]
    assert bert.masked_loss(masked, (given, read, chosen)).item() == pytest.approx(np.mean(by_hand), abs=1e-5)


def test_the_masked_loss_sees_both_sides(bert):
    masked, given = model(BertForMaskedLM), tokens(1, 8)
    chosen = torch.zeros(1, 8, dtype=torch.bool)
    chosen[0, 4] = True
    losses = []
    for changed in (None, 2, 6):
        read = given.clone()
        if changed is not None:
            read[0, changed] = 3
        losses.append(bert.masked_loss(masked, (given, read, chosen)).item())
    assert len(set(losses)) == 3


def test_the_causal_loss_is_the_mean_of_minus_log_p_of_the_next_token(gpt):
    causal, given = model(BertLMHeadModel, is_decoder=True), tokens(2, 8)
    asked = gpt.asked_positions(given.shape, 1.0, torch_generator(0))
    assert asked[:, :-1].all()
    assert not asked[:, -1].any()
    by_hand = [
        -causal(given[row : row + 1, :end]).logits[0, -1].log_softmax(-1)[given[row, end]].item()
        for row in range(2)
        for end in range(1, 8)
    ]
    assert gpt.causal_loss(causal, (given, asked)).item() == pytest.approx(np.mean(by_hand), abs=1e-5)


def test_a_share_of_the_positions_estimates_the_loss_of_all(gpt):
    causal, given = model(BertLMHeadModel, is_decoder=True), tokens(400, 20)
    full, part = (gpt.asked_positions(given.shape, share, torch_generator(0)) for share in (1.0, 0.4))
    assert part.float().mean() == pytest.approx(0.4 * 19 / 20, abs=0.02)
    with torch.inference_mode():
        losses = [gpt.causal_loss(causal, (given, asked)).item() for asked in (full, part)]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


@pytest.mark.parametrize("name", ["bert", "gpt"])
def test_the_bias_starts_at_log_frequencies(name, request):
    found = request.getfixturevalue(name).log_frequencies(np.array([[0, 1, 1], [1, 2, 1]]), vocabulary=4)
    np.testing.assert_allclose(found.exp(), np.array([2, 5, 2, 1]) / 10, rtol=1e-6)


@pytest.mark.parametrize(("name", "kind"), [("bert", BertForMaskedLM), ("gpt", BertLMHeadModel)])
def test_the_aligned_head_is_the_ridge_regression_of_scikit_learn(name, kind, request):
    from sklearn.linear_model import Ridge

    one, given = model(kind, is_decoder=name == "gpt"), tokens(30, 20)
    request.getfixturevalue(name).align_head(one, given)
    with torch.inference_mode():
        hidden, embeddings = one.bert(given).last_hidden_state, one.get_input_embeddings().weight
        if name == "gpt":
            hidden, said = hidden[:, :-1], given[:, 1:]
        else:
            said = given
        hidden, wanted = hidden.flatten(0, 1).double(), (embeddings[said.flatten()] - embeddings.mean(0)).double()
    strength = 0.01 * hidden.square().sum().item() / hidden.shape[1]
    expected = Ridge(alpha=strength, fit_intercept=False).fit(hidden.numpy(), wanted.numpy()).coef_
    np.testing.assert_allclose(one.cls.predictions.transform.dense.weight.detach(), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["bert", "gpt"])
def test_from_scratch_has_a_tied_head_and_from_the_body_keeps_its_embeddings(name, methods):
    notebook = methods(f"backbones/doc_{name}", device="cpu")
    with seeded(0):
        small = notebook.from_scratch(V, layers=1, width=32)
        large = notebook.from_body(layers=1) if name == "bert" else notebook.from_encoder(layers=1)
    for one in (small, large):
        assert one.get_input_embeddings().weight is one.get_output_embeddings().weight
    assert not large.get_input_embeddings().weight.requires_grad
    assert large.config.num_hidden_layers == 1
    given = tokens(1, 6)
    changed = given.clone()
    changed[0, 4] = 4 if given[0, 4] != 4 else 5
    past = torch.equal(small(given).logits[:, :4], small(changed).logits[:, :4])
    assert past == (name == "gpt")


def test_training_lowers_both_losses(bert, gpt):
    given = tokens(8, 16)
    read, chosen = bert.corrupted(given, 0.3, SPECIAL, MASK, V, torch_generator(0, "masks"))
    asked = gpt.asked_positions(given.shape, 1.0, torch_generator(0))
    trials = [
        (model(BertForMaskedLM), bert.masked_loss, (given, read, chosen)),
        (model(BertLMHeadModel, is_decoder=True), gpt.causal_loss, (given, asked)),
    ]
    for one, loss, batch in trials:
        before = loss(one, batch).item()
        fit(one, [batch] * 30, loss, steps=30, learning_rate=1e-2, dtype="float32")
        assert loss(one, batch).item() < 0.7 * before
