"""Two runs side by side: only what differs among the parameters, every verdict, and each row of the tables once."""

import json

import pytest

from finegrain import InputError
from finegrain.run import compare


def write(folder, rows, parameters, claims):
    folder.mkdir()
    (folder / "table.csv").write_text(rows)
    (folder / "claims.json").write_text(json.dumps({"parameters": parameters, "claims": claims}))
    return str(folder)


def claim(name, verdict, effect=None, interval=None):
    return {"name": name, "statement": f"{name}.", "verdict": verdict, "effect": effect, "interval": interval}


@pytest.fixture
def runs(tmp_path):
    one = write(
        tmp_path / "one",
        "arm,hit,hit low,hit high\na,0.5,0.4,0.6\nb,0.25,0.2,0.3\n",
        {"seeds": 5, "k": 1},
        [claim("first", "supported", 0.1, [0.05, 0.15]), claim("gone", "not testable offline")],
    )
    other = write(
        tmp_path / "other",
        "arm,hit,hit low,hit high\nc,1.0,0.9,1.0\na,0.75,0.7,0.8\n",
        {"seeds": 5, "k": 2, "new": "x"},
        [claim("first", "inconclusive", 0.01, [-0.05, 0.07])],
    )
    return one, other


def test_what_differs_stands_side_by_side(runs):
    text = compare.text(*runs)
    assert "| k | 1 | 2 |" in text
    assert '| new | – | "x" |' in text
    assert "| seeds" not in text
    assert "| first. | supported: +0.100 [+0.050, +0.150] | inconclusive: +0.010 [-0.050, +0.070] |" in text
    assert "| gone. | not testable offline | – |" in text
    assert "| arm | hit A | hit B |" in text
    assert "| a | 0.500 [0.400, 0.600] | 0.750 [0.700, 0.800] |" in text
    assert "| b | 0.250 [0.200, 0.300] | – |" in text
    assert "| c | – | 1.000 [0.900, 1.000] |" in text


def test_a_run_and_itself_differ_in_nothing(runs):
    assert "Parameters are the same." in compare.text(runs[0], runs[0])


def test_tables_without_a_common_row_are_not_forced_together(runs, tmp_path):
    third = write(tmp_path / "third", "model,loss\nx,1\nx,2\n", {}, [])
    assert "no rows in common" in compare.text(runs[0], third)


def test_names_mean_published_figures_and_folders_of_runs_theirs(runs, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "one").rename(tmp_path / "run" / "figures")
    assert compare.folder(str(tmp_path / "run")) == tmp_path / "run" / "figures"
    assert compare.folder("retrieval/leaderboard").parts[-3:] == ("figures", "retrieval", "leaderboard")
    assert compare.folder("vision_language/agcd@full").parts[-2:] == ("agcd", "full")


@pytest.mark.parametrize(
    ("name", "message"),
    [("retrieval/leaderbord", "did you mean"), ("retrieval/leaderboard@fll", "did you mean 'full'")],
)
def test_what_is_no_run_is_named(name, message, tmp_path):
    with pytest.raises(InputError, match=message):
        compare.text(name, name)
    with pytest.raises(InputError, match="holds no results"):
        compare.text(str(tmp_path), str(tmp_path))
