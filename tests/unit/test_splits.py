"""A dev fold for data sets that were published without one."""

import numpy as np
import pandas as pd
import pytest

from finegrain.data import Texts, load
from finegrain.data.splits import with_dev


def texts(folds):
    groups = [f"group {row // 2}" for row in range(len(folds))]
    items = pd.DataFrame({"fold": folds, "group": groups})
    classes = pd.DataFrame({"name": ["one", "other"]})
    some = tuple(f"text {row}" for row in range(len(folds)))
    return Texts("some", some, np.arange(len(folds)) % 2, classes, items, "digest")


def test_a_share_of_the_groups_of_train_becomes_dev():
    data = texts(["train"] * 4000 + ["test"] * 100)
    split = with_dev(data)
    folds = split.items["fold"]
    assert set(folds[:4000]) == {"train", "dev"}
    assert set(folds[4000:]) == {"test"}
    assert (folds == "dev").sum() / 4000 == pytest.approx(0.2, abs=0.02)
    assert (split.items.groupby("group")["fold"].nunique() == 1).all()
    assert split.digest != data.digest  # what is remembered of the one is not taken for the other
    assert (data.items["fold"][:4000] == "train").all()


def test_the_same_items_move_each_time_and_more_with_a_larger_share():
    data = texts(["train"] * 2000)
    small, again, large = with_dev(data), with_dev(data), with_dev(data, 0.5)
    assert small.items.equals(again.items)
    moved = small.items["fold"] == "dev"
    assert (large.items["fold"][moved] == "dev").all()
    assert small.digest != large.digest


@pytest.mark.parametrize("folds", [["train", "dev"] * 10, ["test"] * 20])
def test_a_data_set_with_dev_or_without_train_stays(folds):
    data = texts(folds)
    assert with_dev(data) is data


def test_a_table_with_train_and_test_gets_one(tmp_path):
    for fold, count in (("train", 200), ("test", 50)):
        rows = [(f"{fold} text {row}", row % 2) for row in range(count)]
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / f"{fold}.csv", index=False)
    data = with_dev(load(str(tmp_path), "texts"))
    assert set(data.items["fold"]) == {"train", "dev", "test"}
    assert (data.items["fold"] == "test").sum() == 50
