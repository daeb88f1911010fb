"""The encoder's mean, independent crops, the two losses, and the order in which the queue and the key encoder move."""

import collections
import copy
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from running import awkward, on_folder, told_without_queries_or_documents

from finegrain import InputError
from finegrain.seeding import generator, seeded

NOTEBOOK = "retrieval/contriever"
ENDS = (2, 3, 0)  # opens, closes, pads


def tensor(*shape, name="vectors"):
    return torch.from_numpy(generator(0, name).normal(size=shape).astype(np.float32))


def texts(*lengths):
    rng = generator(0, "texts")
    return [rng.integers(4, 60, size=length) for length in lengths]


def body():
    """A small BERT with everything drawn at random."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=60,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with seeded(0, "body"):
        return BertModel(config, add_pooling_layer=False).eval()


class Bag(torch.nn.Module):
    """A stand-in for the encoder: unit vectors of the sums of a table's rows."""

    def __init__(self, width=5):
        super().__init__()
        self.table = torch.nn.Parameter(tensor(60, width, name="table"))

    def forward(self, rows):
        sums = torch.stack([self.table[torch.from_numpy(row)].sum(0) for row in rows])
        return sums / sums.norm(dim=1, keepdim=True)


def refused(function, *given):
    """The message of the InputError that a call raises."""
    try:
        function(*given)
    except InputError as error:
        return str(error)
    raise AssertionError("it was accepted")


# --- encoder ----------------------------------------------------------------------------------------------------------


def test_a_vector_is_the_mean_over_all_tokens_of_the_text_read_alone(method):
    model, rows = body(), texts(3, 9, 1, 5)
    whole = method.MeanEncoder(model, ENDS, unit=False)
    with torch.no_grad():
        for together in (1, 2, 16):
            found = method.MeanEncoder(model, ENDS, unit=False, together=together)(rows)
            for vector, row in zip(found, rows, strict=True):
                states = model(torch.tensor([[2, *row.tolist(), 3]])).last_hidden_state[0]
                torch.testing.assert_close(vector, states.mean(0), atol=1e-5, rtol=1e-4)
        unit = method.MeanEncoder(model, ENDS)(rows)
        torch.testing.assert_close(unit, whole(rows) / whole(rows).norm(dim=1, keepdim=True), atol=1e-5, rtol=1e-4)
    assert (whole(rows).norm(dim=1) - 1).abs().min() > 0.1


