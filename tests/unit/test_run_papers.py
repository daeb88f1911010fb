"""README's table of papers and the words of a session come from files, never from a keyboard."""

import json

import pytest

from finegrain import InputError
from finegrain.run import papers, session
from finegrain.run.execute import Outcome


def publish(kit, folder, verdict, seconds, scale="default", **more):
    target = kit.root / "figures" / folder
    target.mkdir(parents=True)
    claims = [
        {"name": "b", "statement": "Second.", "primary": False, "verdict": "supported"},
        {"name": "a", "statement": "A | claim.", "primary": True, "verdict": verdict},
    ]
    (target / "claims.json").write_text(json.dumps({"title": "A paper", "scale": scale, "claims": claims} | more))
    (target / "run.json").write_text(json.dumps({"seconds": seconds}))


def test_the_table_shows_the_primary_claim_at_the_largest_scale(kit, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_ROOT", str(kit.root))
    publish(kit, "retrieval/paper", "inconclusive", 12.3)
    publish(kit, "retrieval/paper/full", "supported", 600.4, "full")
    publish(kit, "text_classification/other", "contradicted", 3.0)
    rows = papers.table().splitlines()[2:]
    link = "[A paper](notebooks/retrieval/paper.ipynb)"
    assert rows[0] == rf"| {link} | retrieval | A \| claim. | supported | 600 | full |"
    assert rows[1].endswith("| text classification | A \\| claim. | contradicted | 3 | default |")


def test_only_what_stands_between_the_markers_is_replaced(kit, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_ROOT", str(kit.root))
    publish(kit, "retrieval/paper", "supported", 1)
    readme = kit.root / "README.md"
    readme.write_text(f"before\n{papers.START}\nearlier words\n{papers.END}\nafter\n")
    papers.update(readme)
    first = readme.read_text()
    assert first.startswith(f"before\n{papers.START}\n| paper |")
    assert first.endswith(f"{papers.END}\nafter\n")
    assert "earlier words" not in first
    papers.update(readme)
    assert readme.read_text() == first


def test_what_chance_may_have_supported_is_counted_by_notebook(kit, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_ROOT", str(kit.root))
    assert papers.chance() == "No claim has been judged yet."
    publish(kit, "retrieval/paper", "inconclusive", 1)
    publish(kit, "retrieval/paper/full", "supported", 1, "full")  # counts instead of the one at default
    publish(kit, "retrieval/other", "not testable offline", 1)  # its secondary claim alone was judged
    said = papers.chance()
    assert said.startswith("3 claims judged, 3 of them supported.")
    assert "at most 0.025 of the 1 primary claim would be" in said
    assert "secondary ones in 0.05 of the 2 notebooks" in said


def test_a_readme_without_markers_is_left_alone(kit):
    (kit.root / "README.md").write_text("text")
    with pytest.raises(InputError, match="has no lines"):
        papers.update(kit.root / "README.md")
    assert (kit.root / "README.md").read_text() == "text"


def test_lines_count_what_has_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_SESSION", str(tmp_path))
    (tmp_path / "count").write_text("12\n")
    first = session.report(Outcome("retrieval/paper", "ran", 12.34, ["inconclusive", "supported"]))
    assert first.split() == ["[", "1/12]", "retrieval/paper", "12.3", "s", "1", "supported,", "1", "inconclusive"]
    assert session.report(Outcome("retrieval/other", "unchanged")).split() == [
        "[",
        "2/12]",
        "retrieval/other",
        "unchanged",
    ]


def test_lines_say_how_long_the_rest_took_the_last_time(tmp_path, kit, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_SESSION", str(tmp_path))
    monkeypatch.setenv("FINEGRAIN_ROOT", str(kit.root))
    monkeypatch.setenv("MAKEFLAGS", " -j2 --jobserver-auth=3,4")
    monkeypatch.delenv("FINEGRAIN_BUILD", raising=False)
    names = ["retrieval/a", "retrieval/b", "retrieval/c", "retrieval/d"]
    (tmp_path / "names").write_text("".join(f"default/{name}\n" for name in names))
    (tmp_path / "count").write_text("4\n")
    for name, seconds in zip(names[1:], (240, 120, 30), strict=True):
        folder = kit.root / "figures" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"scale": "default", "seconds": seconds}))
    assert session.report(Outcome("retrieval/a", "ran", 1.0)).endswith("(about 4 min left)")  # one of them takes 4
    assert session.report(Outcome("retrieval/b", "ran", 1.0)).endswith("(about 2 min left)")
    assert session.report(Outcome("retrieval/c", "ran", 1.0)).endswith("(less than a minute left)")
    assert session.report(Outcome("retrieval/d", "ran", 1.0)).endswith(" s")
    (tmp_path / "4.json").unlink()
    (kit.root / "figures/retrieval/d/run.json").unlink()
    assert session.report(Outcome("retrieval/a", "ran", 1.0)).endswith(" s")  # no one knows how long d takes


def test_a_notebook_that_left_no_word_and_no_record_has_failed(tmp_path, kit, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_SESSION", str(tmp_path))
    monkeypatch.setenv("FINEGRAIN_ROOT", str(kit.root))
    monkeypatch.delenv("FINEGRAIN_BUILD", raising=False)
    text, complete = session.summary(["retrieval/paper"], "default")
    assert "1 failed" in text
    assert "it ended without a word" in text
    assert not complete
