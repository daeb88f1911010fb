"""Measures that are not a mean over items, in the form that a claim's interval needs.

Each is a function of sums over items: `totals` adds up what its function needs for every cell (a seed and a cluster),
`value` turns sums into the measure. Leaving a cluster out is then one subtraction. A claim names a per-item measure by
its column, and one of these by the object: `Claim(measure=MacroF1(classes=60), ...)`.
"""

import dataclasses

import numpy as np

from finegrain.errors import InputError


@dataclasses.dataclass(frozen=True)
class Mean:
    """The mean of a column over items. A plain column name as a claim's measure means this."""

    column: str

    @property
    def name(self):
        """What tables call it."""
        return self.column

    @property
    def columns(self):
        """The columns of the results that it reads."""
        return (self.column,)

    def totals(self, frame, cells, count):
        """(count, V) sums over the rows of `frame`, each of which belongs to the cell that `cells` says."""
        values = frame[self.column].to_numpy(dtype=np.float64)
        return np.stack([np.bincount(cells, values, count), np.bincount(cells, minlength=count)], 1)

    def value(self, totals):
        """The measure (...) from sums (..., V); NaN where there are no items."""
        return _ratio(totals[..., 0], totals[..., 1])


@dataclasses.dataclass(frozen=True)
class PerClassMean:
    """The mean over classes of the mean of a column over each class's items, over classes that have items.

    label: the column of the items' right classes, int from 0 to classes - 1.
    """

    column: str
    classes: int
    label: str = "label"

    @property
    def name(self):
        """What tables call it."""
        return f"per-class mean of {self.column}"

    @property
    def columns(self):
        """The columns of the results that it reads."""
        return (self.column, self.label)

    def totals(self, frame, cells, count):
        """(count, 2 classes): per class the sum of the column and the number of items."""
        values = frame[self.column].to_numpy(dtype=np.float64)
        labels = _labels(frame, self.label, self.classes)
        return np.concatenate([_by_class(cells, labels, count, self.classes, w) for w in (values, None)], 1)

    def value(self, totals):
        """The measure (...) from sums (..., 2 classes)."""
        sums, items = np.split(totals, 2, -1)
        return _mean_where(_ratio(sums, items), items > 0)


@dataclasses.dataclass(frozen=True)
class MacroF1:
    """The unweighted mean of F1 over the classes that occur among the labels, as `macro_f1` has it.

    predicted, label: columns of classes, int from 0 to classes - 1.
    """

    classes: int
    predicted: str = "predicted"
    label: str = "label"

    @property
    def name(self):
        """What tables call it."""
        return "macro-F1"

    @property
    def columns(self):
        """The columns of the results that it reads."""
        return (self.predicted, self.label)

    def totals(self, frame, cells, count):
        """(count, 3 classes): per class the items that have it, those predicted as it, and those that are both."""
        predicted = _labels(frame, self.predicted, self.classes)
        labels = _labels(frame, self.label, self.classes)
        right = (predicted == labels).astype(np.float64)
        sums = ((labels, None), (predicted, None), (labels, right))
        return np.concatenate([_by_class(cells, which, count, self.classes, w) for which, w in sums], 1)

    def value(self, totals):
        """The measure (...) from sums (..., 3 classes)."""
        items, predicted, both = np.split(totals, 3, -1)
        return _mean_where(_ratio(2 * both, items + predicted), items > 0)


@dataclasses.dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error over bins of equal width, as `expected_calibration_error` has it."""

    bins: int = 15
    confidence: str = "confidence"
    correct: str = "correct"

    @property
    def name(self):
        """What tables call it."""
        return "ECE"

    @property
    def columns(self):
        """The columns of the results that it reads."""
        return (self.confidence, self.correct)

    def totals(self, frame, cells, count):
        """(count, bins + 1): per bin the sum of confidence - correct, then the number of items."""
        from finegrain.evaluate.classification import confidence_bin

        confidence = frame[self.confidence].to_numpy(dtype=np.float64)
        gap = confidence - frame[self.correct].to_numpy(dtype=np.float64)
        gaps = _by_class(cells, confidence_bin(confidence, self.bins), count, self.bins, gap)
        return np.concatenate([gaps, np.bincount(cells, minlength=count)[:, None]], 1)

    def value(self, totals):
        """The measure (...) from sums (..., bins + 1)."""
        return _ratio(np.abs(totals[..., :-1]).sum(-1), totals[..., -1])


def as_measure(measure):
    """The measure object that a claim's `measure` means: itself, or the mean of the column that it names."""
    return Mean(measure) if isinstance(measure, str) else measure


def _labels(frame, column, classes):
    labels = frame[column].to_numpy()
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"column {column!r}: give whole numbers from 0 to {classes - 1} for {classes} classes")
    return labels


def _by_class(cells, classes, count, width, weights):
    return np.bincount(cells * width + classes, weights, count * width).reshape(count, width).astype(np.float64)


def _ratio(a, b):
    with np.errstate(divide="ignore", invalid="ignore"):
        return a / b


def _mean_where(values, which):
    return _ratio(np.where(which, values, 0).sum(-1), which.sum(-1))
