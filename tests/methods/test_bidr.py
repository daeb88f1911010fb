"""The two losses, the quantizer against faiss, sampling along shared candidates, and the vectors on disk."""

import os
import tempfile
from itertools import islice
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest
import torch
from running import awkward, on_folder, told_without_queries_or_documents

from finegrain import InputError
from finegrain.seeding import generator, seeded

NOTEBOOK = "retrieval/bidr"


def drawn(*shape, name="vectors"):
    return generator(0, name).normal(size=shape).astype(np.float32)


def tensor(*shape, name="vectors"):
    return torch.from_numpy(drawn(*shape, name=name))


def rotation(width):
    return np.linalg.qr(drawn(width, width, name="rotation"))[0].astype(np.float32)


# --- encoder and loss -------------------------------------------------------------------------------------------------


def test_an_encoder_starts_as_the_frozen_one_and_all_its_vectors_have_one_length(method):
    with seeded(0):
        encoder = method.Encoder(6, 5, 20.0)
    x = tensor(9, 6)
    unit = x / x.norm(dim=1, keepdim=True)
    torch.testing.assert_close(encoder(unit), np.sqrt(20) * unit)
    with torch.no_grad():
        encoder.outer.weight += tensor(6, 5, name="weight")
        encoder.outer.bias += 0.3
        found = encoder(x)
        inside = torch.nn.functional.gelu(x @ encoder.inner.weight.T + encoder.inner.bias)
        expected = x + inside @ encoder.outer.weight.T + 0.3
    torch.testing.assert_close(found, np.sqrt(20) * expected / expected.norm(dim=1, keepdim=True))
    assert (found - np.sqrt(20) * unit).abs().max() > 0.1


def test_the_loss_in_a_plain_loop(method):
    queries, documents = tensor(4, 5), tensor(8, 5, name="documents")
    masked = np.zeros((4, 8), bool)
    masked[0, 5] = masked[2, 1] = masked[2, 6] = True
    total = 0.0
    for i in range(4):
        powers = {j: np.exp(float(queries[i] @ documents[j])) for j in range(8) if not masked[i, j]}
        total -= np.log(powers[i] / sum(powers.values()))
    found = method.contrast(queries, documents, torch.from_numpy(masked))
    assert found.item() == pytest.approx(total / 4, rel=1e-5)


def test_the_loss_of_right_angles_by_hand_and_of_equal_documents_at_its_limit(method):
    nothing = torch.zeros(2, 4, dtype=torch.bool)
    documents = torch.cat([torch.eye(2), torch.zeros(2, 2)])
    assert method.contrast(torch.eye(2), documents, nothing).item() == pytest.approx(np.log(np.e + 3) - 1)
    assert method.contrast(torch.eye(2), torch.ones(4, 2), nothing).item() == pytest.approx(np.log(4))
    masked = torch.tensor([[False, True, True, True], [True, False, True, True]])
    assert method.contrast(torch.eye(2), documents, masked).item() == 0


def test_other_answers_of_a_query_are_masked_and_its_own_document_is_not(method):
    judged = {(7, 3), (7, 4), (9, 4), (2**20, 0)}
    known = np.sort([query * 2**32 + text for query, text in judged])
    queries, texts = np.array([7, 9, 2**20]), np.array([3, 4, 0, 4, 3, 8])
    found = method.also_right(known, queries, texts)
    for i, query in enumerate(queries.tolist()):
        for j, text in enumerate(texts.tolist()):
            assert found[i, j] == ((query, text) in judged and i != j)


# --- quantizer --------------------------------------------------------------------------------------------------------


