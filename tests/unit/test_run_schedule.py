"""`make all` runs what depends on a change in content, and nothing else."""

import json
import os
import re
import socket
import time

import pytest

TABLE = "from pathlib import Path\nPath(out, 'table.csv').write_text('a\\n1\\n')"
SEEDED = (
    "from finegrain.seeding import generator\nfrom pathlib import Path\nPath(out, 'table.csv').write_text('a\\n1\\n')"
)
BACKBONE = """
from finegrain import files
from finegrain.models import _registry
files.write_text(_registry.backbone_folder('glyph-clip', scale) / 'weights', '{}')
"""
USES_BACKBONE = """
from pathlib import Path
from finegrain.models import backbones
from finegrain.run import reads
folder = backbones.backbone_folder('glyph-clip', scale)
reads.note('backbones', 'glyph-clip', backbones.folder_digest(folder))
Path(out, 'table.csv').write_text((folder / 'weights').read_text())
"""
CLAIMS = """
import json
from pathlib import Path
verdicts = ['supported', 'inconclusive', 'supported']
claims = [{'name': str(i), 'statement': 'It is so.', 'primary': not i, 'verdict': v} for i, v in enumerate(verdicts)]
Path(out, 'claims.json').write_text(json.dumps({'title': 'A paper', 'scale': scale, 'claims': claims}))
"""


def later(path):
    """Make a file newer than all that was made up to now."""
    now = time.time() + 2
    os.utime(path, (now, now))


def ran(result):
    """Names of the notebooks that were executed."""
    lines = [line for line in result.stdout.splitlines() if line.startswith("[") and " s " in line + " "]
    return sorted(line.split()[1] for line in lines if "unchanged" not in line)


def test_a_touch_reruns_nothing_and_an_edit_what_depends_on_it(kit):
    kit.notebook("retrieval/seeded", SEEDED)
    path = kit.notebook("retrieval/plain", TABLE)
    first = kit.make("all")
    assert first.returncode == 0, first.stdout + first.stderr
    assert ran(first) == ["retrieval/plain", "retrieval/seeded"]
    assert "2 notebooks at scale default: 2 ran" in first.stdout
    assert kit.make("all").stdout == "Everything is up to date.\n"

    for name in ("lib/finegrain/seeding.py", "notebooks/retrieval/plain.ipynb", "requirements.lock"):
        later(kit.root / name)
    touched = kit.make("all")
    assert ran(touched) == []
    assert "2 up to date" in touched.stdout

    seeding = kit.root / "lib/finegrain/seeding.py"
    seeding.write_text(seeding.read_text() + "\n# edited\n")
    later(seeding)
    assert ran(kit.make("all")) == ["retrieval/seeded"]

    path.write_text(path.read_text().replace("n1", "n2"))
    later(path)
    (kit.root / "figures/retrieval/seeded/table.csv").unlink()
    assert ran(kit.make("all")) == ["retrieval/plain", "retrieval/seeded"]
    assert (kit.root / "figures/retrieval/plain/table.csv").read_text() == "a\n2\n"


def test_an_edit_during_a_run_counts_as_one_after_it(kit):
    edits = "from pathlib import Path\nimport finegrain.seeding as s\n"
    edits += (
        "if not Path('edited').exists():\n    Path('edited').touch()\n    Path(s.__file__).open('a').write('# later')"
    )
    kit.notebook("retrieval/edited", edits, TABLE)
    assert ran(kit.make("all")) == ["retrieval/edited"]
    assert ran(kit.make("all")) == ["retrieval/edited"]
    assert kit.make("all").stdout == "Everything is up to date.\n"


def test_a_backbone_comes_first_and_only_other_weights_rerun_what_uses_it(kit):
    backbone = kit.notebook("backbones/glyph_clip", BACKBONE.format("one"))
    kit.notebook("vision_language/uses", USES_BACKBONE)
    first = kit.make("all", "TASK=vision_language")
    assert [line.split()[1] for line in first.stdout.splitlines()[:2]] == [
        "backbones/glyph_clip",
        "vision_language/uses",
    ]

    backbone.write_text(backbone.read_text().replace("scale)", "scale )"))
    later(backbone)
    assert ran(kit.make("all")) == ["backbones/glyph_clip"]

    backbone.write_text(backbone.read_text().replace("'one'", "'two'"))
    later(backbone)
    assert ran(kit.make("all")) == ["backbones/glyph_clip", "vision_language/uses"]
    assert (kit.root / "figures/vision_language/uses/table.csv").read_text() == "two"


