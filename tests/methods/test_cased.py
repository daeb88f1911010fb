"""From captions to candidate words, to a word for an image, and how right free words are."""

import itertools

import numpy as np
import pytest

from finegrain.seeding import generator

NOTEBOOK = "vision_language/cased"


def unit(count, width=6, name="vectors"):
    found = generator(0, name).normal(size=(count, width))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


# What each caption leaves, step by step of the paper.
CAPTIONS = {
    "two boxers": ["two", "boxer"],
    "my Boxer <person> puppy": ["boxer", "puppy"],
    "boxer_dog-sleeping.jpg": ["boxer", "dog", "sleeping"],
    "see https://a.example/x?y=1 of a rose.PNG": ["see", "rose"],
    "photos, pictures & icons of roses!": ["rose"],
    "O'Neill's 3 cats; dot no. 4": ["oneill", "cat", "dot"],
    "greek small letter omega with tonos": ["greek", "omega", "tono"],
    "boss bus iris series heroes boxes churches": ["boss", "bus", "iris", "series", "heroes", "box", "church"],
    "": [],
}


def test_captions_are_cleaned_as_in_the_paper(method):
    assert {caption: method.words_of(caption) for caption in CAPTIONS} == CAPTIONS


def test_a_tagger_of_ones_own_says_what_names(method):
    assert method.words_of("a small red rose with thorns", keep={"rose", "thorn"}.__contains__) == ["rose", "thorn"]


def test_the_papers_example_by_hand(method):
    captions = ["a photo of two boxers", "boxer dog sleeping.jpg", "my Boxer puppy"]
    assert method.candidates([method.words_of(caption) for caption in captions]) == ["boxer"]


def test_the_threshold_falls_to_the_most_frequent_word_and_nothing_is_an_object(method):
    assert method.candidates([["rose"], ["tulip"]]) == ["rose", "tulip"]
    assert method.candidates([["rose", "rose"], ["tulip"]]) == ["rose"]
    assert method.candidates([["rose", "rose", "fly"], ["fly", "fly"]], least=3) == ["fly"]
    assert method.candidates([["rose", "rose"], ["tulip"]], least=1) == ["rose", "tulip"]
    assert method.candidates([[], []]) == ["object"]


def test_retrieval_is_the_sorted_product_with_ties_by_number(method):
    images, texts = np.rint(10 * unit(20, 3, "images")), np.rint(10 * unit(60, 3))  # whole numbers: ties are exact
    expected = [sorted(range(60), key=lambda j: (-(image @ texts[j]), j))[:7] for image in images]
    found = method.retrieve(images, texts, 7)
    for row, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(
            texts[ours] @ images[row], texts[theirs] @ images[row]
        )  # beyond the last, ties may differ
        inside = [j for j in theirs if images[row] @ texts[j] > images[row] @ texts[theirs[-1]] + 1e-12]
        assert ours[: len(inside)].tolist() == inside
    assert method.retrieve(images, texts, 100).shape == (20, 60)
    assert method.retrieve(np.ones((1, 1)), np.array([[1.0], [2.0], [2.0]]), 3).tolist() == [[1, 2, 0]]


def test_a_centroid_is_the_unit_mean_in_a_plain_loop(method):
    texts, retrieved = unit(9), np.array([[0, 3, 4], [8, 8, 1]])
    for row, some in zip(method.centroids(texts, retrieved), retrieved, strict=True):
        mean = sum(texts[one] for one in some) / 3
        np.testing.assert_allclose(row, mean / np.sqrt(mean @ mean))


def test_the_score_is_the_equation_in_a_plain_loop(method):
    image, centroid, words, alpha, scale = unit(1, name="image")[0], unit(1, name="v")[0], unit(5), 0.7, 14.3

    def part(vector, c):
        return np.exp(scale * (vector @ words[c])) / sum(np.exp(scale * (vector @ word)) for word in words)

    expected = [alpha * part(image, c) + (1 - alpha) * part(centroid, c) for c in range(5)]
    found = method.multimodal(image, centroid, words, alpha, scale)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(found.sum(), 1)


def test_at_the_ends_of_alpha_one_side_alone_decides(method):
    words = np.eye(2)
    image, centroid = words[0], words[1]
    assert method.multimodal(image, centroid, words, 1.0, 5).argmax() == 0
    assert method.multimodal(image, centroid, words, 0.0, 5).argmax() == 1
    np.testing.assert_allclose(method.multimodal(image, centroid, words, 0.5, 5), 0.5)
    np.testing.assert_allclose(method.multimodal(1e4 * image, centroid, words, 1.0, 1), [1, 0])  # no overflow


def test_cluster_accuracy_is_the_best_of_all_assignments(method):
    rng = generator(0, "words")
    predicted, truth = rng.choice(list("abcd"), 40), rng.choice(list("xyz"), 40)
    best = max(
        sum(dict(zip(some, "xyz", strict=True)).get(p) == t for p, t in zip(predicted, truth, strict=True))
        for some in itertools.permutations("abcd", 3)
    )
    assert method.agrees(predicted, truth).sum() == best
    assert method.agrees(truth, predicted).sum() == best  # more classes than words


def test_cluster_accuracy_knows_no_meaning_and_semantic_iou_does(method):
    truth = np.array(["rose", "rose", "fly", "fly"])
    assert method.agrees(np.array(["p", "p", "q", "q"]), truth).all()
    assert method.agrees(np.array(["fly", "fly", "rose", "rose"]), truth).all()
    assert method.agrees(np.array(["p", "q", "q", "q"]), truth).tolist() == [True, False, True, True]
    assert method.agrees(np.array(["p"] * 4), truth).sum() == 2
    assert method.semantic_iou("Red rose", "rose") == 0.5
    assert method.semantic_iou("rose", "red rose") == 0.5
    assert method.semantic_iou("fly", "rose") == 0
    assert method.semantic_iou("rose", "Rose") == 1


MUTATIONS = [
    ('word.endswith(("ss", "us", "is", "ies", "oes"))', "False"),
    ("word[:-2] if", "word[:-1] if"),
    ('r"<[^>]*>"', 'r"<>"'),
    (r'r"(?:https?://|www\.)\S+"', 'r"www"'),
    ("png|jpe?g", "jpe?g"),
    ('r"[_\\-]", " "', 'r"[_\\-]", ""'),
    ("word.lower()", "word"),
    ("for word in words if len(word) >= 3]", "for word in words if len(word) >= 4]"),
    ("word not in ABOUT_PICTURES.split() and keep(word)", "keep(word)"),
    ("word not in ABOUT_PICTURES.split() and keep(word)", "word not in ABOUT_PICTURES.split()"),
    ("min(least, max(count.values()))", "least"),
    ("number >= enough", "number > enough"),
    ('return ["object"]', "return []"),
    ("-np.take_along_axis(products, best, axis=1)", "np.take_along_axis(products, best, axis=1)"),
    ("np.argpartition(-products", "np.argpartition(products"),
    ("return means / np.linalg.norm(means, axis=1, keepdims=True)", "return means"),
    ("powers.sum(axis=-1, keepdims=True)", "powers.sum()  + 1"),
    ("scores - scores.max(axis=-1, keepdims=True)", "scores"),
    ("(1 - alpha) * softmax", "alpha * softmax"),
    ("softmax(scale * words @ centroid)", "softmax(words @ centroid)"),
    ("maximize=True", "maximize=False"),
    ("len(one & other) / len(one | other)", "len(one & other) / len(one)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
