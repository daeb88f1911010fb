"""Files of results: whole, in their place, and the same bytes each time."""

import json

import numpy as np
import pandas as pd
import pytest

from finegrain import InputError
from finegrain.evaluate import Claim, judge, reliability
from finegrain.report import (
    COLOURS,
    Report,
    grid_of_images,
    leaderboard,
    learning_curves,
    reliability_diagram,
    tables,
    wide,
)


@pytest.fixture
def report(tmp_path):
    return Report("retrieval/leaderboard", out=str(tmp_path))


FRAME = pd.DataFrame(
    {"arm": ["a|b", "<i>c</i>"], "hit": [0.5, 1 / 3], "hit low": [0.4, 0.1], "hit high": [0.6, 0.5], "n": [1200, 7]}
)


def estimates():
    arms = ["plain", "ours", "other"]
    rows = {"arm": arms, "measure": "hit", "mean": [0.4, 0.6, 0.5], "low": [0.3, 0.5, 0.4], "high": [0.5, 0.7, 0.6]}
    return pd.DataFrame(rows)


def figures():
    shots = pd.DataFrame({"arm": ["a", "a", "b", "b"], "shots": [1, 4, 1, 4], "y": [0.1, 0.2, 0.3, 0.4]})
    bins = reliability(np.linspace(0, 1, 50), np.arange(50) % 2 == 0)
    return {
        "leaderboard": lambda: leaderboard(estimates(), "hit", highlight=["ours"], chance=0.1),
        "curves": lambda: learning_curves(shots, "shots", "y", by="arm", x_label="shots", y_label="y", log_x=True),
        "bands": lambda: learning_curves(
            shots.assign(**{"y low": 0, "y high": 1}), "shots", "y", by="arm", x_label="shots", y_label="y"
        ),
        "reliability": lambda: reliability_diagram({"a": bins}),
        "images": lambda: grid_of_images(np.full((3, 8, 8), 255, np.uint8), ["a", "b", "c"], title="Samples"),
    }


def test_a_table_is_csv_for_programs_and_markdown_for_readers(report, tmp_path):
    report.table(FRAME, caption="Test fold.")
    assert (tmp_path / "table.csv").read_text().splitlines()[2] == "<i>c</i>,0.333333,0.1,0.5,7"
    assert (tmp_path / "table.md").read_text() == (
        "Test fold.\n\n| arm | hit | n |\n| --- | ---: | ---: |\n"
        "| a\\|b | 0.500 [0.400, 0.600] | 1,200 |\n| \\<i>c\\</i> | 0.333 [0.100, 0.500] | 7 |\n"
    )
    read = pd.read_csv(tmp_path / "table.csv")
    assert list(read.columns) == list(FRAME.columns)


def test_the_table_in_the_notebook_is_escaped_and_has_no_chance_ids(report):
    first, second = (report.table(FRAME).to_html() for _ in range(2))
    assert first == second
    assert "&lt;i&gt;" in first
    assert "<i>" not in first


def test_a_named_index_heads_the_first_column_and_an_unnamed_one_is_refused():
    named = FRAME.set_index("arm")
    assert tables.to_csv(named) == tables.to_csv(FRAME)
    assert tables.to_markdown(named) == tables.to_markdown(FRAME)
    with pytest.raises(InputError, match="index without a name"):
        tables.to_csv(named.rename_axis(None))


def test_missing_numbers_and_truth_values_read_as_such():
    shown = tables.readable(pd.DataFrame({"x": [0.25, np.nan], "y": [True, False], "z": ["a", None]}), digits=1)
    assert shown.to_numpy().tolist() == [["0.2", "yes", "a"], ["–", "no", "–"]]
    with pytest.raises(InputError, match="no column 'w'"):
        tables.readable(FRAME, formats={"w": ".1f"})


def test_estimates_become_one_row_per_arm():
    assert wide(estimates()).columns.tolist() == ["arm", "hit", "hit low", "hit high"]
    assert tables.readable(wide(estimates())).columns.tolist() == ["arm", "hit"]


@pytest.mark.parametrize("name", figures())
def test_figures_are_the_same_to_the_byte(report, tmp_path, name):
    draw = figures()[name]
    report.figure(draw(), "one", description="What one sees.")
    report.figure(draw(), "two", description="What one sees.")
    one = (tmp_path / "one.svg").read_bytes()
    assert one == (tmp_path / "two.svg").read_bytes()
    for trace in (b"<dc:date>", b"Matplotlib", str(tmp_path).encode()):
        assert trace not in one