def test_a_trial_of_a_backbone_leaves_the_shared_one_alone(kit):
    more = 'scale: str = "default"\nwords: str = "shared"\nout: str = ""'
    saves = BACKBONE.replace("'{}'", "words") + "assert (_registry.backbone_folder('glyph-clip') / 'weights').exists()"
    kit.notebook("backbones/glyph_clip", saves, parameters=more)
    kit.notebook("vision_language/uses", USES_BACKBONE)
    kit.make("all")
    trials = {"words=mine": "words=mine", "scale=full": "scale=full", "scale=default out=there": "scale=default"}
    for given, folder in trials.items():
        result = kit.make("run", "NB=backbones/glyph_clip", f"P={given}")
        assert result.returncode == 0, result.stderr
        own = f"build/runs/backbones/glyph_clip/{folder}/backbones"
        assert f"backbones {own} (a trial" in result.stdout
        assert (kit.root / own / "glyph-clip/weights").exists()
    assert (kit.root / "build/backbones/glyph-clip/weights").read_text() == "shared"
    assert kit.make("all").stdout == "Everything is up to date.\n"
    there = kit.environment | {"FINEGRAIN_BACKBONES": "build/runs/backbones/glyph_clip/words=mine/backbones"}
    kit.make("run", "NB=vision_language/uses", env=there)
    assert (kit.root / "build/runs/vision_language/uses/defaults/figures/table.csv").read_text() == "mine"


def test_a_run_with_other_threads_is_another_run(kit):
    kit.notebook("retrieval/one", TABLE)
    kit.make("all")
    kit.notebook("retrieval/two", TABLE)
    kit.make("all", "TASK=retrieval/two", "THREADS=2")
    assert ran(kit.make("all", "THREADS=2")) == ["retrieval/one"]
    assert kit.make("all", "THREADS=2").stdout == "Everything is up to date.\n"
    assert ran(kit.make("all")) == ["retrieval/one", "retrieval/two"]


def test_a_failing_notebook_stops_only_what_needs_it(kit):
    kit.notebook("backbones/glyph_clip", "1 / 0")
    kit.notebook("vision_language/uses", USES_BACKBONE)
    kit.notebook("retrieval/claims", CLAIMS)
    result = kit.make("all")
    assert result.returncode != 0
    assert ran(result) == ["backbones/glyph_clip", "retrieval/claims"]
    assert "2 supported, 1 inconclusive" in result.stdout
    assert "3 notebooks at scale default: 1 ran, 1 skipped, 1 failed" in result.stdout
    assert "backbones/glyph_clip failed: ZeroDivisionError: division by zero" in result.stdout
    assert "see build/default/backbones/glyph_clip.ipynb" in result.stdout
    assert "vision_language/uses skipped: it needs backbones/glyph_clip" in result.stdout
    assert not (kit.root / "build/default/backbones/glyph_clip.run.json").exists()
    assert "ZeroDivisionError" in (kit.root / "build/default/backbones/glyph_clip.ipynb").read_text()


def test_two_at_once_do_the_work_once(kit):
    import concurrent.futures

    kit.notebook("retrieval/plain", TABLE)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = [future.result() for future in [pool.submit(kit.make, "all") for _ in range(2)]]
    assert [result.returncode for result in results] == [0, 0]
    assert sum(len(ran(result)) for result in results) == 1


def test_the_record_says_what_was_read_and_made_and_names_no_person_or_machine(kit):
    kit.notebook("retrieval/seeded", SEEDED, "1 + 1")
    kit.make("all", "SCALE=smoke")
    text = (kit.root / "build/smoke/retrieval/seeded.run.json").read_text()
    record = json.loads(text)
    assert record["parameters"] == {"scale": "smoke"}
    assert record["inputs"]["modules"]["lib/finegrain/seeding.py"]
    assert record["outputs"]["figures"].keys() == {"table.csv"}
    assert record["threads"] == 1
    assert record["seconds"] > 0
    assert record["peak_memory_mb"] > 10
    assert [cell["id"] for cell in record["cells"]] == ["parameters", "injected-parameters", "cell-0", "cell-1"]
    executed = (kit.root / "build/smoke/retrieval/seeded.ipynb").read_text()
    host = socket.gethostname() if len(socket.gethostname()) > 4 else str(kit.root)  # a short one is also a word
    for secret in (str(kit.root), host, os.path.expanduser("~") + "/"):
        assert secret not in text
        assert secret not in executed
    assert kit.files("figures") == []
    assert kit.files("build/smoke/figures") == [
        f"build/smoke/figures/retrieval/seeded/{n}" for n in ("run.json", "table.csv")
    ]


