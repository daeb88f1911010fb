"""`make sweep` runs a notebook once for each combination of a grid, and ends in one table."""

import pandas as pd
import pytest

from finegrain import InputError
from finegrain.run import notebooks, sweep

PARAMETERS = (
    'scale: str = "default"\nseeds: int | str | list = 5\nk: int = 1\nks: list[int] = [1]\n'
    'backbone: list[str] = ["a"]\nname: str = "x"\nout: str = ""'
)
CELL = """
import json
from pathlib import Path
if k == 2 and backbone == ['b']:
    raise RuntimeError('k is two')
claims = [{'name': 'it', 'statement': 'So.', 'primary': True, 'verdict': 'supported', 'effect': k, 'interval': [0, k]}]
Path(out, 'claims.json').write_text(json.dumps({'title': 'A paper', 'scale': scale, 'claims': claims}))
Path(out, 'table.csv').write_text(f'arm,hit\\none,{k}\\ntwo,{len(seeds) if isinstance(seeds, list) else seeds}\\n')
"""


@pytest.fixture
def notebook(kit):
    return notebooks.read(kit.notebook("retrieval/plain", CELL, parameters=PARAMETERS), "retrieval/plain")


@pytest.mark.parametrize(
    ("grid", "runs"),
    [
        ("k=1,3", [{"k": 1}, {"k": 3}]),
        ("k=0:3", [{"k": 0}, {"k": 1}, {"k": 2}]),
        ("k=0:2,7", [{"k": 0}, {"k": 1}, {"k": 7}]),
        ("seeds=0:2", [{"seeds": [0]}, {"seeds": [1]}]),
        ("seeds=3,5", [{"seeds": 3}, {"seeds": 5}]),
        ("seeds=[0,1],[2]", [{"seeds": [0, 1]}, {"seeds": [2]}]),
        ("ks=[1,5],[1, 10]", [{"ks": [1, 5]}, {"ks": [1, 10]}]),
        ("backbone=a,b", [{"backbone": ["a"]}, {"backbone": ["b"]}]),
        ('backbone=["a","b"],c', [{"backbone": ["a", "b"]}, {"backbone": ["c"]}]),
        ("name='a word',b", [{"name": "a word"}, {"name": "b"}]),
        ("k=1,2 name=a,b", [{"k": k, "name": name} for k in (1, 2) for name in "ab"]),
    ],
)
def test_a_grid_is_every_combination_of_its_alternatives(notebook, grid, runs):
    assert sweep.expand(notebook, grid) == runs


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("", "the grid is empty"),
        ("k", "not of the form name=values"),
        ("kk=1,2", "there is no parameter 'kk'; did you mean"),
        ("k=1,a", "k='a' is not int"),
        ("k=1,,2", "has an empty value"),
        ("k=3:3", "holds no value"),
        ("k=1,2,1", "k has 1 twice"),
        ("k=0:3,2", "k has 2 twice"),
        ("k=1 k=2", "k is given twice"),
        ("out=a,b", "out is no axis"),
        ("k=0:200 seeds=0:200", "40,000 runs are more"),
        ("k=0:1000000000", "more than 10,000 values"),
        ("scale=smoke,tiny", "scale='tiny'"),
        ("name='a", "No closing quotation"),
    ],
)
def test_a_bad_grid_is_refused_before_anything_runs(kit, notebook, grid, message):
    with pytest.raises(InputError, match=message):
        sweep.expand(notebook, grid)


def test_a_sweep_runs_all_ends_in_a_table_and_skips_what_is_up_to_date(kit, notebook):
    grid = ["sweep", "NB=retrieval/plain", "GRID=seeds=0:2 backbone=a,b k=1,2", "JOBS=2"]
    launcher = kit.root / "launcher"
    launcher.write_text('#!/bin/sh\necho "$@" >> launched\nexec "$@"\n')
    launcher.chmod(0o755)
    first = kit.make(*grid, "LAUNCH=./launcher")
    assert first.returncode == 2, first.stdout + first.stderr
    assert "8 runs, 2 failed" in first.stdout
    assert len((kit.root / "launched").read_text().splitlines()) == 8
    (path,) = (kit.root / "build/sweeps/retrieval/plain").glob("*/runs.csv")
    runs = pd.read_csv(path, keep_default_na=False)
    assert list(runs["seeds"]) == ["[0]"] * 4 + ["[1]"] * 4
    assert list(runs["k"]) == [1, 2] * 4
    bad = (runs["k"] == 2) & (runs["backbone"] == '["b"]')
    assert list(runs["status"]) == ["failed" if b else "ran" for b in bad]
    assert set(runs.loc[bad, "error"]) == {"RuntimeError: k is two"}
    assert set(runs.loc[~bad, "it: verdict"]) == {"supported"}
    assert [float(value) for value in runs.loc[~bad, "it: effect"]] == list(runs.loc[~bad, "k"])
    assert all(float(value) > 0 for value in runs.loc[~bad, "seconds"])
    kept = pd.read_parquet(path.with_suffix(".parquet"))
    pd.testing.assert_frame_equal(
        kept.drop(columns="error"), pd.read_csv(path).drop(columns="error"), check_dtype=False
    )
    assert list(kept["error"]) == list(runs["error"])
    values = pd.read_csv(path.with_name("values.csv"))
    assert len(values) == 6 * 2
    assert set(values["column"]) == {"hit"}
    assert list(values.loc[values["row"] == "two", "value"]) == [1.0] * 6

    again = kit.make(*grid)
    assert again.stdout.count("unchanged") == 6
    assert "8 runs, 2 failed" in again.stdout
    assert kit.files("figures") == []


def test_a_bad_grid_leaves_nothing(kit, notebook):
    result = kit.make("sweep", "NB=retrieval/plain", "GRID=k=1,a")
    assert result.returncode == 2
    assert "k='a' is not int" in result.stderr
    assert kit.files("build") == []