def test_the_picture_of_a_leaderboard_is_sorted_and_labelled():
    axes = leaderboard(estimates(), "hit", label="top-1").axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["plain", "other", "ours"]
    assert [text.get_text() for text in axes.texts] == ["0.400", "0.500", "0.600"]
    assert axes.get_xlabel() == "top-1 (mean, 95 % interval)"
    with pytest.raises(InputError, match="no measure 'miss'"):
        leaderboard(estimates(), "miss")


def test_names_stand_at_the_ends_of_their_lines_with_a_level_far_above():
    shots = pd.DataFrame({"arm": ["a", "a", "b", "b"], "shots": [1, 4, 1, 4], "y": [0.1, 0.2, 0.3, 0.4]})
    figure = learning_curves(shots, "shots", "y", by="arm", x_label="shots", y_label="y", levels={"bound": 0.9})
    axes = figure.axes[0]
    figure.draw_without_rendering()
    texts = {text.get_text(): text for text in axes.texts}
    low, high = axes.get_ylim()
    assert high > 0.9
    for name, end in {"a": 0.2, "b": 0.4}.items():
        assert texts[name].xy[1] * (high - low) + low == pytest.approx(end)
    assert texts["bound"].xy[1] == 0.9


def test_ink_is_drawn_dark_on_white():
    image = grid_of_images([np.full((4, 4), 255, np.uint8)]).axes[0].images[0]
    assert image.cmap(image.norm(255))[:3] == (0, 0, 0)
    assert image.cmap(image.norm(0))[:3] == (1, 1, 1)


def test_the_first_colours_differ_in_grey():
    def lightness(colour):
        r, g, b = ((int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5))
        return 116 * (0.2126 * r + 0.7152 * g + 0.0722 * b) ** (1 / 3) - 16

    first = sorted(lightness(colour) for colour in COLOURS[:4])
    assert min(np.diff(first)) > 9


def test_items_and_costs_have_their_places(report, tmp_path):
    path = report.items(FRAME, "predictions")
    assert path == tmp_path / "items" / "predictions.parquet"
    pd.testing.assert_frame_equal(pd.read_parquet(path), FRAME)
    report.cost(pd.DataFrame({"arm": ["a"], "seconds": [1.234]}))
    assert (tmp_path / "cost.csv").exists()


def test_places_without_out_follow_the_scale(monkeypatch, tmp_path):
    monkeypatch.setenv("FINEGRAIN_ROOT", str(tmp_path))
    monkeypatch.setenv("FINEGRAIN_BUILD", str(tmp_path / "build"))
    places = {scale: Report("retrieval/leaderboard", scale=scale).folder for scale in ("smoke", "default", "full")}
    assert places["default"] == tmp_path / "figures/retrieval/leaderboard"
    assert places["full"] == tmp_path / "figures/retrieval/leaderboard/full"
    assert places["smoke"] == tmp_path / "build/smoke/figures/retrieval/leaderboard"


def results():
    rng = np.random.default_rng(0)
    rows = [
        {"arm": arm, "seed": s, "item": i, "y": mean + rng.normal(0, 0.1)}
        for arm, mean in (("new", 0.6), ("old", 0.5))
        for s in range(5)
        for i in range(40)
    ]
    return pd.DataFrame(rows)


def test_claims_are_written_with_all_that_a_reader_needs(report, tmp_path):
    claim = Claim(
        name="c", statement="New <b>beats</b> old.", kind="superiority", measure="y", contrast={"new": 1, "old": -1},
        primary=True,
    )  # fmt: skip
    judged = judge([claim], results(), conditional_on="doc-bert")
    shown = report.claims(judged, title="A paper", parameters={"seeds": "3:8", "dataset": ["docstrings"], "out": "x"})
    written = json.loads((tmp_path / "claims.json").read_text())
    assert written["notebook"] == "retrieval/leaderboard"
    assert written["seeds"] == [3, 4, 5, 6, 7]
    assert written["parameters"] == {"seeds": "3:8", "dataset": ["docstrings"]}
    assert written["claims"][0]["verdict"] == "supported"
    assert {"finegrain", "numpy"} <= set(written["versions"])
    assert str(tmp_path) not in (tmp_path / "claims.json").read_text()
    assert judged[0].words in repr(shown)
    assert "**supported** (primary)" in shown._repr_markdown_()
    assert "<b>" not in shown._repr_markdown_().replace("\\<b>", "")


def test_parameters_that_json_cannot_hold_are_refused_and_nothing_is_written(report, tmp_path):
    with pytest.raises(InputError, match="plain numbers"):
        report.claims([], title="t", parameters={"x": object()})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(InputError, match="cannot write"):
        Report("retrieval/leaderboard", out="/proc/none").table(FRAME)
