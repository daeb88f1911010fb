"""From a language model's answer to sentences, scores and explanations; and which descriptor to strike out."""

import numpy as np
import pytest

from finegrain.seeding import generator

NOTEBOOK = "vision_language/classification_by_description"


def unit(count, width=6, name="vectors"):
    found = generator(0, name).normal(size=(count, width))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


OWNER = np.array([0, 0, 0, 1, 2, 2])  # three classes with 3, 1 and 2 descriptors

ANSWERS = {
    " a long neck\n- a dagger-like bill\n- gray plumage": ["a long neck", "a dagger-like bill", "gray plumage"],
    "- a saddle\n-two wheels\n* pedals\n• a chain\n– a bell": ["a saddle", "two wheels", "pedals", "a chain", "a bell"],
    "1. a saddle\n2) pedals\n(3) a chain": ["a saddle", "pedals", "a chain"],
    "Sure! Here is a list:\n\n- a saddle.\n\nI hope that this helps.": ["a saddle"],
    "a saddle\n- A saddle\n- pedals;\n-\n- ": ["a saddle", "pedals"],
    "It has a long tail.\n- it is gray\n- They have webbed feet": ["has a long tail", "gray", "has webbed feet"],
    " 2 wheels\n- a saddle\n\nQ: Which visual features help to tell a car in a photo?\n- doors": [
        "2 wheels",
        "a saddle",
    ],
    "": [],
    "I do not know this class:": [],
}


def test_the_parser_takes_answers_with_their_errors(method):
    assert {answer: method.descriptors_of(answer) for answer in ANSWERS} == ANSWERS


def test_the_parser_gives_back_what_the_prompt_itself_shows(method):
    asked = method.prompt("zebra")
    for name, features in method.EXAMPLES.items():
        answer = asked.split(f"tell a {name} in a photo?\nA: There are several:\n-")[1].split("\n\n")[0]
        assert method.descriptors_of(answer) == features
    assert asked.endswith("tell a zebra in a photo?\nA: There are several:\n-")


# The paper's rule, by the first letters.
BY_LETTERS = {
    "a long bill": "which is a long bill",
    "an S-shaped neck": "which is an S-shaped neck",
    "antennae": "which is antennae",
    "used for digging": "which is used for digging",
    "has webbed feet": "which has webbed feet",
    "often gray": "which often gray",
    "typically small": "which typically small",
    "may hover": "which may hover",
    "can swim": "which can swim",
    "candles": "which candles",
    "long legs": "which has long legs",
    "Four wheels": "which has Four wheels",
}


def test_a_clause_follows_the_papers_rule(method):
    assert {text: method.clause(text) for text in BY_LETTERS} == BY_LETTERS


def test_whole_words_mend_what_the_first_letters_get_wrong(method):
    mended = BY_LETTERS | {"antennae": "which has antennae", "candles": "which has candles"}
    assert {text: method.clause(text, whole_words=True) for text in BY_LETTERS} == mended


def test_sentences_begin_with_the_name_and_fall_back_to_it(method):
    assert method.sentences("heron", ["a bill", "long legs"], "clause") == [
        "heron, which is a bill",
        "heron, which has long legs",
    ]
    assert method.sentences("heron", ["a bill"], "comma") == ["heron, a bill"]
    assert method.sentences("heron", [], "clause") == ["heron"]


def test_scores_are_those_of_a_plain_loop(method):
    images, texts = unit(9, name="images"), unit(6)
    for how, way in {"mean": np.mean, "max": max, "sum": sum}.items():
        fits = [[[image @ texts[m] for m in np.flatnonzero(c == OWNER)] for c in range(3)] for image in images]
        expected = [[way(of_class) for of_class in of_image] for of_image in fits]
        np.testing.assert_allclose(method.class_scores(images, texts, OWNER, how), expected)


def test_two_descriptors_at_a_right_angle_by_hand(method):
    image, texts = np.array([[0.6, 0.8]]), np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    np.testing.assert_allclose(method.class_scores(image, texts, np.array([0, 0, 1])), [[0.7, 1.0]])  # not rescaled


