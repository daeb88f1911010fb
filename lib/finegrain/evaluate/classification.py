"""Measures of classification, per item where claims need items.

Letters: N items, C classes. Scores and labels are numpy arrays or what numpy makes arrays of; a label is a row
number of the classes, 0 to C - 1. Of equal scores the lower class number wins, here and in `argmax`.
"""

import numpy as np
import pandas as pd

from finegrain.errors import InputError


def hits(scores, labels, k=1) -> np.ndarray:
    """Whether each item's right class is among its k best scored: (N,) bool. Its mean is top-k accuracy.

    scores: (N, C) float, larger is better, no NaN; ties go to the lower class number.
    labels: (N,) int.
    k: 1 to C.

    >>> hits([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], [2, 1], k=2)
    array([ True,  True])
    >>> hits([[0.4, 0.4, 0.2]], [1])  # classes 0 and 1 tie: 0 wins
    array([False])
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise InputError(f"scores {scores.shape} and labels {labels.shape}: give (N, C) and (N,)")
    items, classes = scores.shape
    if not 1 <= k <= classes:
        raise InputError(f"k={k}: with {classes} classes k is 1 to {classes}")
    _refuse_labels_outside(labels, classes)
    if np.isnan(scores).any():
        raise InputError(f"scores of item {np.isnan(scores).any(1).argmax()} hold NaN; give every class a number")
    right = scores[np.arange(items), labels][:, None]
    before = np.arange(classes) < labels[:, None]
    ahead = (scores > right) | ((scores == right) & before)
    return ahead.sum(1) < k


def per_class_mean(values, labels) -> float:
    """The mean over classes of the mean over each class's items; classes without items do not count.

    values: (N,) bool or float, such as `hits`.
    labels: (N,) int.

    >>> per_class_mean([True, True, True, False], [0, 0, 0, 1])
    0.5
    """
    values, labels = _matching(values=values, labels=labels)
    _, which = np.unique(labels, return_inverse=True)
    return float(np.mean(np.bincount(which, weights=values) / np.bincount(which)))


def macro_f1(predicted, labels) -> float:
    """The unweighted mean of F1 over the classes that occur among the labels (scikit-learn's `f1_score`).

    A class that is predicted but never right adds no term of its own; it costs recall elsewhere.
    predicted, labels: (N,) int.

    >>> macro_f1([0, 0, 1, 2], [0, 0, 1, 1]) == (1 + 2 / 3) / 2
    True
    """
    from sklearn.metrics import f1_score

    predicted, labels = _matching(predicted=predicted, labels=labels)
    return float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0))


def reliability(confidence, correct, bins=15) -> pd.DataFrame:
    """Accuracy against confidence in bins of equal width, one row per bin: the numbers of a reliability diagram.

    confidence: (N,) float in 0..1, the probability of the predicted class.
    correct: (N,) bool.
    Bin b of B holds confidences in (b / B, (b + 1) / B], the first one 0 as well. Columns: `low`, `high`, `items`, and
    the means `confidence` and `accuracy`, NaN in an empty bin.

    >>> reliability([0.1, 0.9, 0.7], [False, True, False], bins=2)
       low  high  items  confidence  accuracy
    0  0.0   0.5      1         0.1       0.0
    1  0.5   1.0      2         0.8       0.5
    """
    confidence, correct = _matching(confidence=confidence, correct=correct)
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise InputError("confidence holds numbers outside 0..1 or NaN; give the probability of the predicted class")
    which = confidence_bin(confidence, bins)
    items = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(which, weights=confidence, minlength=bins) / items
        accuracy = np.bincount(which, weights=correct, minlength=bins) / items
    edges = np.arange(bins + 1) / bins
    return pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "items": items, "confidence": mean_confidence, "accuracy": accuracy}
    )


def confidence_bin(confidence, bins=15) -> np.ndarray:
    """The bin of `reliability` that each confidence falls into: (N,) int, 0 to bins - 1."""
    return np.clip(np.ceil(np.asarray(confidence) * bins).astype(np.int64) - 1, 0, bins - 1)


def expected_calibration_error(confidence, correct, bins=15) -> float:
    """The mean gap between confidence and accuracy, over the bins of `reliability`, weighted by their items.

    Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3. It is never negative, so that
    small samples overstate it.

    >>> round(expected_calibration_error([0.1, 0.9, 0.7], [False, True, False], bins=2), 4)
    0.2333
    """
    table = reliability(confidence, correct, bins)
    gap = (table["confidence"] - table["accuracy"]).abs()
    return float((gap * table["items"]).sum() / table["items"].sum())  # an empty bin's NaN is skipped


def path_distance(predicted, labels, paths) -> np.ndarray:
    """How far up the class path a wrong answer lies: (N,) int, steps to the deepest node that both classes share.

    predicted, labels: (N,) int.
    paths: C tuples of str, each from the general to the special.
    0 is a right answer; 1 is a wrong one in the same innermost group; the length of the right class's path means that
    not even the first step is shared. Where two classes share their whole path the distance is 1.

    >>> paths = [("Latin", "small", "a"), ("Latin", "small", "b"), ("Greek", "small", "a")]
    >>> path_distance([0, 1, 2], [0, 0, 0], paths)
    array([0, 1, 3])
    """
    predicted, labels = _matching(predicted=predicted, labels=labels)
    paths = [tuple(path) for path in paths]
    _refuse_labels_outside(labels, len(paths))
    _refuse_labels_outside(predicted, len(paths))
    pairs, which = np.unique(np.stack([predicted, labels], 1), axis=0, return_inverse=True)
    distances = [_steps_up(paths[right], paths[given], given == right) for given, right in pairs]
    return np.array(distances, dtype=np.int64)[which]


def _steps_up(right, given, same):
    if same:
        return 0
    shared = 0
    for ours, theirs in zip(right, given, strict=False):
        if ours != theirs:
            break
        shared += 1
    return max(1, len(right) - shared)


def _matching(**arrays):
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    shapes = {values.shape for values in arrays.values()}
    if len(shapes) != 1 or any(len(shape) != 1 for shape in shapes):
        told = " and ".join(f"{name} {values.shape}" for name, values in arrays.items())
        raise InputError(f"{told}: give one number per item for each")
    if not len(next(iter(arrays.values()))):
        raise InputError("no items: a measure needs at least one")
    return arrays.values()


def _refuse_labels_outside(labels, classes):
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise InputError(f"labels are {labels.min()} to {labels.max()}; with {classes} classes give 0 to {classes - 1}")
