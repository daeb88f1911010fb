"""The tuned encoder and the cross-encoder: pooling, batches, truncation, and the two losses."""

import numpy as np
import pytest
import torch

from finegrain.seeding import generator, seeded

NOTEBOOK = "retrieval/leaderboard"

WORDS = ["matrix", "vector", "sum", "of", "the", "inverse", "solves", "a", "system", "sorted", "array"]
TEXTS = ["sum", "inverse of the matrix", "solves a system of the sum of the vector", "sorted array", "a matrix"]


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *WORDS])}
    pieces = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    pieces.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]  # as BERT's own tokenizer says
    return PreTrainedTokenizerFast(tokenizer_object=pieces, model_input_names=inputs, **special)


def body(layers=3):
    from transformers import BertConfig, BertModel

    size = {"hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 16}
    with seeded(0):
        return BertModel(BertConfig(vocab_size=4 + len(WORDS), initializer_range=0.5, **size)).eval()


def encoder(method):
    return method.MeanEncoder(body(), tokenizer())


def cross_encoder(method, layers=2):
    with seeded(1):
        return method.CrossEncoder(body(), tokenizer(), layers)


def pairs():
    """Every pair of the texts as lists of queries and documents."""
    return [q for q in TEXTS for _ in TEXTS], [d for _ in TEXTS for d in TEXTS]


# --- the encoder ------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_a_text_is_the_mean_of_its_own_tokens_one_text_at_a_time(method):
    model, expected = encoder(method), []
    for text in TEXTS:
        numbers = [1, *(4 + WORDS.index(word) for word in text.split()), 2]
        states = model.body(torch.tensor([numbers])).last_hidden_state[0]
        mean = sum(states) / len(numbers)
        expected.append(mean / mean.square().sum().sqrt())
    torch.testing.assert_close(model(TEXTS, 32), torch.stack(expected), atol=1e-5, rtol=1e-4)


def test_vectors_come_in_the_order_of_the_texts_whatever_the_batches(method):
    model = encoder(method)
    found = [model.encode_text(TEXTS, 32, batch_size=size) for size in (1, 2, 64)]
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    np.testing.assert_allclose(found[2], found[0], atol=1e-5)
    np.testing.assert_allclose(model.encode_text(TEXTS[::-1], 32)[::-1], found[0], atol=1e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(found[0], model(TEXTS, 32), atol=1e-5)
    assert np.ptp(found[0], axis=0).max() > 0.1  # and they differ
    assert model.encode_text([], 32).shape == (0, 16)


def test_what_stands_beyond_the_length_is_not_read(method):
    long = [f"{text} of" for text in ("sum of the matrix", "sum of the matrix a system")]
    found = encoder(method).encode_text(long, 6)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert not np.allclose(*encoder(method).encode_text(long, 32), atol=1e-3)


def vectors(count=6, width=5):
    draw = torch.Generator().manual_seed(0)
    return [torch.nn.functional.normalize(torch.randn(count, width, generator=draw), dim=-1) for _ in range(2)]


def test_the_contrastive_loss_in_a_plain_loop(method):
    queries, documents = (some.double().numpy() for some in vectors())
    total = 0.0
    for i in range(6):
        by_query = [np.exp(queries[i] @ d / 0.2) for d in documents]
        by_document = [np.exp(q @ documents[i] / 0.2) for q in queries]
        total -= np.log(by_query[i] / sum(by_query)) + np.log(by_document[i] / sum(by_document))
    assert method.contrastive_loss(*vectors(), 0.2).item() == pytest.approx(total / 12, rel=1e-5)


def test_the_contrastive_loss_of_right_angles_by_hand(method):
    right_angle = torch.eye(2)
    found = method.contrastive_loss(right_angle, right_angle, 0.5)
    assert found.item() == pytest.approx(np.log(1 + np.exp(-2)))


def test_neither_the_roles_nor_the_order_of_the_pairs_count(method):
    queries, documents = vectors()
    whole, order = method.contrastive_loss(queries, documents, 0.3), torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(method.contrastive_loss(documents, queries, 0.3), whole)
    torch.testing.assert_close(method.contrastive_loss(queries[order], documents[order], 0.3), whole)


def test_when_hot_all_documents_are_equal_and_when_cold_only_the_right_one_counts(method):
    queries, documents = vectors()
    assert method.contrastive_loss(queries, documents, 1e8).item() == pytest.approx(np.log(6))
    assert method.contrastive_loss(queries, queries, 1e-3).item() == pytest.approx(0, abs=1e-6)


# --- the cross-encoder ------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_a_pair_is_scored_by_the_cosine_of_its_parts_in_the_first_layers_one_pair_at_a_time(method):
    model, whole, expected = cross_encoder(method), body(), []
    for query, document in zip(*pairs(), strict=True):
        q, d = ([4 + WORDS.index(word) for word in text.split()] for text in (query, document))
        states = whole(torch.tensor([[1, *q, 2, *d, 2]]), output_hidden_states=True)
        states = states.hidden_states[2][0].double().numpy()  # after two of the three layers
        left, right = states[: len(q) + 2].mean(0), states[len(q) + 2 :].mean(0)
        expected.append(20 * left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
    np.testing.assert_allclose(model(*pairs(), 64), expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_encoder_that_a_cross_encoder_starts_from_stays_as_it_was(method):
    start = body()
    assert len(method.CrossEncoder(start, tokenizer(), 1).body.encoder.layer) == 1
    assert len(start.encoder.layer) == 3


def test_scores_come_in_the_order_of_the_pairs_whatever_the_batches(method):
    model = cross_encoder(method)
    found = [model.predict(*pairs(), 64, batch_size=size) for size in (1, 4, 64)]
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    np.testing.assert_allclose(found[2], found[0], atol=1e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(found[0], model(*pairs(), 64), atol=1e-5)
    assert model.predict([], [], 64).shape == (0,)


def test_a_long_document_is_cut_and_the_query_kept(method):
    model = cross_encoder(method)
    long = " ".join(TEXTS)
    scores = model.predict(["sum", "sum", "array"], [long, f"{long} matrix", long], 12)
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert scores[0] != pytest.approx(scores[2], abs=5e-5)


def test_the_listwise_loss_in_a_plain_loop_and_by_hand(method):
    scores = torch.from_numpy(generator(0, "scores").normal(size=12))
    total = 0.0
    for start in range(0, 12, 4):
        powers = [np.exp(score) for score in scores[start : start + 4].tolist()]
        total -= np.log(powers[0] / sum(powers))
    assert method.listwise_loss(scores, 4).item() == pytest.approx(total / 3)
    assert method.listwise_loss(torch.tensor([np.log(3), 0.0]), 2).item() == pytest.approx(-np.log(0.75))


def test_a_constant_on_all_scores_of_a_query_does_not_count_and_equal_scores_are_a_guess(method):
    scores = torch.from_numpy(generator(0, "scores").normal(size=12))
    moved = scores + torch.tensor([5.0, -3.0, 0.5]).repeat_interleave(4)
    assert method.listwise_loss(moved, 4).item() == pytest.approx(method.listwise_loss(scores, 4).item())
    assert method.listwise_loss(torch.zeros(12), 4).item() == pytest.approx(np.log(4))


MUTATIONS = [
    ("normalize((states * present).sum(1) / present.sum(1), dim=-1)", "(states * present).sum(1) / present.sum(1)"),
    ("normalize((states * present).sum(1) / present.sum(1), dim=-1)", "normalize(states.mean(1), dim=-1)"),
    ("normalize((states * present).sum(1) / present.sum(1), dim=-1)", "normalize(states[:, 0], dim=-1)"),
    ("vectors[rows] =", "vectors[start : start + batch_size] ="),
    ("self([texts[row] for row in rows], max_length)", "self([texts[row] for row in rows], 512)"),
    ("document_vectors.T / temperature", "document_vectors.T * temperature"),
    ("document_vectors.T / temperature", "document_vectors.T"),
    ("(cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2", "cross_entropy(logits, right)"),
    ("(cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2", "cross_entropy(logits.T, right)"),
    ("(cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2", "-cross_entropy(logits, right)"),
    ("body.encoder.layer[:layers]", "body.encoder.layer"),
    ("body.encoder.layer[:layers]", "body.encoder.layer[-layers:]"),
    ("for side in (0, 1)", "for side in (0, 0)"),
    ("for side in (0, 1)", "for side in (-1, 1)"),
    ("normalize((states * (part == side)).sum(1), dim=-1)", "(states * (part == side)).sum(1)"),
    ('.masked_fill(tokens["attention_mask"] == 0, -1)', ""),
    ("self.scale * (query * document)", "(query * document)"),
    ("deepcopy(body)", "body"),
    ("            queries, documents, padding=True", "            documents, queries, padding=True"),
    ('truncation="longest_first"', 'truncation="only_first"'),
    ("scores[rows] =", "scores[start : start + batch_size] ="),
    ("scores.view(-1, candidates)", "scores.view(candidates, -1).T"),
    ("torch.zeros(len(scores), dtype=torch.long", "torch.full((len(scores),), candidates - 1, dtype=torch.long"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