def test_the_order_of_a_class_s_descriptors_does_not_count_and_repeating_all_of_them_neither(method):
    images, texts = unit(9, name="images"), unit(6)
    order, twice = np.array([2, 0, 1, 3, 5, 4]), np.repeat(np.arange(6), 2)
    scores = method.class_scores(images, texts, OWNER)
    np.testing.assert_allclose(method.class_scores(images, texts[order], OWNER), scores)
    np.testing.assert_allclose(method.class_scores(images, texts[twice], OWNER[twice]), scores)


def test_one_descriptor_a_class_is_plain_zero_shot_classification(method):
    images, texts = unit(9, name="images"), unit(6)
    for how in ("mean", "max", "sum"):
        np.testing.assert_allclose(method.class_scores(images, texts, np.arange(6), how), images @ texts.T)


def test_an_explanation_is_the_scores_parts_best_first(method):
    image, texts, names = unit(1, name="image")[0], unit(4), ["a", "b", "c", "d"]
    told = method.explanation(image, texts, names)
    assert [fit for _, fit in told] == sorted((fit for _, fit in told), reverse=True)
    assert all(np.isclose(fit, image @ texts[names.index(name)]) for name, fit in told)
    np.testing.assert_allclose(
        np.mean([fit for _, fit in told]), method.class_scores(image[None], texts, [0] * 4)[0, 0]
    )


def test_the_strike_with_the_largest_gain_is_that_of_trying_them_all(method):
    images, texts, owner = unit(40, 4, "images"), unit(9, 4), np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    truth = generator(0, "truth").integers(0, 3, 40)
    right = (method.class_scores(images, texts, owner).argmax(axis=1) == truth).sum()
    struck, gains = method.best_strikes(images, truth, texts, owner, [0, 1, 2])
    for c, row, gain in zip([0, 1, 2], struck, gains, strict=True):
        tried = {}
        for m in np.flatnonzero(owner == c):
            left = method.class_scores(images, *method.without_rows(texts, owner, [m]))
            tried[m] = (left.argmax(axis=1) == truth).sum() - right
        assert tried[row] == gain == max(tried.values())
    assert len(set(gains.tolist())) > 1


def test_ties_after_a_strike_go_to_the_first_class(method):
    images, texts, owner = np.eye(2)[[0, 0]], np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 0, 1])
    assert method.best_strikes(images, np.array([0, 0]), texts, owner, [0])[1].tolist() == [2]
    later = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert method.best_strikes(images, np.array([1, 1]), later, np.array([0, 1, 1]), [1])[1].tolist() == [0]


MUTATIONS = [
    ('answer.split("\\nQ:")[0]', "answer"),
    ("number > 0 or ", ""),
    ("[-*•–]+", "[-]+"),
    ("if bare and bare.lower() not in {known.lower() for known in found}:", "if bare:"),
    ('re.sub(r"^have\\b", "has", bare)', "bare"),
    ('" .;,*-"', '" "'),
    ('("a", "an", "used")', '("an", "used")'),
    ('("a", "an", "used")', '("a", "an")'),
    ('return f"which has {descriptor}"', 'return f"which is {descriptor}"'),
    ("if whole_words:", "if not whole_words:"),
    ("or [name]", "or []"),
    ('if wording == "comma"', 'if wording == "clause"'),
    ("sums / counts[:, None]", "sums / np.linalg.norm(sums, axis=1, keepdims=True)"),
    ("sums / counts[:, None]", "sums / counts.mean()"),
    ("np.maximum.reduceat", "np.minimum.reduceat"),
    ('if how == "sum" else', 'if how != "sum" else'),
    ("np.argsort(-fits", "np.argsort(fits"),
    ("- fits) / (len(mine) - 1)", "- fits) / len(mine)"),
    ("(c < rival)", "(c > rival)"),
    ("truth[:, None] == c", "truth[:, None] != c"),
    ("(truth == rival)[:, None]", "False"),
    ("gain.argmax()", "gain.argmin()"),
    ("np.where(first == c, (second, of_second), (first, of_first))", "first, of_first"),
    ("np.setdiff1d(np.arange(len(texts)), struck)", "np.asarray(struck)"),
]


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_a_mutation_is_caught(old, new, survives):
    assert not survives(old, new)
