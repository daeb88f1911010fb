"""No image of the training fold stands in another fold, by a definition that the worlds themselves do not use.

The thresholds were written before anything was measured: no identical image, and no image whose mean absolute
difference from a training image, after the best shift by up to one pixel, is 1 % of their mean ink or less.
"""

import itertools

import numpy as np
import pytest
import torch

from finegrain.data.digits import load_digits
from finegrain.data.glyphs import load_glyphs

IDENTICAL = 0
NEAR_IDENTICAL = 0
SHARE_OF_INK = 0.01
NEIGHBOURS = 6


@pytest.fixture(scope="module")
def glyphs():
    return load_glyphs()


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def cells(images, size=4):
    """Means over 4x4 cells: (N, 64) float32, centred and scaled for a cosine."""
    n, height, width = images.shape
    pooled = images.reshape(n, height // size, size, width // size, size).mean(axis=(2, 4)).reshape(n, -1)
    return torch.from_numpy((pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32))


def difference(one, other):
    """Least mean absolute difference over shifts by at most a pixel, as a share of the mean ink: (P,) float."""
    one, other = one.astype(np.int16), other.astype(np.int16)
    height, width = one.shape[1:]
    padded = np.pad(other, [(0, 0), (1, 1), (1, 1)])
    shifted = (padded[:, y : y + height, x : x + width] for y, x in itertools.product(range(3), repeat=2))
    least = np.min([np.abs(one - image).sum(axis=(1, 2)) for image in shifted], axis=0)
    return least / ((one.sum(axis=(1, 2)) + other.sum(axis=(1, 2))) / 2)


def nearest_share(images, references):
    """For each image the least difference from its nearest references: (N,) float."""
    least = np.full(len(images), np.inf)
    index = cells(references)
    for start in range(0, len(images), 1000):
        part = images[start : start + 1000]
        near = (cells(part) @ index.T).topk(NEIGHBOURS).indices.numpy()
        for column in near.T:
            found = difference(part, references[column])
            least[start : start + 1000] = np.minimum(least[start : start + 1000], found)
    return least


def folds(data):
    return {fold: data.images[(data.items["fold"] == fold).to_numpy()] for fold in ("train", "dev", "test", "confirm")}


@pytest.mark.parametrize("name", ["glyphs", "digits"])
def test_no_image_stands_in_two_folds(name, request):
    seen = {
        fold: {image.tobytes() for image in images} for fold, images in folds(request.getfixturevalue(name)).items()
    }
    repeated = {pair: len(seen[pair[0]] & seen[pair[1]]) for pair in itertools.combinations(seen, 2)}
    assert sum(repeated.values()) == IDENTICAL, repeated


@pytest.mark.slow
@pytest.mark.parametrize("name", ["glyphs", "digits"])
def test_no_image_nearly_stands_in_training(name, request):
    by_fold = folds(request.getfixturevalue(name))
    rest = np.concatenate([by_fold["dev"], by_fold["test"], by_fold["confirm"]])
    assert (nearest_share(rest, by_fold["train"]) <= SHARE_OF_INK).sum() == NEAR_IDENTICAL


@pytest.mark.slow
@pytest.mark.parametrize("name", ["glyphs", "digits"])
def test_no_test_image_nearly_stands_in_dev_or_confirm(name, request):
    by_fold = folds(request.getfixturevalue(name))
    choices = np.concatenate([by_fold["dev"], by_fold["confirm"]])
    assert (nearest_share(by_fold["test"], choices) <= SHARE_OF_INK).sum() == NEAR_IDENTICAL


def test_the_measure_sees_a_shifted_image_and_not_an_accent_turned_round():
    from finegrain.data.glyphs import draw

    acute, grave = draw("é", "DejaVu Sans"), draw("è", "DejaVu Sans")
    assert difference(acute[None], np.roll(acute, (1, -1), (0, 1))[None]) == 0
    assert difference(acute[None], grave[None]) > 3 * SHARE_OF_INK


def test_no_digit_is_a_glyph(glyphs, digits):
    assert not {image.tobytes() for image in glyphs.images} & {image.tobytes() for image in digits.images}


def test_a_homoglyph_group_has_one_role_and_unseen_groups_one_fold(glyphs):
    assert (glyphs.classes.groupby("group")["role"].nunique() == 1).all()
    role = glyphs.classes["role"].to_numpy()[glyphs.labels]
    unseen = role != "train"
    assert (glyphs.items["fold"].to_numpy()[unseen] == role[unseen]).all()
    elsewhere = glyphs.items[glyphs.items["fold"] != "train"]
    assert (elsewhere.groupby("group")["fold"].nunique() == 1).all()


def test_no_alias_says_anything(glyphs):
    classes = glyphs.classes
    said = {word for text in [*classes["name"], *classes["descriptors"].map(" ".join)] for word in text.split()}
    assert classes["alias"].is_unique
    assert not said & set(classes["alias"])


def test_what_pretraining_may_show_is_about_trained_classes(glyphs):
    classes = glyphs.classes
    shown = set(glyphs.labels[(glyphs.items["fold"] == "train").to_numpy()])
    assert set(classes.index[classes["trained"]]) == shown
    assert (classes.loc[classes["trained"], "role"] == "train").all()
    assert classes.loc[classes["alias_known"] | classes["name_known"], "trained"].all()
    assert (classes["alias_weight"] > 0).equals(classes["alias_known"])
