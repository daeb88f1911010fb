"""`make verify` runs again from nothing and tells identical, close and different results apart."""

import json

import pytest

from finegrain.run import verify

TABLE = "arm,hit,hit low,hit high,n,ms sd,ms,p\na,0.5,0.4,0.6,100,0.1,2,0.01\nb,0.25,0.2,0.3,100,0.1,3,0.5\n"
CLAIM = {
    "name": "it",
    "statement": "It is so.",
    "verdict": "supported",
    "effect": 0.2,
    "interval": [0.1, 0.3],
    "p": 0.01,
}
RECORD = {
    "cpu_capability": "AVX512",
    "threads": 1,
    "versions": {"numpy": "2.0"},
    "inputs": {
        "lock": "x",
        "notebook": "y",
        "modules": {"lib/a.py": "1"},
        "backbones": {"doc-bert": "1"},
        "folders": {},
    },
}


def folder(path, table=TABLE, figure="<svg/>", claim=None, **record):
    """A folder of published results."""
    path.mkdir()
    (path / "table.csv").write_text(table)
    (path / "table.md").write_text("as a table: " + table)
    (path / "headline.svg").write_text(figure)
    (path / "cost.csv").write_text(str(path))
    (path / "claims.json").write_text(json.dumps({"scale": "default", "claims": [CLAIM | (claim or {})]}))
    outputs = {"figures": dict.fromkeys(["table.csv", "table.md", "headline.svg", "cost.csv", "claims.json"], "")}
    (path / "run.json").write_text(json.dumps(RECORD | {"outputs": outputs} | record))
    return path


def statuses(tmp_path, **fresh):
    """Status of each file where these things are otherwise in the fresh results, and the findings."""
    findings = verify.compare(folder(tmp_path / "then"), folder(tmp_path / "now", **fresh))
    return {found.file: found.status for found in findings}, findings


def test_the_same_bytes_are_identical_and_what_a_clock_made_is_left_out(tmp_path):
    found, _ = statuses(tmp_path)
    assert found == dict.fromkeys(["claims.json", "headline.svg", "table.csv", "table.md"], verify.IDENTICAL)


@pytest.mark.parametrize(
    ("was", "now", "status"),
    [
        ("a,0.5,", "a,0.54,", "within tolerance"),  # a quarter of 0.4 to 0.6 is 0.05
        ("a,0.5,", "a,0.56,", "different"),
        ("0.4,0.6,100", "0.41,0.62,100", "within tolerance"),
        (",2,0.01", ",2.29,0.01", "within tolerance"),  # three times its deviation
        (",2,0.01", ",2.31,0.01", "different"),
        (",2,0.01", ",2,0.049", "within tolerance"),
        (",2,0.01", ",2,0.051", "different"),
        ("0.6,100,", "0.6,100.05,", "within tolerance"),
        ("0.6,100,", "0.6,101,", "different"),
        ("b,0.25", "c,0.25", "different"),
        ("b,0.25", "b,", "different"),
        ("arm,hit,", "arm,hits,", "different"),
        ("b,0.25,0.2,0.3,100,0.1,3,0.5\n", "", "different"),
    ],
)
def test_a_cell_is_within_its_tolerance_or_not(tmp_path, was, now, status):
    assert was in TABLE
    found, findings = statuses(tmp_path, table=TABLE.replace(was, now, 1))
    assert found["table.csv"] == found["table.md"] == status
    assert found["claims.json"] == "identical"
    assert verify.report({"a/b": findings}, {})[1] == (status != "different")


@pytest.mark.parametrize(
    ("claim", "status", "changed"),
    [
        ({"words": "Otherwise said."}, "identical", 0),
        ({"effect": 0.21, "interval": [0.11, 0.31]}, "within tolerance", 0),
        ({"effect": 0.26}, "different", 0),
        ({"interval": [0.1, 0.4]}, "different", 0),
        ({"interval": None}, "different", 0),
        ({"verdict": "inconclusive"}, "different", 1),
        ({"name": "that"}, "different", 0),
        ({"statement": "It is not."}, "different", 0),
    ],
)
def test_claims_are_held_by_verdict_effect_and_interval(tmp_path, claim, status, changed):
    found, findings = statuses(tmp_path, claim=claim)
    assert found["claims.json"] == status
    text, well = verify.report({"a/b": findings}, {})
    assert f"{changed} verdicts changed" in text
    assert well == (status != "different")


def test_a_figure_counts_as_its_numbers_do(tmp_path):
    assert statuses(tmp_path, figure="<svg> </svg>")[0]["headline.svg"] == "different"
    other = folder(tmp_path / "other", table=TABLE.replace("0.5,0.4", "0.51,0.4"), figure="<svg> </svg>")
    found = {one.file: one.status for one in verify.compare(tmp_path / "then", other)}
    assert found["headline.svg"] == "within tolerance"


def test_a_file_too_few_or_too_many_is_different(tmp_path):
    then, now = folder(tmp_path / "then"), folder(tmp_path / "now")
    (then / "headline.svg").unlink()
    assert [one.file for one in verify.compare(then, now) if one.status == "different"] == ["headline.svg"]


def test_the_records_say_why_results_may_differ(tmp_path):
    inputs = RECORD["inputs"] | {"modules": {"lib/a.py": "2"}, "backbones": {"doc-bert": "2"}}
    record = {"cpu_capability": "AVX2", "versions": {"numpy": "2.1"}, "inputs": inputs}
    then, now = folder(tmp_path / "then"), folder(tmp_path / "now", **record)
    assert verify.causes(then, now) == [
        "CPU capability: AVX512, now AVX2",
        "numpy: 2.0, now 2.1",
        "lib/a.py: edited since",
        "doc-bert: other weights",
    ]
    assert "should give the same bytes" in verify.causes(then, then)[0]


CELL = """
from pathlib import Path
Path(out, 'table.csv').write_text('arm,hit\\na,1000\\n')
Path(out, 'cost.csv').write_text(str(__import__('time').time()))
"""


def test_make_verify_runs_from_nothing_and_sees_doctored_figures(kit):
    kit.notebook("retrieval/plain", CELL)
    kit.notebook("retrieval/fails", "from pathlib import Path\nassert not Path('broken').exists()", CELL)
    kit.make("all")
    before = kit.files("figures", "build")
    well = kit.make("verify")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "2 notebooks, 2 files, 4 cells compared: 2 identical, 0 within tolerance, 0 different" in well.stdout
    assert "2 notebooks at scale default: 2 ran" in well.stdout
    assert [name for name in kit.files("figures", "build") if not name.startswith("build/verify/")] == before

    table = kit.root / "figures/retrieval/plain/table.csv"
    table.write_text(table.read_text().replace("1000", "1000.5"))
    close = kit.make("verify", "NB=retrieval/plain")
    assert close.returncode == 0
    assert "row 1, hit: 1000.5, now 1000 (allowed: 1)" in close.stdout
    assert "may differ because of table.csv: changed by hand since its run" in close.stdout
    assert "1 notebooks, 1 files, 2 cells compared: 0 identical, 1 within tolerance" in close.stdout

    table.write_text(table.read_text().replace("1000.5", "900"))
    (kit.root / "broken").touch()
    different = kit.make("verify")
    assert different.returncode == 2
    assert "1 different" in different.stdout
    assert "1 notebooks did not run" in different.stdout
    assert table.read_text() == "arm,hit\na,900\n"
