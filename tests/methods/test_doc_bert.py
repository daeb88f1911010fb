"""doc-bert: what is hidden and asked, the masked loss, and where the two models start."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from finegrain.models import fit
from finegrain.seeding import seeded, torch_generator

NOTEBOOK = "backbones/doc_bert"

SPECIAL, MASK, V = torch.tensor([0, 1, 2]), 3, 50


def model():
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with seeded(0):
        return BertForMaskedLM(BertConfig(vocab_size=V, initializer_range=0.5, **size)).eval()


def tokens(rows, length):
    """Random words between a first and a last special token."""
    drawn = torch.randint(4, V, (rows, length), generator=torch_generator(0, "tokens"))
    drawn[:, 0], drawn[:, -1] = 1, 2
    return drawn


def corrupted(method, given, rate):
    return method.corrupted(given, rate, SPECIAL, MASK, V, torch_generator(0, "masks"))


def test_words_are_hidden_in_berts_shares_and_special_tokens_never(method):
    given = tokens(2000, 50)
    read, chosen = corrupted(method, given, 0.3)
    assert not chosen[:, [0, -1]].any()
    assert chosen[:, 1:-1].float().mean() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(read[~chosen], given[~chosen])
    masked, kept = read[chosen] == MASK, read[chosen] == given[chosen]
    assert [masked.float().mean(), kept.float().mean()] == pytest.approx([0.8 + 0.1 / V, 0.1 + 0.1 / V], abs=0.01)
    others = torch.bincount(read[chosen][~masked & ~kept], minlength=V).float()
    others = others[torch.arange(V) != MASK]
    assert others.min() > 0.5 * others.mean()  # any word may stand there, the special ones too


def test_nothing_is_hidden_at_rate_nought_and_all_words_at_rate_one(method):
    given = tokens(3, 9)
    assert not corrupted(method, given, 0.0)[1].any()
    assert corrupted(method, given, 1.0)[1][:, 1:-1].all()


def test_the_masked_loss_is_the_mean_of_minus_log_p_over_hidden_words_in_a_plain_loop(method):
    one, given = model(), tokens(2, 8)
    read, chosen = corrupted(method, given, 0.5)
    expected = []
    for row in range(2):
        p = one(read[row : row + 1]).logits[0].softmax(-1)
        expected += [-p[i, given[row, i]].log().item() for i in range(8) if chosen[row, i]]
    assert method.masked_loss(one, (given, read, chosen)).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_masked_loss_sees_both_sides(method):
    one, given, losses = model(), tokens(1, 8), []
    chosen = torch.zeros(1, 8, dtype=torch.bool)
    chosen[0, 4] = True
    for changed in (None, 2, 6):
        read = given.clone()
        if changed is not None:
            read[0, changed] = MASK
        losses.append(method.masked_loss(one, (given, read, chosen)).item())
    assert len(set(losses)) == 3


def test_training_lowers_the_loss(method):
    one, given = model(), tokens(8, 16)
    batch = (given, *corrupted(method, given, 0.3))
    before = method.masked_loss(one, batch).item()
    fit(one, [batch] * 20, method.masked_loss, steps=20, learning_rate=2e-2, dtype="float32")
    assert method.masked_loss(one, batch).item() < 0.7 * before


def test_heads_are_tied_and_the_bodys_embeddings_stay(method):
    with seeded(0):
        small, large = method.from_scratch(V, layers=1, width=32), method.from_body(layers=1)
    for one in (small, large):
        assert one.get_input_embeddings().weight is one.get_output_embeddings().weight
        assert one.config.num_hidden_layers == 1
        assert one.config.hidden_dropout_prob == one.config.attention_probs_dropout_prob == 0
    assert not large.get_input_embeddings().weight.requires_grad
    assert small.get_input_embeddings().weight.requires_grad
    given = tokens(1, 6)
    changed = given.clone()
    changed[0, 4] = 3
    assert not torch.equal(small(given).logits[:, :4], small(changed).logits[:, :4])  # it looks both ways


def test_from_scratch_a_position_enters_with_its_two_neighbours(method):
    with seeded(0):
        embeddings = method.from_scratch(V, layers=1, width=32).base_model.embeddings
    given = tokens(1, 9)
    changed = given.clone()
    changed[0, 4] = 3
    differs = (embeddings(given) != embeddings(changed)).any(-1)[0]
    assert differs.nonzero().flatten().tolist() == [3, 4, 5]


MUTATIONS = [
    ("generator=draw) < rate", "generator=draw) > rate"),
    (" & ~torch.isin(tokens, special)", ""),
    ("fate < 0.8", "fate < 0.7"),
    ("fate >= 0.9", "fate >= 0.8"),
    ("torch.where(chosen & (fate >= 0.9), other, read)", "torch.where(fate >= 0.9, other, read)"),
    ("torch.where(chosen & (fate < 0.8), mask, tokens)", "torch.where(fate < 0.8, mask, tokens)"),
    ("torch.randint(vocabulary,", "torch.randint(4, vocabulary,"),
    ("logits_at(model, read, chosen)", "logits_at(model, tokens, chosen)"),
    ("tokens[chosen])", "read[chosen])"),
    ("trigram_input=True", "trigram_input=False"),
    ("requires_grad_(False)", "requires_grad_(True)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
