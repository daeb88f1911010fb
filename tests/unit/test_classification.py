"""Measures of classification against scikit-learn, plain loops and numbers done by hand."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, top_k_accuracy_score

from finegrain import InputError
from finegrain.evaluate import (
    expected_calibration_error,
    hits,
    macro_f1,
    path_distance,
    per_class_mean,
    reliability,
)


def draw(items=300, classes=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(items, classes)), rng.integers(0, classes, items)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_hits_agree_with_scikit_learn_where_nothing_ties(k):
    scores, labels = draw()
    assert hits(scores, labels, k).mean() == top_k_accuracy_score(labels, scores, k=k)


def test_of_equal_scores_the_lower_class_wins_as_in_a_stable_sort():
    rng = np.random.default_rng(1)
    scores, labels = rng.integers(0, 3, (200, 6)).astype(float), rng.integers(0, 6, 200)
    for k in (1, 2, 5):
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(hits(scores, labels, k), (best == labels[:, None]).any(1))
    np.testing.assert_array_equal(hits(scores, labels), scores.argmax(1) == labels)


def test_hits_do_not_change_when_classes_without_ties_are_reordered():
    scores, labels = draw()
    order = np.random.default_rng(2).permutation(scores.shape[1])
    np.testing.assert_array_equal(hits(scores, labels, 2), hits(scores[:, order], np.argsort(order)[labels], 2))


@pytest.mark.parametrize(
    "scores, labels, k, culprit",
    [
        (np.zeros((2, 3)), [0, 3], 1, "0 to 2"),
        (np.zeros((2, 3)), [0, 1], 4, "k=4"),
        (np.zeros((2, 3)), [0], 1, r"\(N, C\)"),
        (np.array([[0.0, np.nan]]), [0], 1, "NaN"),
    ],
)
def test_hits_refuse_what_cannot_be_scored(scores, labels, k, culprit):
    with pytest.raises(InputError, match=culprit):
        hits(scores, np.array(labels), k)


def test_per_class_mean_is_balanced_accuracy():
    scores, labels = draw()
    predicted = scores.argmax(1)
    assert per_class_mean(predicted == labels, labels) == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_macro_f1_averages_over_the_classes_that_occur():
    _, labels = draw(classes=5)
    predicted = np.random.default_rng(3).integers(0, 9, len(labels))  # four classes that no item has
    per_class = f1_score(labels, predicted, average=None, labels=range(5))
    assert macro_f1(predicted, labels) == pytest.approx(per_class.mean())


def test_calibration_error_by_hand():
    # Bins of width 1/2: the first holds 0.5 (its upper edge), wrong; the second 0.6 and 1.0, right and wrong.
    assert expected_calibration_error([0.5, 0.6, 1.0], [False, True, False], bins=2) == pytest.approx(
        1 / 3 * 0.5 + 2 / 3 * abs(0.8 - 0.5)
    )


def test_calibration_error_equals_a_plain_loop():
    rng = np.random.default_rng(4)
    confidence, correct = rng.random(500), rng.random(500) < 0.6
    total = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            total += inside.sum() / 500 * abs(confidence[inside].mean() - correct[inside].mean())
    assert expected_calibration_error(confidence, correct) == pytest.approx(total)


def test_a_sure_and_right_classifier_is_calibrated():
    assert expected_calibration_error(np.ones(9), np.ones(9, dtype=bool)) == 0


def test_reliability_puts_the_ends_into_the_outer_bins():
    table = reliability([0.0, 1.0], [True, True], bins=4)
    assert table["items"].tolist() == [1, 0, 0, 1]


def test_calibration_refuses_what_is_no_probability():
    with pytest.raises(InputError, match=r"0\.\.1"):
        expected_calibration_error([1.2], [True])


def test_path_distance_counts_steps_to_the_common_ancestor():
    paths = [("a", "b", "c"), ("a", "b", "d"), ("a", "x"), ("y",), ("a", "b", "c")]
    assert path_distance([0, 1, 2, 3, 4], [0, 0, 0, 0, 0], paths).tolist() == [0, 1, 2, 3, 1]
    assert path_distance([0], [2], paths).tolist() == [1]  # from (a, x) one step up is a, which both share


def test_measures_refuse_no_items_and_unequal_lengths():
    with pytest.raises(InputError, match="no items"):
        macro_f1([], [])
    with pytest.raises(InputError, match="one number per item"):
        per_class_mean([True], [0, 1])
