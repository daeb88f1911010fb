"""`make why` names everything that made a notebook stale, and `make -n all` what would run; neither runs anything."""

import json
import os
import shutil
import time

TABLE = "from pathlib import Path\nPath(out, 'table.csv').write_text('a\\n1\\n')"
SEEDED = "from finegrain.seeding import generator\n" + TABLE
PARAMETERS = 'scale: str = "default"\nk: int = 1\nout: str = ""'
FOLDER = "from finegrain.data import load\nload('reviews', 'texts')\n" + TABLE


def why(kit, *words):
    result = kit.make("why", *words)
    assert result.returncode == 0, result.stderr
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def later(path):
    now = time.time() + 2
    os.utime(path, (now, now))


def edit(path, text):
    path.write_text(path.read_text() + text)
    later(path)


def pin(kit, text, tool=False):
    """Add a line to the lock: among the packages that results depend on, or below them."""
    path = kit.root / "requirements.lock"
    path.write_text(path.read_text() + text if tool else text + path.read_text())
    later(path)


def test_why_names_every_reason_and_not_only_the_first(kit):
    path = kit.notebook("retrieval/seeded", SEEDED, "k", parameters=PARAMETERS)
    assert why(kit, "NB=retrieval/seeded") == ["retrieval/seeded it has not run here yet"]
    kit.make("all")
    assert why(kit) == ["retrieval/seeded up to date"]
    pin(kit, "something==1\n", tool=True)
    assert why(kit) == ["retrieval/seeded up to date"]

    edit(kit.root / "lib/finegrain/seeding.py", "\n# edited\n")
    pin(kit, "something==1\n")
    path.write_text(path.read_text().replace("k: int = 1", "k: int = 2").replace('"k"', '"k + 1"'))
    (kit.root / "figures/retrieval/seeded/table.csv").unlink()
    (kit.root / "figures/retrieval/seeded/table.csv").write_text("a\n2\n")
    assert why(kit, "NB=retrieval/seeded", "THREADS=2") == [
        "retrieval/seeded parameter k: 1 -> 2",
        "retrieval/seeded cell cell-1 changed",
        "retrieval/seeded threads: 1 -> 2",
        "retrieval/seeded requirements.lock changed",
        "retrieval/seeded lib/finegrain/seeding.py changed",
        "retrieval/seeded figures/retrieval/seeded/table.csv is not what the run made",
    ]


def test_a_changed_parameter_default_reruns_its_notebook_and_no_other(kit):
    writes = "from pathlib import Path\nPath(out, 'table.csv').write_text(str(k))"
    path = kit.notebook("retrieval/k", writes, parameters=PARAMETERS)
    kit.notebook("retrieval/plain", TABLE)
    kit.make("all")
    path.write_text(path.read_text().replace("k: int = 1", "k: int = 3"))
    later(path)
    again = kit.make("all")
    assert "2 notebooks at scale default: 1 ran, 1 up to date" in again.stdout
    assert (kit.root / "figures/retrieval/k/table.csv").read_text() == "3"


def test_a_data_folder_counts_with_its_content_and_a_touch_of_it_does_not(kit):
    (kit.root / "reviews").mkdir()
    (kit.root / "reviews/train.csv").write_text("text,label\ngood,1\nbad,0\n")
    (kit.root / "reviews/test.csv").write_text("text,label\nfine,1\n")
    kit.notebook("text/folder", FOLDER)
    first = kit.make("all")
    assert first.returncode == 0, first.stdout + first.stderr
    later(kit.root / "reviews/test.csv")
    assert why(kit) == ["text/folder up to date"]
    (kit.root / "reviews/test.csv").write_text("text,label\nfine,0\n")
    later(kit.root / "reviews/test.csv")
    assert why(kit) == ["text/folder data folder reviews changed"]
    assert "1 ran" in kit.make("all").stdout


def test_a_run_that_failed_is_told_from_one_that_never_was(kit):
    kit.notebook("retrieval/fails", "1 / 0")
    assert kit.make("all").returncode != 0
    assert why(kit) == ["retrieval/fails its last run did not end well"]


def test_a_dry_run_says_what_would_run_with_the_last_seconds_and_runs_nothing(kit):
    kit.notebook("retrieval/one", TABLE)
    kit.notebook("retrieval/two", TABLE)
    kit.make("all")
    assert "Everything is up to date." in kit.make("-n", "all").stdout
    for name, seconds in (("one", 1000.0), ("two", 234.0)):
        path = kit.root / f"build/default/retrieval/{name}.run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": seconds}))
    pin(kit, "something==1\n")
    kit.notebook("retrieval/three", TABLE)
    before = kit.files("build", "figures")
    said = kit.make("-n", "all").stdout
    assert "3 of 3 notebooks would run at scale default" in said
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "retrieval/one 1000 s requirements.lock changed" in lines
    assert "retrieval/three – s it has not run here yet" in lines
    assert "in all, one after the other 1234 s, and 1 that never ran here" in lines
    assert kit.files("build", "figures") == before
    assert "1 of 1" in kit.make("-n", "all", "TASK=retrieval/one").stdout


def test_before_the_first_run_here_the_published_seconds_count_with_those_that_answers_once_took(kit):
    kit.notebook("retrieval/one", TABLE)
    published = kit.root / "figures/retrieval/one/run.json"
    published.parent.mkdir(parents=True)
    published.write_text(json.dumps({"scale": "default", "seconds": 40.0, "cached": {"answers": 9, "seconds": 860.5}}))
    lines = [" ".join(line.split()) for line in kit.make("-n", "all").stdout.splitlines()]
    assert "retrieval/one 900 s it has not run here yet" in lines


def test_what_uses_a_stale_backbone_runs_perhaps(kit):
    saves = "from finegrain import files\nfrom finegrain.models import _registry\n"
    saves += "files.write_text(_registry.backbone_folder('glyph-clip', scale) / 'weights', 'one')"
    path = kit.notebook("backbones/glyph_clip", saves)
    kit.notebook("vision_language/uses", "name = 'glyph-clip'", TABLE)
    kit.make("all")
    path.write_text(path.read_text().replace("'one'", "'two'"))
    perhaps = "vision_language/uses perhaps: backbones/glyph_clip runs first, and may make another backbone"
    assert why(kit, "NB=vision_language/uses") == ["backbones/glyph_clip cell cell-0 changed", perhaps]


def test_looking_at_two_hundred_notebooks_starts_no_process_for_each(kit):
    """No-op time grows with Make's reading alone: records and dependency files say all."""
    path = kit.notebook("retrieval/n000", TABLE)
    kit.make("all")
    for number in range(1, 200):
        new = f"n{number:03d}"
        shutil.copy2(path, path.with_name(f"{new}.ipynb"))
        for folder in ("build/default/retrieval", "figures/retrieval"):
            for file in sorted((kit.root / folder).glob("n000*")):
                target = file.with_name(file.name.replace("n000", new))
                if file.is_dir():
                    shutil.copytree(file, target)
                elif file.suffix == ".d":
                    target.write_text(file.read_text().replace("n000", new))
                else:
                    shutil.copy2(file, target)
    for record in (kit.root / "build/default/retrieval").glob("*.run.json"):
        os.utime(record)
    kit.make("all")  # the graph of backbones is made anew
    broken = kit.environment | {"FINEGRAIN_PYTHON": "/bin/false"}
    assert kit.make("all", env=broken).stdout == "Everything is up to date.\n"
