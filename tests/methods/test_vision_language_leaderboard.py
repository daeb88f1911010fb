"""The zero-shot classifier: a class's texts, the mean of their vectors, probabilities."""

import numpy as np
import pytest

from finegrain.seeding import generator

NOTEBOOK = "vision_language/leaderboard"

TEMPLATES = ("a drawing of {}", "the character {}", "{}")
ROW = {"alias": "bako", "name": "ACUTE", "descriptors": ("latin", "small")}


def unit(count, width=7, name="vectors"):
    found = generator(0, name).normal(size=(count, width))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def classes_of_texts():
    """Three classes with 1, 3 and 2 texts, one of them shared, and every text's vector."""
    texts = [["a"], ["b", "c", "a"], ["d", "e"]]
    return texts, dict(zip("abcde", unit(5), strict=True))


TEXTS = {
    "alias": ["bako"],
    "name": ["ACUTE"],
    "one template": ["a drawing of ACUTE"],
    "template ensemble": ["a drawing of ACUTE", "the character ACUTE", "ACUTE"],
    "descriptors": ["latin", "small"],
    "description": ["latin, small"],
}


def test_the_texts_of_a_class_by_hand(method):
    assert {arm: method.texts_of_class(arm, ROW, TEMPLATES) for arm in TEXTS} == TEXTS


def test_an_image_goes_to_the_class_with_the_highest_mean_cosine_in_a_plain_loop(method):
    texts, vector_of = classes_of_texts()
    images = unit(30, name="images")
    scores = images @ method.class_matrix(texts, vector_of).T
    expected = [[sum(image @ vector_of[t] for t in some) / len(some) for some in texts] for image in images]
    np.testing.assert_allclose(scores, expected)


def test_its_directions_are_those_of_open_clips_zero_shot_classifier(method):
    import torch
    from open_clip import build_zero_shot_classifier

    table = torch.from_numpy(unit(4 * 3)).float()
    prompts = [f"{template.format(name)}" for name in "ABCD" for template in TEMPLATES]

    class Model:
        def encode_text(self, tokens, normalize):
            assert normalize
            return table[tokens]

    def tokens(texts):
        return torch.tensor([prompts.index(text) for text in texts])

    forms = [template.format for template in TEMPLATES]
    theirs = build_zero_shot_classifier(Model(), tokens, list("ABCD"), forms, num_classes_per_batch=None, device="cpu")
    texts = [method.texts_of_class("template ensemble", {"name": name}, TEMPLATES) for name in "ABCD"]
    ours = method.class_matrix(texts, dict(zip(prompts, table.numpy(), strict=True)))
    np.testing.assert_allclose(ours / np.linalg.norm(ours, axis=1, keepdims=True), theirs.numpy().T, atol=1e-6)


def test_two_texts_at_a_right_angle_by_hand(method):
    vector_of = {"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1.0])}
    found = method.class_matrix([["a", "b"], ["b"]], vector_of)  # a class whose texts disagree has a shorter vector
    np.testing.assert_allclose(found, [[0.5, 0.5], [0, 1]])


def test_neither_the_order_nor_the_repetition_of_all_texts_counts(method):
    texts, vector_of = classes_of_texts()
    changed = [some[::-1] * 2 for some in texts]
    np.testing.assert_allclose(method.class_matrix(changed, vector_of), method.class_matrix(texts, vector_of))


def test_probabilities_are_the_softmax_of_scipy(method):
    from scipy.special import softmax

    scores = generator(0, "scores").uniform(-1, 1, (9, 4))
    np.testing.assert_allclose(method.probabilities(scores, 14.0), softmax(14.0 * scores, axis=1))
    np.testing.assert_allclose(method.probabilities(np.array([[1.0, 0.0]]), 1.0), [[np.e / (np.e + 1), 1 / (np.e + 1)]])


def test_at_scale_nought_all_classes_are_equal_and_at_a_huge_one_the_best_is_certain(method):
    scores = generator(0, "scores").uniform(-1, 1, (9, 4))
    np.testing.assert_allclose(method.probabilities(scores, 0.0), 0.25)
    certain = method.probabilities(scores, 1e6)
    assert certain.max(axis=1).tolist() == [1.0] * 9
    assert certain.argmax(axis=1).tolist() == scores.argmax(axis=1).tolist()


MUTATIONS = [
    ("return [row[arm]]", 'return [row["name"]]'),
    ('templates[0].format(row["name"])', 'templates[-1].format(row["name"])'),
    ("for template in templates]", "for template in templates[1:]]"),
    ('return [", ".join(row["descriptors"])]', 'return list(row["descriptors"])'),
    ("np.mean([vector_of[text] for text in some], axis=0)", "np.sum([vector_of[text] for text in some], axis=0)"),
    ("np.mean([vector_of[text] for text in some], axis=0)", "vector_of[some[0]]"),
    (
        "np.mean([vector_of[text] for text in some], axis=0)",
        "(m := np.mean([vector_of[t] for t in some], axis=0)) / np.linalg.norm(m)",
    ),
    ("logits = scale * (", "logits = ("),
    ("- scores.max(axis=1, keepdims=True)", "- scores.max(axis=0, keepdims=True)"),
    ("- scores.max(axis=1, keepdims=True)", "- 0"),
    ("np.exp(logits)", "np.exp(-logits)"),
    ("powers.sum(axis=1, keepdims=True)", "powers.sum(axis=0, keepdims=True)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
