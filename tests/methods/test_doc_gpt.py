"""doc-gpt: the next token, the causal loss and where it is asked, and where the two models start."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertLMHeadModel

from finegrain.models import fit
from finegrain.seeding import seeded, torch_generator

NOTEBOOK = "backbones/doc_gpt"

V = 50


def model():
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with seeded(0):
        return BertLMHeadModel(BertConfig(vocab_size=V, is_decoder=True, initializer_range=0.5, **size)).eval()


def tokens(rows, length):
    return torch.randint(4, V, (rows, length), generator=torch_generator(0, "tokens"))


def everywhere(method, given):
    return method.asked_positions(given.shape, 1.0, torch_generator(0))


def test_the_next_token_by_hand(method):
    assert method.next_tokens(torch.tensor([[5, 6, 7], [8, 9, 4]]))[:, :-1].tolist() == [[6, 7], [9, 4]]


def test_the_loss_is_asked_at_a_share_of_the_positions_and_never_at_the_last(method):
    asked = method.asked_positions((2000, 20), 0.4, torch_generator(0))
    assert not asked[:, -1].any()
    assert asked[:, :-1].float().mean() == pytest.approx(0.4, abs=0.01)
    assert everywhere(method, tokens(3, 5))[:, :-1].all()
    assert not method.asked_positions((3, 5), 0.0, torch_generator(0)).any()


def test_the_causal_loss_is_the_mean_of_minus_log_p_of_each_prefixs_next_token(method):
    one, given = model(), tokens(2, 8)
    expected = [
        -one(given[row : row + 1, :end]).logits[0, -1].log_softmax(-1)[given[row, end]].item()
        for row in range(2)
        for end in range(1, 8)
    ]
    found = method.causal_loss(one, (given, everywhere(method, given)))
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_share_of_the_positions_estimates_the_loss_of_all(method):
    one, given = model(), tokens(400, 20)
    part = method.asked_positions(given.shape, 0.4, torch_generator(0))
    with torch.inference_mode():
        losses = [method.causal_loss(one, (given, asked)).item() for asked in (everywhere(method, given), part)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_training_lowers_the_loss(method):
    one, given = model(), tokens(8, 16)
    batch = (given, everywhere(method, given))
    before = method.causal_loss(one, batch).item()
    fit(one, [batch] * 20, method.causal_loss, steps=20, learning_rate=2e-2, dtype="float32")
    assert method.causal_loss(one, batch).item() < 0.7 * before


def test_heads_are_tied_the_encoders_embeddings_stay_and_nothing_looks_ahead(method):
    with seeded(0):
        small, large = method.from_scratch(V, layers=1, width=32), method.from_encoder(layers=1)
    given = tokens(1, 6)
    changed = given.clone()
    changed[0, 4] = 3
    for one in (small, large):
        assert one.get_input_embeddings().weight is one.get_output_embeddings().weight
        assert one.config.num_hidden_layers == 1
        assert one.config.hidden_dropout_prob == one.config.attention_probs_dropout_prob == 0
        before, after = one(given).logits, one(changed).logits
        torch.testing.assert_close(before[:, :4], after[:, :4])
        assert not torch.allclose(before[:, 4:], after[:, 4:])
    assert not large.get_input_embeddings().weight.requires_grad
    assert small.get_input_embeddings().weight.requires_grad


MUTATIONS = [
    ("torch.roll(tokens, -1, dims=1)", "torch.roll(tokens, 1, dims=1)"),
    ("torch.roll(tokens, -1, dims=1)", "torch.roll(tokens, -1, dims=0)"),
    ("torch.roll(tokens, -1, dims=1)", "tokens"),
    ("next_tokens(tokens)[asked]", "tokens[asked]"),
    ("generator=draw) < share", "generator=draw) > share"),
    ("chosen[:, -1] = False", "chosen[:, 0] = False"),
    ("    chosen[:, -1] = False\n", ""),
    ('new=["cls"], is_decoder=True', 'new=["cls"]'),
    ("        is_decoder=True,\n", ""),
    ("requires_grad_(False)", "requires_grad_(True)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