def test_a_run_with_parameters_has_a_folder_of_its_own(kit):
    parameters = 'scale: str = "default"\nk: int = 1\nout: str = ""'
    source = "from pathlib import Path\nPath(out, 'table.csv').write_text(str(k))"
    kit.notebook("retrieval/plain", source, parameters=parameters)
    result = kit.make("run", "NB=retrieval/plain", "P=k=3")
    assert result.returncode == 0, result.stderr
    assert "results   build/runs/retrieval/plain/k=3/figures" in result.stdout
    assert (kit.root / "build/runs/retrieval/plain/k=3/figures/table.csv").read_text() == "3"
    assert kit.files("figures") == []


def test_results_go_to_the_folder_that_out_names_and_leave_its_other_files(kit):
    kit.notebook("retrieval/plain", TABLE)
    (kit.root / "mine").mkdir()
    (kit.root / "mine/notes.txt").write_text("keep")
    kit.finegrain("run", "retrieval/plain", "--parameters", "out=mine")
    assert kit.files("mine") == ["mine/notes.txt", "mine/run.json", "mine/table.csv"]


def test_what_an_earlier_run_published_and_this_one_does_not_goes_away(kit):
    path = kit.notebook("retrieval/plain", TABLE + "\nPath(out, 'old.csv').write_text('')")
    kit.make("all")
    path.write_text(path.read_text().replace("old.csv", "new.csv"))
    later(path)
    kit.make("all")
    assert [name.rpartition("/")[2] for name in kit.files("figures")] == ["new.csv", "run.json", "table.csv"]


def test_a_declared_output_that_is_missing_is_a_failure(kit):
    kit.notebook("retrieval/plain", "1", outputs=["table.csv"])
    result = kit.make("all")
    assert "it did not write table.csv" in result.stdout
    assert not (kit.root / "build/default/retrieval/plain.run.json").exists()


def test_launch_goes_before_each_notebook(kit):
    kit.notebook("retrieval/plain", TABLE)
    launcher = kit.root / "launcher"
    launcher.write_text('#!/bin/sh\necho "$@" >> launched\nexec "$@"\n')
    launcher.chmod(0o755)
    assert kit.make("all", "LAUNCH=./launcher").returncode == 0
    assert "finegrain.run notebook default/retrieval/plain" in (kit.root / "launched").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "NB=retrieval/plian"], "there is no notebook 'retrieval/plian'; did you mean 'retrieval/plain'?"),
        (["run", "NB="], "no notebook given"),
        (["run", "NB=retrieval/plain", "P=scal=smoke"], "there is no parameter 'scal'; did you mean 'scale'?"),
        (["run", "NB=retrieval/plain", "P=scale=smok"], "scale='smok': did you mean 'smoke'?"),
        (["all", "TASK=retrival"], "there is no task or notebook 'retrival'; did you mean 'retrieval'?"),
        (["all", "SCALE=tiny"], "scale='tiny': there are: smoke, default, full"),
        (["new", "NAME=Plain", "TASK=retrieval"], "small letters"),
        (["new", "NAME=plain", "TASK=retrieval"], "exists already"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(kit, words, message):
    kit.notebook("retrieval/plain", TABLE)
    result = kit.make(*words)
    assert result.returncode == 2
    said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert message in said[0]
    assert kit.files("build", "figures") == []


def test_help_lists_every_target_and_is_what_make_alone_says(kit):
    targets = re.findall(r"^\.PHONY: (.*)$", (kit.root / "Makefile").read_text(), re.M)
    named = {name for line in targets for name in line.split()} - {"notebooks", "runs"}
    said = kit.make().stdout
    assert said == kit.make("help").stdout
    assert set(re.findall(r"^  make ([a-z-]+)", said, re.M)) == named