def test_a_vector_depends_neither_on_the_other_texts_nor_on_their_order(method):
    encoder, rows = method.MeanEncoder(body(), ENDS, together=3), texts(3, 30, 1, 5, 8, 8, 2)
    with torch.no_grad():
        vectors = encoder(rows)
        torch.testing.assert_close(encoder(rows[::-1]), vectors.flip(0), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(encoder(rows[3:4]), vectors[3:4], atol=1e-5, rtol=1e-4)
    assert vectors.std(0).min() > 0.01


def test_padding_leaves_no_trace_where_positions_read_their_neighbours(method):
    from transformers import MobileBertConfig, MobileBertModel

    config = MobileBertConfig(
        vocab_size=60,
        embedding_size=8,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        intra_bottleneck_size=8,
        use_bottleneck=False,
        num_feedforward_networks=1,
        normalization_type="layer_norm",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with seeded(0, "body"):
        encoder = method.MeanEncoder(MobileBertModel(config, add_pooling_layer=False).eval(), ENDS)
    rows = texts(3, 9)
    with torch.no_grad():
        torch.testing.assert_close(encoder(rows)[:1], encoder(rows[:1]), atol=1e-5, rtol=1e-4)


def test_an_empty_text_has_a_vector(method):
    with torch.no_grad():
        found = method.MeanEncoder(body(), ENDS)([np.array([], np.int64), *texts(4)])
    assert torch.isfinite(found).all()


# --- crops ------------------------------------------------------------------------------------------------------------


def test_passages_cut_the_stream_anew_in_each_epoch(method):
    stream = np.arange(1000)
    starts = []
    for batch in islice(method.passages(stream, 10, 7, generator(0, "p")), 14 * 30):
        assert batch.shape == (7, 10)
        assert (np.diff(batch, axis=1) == 1).all()
        starts.append(batch[:, 0])
    for epoch in range(30):
        some = np.concatenate(starts[14 * epoch : 14 * epoch + 14])
        assert len(set(some % 10)) == 1  # one grid
        assert len(set(some)) == 98  # each passage once
        assert (np.diff(some) < 0).any()
    offsets = {int(starts[14 * epoch][0]) % 10 for epoch in range(30)}
    assert offsets > {1, 5, 9} or len(offsets) > 7


def test_text_that_fills_no_batch_is_refused(method):
    assert "79 word pieces" in refused(next, method.passages(np.arange(79), 10, 7, generator(0, "p")))
    assert next(method.passages(np.arange(80), 10, 7, generator(0, "p"))).shape == (7, 10)


def test_a_window_has_a_uniform_share_and_a_uniform_place(method):
    rng = generator(0, "window")
    drawn = np.array([method.window(100, 0.1, 0.5, rng) for _ in range(20_000)])
    lengths = drawn[:, 1] - drawn[:, 0]
    assert (drawn[:, 0].min(), drawn[:, 1].max()) == (0, 100)
    assert set(lengths) == set(range(10, 50))
    np.testing.assert_allclose(np.bincount(lengths)[10:] / 20_000, 1 / 40, atol=0.006)
    room = 100 - lengths
    assert (drawn[:, 0] / room).mean() == pytest.approx(0.5, abs=0.01)
    assert np.mean(drawn[:, 0] == 0) == pytest.approx(np.mean(1 / (room + 1)), abs=0.004)
    assert np.mean(drawn[:, 1] == 100) == pytest.approx(np.mean(1 / (room + 1)), abs=0.004)


def test_a_window_is_never_empty_and_may_be_all(method):
    rng = generator(0, "window")
    assert {method.window(3, 0.01, 0.1, rng) for _ in range(99)} == {(0, 1), (1, 2), (2, 3)}
    assert {method.window(4, 1.0, 1.0, rng) for _ in range(9)} == {(0, 4)}


def test_deletion_leaves_out_each_piece_with_its_probability_and_never_all(method):
    rng, pieces = generator(0, "thinned"), np.arange(10)
    left = [method.thinned(pieces, 0.1, rng) for _ in range(5000)]
    assert all((np.diff(some) > 0).all() for some in left)
    np.testing.assert_allclose(np.bincount(np.concatenate(left)) / 5000, 0.9, atol=0.02)
    assert len(method.thinned(pieces, 0.0, rng)) == 10
    few = [method.thinned(pieces[:2], 0.999, rng) for _ in range(200)]
    assert {len(some) for some in few} == {1}
    assert {int(some[0]) for some in few} == {0, 1}


def test_two_crops_of_a_passage_are_drawn_apart_and_may_overlap(method):
    rng, passage = generator(0, "crop"), np.arange(64)
    both = [[method.crop(passage, 0.1, 0.5, 0.1, rng) for _ in range(2)] for _ in range(2000)]
    shared = [len(np.intersect1d(*pair)) for pair in both]
    assert 0.3 < np.mean(np.array(shared) > 0) < 0.7
    assert np.corrcoef([[len(side) for side in pair] for pair in both], rowvar=False)[0, 1] == pytest.approx(0, abs=0.1)
    spans = [np.ptp(side) + 1 for pair in both for side in pair]
    kept = [len(side) for pair in both for side in pair]
    assert max(spans) <= 32
    assert sum(kept) / sum(spans) == pytest.approx(0.905, abs=0.01)  # the window's ends may be deleted too


# --- momentum contrast ------------------------------------------------------------------------------------------------


def loss_in_a_loop(queries, keys, negatives, temperature):
    """(2): other keys of the batch are no negatives."""
    total = 0.0
    for q, k in zip(queries, keys, strict=True):
        right = np.exp(float(q @ k) / temperature)
        total -= np.log(right / (right + sum(np.exp(float(q @ n) / temperature) for n in negatives)))
    return total / len(queries)


def test_the_loss_by_hand(method):
    class Given(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.eye(2))

        def forward(self, rows):
            return torch.stack([torch.tensor(row) for row in rows]) @ self.weight

    moco = method.MoCo(Given(), 2, 3, 0.9, 0.5)
    moco.queue = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, -1.0]])
    found = moco([[1.0, 0.0]] * 3, [[1.0, 0.0]] * 3).item()
    assert found == pytest.approx(np.log(np.exp(2) + 3) - 2, rel=1e-5)
    moco.queue = torch.tensor([[1.0, 0.0]] * 3)
    assert moco([[1.0, 0.0]] * 3, [[1.0, 0.0]] * 3).item() == pytest.approx(np.log(4), rel=1e-5)  # all alike
    assert moco.seen[-1][1] == pytest.approx(0)


