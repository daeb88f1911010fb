"""Zero-shot and probe on vectors, and the fine-tuned classifier: pooling, batches, learning."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from finegrain.seeding import generator, seeded

NOTEBOOK = "text_classification/leaderboard"


def unit(count, width=6, name="vectors"):
    found = generator(0, name).normal(size=(count, width))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


# --- vectors ----------------------------------------------------------------------------------------------------------


def test_zero_shot_is_the_softmax_of_cosines_in_a_plain_loop(method):
    texts, names = unit(8), unit(3, name="names")
    expected = [[np.exp(5 * t @ n) / sum(np.exp(5 * t @ m) for m in names) for n in names] for t in texts]
    np.testing.assert_allclose(method.zero_shot(texts, names, 5.0), expected)


def test_zero_shot_by_hand_and_at_its_limits(method):
    texts, names = np.array([[1.0, 0.0]]), np.eye(2)
    np.testing.assert_allclose(method.zero_shot(texts, names, np.log(3)), [[0.75, 0.25]])
    np.testing.assert_allclose(method.zero_shot(texts, names, 0.0), [[0.5, 0.5]])
    assert method.zero_shot(texts, names, 1e6).tolist() == [[1, 0]]


def test_the_probe_is_scikit_learns_and_a_class_without_examples_gets_nought(method):
    from sklearn.linear_model import LogisticRegression

    vectors, queries, labels = unit(24), unit(5, name="queries"), np.repeat([0, 2, 3], 8)
    model = LogisticRegression(C=7.0, tol=1e-9, max_iter=1000).fit(vectors, labels)
    found = method.probe(vectors, labels, queries, 5, 7.0)
    assert found.shape == (5, 5)
    np.testing.assert_allclose(found[:, [0, 2, 3]], model.predict_proba(queries), atol=1e-3)
    assert not found[:, [1, 4]].any()


def test_the_probe_learns_many_classes_from_few_examples(method):
    centres = unit(60, 32, name="centres")  # a lax tolerance stops at the tiny first gradient
    labels = np.repeat(np.arange(60), 2)
    assert (method.probe(centres[labels], labels, centres, 60, 10.0).argmax(1) == np.arange(60)).mean() > 0.9


def test_the_probe_does_not_look_at_the_order_of_the_examples(method):
    vectors, queries, labels = unit(24), unit(5, name="queries"), np.repeat([0, 1, 2], 8)
    order = generator(0, "order").permutation(24)
    found = method.probe(vectors[order], labels[order], queries, 3, 1.0)
    np.testing.assert_allclose(found, method.probe(vectors, labels, queries, 3, 1.0), atol=1e-3)


# --- fine-tuning ------------------------------------------------------------------------------------------------------


class Words(torch.nn.Module):
    """A body that looks up each token and remembers which texts it was shown; it refuses a mask that is not 0 and 1."""

    device = torch.device("cpu")

    def __init__(self, vocabulary=20, width=8):
        super().__init__()
        self.config = SimpleNamespace(hidden_size=width)
        self.table = torch.nn.Embedding(vocabulary, width)
        self.seen = []

    def forward(self, tokens, attention_mask):
        self.seen.append(tokens[:, -1].tolist())
        reach = attention_mask.float() @ torch.ones(tokens.shape[1], 1)  # a text's states depend on its mask
        return SimpleNamespace(last_hidden_state=self.table(tokens) * reach.unsqueeze(-1))


def tokens_of(count, length=5):
    """(count, length) tokens, the last of which numbers the text, and random lengths of at least 1."""
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 20, (count, length), generator=draw)
    present = torch.arange(length) < torch.randint(1, length + 1, (count, 1), generator=draw)
    return tokens, present


def classifier(method, body=None, classes=3):
    with seeded(0):
        return method.Classifier(body or Words(), classes).eval()


def test_the_classifier_is_a_linear_layer_on_the_mean_of_the_tokens_in_a_plain_loop(method):
    model, (tokens, present) = classifier(method), tokens_of(4)
    expected = []
    for row, here in zip(tokens, present, strict=True):
        states = [model.body.table.weight[token] * here.sum() for token, one in zip(row, here, strict=True) if one]
        expected.append(model.head.weight @ (sum(states) / len(states)) + model.head.bias)
    torch.testing.assert_close(model(tokens, present), torch.stack(expected))


def test_padding_does_not_count_in_a_real_encoder(method):
    from transformers import BertConfig, BertModel

    size = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with seeded(0):
        body = BertModel(BertConfig(**size, intermediate_size=16))
    model, (tokens, _) = classifier(method, body), tokens_of(2)
    present = torch.ones_like(tokens, dtype=torch.bool)
    longer = torch.cat([tokens, torch.full((2, 3), 7)], 1)
    padded = torch.cat([present, torch.zeros(2, 3, dtype=torch.bool)], 1)
    with torch.inference_mode():
        torch.testing.assert_close(model(longer, padded), model(tokens, present), atol=1e-5, rtol=1e-5)


def fine_tuned(method, body, tokens, labels, epochs, rate=0.3, **more):
    present = torch.ones_like(tokens, dtype=torch.bool)
    rng = generator(0, "order")
    return method.fine_tune(body, 2, tokens, present, labels, rate=rate, epochs=epochs, rng=rng, **more)


def test_each_epoch_shows_every_text_once_in_an_order_of_its_own(method):
    body, numbers = Words(vocabulary=7), torch.arange(7).repeat(2, 1).T
    fine_tuned(method, body, numbers, torch.zeros(7, dtype=torch.long), epochs=2, batch_size=3)
    assert [len(batch) for batch in body.seen] == [3, 3, 1] * 2
    epochs = [[number for batch in some for number in batch] for some in (body.seen[:3], body.seen[3:])]
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 2
    assert epochs[0] != epochs[1]


def test_fine_tuning_learns_what_can_be_told_apart_in_head_and_body(method):
    body, labels = Words(), torch.arange(40) % 2
    tokens = torch.randint(0, 10, (40, 4), generator=torch.Generator().manual_seed(0)) + 10 * labels[:, None]
    before = body.table.weight.detach().clone()
    with seeded(0):
        model = fine_tuned(method, body, tokens, labels, epochs=4, rate=0.1, batch_size=8)
    found = model(tokens, torch.ones_like(tokens, dtype=torch.bool)).argmax(1)
    assert not model.training
    assert (found == labels).float().mean() > 0.95
    assert not torch.equal(before, body.table.weight)


def test_at_rate_nought_nothing_is_learnt(method):
    body = Words()
    before = body.table.weight.detach().clone()
    fine_tuned(method, body, tokens_of(4)[0], torch.tensor([0, 1, 0, 1]), epochs=1, rate=0.0)
    assert torch.equal(before, body.table.weight)


MUTATIONS = [
    ("tol=1e-5", "tol=1e-2"),
    ("scale * texts @ names.T", "texts @ names.T"),
    ("scale * texts @ names.T", "-scale * texts @ names.T"),
    ("logits - logits.max(axis=1, keepdims=True)", "logits"),
    ("powers / powers.sum(axis=1, keepdims=True)", "powers / powers.sum(axis=0, keepdims=True)"),
    ("C=inverse_penalty", "C=1 / inverse_penalty"),
    ("answer[:, model.classes_] =", "answer[:, : len(model.classes_)] ="),
    ("np.zeros((queries.shape[0], classes))", "np.full((queries.shape[0], classes), 0.01)"),
    ("attention_mask=present.long()", "attention_mask=torch.ones_like(tokens)"),
    ("(states * weights).sum(1)", "states.sum(1)"),
    ("/ weights.sum(1)", "/ states.shape[1]"),
    ("(states * weights).sum(1) / weights.sum(1)", "states[:, 0]"),
    ("rng.permutation(len(labels))", "np.arange(len(labels))"),
    ("rng.permutation(len(labels))", "rng.integers(0, len(labels), len(labels))"),
    ("-(-len(labels) // batch_size)", "(len(labels) // batch_size)"),
    ("labels[rows].to(body.device)", "labels[: len(rows)].to(body.device)"),
    ("self.body = body", "self.body = body.requires_grad_(False)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
