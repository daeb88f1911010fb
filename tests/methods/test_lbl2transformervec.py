"""Chunks, keyword vectors, candidates, cleaning, label vectors; and the joint space of words and documents."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from finegrain.seeding import generator

NOTEBOOK = "text_classification/lbl2transformervec"


def drawn(*shape, name="vectors"):
    return generator(0, name).normal(size=shape)


class Letters:
    """An encoder whose vector counts the letters a, b, c and d; it remembers what it read."""

    def __init__(self):
        self.read = []

    def encode_text(self, texts):
        self.read += texts
        return np.array([[text.count(letter) for letter in "abcd"] for text in texts], float)


# --- embedding --------------------------------------------------------------------------------------------------------


def test_sentences_are_packed_while_they_fit(method):
    assert method.chunks("a b. c d! e f? g h", 5) == ["a b. c d!", "e f? g h"]
    assert method.chunks("a b\nc d\n\ne", 4) == ["a b", "c d e"]
    assert method.chunks(" 3.5 of e.g.this. ", 9) == ["3.5 of e.g.this."]


def test_a_sentence_that_is_longer_than_a_chunk_is_cut_and_leaves_no_empty_chunk(method):
    assert method.chunks("a b c d e f g. h", 4) == ["a b c", "d e f", "g. h"]
    assert method.chunks("x. a b c d e", 4) == ["x.", "a b c", "d e"]


def test_chunks_keep_all_words_in_order_and_stay_below_the_limit(method):
    rng = generator(0, "words")
    text = " ".join(rng.choice(["word", "end.", "stop!", "line\n"], 300))
    for limit in (2, 3, 10, 400):
        pieces = method.chunks(text, limit)
        assert " ".join(pieces).split() == text.split()
        assert all(0 < len(piece.split()) < limit for piece in pieces)


def test_a_text_is_the_plain_mean_of_its_chunks_and_a_short_one_is_its_own_chunk(method):
    encoder = Letters()
    found = method.embed(encoder, ["aa a b. c", "d"], 4)
    assert encoder.read == ["aa a b.", "c", "d"]
    assert found.tolist() == [[1.5, 0.5, 0.5, 0], [0, 0, 0, 1]]  # halves of (3, 1, 0) and (0, 0, 1): not rescaled
    assert method.embed(Letters(), ["aa a b. c", "d"], 9).tolist() == [[3, 1, 1, 0], [0, 0, 0, 1]]


def test_a_keyword_vector_is_the_mean_of_keywords_each_embedded_alone(method):
    encoder = Letters()
    found = method.keyword_vectors(encoder, [["aaa", "b"], ["c"], ["d a", "d", "b"]], 9)
    assert encoder.read == ["aaa", "b", "c", "d a", "d", "b"]
    np.testing.assert_allclose(found, [[1.5, 0.5, 0, 0], [0, 0, 1, 0], [1 / 3, 1 / 3, 0, 2 / 3]])


# --- candidates, cleaning, label vectors ------------------------------------------------------------------------------

RANKED = np.array([0.5, 0.9, 0.7, 0.9, 0.1, 0.7])  # in order: 1 3 2 5 0 4
RULES = [
    ({}, [1]),  # nothing is strictly above the highest: the package's default is one document
    ({"least": 3, "most": 3}, [1, 3, 2]),
    ({"offset": 0.3}, [1, 3, 2, 5]),
    ({"threshold": 0.7}, [1, 3]),  # strictly above
    ({"threshold": 0.7, "least": 4}, [1, 3, 2, 5]),
    ({"threshold": 0.0, "most": 2}, [1, 3]),
    ({"threshold": 0.95}, [1]),
    ({"least": 99, "most": 99}, [1, 3, 2, 5, 0, 4]),
]


def test_candidates_are_best_first_above_the_threshold_and_as_many_as_asked_for(method):
    for rule, expected in RULES:
        assert method.candidates(RANKED, **rule).tolist() == expected


def test_ties_in_a_large_ranking_go_to_the_lower_row(method):
    similarity = np.arange(1000) % 2
    assert method.candidates(similarity, least=700).tolist() == [*range(1, 1000, 2), *range(0, 400, 2)]


def outlier_factor(x, k):
    """The local outlier factor of each row, from its definition."""
    n = len(x)
    far = np.array([[np.linalg.norm(a - b) for b in x] for a in x])
    near = [sorted(set(range(n)) - {i}, key=lambda j, i=i: far[i, j])[:k] for i in range(n)]
    reach = [max(far[i, j] for j in near[i]) for i in range(n)]
    density = [1 / np.mean([max(reach[j], far[i, j]) for j in near[i]]) for i in range(n)]
    return np.array([np.mean([density[j] for j in near[i]]) / density[i] for i in range(n)])


def test_cleaning_drops_what_the_local_outlier_factor_says(method):
    x = drawn(40, 3)
    x[7] += 9
    factor = outlier_factor(x, 20)
    assert method.inliers(x).tolist() == (factor <= 1.5).tolist()
    assert not method.inliers(x)[7]
    tenth = method.inliers(x, 0.1)
    assert tenth.sum() == 36
    assert factor[tenth].max() < factor[~tenth].min()


def test_few_candidates_are_their_own_neighbours_and_a_single_one_stays(method):
    x = drawn(8, 3)
    x[2] += 30
    assert method.inliers(x).tolist() == (outlier_factor(x, 7) <= 1.5).tolist()
    assert method.inliers(x[:1]).tolist() == [True]
    few = method.inliers(drawn(12, 3), neighbours=3)
    assert few.tolist() == (outlier_factor(drawn(12, 3), 3) <= 1.5).tolist()


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def plain_loop(documents, keys, count, exclusive=False):
    """Label vectors and candidates of the top `count`, in plain loops."""
    labels, chosen = [], []
    for c, key in enumerate(keys):
        own = [
            j
            for j, document in enumerate(documents)
            if not exclusive or max(range(len(keys)), key=lambda k, d=document: cosine(keys[k], d)) == c
        ]
        some = sorted(own, key=lambda j, key=key: -cosine(key, documents[j]))[:count]
        labels.append(sum(documents[j] for j in some) / len(some))
        chosen.append(some)
    return np.array(labels), chosen


def test_label_vectors_and_answers_are_those_of_a_plain_loop(method):
    documents, keys = drawn(50, 6) * generator(0, "length").uniform(0.5, 2, (50, 1)), drawn(4, 6, name="keys")
    for exclusive in (False, True):
        labels, chosen = method.label_vectors(documents, keys, exclusive=exclusive, least=7, most=7)
        expected, theirs = plain_loop(documents, keys, 7, exclusive)
        assert [some.tolist() for some in chosen] == theirs
        np.testing.assert_allclose(labels, expected)
        guesses, confidence = method.classify(documents, labels)
        scores = np.array([[cosine(d, label) for label in expected] for d in documents])
        shares = np.exp(20 * scores) / np.exp(20 * scores).sum(axis=1, keepdims=True)
        assert guesses.tolist() == scores.argmax(axis=1).tolist()
        np.testing.assert_allclose(confidence, shares.max(axis=1))


def test_a_label_vector_by_hand_leaves_the_keyword_out(method):
    documents = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0], [-1.0, 0.0]])
    labels, chosen = method.label_vectors(documents, np.array([[5.0, 0.0], [0.0, 1.0]]), least=2, most=2)
    assert [some.tolist() for some in chosen] == [[0, 1], [2, 1]]
    assert labels.tolist() == [[1.5, 0.5], [0.5, 2.0]]


def test_the_length_of_keyword_vectors_and_the_order_of_documents_do_not_count(method):
    documents, keys, order = drawn(50, 6), drawn(4, 6, name="keys"), generator(0, "order").permutation(50)
    labels, _ = method.label_vectors(documents, keys, least=7, most=7)
    for others, theirs in ((documents, keys * [[2], [3], [0.1], [9]]), (documents[order], keys)):
        np.testing.assert_allclose(method.label_vectors(others, theirs, least=7, most=7)[0], labels)
    sure = method.classify(documents, labels)
    for found, expected in zip(method.classify(3 * documents, labels * [[2], [3], [0.1], [9]]), sure, strict=True):
        np.testing.assert_allclose(found, expected)


def test_with_all_documents_every_label_vector_is_their_mean(method):
    documents = drawn(30, 6)
    labels, _ = method.label_vectors(documents, drawn(3, 6, name="keys"), least=99, most=99)
    np.testing.assert_allclose(labels, np.tile(documents.mean(axis=0), (3, 1)))
    np.testing.assert_allclose(method.classify(documents, labels)[1], 1 / 3)


def test_cleaned_candidates_are_the_inliers_of_the_candidates(method):
    documents, keys = drawn(60, 6), drawn(2, 6, name="keys")
    _, raw = method.label_vectors(documents, keys, least=30, most=30)
    labels, chosen = method.label_vectors(documents, keys, clean=0.2, least=30, most=30)
    for label, some, before in zip(labels, chosen, raw, strict=True):
        assert some.tolist() == before[method.inliers(documents[before], 0.2)].tolist()
        assert len(some) == 24
        np.testing.assert_allclose(label, documents[some].mean(axis=0))


def test_exclusive_rounds_are_spherical_k_means(method):
    documents, keys = drawn(60, 3), drawn(3, 3, name="keys")
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    centres = keys
    for _ in range(4):
        nearest = np.array([max(range(3), key=lambda c, d=d: cosine(centres[c], d)) for d in documents])
        centres = np.array([documents[nearest == c].sum(axis=0) for c in range(3)])
    labels, _ = method.label_vectors(documents, keys, exclusive=True, rounds=4, least=60)
    np.testing.assert_allclose(method.cosines(labels, centres).diagonal(), 1)


def test_a_class_that_is_nobodys_nearest_takes_its_own_nearest(method):
    documents, keys = np.array([[1.0, 0.0], [0.9, 0.1]]), np.array([[1.0, 0.05], [-1.0, 0.2]])
    _, chosen = method.label_vectors(documents, keys, exclusive=True, least=1, most=1)
    assert [some.tolist() for some in chosen] == [[0], [1]]


def test_a_row_of_zeros_is_like_nothing(method):
    found = method.cosines(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, -2.0]]))
    np.testing.assert_allclose(found, [[0, 0], [0.6, -0.8]])


# --- words and documents in one space ---------------------------------------------------------------------------------


def test_words_are_lower_case_letters_and_the_vocabulary_is_ordered(method):
    assert method.tokens("A B-spline of x2, the Größe; n_jobs") == ["spline", "of", "the", "größe", "jobs"]
    heard = [["the", "the", "fit"], ["fit", "the", "rare"], ["seldom"]]
    assert method.vocabulary(heard, 2) == {"the": 0, "fit": 1}
    assert method.vocabulary(heard, 2, {"seldom", "never"}) == {"the": 0, "fit": 1, "seldom": 2}
    assert method.vocabulary(heard, 1) == {"the": 0, "fit": 1, "rare": 2, "seldom": 3}


WORDS, OWNER = np.array([0, 1, 2, 3, 1, 0, 2]), np.array([0, 0, 0, 0, 1, 1, 1])


def test_pairs_are_each_document_with_its_words_and_each_word_with_its_neighbours(method):
    pairs = Counter(zip(*method.training_pairs(WORDS, OWNER, 4, 1, np.ones(4), generator(0, "pairs")), strict=True))
    expected = Counter((4 + owner, word) for word, owner in zip(WORDS, OWNER, strict=True))
    for document in ([0, 1, 2, 3], [1, 0, 2]):
        for left, right in pairwise(document):
            expected.update([(left, right), (right, left)])
    assert pairs == expected


def test_the_reach_of_the_window_is_random_and_at_most_the_window(method):
    words = np.arange(1000)
    ins, outs = method.training_pairs(words, np.zeros(1000, int), 1000, 4, np.ones(1000), generator(0, "reach"))
    gaps = Counter(np.abs(ins - outs)[ins < 1000].tolist())
    assert set(gaps) == {1, 2, 3, 4}
    for gap in gaps:  # a reach of 1 to 4 is drawn: a gap of g is within it with probability (5 - g) / 4
        assert abs(gaps[gap] / 2000 - (5 - gap) / 4) < 0.06


def test_words_that_are_passed_over_are_in_no_pair_and_their_neighbours_meet(method):
    share = np.array([1, 0, 1, 1.0])
    ins, outs = method.training_pairs(WORDS, OWNER, 4, 1, share, generator(0, "pairs"))
    expected = [(4, 0), (4, 2), (4, 3), (5, 0), (5, 2), (0, 2), (2, 0), (2, 3), (3, 2), (0, 2), (2, 0)]
    assert Counter(zip(ins.tolist(), outs.tolist(), strict=True)) == Counter(expected)


def test_a_step_ascends_the_gradient_of_the_objective(method):
    torch.manual_seed(0)
    inputs, outputs = torch.randn(5, 3), torch.randn(6, 3)
    i, o, noise = torch.tensor([0, 1, 1, 4]), torch.tensor([2, 2, 0, 5]), torch.tensor([3, 3, 1, 2, 0, 4, 5, 1])
    u, v = inputs.clone().requires_grad_(), outputs.clone().requires_grad_()
    likelihood = torch.tensor(0.0)
    for a, b in zip(i, o, strict=True):
        likelihood = likelihood + torch.log(torch.sigmoid(u[a] @ v[b]))
        likelihood = likelihood + 5 * torch.stack([torch.log(torch.sigmoid(-u[a] @ v[s])) for s in noise]).mean()
    likelihood.backward()
    method.ascend(inputs, outputs, i, o, noise, 5, 0.1)
    torch.testing.assert_close(inputs, u.detach() + 0.1 * u.grad)
    torch.testing.assert_close(outputs, v.detach() + 0.1 * v.grad)


def corpus():
    """Forty documents of two topics with ten words of their own each, and ten words that both use."""
    rng = generator(0, "corpus")
    return [rng.choice(np.r_[10 * (j % 2) : 10 * (j % 2) + 10, 20:30], 40) for j in range(40)]


def test_words_and_documents_of_a_topic_come_together(method):
    documents = corpus()
    of_words, of_documents = method.joint_vectors(documents, 30, 12, 60, 0, 1.0, batch=256)
    assert of_words.shape == (30, 12)
    assert of_documents.shape == (40, 12)
    keys = np.stack([of_words[:10].mean(axis=0), of_words[10:20].mean(axis=0)])
    assert method.classify(of_documents, keys)[0].tolist() == [0, 1] * 20
    assert method.classify(of_words[:20], keys)[0].tolist() == [0] * 10 + [1] * 10


def test_joint_vectors_follow_their_seed(method):
    first, again, other = (method.joint_vectors(corpus(), 30, 4, 1, seed, 1.0)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_all_steps_of_a_training(method):
    seen, firsts, ascend = [], [], method.ascend

    def watched(inputs, outputs, i, o, noise, negatives, rate):
        firsts.append(outputs.abs().max().item())
        ascend(inputs, outputs, i, o, noise, negatives, rate)
        seen.append((inputs, len(i), noise.numpy(), negatives, rate))

    documents = [np.array([0] * 90 + [1] * 10)] * 20
    try:
        method.ascend = watched
        found = method.joint_vectors(documents, 2, 4, 3, 0, 1.0, rate=0.002, batch=500)
    finally:
        method.ascend = ascend
    all_inputs, sizes, noise, negatives, rates = zip(*seen, strict=True)
    np.testing.assert_array_equal(np.concatenate(found), all_inputs[-1].numpy())  # words, then documents
    assert firsts[0] == 0
    assert max(sizes) == 500
    np.testing.assert_allclose(rates, 0.002 * (1 - np.arange(len(seen)) / len(seen)), atol=1e-4)
    assert np.isfinite(found[0]).all()
    assert {len(some) for some in noise} == {64}
    assert set(negatives) == {5}
    rare = 0.1**0.75 / (0.9**0.75 + 0.1**0.75)
    assert abs(np.concatenate(noise).mean() - rare) < 0.02


def test_a_frequent_word_is_passed_over_as_often_as_word2vec_says(method):
    shares = []
    pairs = method.training_pairs
    try:
        method.training_pairs = lambda *given: (shares.append(given[4]), pairs(*given))[1]
        method.joint_vectors([np.array([0] * 98 + [1, 2])], 3, 4, 1, 0, 0.01)
    finally:
        method.training_pairs = pairs
    np.testing.assert_allclose(shares[0], [np.sqrt(0.01 / 0.98) + 0.01 / 0.98, 2, 2])


MUTATIONS = [
    ("if packed and len(packed[-1]) + len(piece) < limit:", "if packed and len(packed[-1]) + len(piece) <= limit:"),
    ("if packed and len(packed[-1]) + len(piece) < limit:", "if False:"),
    ("range(0, len(words), limit - 1)", "range(0, len(words), limit)"),
    ("(?<=[.!?])\\s+|\\n+", "(?<=[.!?])\\s+"),
    ("np.cumsum(counts) - counts) / counts[:, None]", "np.cumsum(counts) - counts)"),
    ("np.cumsum(counts) - counts) / counts[:, None]", "np.cumsum(counts) - counts) / counts.mean()"),
    (
        "means(embed(encoder, [w for some in keywords for w in some], limit), [len(some) for some in keywords])",
        'embed(encoder, [" ".join(some) for some in keywords], limit)',
    ),
    ("a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (a, b))", "pass"),
    ("similarity.max() - offset", "similarity.max() + offset"),
    ("similarity > threshold", "similarity >= threshold"),
    ("np.argsort(-similarity, kind", "np.argsort(similarity, kind"),
    (', kind="stable")[: max(above, least)]', ")[: max(above, least)]"),
    ("max(above, least)", "above"),
    ("max(above, least)", "least"),
    ("max(above, least)][:most]", "max(above, least)]"),
    ("min(neighbours, len(vectors) - 1)", "min(5, len(vectors) - 1)"),
    ("contamination=share", 'contamination="auto"'),
    ("fit_predict(vectors) == 1", "fit_predict(vectors) == -1"),
    ("if len(vectors) < 2:", "if len(vectors) < 1:"),
    ("if exclusive and (nearest == c).any()", "if (nearest == c).any()"),
    ("if exclusive and (nearest == c).any()", "if exclusive"),
    ("own[candidates(similarity[own, c], **rule)]", "candidates(similarity[own, c], **rule)"),
    ("similarity.argmax(axis=1)", "similarity.argmin(axis=1)"),
    ("some[inliers(documents[some], clean)]", "some[~inliers(documents[some], clean)]"),
    ("keys = np.stack([documents[some].mean(axis=0)", "keys = keys + np.stack([documents[some].mean(axis=0)"),
    ("keys = np.stack([documents[some].mean(axis=0)", "keys = np.stack([np.median(documents[some], axis=0)"),
    ("for _ in range(rounds):", "for _ in range(1):"),
    ("/ temperature)", "* temperature)"),
    ("scores.max(axis=1, keepdims=True)", "scores.max()"),
    ("text.lower())", "text)"),
    ("{2,}", "+"),
    ("if count >= least or word in wanted", "if count > least or word in wanted"),
    ("if count >= least or word in wanted", "if count >= least"),
    ("(-counts[word], word)", "word"),
    ("owner[k:] == owner[:-k]", "owner[k:] >= owner[:-k]"),
    ("reach[:-k] >= k", "reach[:-k] > k"),
    ("reach[k:] >= k", "reach[:-k] <= k"),
    ("rng.integers(1, window + 1", "rng.integers(window, window + 1"),
    ("[first + owner], [words]", "[], []"),
    ("< share[words]", "< share.mean()"),
    ("outs += [words[left], words[right + k]]", "outs += [words[left], words[right]]"),
    ("(1 - torch.sigmoid((u * v)", "(torch.sigmoid((u * v)"),
    ("-rate * negatives / len(noise)", "-rate * negatives"),
    ("-rate * negatives / len(noise)", "rate * negatives / len(noise)"),
    ("pull * v + push @ s", "pull * v"),
    ("outputs.index_add_(0, o, pull * u)", "outputs[o] += pull * u"),
    ("outputs.index_add_(0, noise, push.T @ u)", "pass"),
    ("frequency**0.75", "frequency"),
    ("left = 1 - (epoch", "left = 1 - 0 * (epoch"),
    ("np.sqrt(ratio) + ratio", "np.sqrt(ratio)"),
    ("outputs = torch.zeros(size, width)", "outputs = inputs[:size]"),
    ("return inputs[:size].numpy(), inputs[size:].numpy()", "return outputs.numpy(), inputs[size:].numpy()"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