def test_steps_of_training_are_those_of_plain_loops_over_a_list_of_keys(method):
    with seeded(0, "moco"):
        moco = method.MoCo(Bag(), 5, 12, 0.8, 0.3)
    torch.testing.assert_close(moco.queue.norm(dim=1), torch.ones(12))
    query, key = Bag(), Bag()
    waiting = collections.deque(moco.queue.clone())
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.5) for model in (moco, query)]
    for step in range(8):
        rng = generator(step, "views")
        views = [[rng.integers(4, 60, size=rng.integers(2, 6)) for _ in range(3)] for _ in range(2)]
        with torch.no_grad():  # the key encoder moves first
            key.table.copy_(0.8 * key.table + 0.2 * query.table)
            keys = key(views[1])
        vectors = query(views[0])
        expected = torch.zeros(())
        for q, k in zip(vectors, keys, strict=True):
            powers = torch.stack([q @ k, *(q @ n for n in waiting)]) / 0.3
            expected = expected - torch.log_softmax(powers, 0)[0] / 3
        found = moco(*views)
        assert found.item() == pytest.approx(expected.item(), rel=1e-4)
        assert found.item() == pytest.approx(
            loss_in_a_loop(vectors.detach().numpy(), keys.numpy(), [n.numpy() for n in waiting], 0.3), rel=1e-4
        )
        for loss, optimizer in zip((found, expected), optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        torch.testing.assert_close(moco.encoder.table, query.table, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(moco.key_encoder.table, key.table, atol=1e-5, rtol=1e-4)
        for k in keys:  # the oldest leave
            waiting.popleft()
            waiting.append(k)
        place = 3 * (step + 1) % 12
        torch.testing.assert_close(torch.roll(moco.queue, -place, 0), torch.stack(list(waiting)), atol=1e-5, rtol=1e-4)
        assert moco.key_encoder.table.grad is None


def test_the_queue_is_first_in_first_out_and_a_batch_meets_no_key_of_its_own(method):
    moco = method.MoCo(Bag(), 5, 6, 1.0, 0.1)
    first, second, third = (tensor(2, 5, name=name) for name in "abc")
    start = moco.queue.clone()
    moco.enqueue(first)
    torch.testing.assert_close(moco.queue, torch.cat([first, start[2:]]))
    moco.enqueue(second)
    moco.enqueue(third)
    torch.testing.assert_close(moco.queue, torch.cat([first, second, third]))
    moco.enqueue(third)
    torch.testing.assert_close(moco.queue, torch.cat([third, second, third]))
    moco.queue = -10 * torch.ones(6, 5)  # far from everything: only other keys of the batch could raise the loss
    moco.encoder.table.data.abs_()
    moco.key_encoder.table.data.abs_()
    same = texts(4) * 2
    assert moco(same, same).item() == pytest.approx(0, abs=1e-4)


def test_the_key_encoder_stands_still_at_one_and_is_a_copy_at_zero(method):
    for momentum, moves in ((1.0, False), (0.0, True)):
        moco = method.MoCo(Bag(), 5, 4, momentum, 0.1)
        before = copy.deepcopy(moco.key_encoder.table)
        moco.encoder.table.data += 1
        moco(texts(3, 4), texts(4, 3))
        torch.testing.assert_close(moco.key_encoder.table, moco.encoder.table if moves else before)
        assert not moco.key_encoder.table.requires_grad
        assert moco.encoder.table.requires_grad


def test_a_queue_that_batches_do_not_fill_evenly_is_refused(method):
    moco = method.MoCo(Bag(), 5, 7, 0.9, 0.1)
    assert "a queue of 7 keys is no multiple of a batch of 2" in refused(moco, texts(3, 4), texts(4, 3))


def test_accuracy_and_spread_are_watched(method):
    moco = method.MoCo(Bag(), 5, 4, 0.5, 0.1)
    rows = texts(3, 4, 6, 2)
    moco.queue = torch.zeros(4, 5)
    moco(rows, rows)
    vectors = moco.encoder(rows).detach().numpy()
    accuracy, spread = moco.seen[0]
    assert accuracy == 1  # its own crop scores 1, and the queue 0
    assert spread == pytest.approx(np.sqrt(((vectors - vectors.mean(0)) ** 2).sum(1).mean()), rel=1e-4)
    moco.queue = 2 * moco.encoder(rows).detach()
    moco(rows, rows)
    assert moco.seen[1][0] == 0
    assert method.spread(3 * torch.cat([torch.eye(2), -torch.eye(2)])) == pytest.approx(1)
    assert method.spread(torch.tensor([[1.0, 0.0], [5.0, 0.0]])) == pytest.approx(0)


# --- the batch as negatives -------------------------------------------------------------------------------------------


def test_the_loss_in_the_batch_is_that_of_sentence_transformers(method):
    from sentence_transformers import SentenceTransformer, util
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    loss = MultipleNegativesRankingLoss(
        SentenceTransformer(modules=[Words()]), scale=4.0, similarity_fct=util.dot_score
    )
    queries, documents, others = (tensor(6, 5, name=name) for name in "qdo")
    expected = loss.compute_loss_from_embeddings([queries, documents, others], None)
    found = method.in_batch(queries, torch.cat([documents, others]), 0.25)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


class Words(torch.nn.Module):
    """A module that sentence-transformers accepts; it encodes nothing."""

    def forward(self, features):
        return features


def test_the_loss_in_the_batch_in_a_plain_loop_and_at_its_limit(method):
    queries, documents = tensor(3, 5, name="q"), tensor(5, 5, name="d")
    expected = 0.0
    for number, q in enumerate(queries):
        powers = [np.exp(float(q @ d) / 0.7) for d in documents]
        expected -= np.log(powers[number] / sum(powers)) / 3
    assert method.in_batch(queries, documents, 0.7).item() == pytest.approx(expected, rel=1e-5)
    assert method.in_batch(queries, torch.ones(5, 5), 0.7).item() == pytest.approx(np.log(5), rel=1e-5)


def test_crops_in_the_batch_give_both_sides_their_gradient(method):
    queries, keys = texts(3, 4, 5), texts(9, 2, 2)
    model, again = method.InBatch(Bag(), 0.5), Bag()
    found = model(queries, keys)
    expected = method.in_batch(again(queries), again(keys), 0.5)
    found.backward()
    expected.backward()
    assert found.item() == pytest.approx(expected.item())
    torch.testing.assert_close(model.encoder.table.grad, again.table.grad)
    one = Bag()
    method.in_batch(one(queries), one(keys).detach(), 0.5).backward()
    assert (one.table.grad - again.table.grad).abs().max() > 0.01
    scores = (again(queries) @ again(keys).T).detach().numpy()
    assert model.seen[0][0] == pytest.approx(np.mean(scores.argmax(1) == np.arange(3)))


# --- the whole notebook on awkward data -------------------------------------------------------------------------------


def run(folder, *more):
    return on_folder(NOTEBOOK, folder, "queries=50", *more)


def test_a_corpus_smaller_than_k_with_repeated_and_empty_texts_and_queries_without_an_answer_runs(tmp_path):
    awkward(tmp_path, 30, "")
    status, said = run(tmp_path)
    assert status == 0, said
    table = pd.read_csv(tmp_path / "out/table.csv").set_index("arm")
    assert table.loc["Contriever", "Recall@100"] == 1  # all 60 documents are among the first hundred
    assert table.loc["control: filed under others", "Recall@100"] == 1
    caption = (tmp_path / "out/table.md").read_text().splitlines()[0]
    assert "60 documents, 35 queries" in caption  # five of the forty have no relevant document


def test_an_empty_corpus_too_little_text_and_no_training_queries_are_told_in_one_sentence(tmp_path):
    awkward(tmp_path, 30, "")
    status, said = run(tmp_path, "chunk=32", "training=2")
    assert status == 2
    assert "do not fill a batch of 16 passages of 32; give more text" in said
    told_without_queries_or_documents(run, tmp_path, "dev")


MUTATIONS = [
    ("first, *rows[number], last", "first, *rows[number], first"),
    ("np.full((len(some), int(lengths.max())), pad)", "np.full((len(some), int(lengths.max())), first)"),
    ("attention_mask=present.long()", "attention_mask=None"),
    ("(states * present[..., None]).sum(1)", "states.sum(1)"),
    (" / present.sum(1, keepdim=True)", " / present.shape[1]"),
    ("(states * present[..., None]).sum(1) / present.sum(1, keepdim=True)", "states[:, 0]"),
    ("[torch.from_numpy(np.argsort(order)).to(means[0].device)]", "[torch.from_numpy(order).to(means[0].device)]"),
    ("if self.unit else vectors", "if not self.unit else vectors"),
    ("normalize(vectors, dim=-1) if", "normalize(vectors, dim=0) if"),
    ("stream[rng.integers(length) :]", "stream"),
    ("order = rng.permutation(len(grid))", "order = np.arange(len(grid))"),
    ("if len(stream) < length * (size + 1):", "if len(stream) < length * size:"),
    ("range(0, len(order) - size + 1, size)", "range(0, len(order) - size + 1)"),
    ("max(1, int(length * rng.uniform(shortest, longest)))", "int(length * rng.uniform(shortest, longest))"),
    ("int(length * rng.uniform(shortest, longest))", "int(length * longest)"),
    ("int(length * rng.uniform(shortest, longest))", "round(length * rng.uniform(shortest, longest))"),
    ("rng.integers(length - taken + 1)", "rng.integers(length - taken) if length > taken else 0"),
    ("rng.integers(length - taken + 1)", "0 * rng.integers(length - taken + 1)"),
    ("rng.random(len(pieces)) >= deletion", "rng.random(len(pieces)) < deletion"),
    ("rng.random(len(pieces)) >= deletion", "rng.random() >= deletion + np.zeros(len(pieces))"),
    ("kept[rng.integers(len(pieces))] |= not kept.any()", "pass"),
    ("kept[rng.integers(len(pieces))] |= not kept.any()", "kept[0] |= not kept.any()"),
    ("kept[rng.integers(len(pieces))] |= not kept.any()", "kept[rng.integers(len(pieces))] = True"),
    ("thinned(passage[start:stop], deletion, rng)", "passage[start:stop]"),
    ("thinned(passage[start:stop], deletion, rng)", "thinned(passage, deletion, rng)"),
    (".requires_grad_(False)", ""),
    ("copy.deepcopy(encoder)", "encoder"),
    ("normalize(torch.randn(size, width), dim=-1)", "torch.randn(size, width)"),
    ("        self.follow()\n", ""),
    (
        "        self.follow()\n        with torch.no_grad():\n            k = self.key_encoder(keys)\n",
        "        with torch.no_grad():\n            k = self.key_encoder(keys)\n        self.follow()\n",
    ),
    ("k = self.key_encoder(keys)", "k = self.encoder(keys)"),
    ("k = self.key_encoder(keys)", "k = self.key_encoder(queries)"),
    ("(q * k).sum(1, keepdim=True), q @ self.queue.T", "q @ k.T, q @ self.queue.T"),
    ("(q * k).sum(1, keepdim=True), q @ self.queue.T", "(q * k).sum(1, keepdim=True), k @ self.queue.T"),
    (", q @ self.queue.T], 1) / self.temperature", ", q @ self.queue.T], 1) * self.temperature"),
    (", q @ self.queue.T], 1) / self.temperature", ", q @ self.queue.T], 1)"),
    ("        self.enqueue(k)\n", ""),
    ("torch.zeros(len(q), dtype=torch.long", "torch.ones(len(q), dtype=torch.long"),
    ("(scores.argmax(1) == 0)", "(scores.argmax(1) == 1)"),
    ("followed, 1 - self.momentum", "followed, self.momentum"),
    ("list(self.key_encoder.parameters()), followed", "list(self.encoder.parameters()), followed"),
    ("if len(self.queue) % len(keys):", "if False:"),
    ("torch.arange(self.place, self.place + len(keys)", "torch.arange(0, len(keys)"),
    ("self.place = (self.place + len(keys)) % len(self.queue)", "self.place = 0"),
    ("self.place = (self.place + len(keys)) % len(self.queue)", "self.place += 0 if self.place else len(keys)"),
    ("normalize(vectors.detach(), dim=-1).var(0, correction=0)", "vectors.detach().var(0, correction=0)"),
    (".var(0, correction=0).sum()", ".var(1, correction=0).sum()"),
    (".sum().sqrt().item()", ".sum().item()"),
    ("queries @ documents.T / temperature", "queries @ documents.T * temperature"),
    ("queries @ documents.T / temperature", "queries @ documents.T"),
    ("q, k = self.encoder(queries), self.encoder(keys)", "q, k = self.encoder(queries), self.encoder(keys).detach()"),
    ("return in_batch(q, k, self.temperature)", "return in_batch(k, q, self.temperature)"),
    ("(q @ k.T).argmax(1) ==", "(q @ k.T).argmin(1) =="),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