def quantizer(method, width=12, parts=3, centroids=16):
    return method.ProductQuantizer(rotation(width), drawn(parts, centroids, width // parts, name="codebooks"))


def nearest(pq, vectors):
    """Numbers of the nearest centroids, and the vectors that they stand for, in plain loops."""
    books, numbers, stand = pq.codebooks.detach().numpy(), [], []
    for z in vectors.numpy() @ pq.rotation.numpy().T:
        some = [
            int(((book - part) ** 2).sum(axis=1).argmin())
            for book, part in zip(books, np.split(z, len(books)), strict=True)
        ]
        numbers.append(some)
        stand.append(np.concatenate([book[k] for book, k in zip(books, some, strict=True)]))
    return np.array(numbers), np.array(stand)


def test_a_vector_is_replaced_by_its_nearest_centroids_part_by_part(method):
    pq, vectors = quantizer(method), tensor(40, 12)
    numbers, stand = nearest(pq, vectors)
    exact, quantized = pq(vectors)
    np.testing.assert_allclose(exact.detach(), vectors.numpy() @ rotation(12).T, atol=1e-5)
    np.testing.assert_allclose(quantized.detach(), stand, atol=1e-6)
    codes = pq.codes(vectors)
    assert codes.dtype == torch.uint8
    assert codes.tolist() == numbers.tolist()


def test_codes_and_search_are_those_of_faiss(method):
    pq, documents, queries = quantizer(method, 16, 4, 256), tensor(500, 16), tensor(30, 16, name="queries")
    index = faiss.IndexPQ(16, 4, 8, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(pq.codebooks.detach().numpy().ravel(), index.pq.centroids)
    index.is_trained = True
    turned = np.ascontiguousarray(documents.numpy() @ rotation(16).T)
    index.add(turned)
    codes = pq.codes(documents)
    assert codes.numpy().tolist() == index.pq.compute_codes(turned).tolist()
    scores, rows = index.search(np.ascontiguousarray(queries.numpy() @ rotation(16).T), 20)
    found, values = method.search(pq.tables(queries), codes, 20)
    np.testing.assert_allclose(values, scores, rtol=1e-4)
    assert (found == rows).mean() > 0.99  # faiss has an order of its own for equal scores


def test_the_gradient_is_that_of_the_soft_choice_in_a_plain_loop(method):
    pq, vectors, pull = quantizer(method, 6, 2, 4), tensor(5, 6).requires_grad_(), tensor(5, 6, name="pull")
    (pq(vectors)[1] * pull).sum().backward()
    again, books = vectors.detach().clone().requires_grad_(), pq.codebooks.detach().clone().requires_grad_()
    total = 0.0
    for n in range(5):
        z = pq.rotation @ again[n]
        for m in range(2):
            part = z[3 * m : 3 * m + 3]
            shares = torch.softmax(torch.stack([-((part - centre) ** 2).sum() for centre in books[m]]), 0)
            hard = torch.zeros(4)
            hard[shares.argmax()] = 1
            chosen = sum((hard[k] - shares[k].detach() + shares[k]) * books[m, k] for k in range(4))
            total = total + chosen @ pull[n, 3 * m : 3 * m + 3]
    total.backward()
    torch.testing.assert_close(vectors.grad, again.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(pq.codebooks.grad, books.grad, atol=1e-4, rtol=1e-4)
    assert vectors.grad.abs().max() > 0.01


def test_a_rotation_changes_no_score_and_centroids_that_are_the_parts_lose_nothing(method):
    documents, queries = tensor(10, 6), tensor(4, 6, name="queries")
    turn = torch.from_numpy(rotation(6))
    books = (documents @ turn.T).unflatten(1, (2, 3)).transpose(0, 1)
    pq = method.ProductQuantizer(turn, books)
    rows, scores = method.search(pq.tables(queries), pq.codes(documents), 10)
    exact = (queries @ documents.T).numpy()
    assert rows.tolist() == np.argsort(-exact, axis=1).tolist()
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1), atol=1e-5)


def test_the_loss_of_stage_1_is_the_sum_of_its_parts(method):
    pq, queries, documents = quantizer(method, 6, 2, 4), tensor(3, 6, name="queries"), tensor(6, 6)
    masked = torch.zeros(3, 6, dtype=torch.bool)
    masked[0, 4] = True
    _, stand = nearest(pq, 2 * documents)
    floats = method.contrast(2 * queries, 2 * documents, masked).item()
    of_codes = method.contrast(2 * queries @ pq.rotation.T, torch.from_numpy(stand), masked).item()
    apart = ((2 * documents.numpy() @ rotation(6).T - stand) ** 2).mean()
    for weight in (0.0, 0.7):
        found = method.sparse_loss(lambda x: 2 * x, pq, queries, documents, masked, weight).item()
        assert found == pytest.approx(floats + of_codes + weight * apart, rel=1e-4)
    assert method.sparse_loss(lambda x: 2 * x, pq, queries, documents, masked).item() == pytest.approx(
        floats + of_codes, rel=1e-4
    )


def test_documents_of_one_code_stand_in_their_order_and_k_beyond_the_corpus_is_all_of_it(method):
    tables = torch.tensor([[[0.0, 2.0], [1.0, 0.0]]])
    codes = torch.tensor([[0, 0], [1, 0], [0, 0], [1, 1], [1, 0]], dtype=torch.uint8)
    rows, scores = method.search(tables, codes, 99)
    assert rows.tolist() == [[1, 4, 3, 0, 2]]
    assert scores.tolist() == [[3, 3, 2, 1, 1]]
    assert method.search(tables, codes, 2)[0].tolist() == [[1, 4]]
    assert method.search(tables, codes[:1], 3)[0].tolist() == [[0]]
    many = method.search(tables.repeat(600, 1, 1), codes, 4)[0]
    assert many.tolist() == [[1, 4, 3, 0]] * 600


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_negative_is_an_option_that_is_not_in_the_batch_and_else_any_document(method):
    rng = generator(0, "negatives")
    assert {method.negative([3, 5, 9], {5}, 100, rng) for _ in range(50)} == {3, 9}
    assert {method.negative([3], {3}, 4, rng) for _ in range(99)} == {0, 1, 2, 3}
    assert {method.negative((), (), 3, rng) for _ in range(99)} == {0, 1, 2}


def world():
    """Answers and pools of 40 queries among 60 documents: two neighbourhoods that share no candidate."""
    rng = generator(0, "world")
    answers = [np.array([q]) if q % 5 else np.array([q, q + 1]) for q in range(40)]
    pools = [(rng.choice(10, 6, replace=False) + (40 if q % 2 else 50)).tolist() for q in range(40)]
    return answers, pools


def test_random_batches_have_every_query_once_an_epoch_with_its_own_document_and_a_negative(method):
    answers, pools = world()
    for given in (pools, None):
        seen = []
        for queries, documents in islice(method.random_batches(answers, given, 60, 8, generator(0, "b")), 5):
            assert (queries.shape, documents.shape) == ((8,), (16,))
            assert all(own in answers[q] for q, own in zip(queries, documents[:8], strict=True))
            if given:
                assert all(other in pools[q] for q, other in zip(queries, documents[8:], strict=True))
            seen += queries.tolist()
        assert sorted(seen) == list(range(40))
        assert seen != sorted(seen)


def test_without_pools_negatives_come_from_the_whole_corpus(method):
    answers, _ = world()
    batches = islice(method.random_batches(answers, None, 60, 8, generator(0, "b")), 100)
    assert {d for _, documents in batches for d in documents[8:].tolist()} == set(range(60))


def replay(batches, answers, pools, size, patches, last):
    """How often batches follow the links, by groups of what each negative has put on the list, and how often not."""
    unused, followed, strayed = set(range(len(answers))), 0, 0
    for queries, documents in batches:
        if len(unused) < size:
            unused = set(range(len(answers)))
        own, hard = documents[:size].tolist(), documents[size:].tolist()
        groups = []
        for place, query in enumerate(queries.tolist()):
            assert query in unused
            groups = [left for group in groups if (left := group & unused)]
            if place % (size // patches) and groups:
                assert query in groups[-1 if last else 0]
                followed += 1
            strayed += bool(groups) and query not in groups[-1 if last else 0]
            unused.discard(query)
            assert own[place] in answers[query]
            before = {*own[: place + 1], *hard[:place]}
            assert hard[place] in set(pools[query]) - before or not set(pools[query]) - before
            groups.append({q for q in unused if hard[place] in pools[q]})
    return followed, strayed


def test_local_batches_follow_shared_candidates_depth_or_breadth_first(method):
    answers, pools = world()
    for last in (True, False):
        for patches in (1, 2):
            batches = method.local_batches(answers, pools, 60, 8, generator(0, "b"), patches, last)
            followed, strayed = replay(islice(batches, 25), answers, pools, 8, patches, last)
            assert followed > 100
            assert bool(strayed) == (patches == 2)  # only where a patch begins


def test_a_local_batch_of_one_patch_stays_in_its_neighbourhood_and_random_ones_do_not(method):
    answers, pools = world()
    local = islice(method.local_batches(answers, pools, 60, 5, generator(0, "b"), 1), 6)
    assert all(len({q % 2 for q in queries}) == 1 for queries, _ in local)
    apart = islice(method.random_batches(answers, pools, 60, 5, generator(0, "b")), 6)
    assert any(len({q % 2 for q in queries}) == 2 for queries, _ in apart)


def test_patches_begin_anew_and_an_epoch_has_every_query_once(method):
    answers, pools = world()
    batches = list(islice(method.local_batches(answers, pools, 60, 8, generator(0, "b"), 4), 10))
    assert sorted(q for queries, _ in batches[:5] for q in queries.tolist()) == list(range(40))
    assert sorted(q for queries, _ in batches[5:] for q in queries.tolist()) == list(range(40))
    assert any(len({q % 2 for q in queries}) == 2 for queries, _ in batches)


def test_a_negative_is_no_document_that_stands_in_the_batch_before_it(method):
    answers, pools = [np.array([q]) for q in range(4)], [list(range(9))] * 4
    for _, documents in islice(method.local_batches(answers, pools, 9, 4, generator(0, "b")), 50):
        for place in range(4):
            assert documents[4 + place] not in [*documents[: place + 1], *documents[4 : 4 + place]]


def test_a_batch_larger_than_the_training_set_is_all_of_it(method):
    answers, pools = world()
    for draw in (method.random_batches, method.local_batches):
        queries, documents = next(draw(answers[:3], pools[:3], 60, 128, generator(0, "b")))
        assert sorted(queries.tolist()) == [0, 1, 2]
        assert len(documents) == 6


# --- on disk ----------------------------------------------------------------------------------------------------------


def inputs(function, *given):
    """The message of the InputError that a call raises."""
    try:
        function(*given)
    except InputError as error:
        return str(error)
    raise AssertionError("it was accepted")


def on_a_shelf(check):
    """The check with a folder of its own; what it is given stays the module alone, as the mutations need it."""

    def test(method):
        with tempfile.TemporaryDirectory() as folder:
            check(method, Path(folder))

    return test


def stored(shelf, method, name, vectors):
    path = shelf / f"{name}.npy"
    method.write_vectors(path, np.array_split(vectors, 3), *vectors.shape)
    return path


@on_a_shelf
def test_what_is_written_in_blocks_is_read_back_from_a_map(method, shelf):
    vectors = drawn(50, 6)
    found = method.open_vectors(stored(shelf, method, "whole", vectors), 50, 6)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, vectors)


@on_a_shelf
def test_an_interrupted_build_leaves_nothing_and_the_old_file_as_it_was(method, shelf):
    def interrupted():
        yield drawn(10, 6)
        raise KeyboardInterrupt

    path = shelf / "cut.npy"
    with pytest.raises(KeyboardInterrupt):
        method.write_vectors(path, interrupted(), 50, 6)
    assert not [name for name in os.listdir(shelf) if "cut" in name]
    assert "no whole array" in inputs(method.open_vectors, path, 50, 6)
    vectors = drawn(50, 6)
    stored(shelf, method, "cut", vectors)
    with pytest.raises(KeyboardInterrupt):
        method.write_vectors(path, interrupted(), 50, 6)
    assert [name for name in os.listdir(shelf) if "cut" in name] == ["cut.npy"]
    np.testing.assert_array_equal(method.open_vectors(path, 50, 6), vectors)


@on_a_shelf
def test_vectors_of_another_number_or_size_are_refused_when_written_and_when_read(method, shelf):
    path = shelf / "other.npy"
    assert "no document" in inputs(method.write_vectors, path, [], 0, 6)
    assert "and 9 came" in inputs(method.write_vectors, path, [drawn(9, 6)], 10, 6)
    assert "not (11, 6) more" in inputs(method.write_vectors, path, [drawn(11, 6)], 10, 6)
    assert "of 6 numbers" in inputs(method.write_vectors, path, [drawn(10, 7)], 10, 6)
    assert not path.exists()
    path = stored(shelf, method, "other", drawn(10, 6))
    assert "(10, 6), not float32 (10, 7)" in inputs(method.open_vectors, path, 10, 7)
    assert "build it again" in inputs(method.open_vectors, path, 11, 6)
    np.save(path, drawn(10, 6).astype(np.float64))
    assert "float64" in inputs(method.open_vectors, path, 10, 6)
    path.write_bytes(stored(shelf, method, "cut off", drawn(10, 6)).read_bytes()[:-30])
    assert "build the index again" in inputs(method.open_vectors, path, 10, 6)


def test_candidates_come_in_the_order_of_their_floats_whatever_order_they_had(method):
    vectors, queries, rng = drawn(50, 6), drawn(7, 6, name="queries"), generator(0, "rows")
    vectors[9] = vectors[4]  # identical documents: the lower row first
    rows = np.stack([rng.permutation(np.r_[4, 9, rng.choice(np.arange(10, 50), 12, replace=False)]) for _ in range(7)])
    found = method.verify(queries, rows, vectors)
    for query, some, order in zip(queries, rows, found, strict=True):
        assert order.tolist() == sorted(
            some.tolist(), key=lambda row, q=query: (-round(float(q @ vectors[row]), 5), row)
        )
        place = order.tolist()
        assert place.index(9) == place.index(4) + 1
    np.testing.assert_array_equal(method.verify(queries, np.flip(rows, 1), vectors), found)
    np.testing.assert_array_equal(method.verify(3 * queries, rows, vectors), found)


# --- the whole notebook on awkward data -------------------------------------------------------------------------------


def run(folder, *more):
    return on_folder(NOTEBOOK, folder, *more)


def test_a_corpus_smaller_than_k_with_repeated_texts_and_queries_without_an_answer_runs(tmp_path):
    awkward(tmp_path, 12)
    status, said = run(tmp_path, "candidates=100")
    assert status == 0, said
    table = pd.read_csv(tmp_path / "out/table.csv").set_index("arm")
    assert (table["candidate recall"].drop("IVF-PQ") == 1).all()  # all 60 documents are candidates
    assert "BiDR" in table.index
    caption = (tmp_path / "out/table.md").read_text().splitlines()[0]
    assert caption == "60 documents, 35 queries, 100 candidates; bytes"  # five of the forty have no relevant document


def test_an_empty_corpus_and_a_set_without_training_queries_are_told_in_one_sentence(tmp_path):
    awkward(tmp_path, 12)
    told_without_queries_or_documents(run, tmp_path, "train")


MUTATIONS = [
    ("torch.nn.init.zeros_(self.outer.weight)", "pass"),
    ("torch.nn.init.zeros_(self.outer.bias)", "pass"),
    ("math.sqrt(scale)", "scale"),
    ("normalize(x + self.outer(gelu(self.inner(x))), dim=-1)", "(x + self.outer(gelu(self.inner(x))))"),
    ("normalize(x + self.outer(gelu(self.inner(x))), dim=-1)", "normalize(x, dim=-1)"),
    ("np.fill_diagonal(found, False)", "pass"),
    ("queries[:, None] * 2**32 + texts[None]", "queries[:, None] + texts[None]"),
    (".masked_fill(masked, -math.inf)", ""),
    (".masked_fill(masked, -math.inf)", ".masked_fill(masked, 0)"),
    ("cross_entropy(scores, torch", "-cross_entropy(scores, torch"),
    ("(vectors @ self.rotation.T).unflatten", "(vectors @ self.rotation).unflatten"),
    ("(vectors @ self.rotation.T).unflatten", "vectors.unflatten"),
    ("- 2 * products", "+ 2 * products"),
    ("+ self.codebooks.square().sum(-1)", ""),
    ("torch.softmax(-distances, -1)", "torch.softmax(distances, -1)"),
    ("torch.softmax(-distances, -1)", "torch.softmax(-distances, 1)"),
    ("hard + (soft - soft.detach())", "hard.float()"),
    ("hard + (soft - soft.detach())", "soft"),
    ("hard + (soft - soft.detach())", "hard - (soft - soft.detach())"),
    ("self.distances(self.parts(some)).argmin(-1)", "self.distances(self.parts(some)).argmax(-1)"),
    ("one_hot(distances.argmin(-1)", "one_hot(distances.argmax(-1)"),
    ("contrast(queries @ quantizer.rotation.T, quantized, masked)", "contrast(queries, quantized, masked)"),
    ("contrast(queries, documents, masked) + of_codes", "of_codes"),
    ("contrast(queries, documents, masked) + of_codes", "contrast(queries, documents, masked)"),
    ("weight * (exact - quantized)", "(exact - quantized)"),
    ("codes[:, m].long()", "codes[:, 0].long()"),
    ("best(one, places, k)", "best(-one, places, k)"),
    ("best(one, places, k)", "best(one, places[::-1], k)"),
    ("if document not in seen]", "]"),
    ("if left else int(rng.integers(documents))", ""),
    ("int(rng.integers(documents))", "0"),
    ("order = rng.permutation(len(answers))\n", "order = np.arange(len(answers))\n"),
    ("own = [rng.choice(answers[query]) for query in batch]", "own = [rng.choice(documents) for query in batch]"),
    ("negative(pools[q] if pools else (), (), documents, rng)", "negative((), (), documents, rng)"),
    ("np.array(own + [negative", "np.array([0] * len(own) + [negative"),
    ("waiting.pop() if last else waiting.popleft()", "waiting.popleft() if last else waiting.pop()"),
    ("waiting.pop() if last else waiting.popleft()", "waiting.pop()"),
    ("if unused[query]:\n", "if True:\n"),
    ("while waiting and len(batch) % max(1, size // patches):", "while waiting:"),
    ("while waiting and len(batch) % max(1, size // patches):", "while False:"),
    ("unused[query] = False", "pass"),
    ("{*own, *hard}", "set(own)"),
    ("{*own, *hard}", "set(hard)"),
    ("holders.get(hard[-1], ())", "holders.get(own[-1], ())"),
    ("np.array(batch), np.array(own + hard)", "np.array(batch), np.array(hard + own)"),
    ("if not count:", "if False:"),
    ("block.shape[1] != width or ", ""),
    ("        if done != count:", "        if False:"),
    ("with files.whole(path) as beside:", "for beside in [path]:"),
    ('mmap_mode="r"', "mmap_mode=None"),
    ("vectors.shape != (count, width) or ", ""),
    (" or vectors.dtype != np.float32", ""),
    ("-np.round(scores, 5)", "np.round(scores, 5)"),
    ("np.lexsort((rows, -np.round(scores, 5)), axis=1)", "np.argsort(-scores, axis=1)[:, ::-1]"),
    ("np.take_along_axis(rows, ", "np.take_along_axis(np.sort(rows), "),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
