"""The data set "digits"."""

import numpy as np
import pytest
import sklearn.datasets

from finegrain.data import digits, glyphs

DIGEST = "62bd1dbbe4ab13caaff06279359d4f29ac3240642a08b28f7bb636897537649c"


@pytest.fixture(scope="module")
def data():
    return digits.load_digits()


def test_the_content_is_pinned(data):
    assert data.digest == DIGEST


def test_the_card_tells_the_counts(data):
    fold = data.items["fold"].value_counts()
    card = " ".join(digits.__doc__.split())
    assert f"{len(data):,} images" in card
    assert f"({fold['train']}, {fold['dev']}, {fold['test']:,} and {fold['confirm']} images)" in card


def test_cells_keep_their_ink_and_place(data):
    source = sklearn.datasets.load_digits()
    ink = source.images.sum(axis=(1, 2))
    assert np.corrcoef(ink, data.images.sum(axis=(1, 2)))[0, 1] > 0.99
    box = data.images[:, 6:24, 7:25]
    assert box.sum() == data.images.sum()
    halves = source.images[:, :4].sum(axis=(1, 2)) / ink, box[:, :9].sum(axis=(1, 2)) / box.sum(axis=(1, 2))
    assert np.abs(halves[0] - halves[1]).max() < 0.05


def test_digits_are_as_high_as_printed_ones(data):
    for digit in "0123456789":
        printed = np.flatnonzero(glyphs.draw(digit, "DejaVu Sans").any(axis=1))
        assert abs(printed.min() - 6) <= 1
        assert abs(printed.max() - 23) <= 1


def test_each_form_is_the_same_text():
    """The forms' starts are read off the labels: each form repeats the first one's digits, with few left out."""
    import difflib

    said = "".join(map(str, sklearn.datasets.load_digits().target))
    stops = [*digits.STARTS[1:], len(said)]
    forms = [said[start:stop] for start, stop in zip(digits.STARTS, stops, strict=True)]
    assert min(difflib.SequenceMatcher(None, forms[0], form, autojunk=False).ratio() for form in forms) > 0.95


def test_folds_are_whole_forms(data):
    assert (data.items.groupby("group")["fold"].nunique() == 1).all()
    assert data.items.groupby("fold")["group"].nunique().to_dict() == digits.FORMS


def test_classes_are_the_ten_glyphs(data):
    world = glyphs.load_glyphs().classes.set_index("character")
    for column in ("name", "alias", "descriptors", "path", "group"):
        assert data.classes[column].tolist() == world.loc[list("0123456789"), column].tolist()
    assert (data.items["character"].to_numpy() == data.classes["character"].to_numpy()[data.labels]).all()
    assert (data.labels == sklearn.datasets.load_digits().target).all()
