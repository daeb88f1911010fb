"""Cached steps: the key is all that an answer depends on, an answer has the computation's bytes, damage is seen."""

import dataclasses
import math
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from finegrain import InputError
from finegrain.memo import _meter, _store, cached, clock, metered
from finegrain.memo._content import Content
from finegrain.models import _registry
from finegrain.run import reads

calls = []


@pytest.fixture(autouse=True)
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_BUILD", str(tmp_path / "build"))
    calls.clear()
    return tmp_path / "build"


def entries(build):
    return sorted((build / "cache/memo").glob("*.memo"))


def defined(source, **variables):
    """The last function that a notebook's cells define, in a fresh notebook with these variables."""
    names = {"__name__": "__main__", "calls": _Calls(calls), **variables}
    exec(textwrap.dedent(source), names)
    return names["step"]


class _Calls:
    """Counts, and has a content that never changes."""

    def memo_content(self):
        return "calls"

    def __init__(self, made):
        self.made = made

    def add(self):
        self.made.append(1)


STEP = """
def inner(x):
    return x + 1
def step(x):
    calls.add()
    return inner(x) * factor
"""


def times(*functions, value=3):
    """How many of these calls computed."""
    calls.clear()
    for function in functions:
        cached(function)(value)
    return len(calls)


def test_the_same_code_and_content_is_computed_once_in_any_notebook():
    assert times(defined(STEP, factor=2), defined(STEP, factor=2)) == 1
    assert cached(defined(STEP, factor=2))(3) == 8
    assert len(calls) == 1


@pytest.mark.parametrize(
    "edit",
    [
        ("x + 1", "x + 2"),
        ("return inner(x)", "return inner(x + 1)"),
        ("def step(x)", "def step(x, y=1)"),
        ("* factor", "* 2 * factor"),
    ],
)
def test_an_edit_of_the_function_or_of_what_it_calls_computes_again(edit):
    assert edit[0] in STEP
    assert times(defined(STEP, factor=2), defined(STEP.replace(*edit), factor=2)) == 2


def test_comments_and_layout_change_nothing():
    assert times(defined(STEP, factor=2), defined(STEP.replace("calls.add()", "calls.add()  # why\n"), factor=2)) == 1


def test_a_variable_of_the_notebook_counts_with_its_content_and_others_do_not():
    assert times(defined(STEP, factor=2), defined(STEP, factor=2, other=5)) == 1
    assert times(defined(STEP, factor=3)) == 1


CLASSES = """
class Base:
    width = 2
    def double(self, x):
        return self.width * x
class Model(Base):
    def forward(self, x):
        return self.double(x)
def step(x):
    calls.add()
    return Model().forward(x)
"""


@pytest.mark.parametrize("edit", [("width = 2", "width = 3"), ("self.width * x", "self.width + x")])
def test_a_class_counts_with_its_methods_values_and_bases(edit):
    assert times(defined(CLASSES), defined(CLASSES)) == 1
    assert times(defined(CLASSES.replace(*edit))) == 1


def test_a_method_under_a_library_s_decorator_counts_with_its_own_code():
    source = CLASSES.replace("    def double", "    @torch.inference_mode()\n    def double")
    step = {"source": source, "torch": torch}
    assert times(defined(**step), defined(**step)) == 1
    assert times(defined(**step | {"source": source.replace("self.width * x", "self.width - x")})) == 1


def test_mutual_recursion_ends():
    source = "def a(x):\n    return x and b(x - 1)\ndef b(x):\n    return x and a(x - 1)\ndef step(x):\n    return a(x)"
    assert cached(defined(source))(4) == 0


@dataclasses.dataclass
class Record:
    numbers: np.ndarray
    name: str


def arrays():
    """Values, each beside one that differs in a detail."""
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    sparse = scipy.sparse.csr_matrix([[0, 1], [2, 0]])
    return [
        (1, 1.0),
        (True, 1),
        ("1", 1),
        ("a", b"a"),
        ([1, 2], (1, 2)),
        ([1, [2]], [[1], 2]),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({1, 2}, {1, 3}),
        (np.zeros(4, np.float32), np.zeros(4, np.float64)),
        (np.zeros((2, 2)), np.zeros(4)),
        (np.array(["a", None], object), np.array(["a", "None"], object)),
        (table, table.rename(columns={"b": "c"})),
        (table, table.set_index(pd.Index([0, 2]))),
        (table, table.assign(b=["x", "z"])),
        (table["b"], table["b"].astype("category")),
        (table["b"].astype("category"), table["b"].astype("category").cat.as_ordered()),
        (sparse, sparse * 2),
        (torch.zeros(3), torch.zeros(3, dtype=torch.bfloat16)),
        (torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)),
        (Record(np.ones(2), "a"), Record(np.ones(2), "b")),
        (torch.float32, torch.bfloat16),
        (np.mean, np.median),
        (len, sorted),
    ]


@pytest.mark.parametrize(("one", "other"), arrays(), ids=lambda value: type(value).__name__)
def test_values_count_by_content_and_kind(one, other):
    import copy

    assert Content().of(one) != Content().of(other)
    again = copy.deepcopy(one)
    assert Content().of(one) == Content().of(again)


def test_equal_texts_are_equal_whatever_object_holds_them():
    text = "".join(["a", "b"])
    assert Content().of(["ab", "ab"]) == Content().of([text, "ab"])


@pytest.mark.parametrize("value", [np.random.default_rng(0), Path("data"), torch.Generator(), sys.stdout])
def test_what_has_no_content_is_refused_by_name(value):
    with pytest.raises(InputError, match="factor, which step uses, is a"):
        cached(defined(STEP, factor=value))(1)
    with pytest.raises(InputError, match="x of step is a"):
        cached(defined(STEP, factor=1))(value)


def test_the_answer_has_the_bytes_of_the_computation_and_is_not_shared():
    source = "import numpy as np\ndef step(x):\n    calls.add()\n"
    source += "    return np.asfortranarray(np.arange(6.0).reshape(2, 3)) / x"
    step = cached(defined(source))
    first = step(7)
    first_bytes, flags = first.tobytes("A"), first.flags.f_contiguous
    first[:] = 0
    second = step(7)
    assert len(calls) == 1
    assert (second.tobytes("A"), second.flags.f_contiguous) == (first_bytes, flags)
    assert second.tobytes("A") == (np.arange(6.0).reshape(2, 3, order="C") / 7).tobytes("F")


@pytest.mark.parametrize("damage", ["cut", "facts", "answer", "empty", "digest"])
def test_a_damaged_answer_is_computed_again_with_a_warning(build, damage):
    step = cached(defined(STEP, factor=2))
    assert step(3) == 8
    (entry,) = entries(build)
    whole = entry.read_bytes()
    digest, facts, answer = whole.split(b"\n", 2)
    entry.write_bytes(
        {
            "cut": whole[:-3],
            "facts": b"\n".join([digest, facts.replace(b'"seconds": ', b'"seconds": 9'), answer]),
            "answer": b"\n".join([digest, facts, answer[:-2] + bytes([answer[-2] ^ 1]) + answer[-1:]]),
            "empty": b"",
            "digest": b"0" * 64 + whole[64:],
        }[damage]
    )
    with pytest.warns(UserWarning, match="is damaged"):
        assert step(3) == 8
    assert len(calls) == 2
    assert step(3) == 8
    assert len(calls) == 2


def test_the_limit_holds_and_what_was_read_last_stays(build, monkeypatch):
    monkeypatch.setenv("FINEGRAIN_CACHE_GB", str(3.5e6 / 2**30))
    source = "import numpy as np\ndef step(x):\n    calls.add()\n    return np.full(125_000, float(x))"
    step = cached(defined(source))
    for number in range(3):
        step(number)
        os.utime(max(entries(build), key=os.path.getmtime), (time.time() - 100 + number,) * 2)
    step(0)  # read again: now 1 is the oldest
    step(3)
    assert len(entries(build)) == 3
    calls.clear()
    for number in (0, 2, 3):
        step(number)
    assert calls == []
    step(1)
    assert len(calls) == 1
    (build / "cache/memo/.step-killed.part").write_bytes(b"half")
    os.utime(build / "cache/memo/.step-killed.part", (0, 0))
    step(5)
    assert not (build / "cache/memo/.step-killed.part").exists()
    monkeypatch.setenv("FINEGRAIN_CACHE_GB", "0")
    step(5)
    assert len(calls) == 3


def test_another_backbone_computes_again_and_the_old_answer_still_serves_the_old_one(build):
    folder = _registry.backbone_folder("doc-bert", "smoke")

    class Reads:
        def __init__(self, folder):
            self.folder = folder

        def memo_content(self):
            return "reads"

        def __call__(self):
            reads.note("backbones", "doc-bert", reads.backbone_digest(self.folder), "smoke")

    def train(digest):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "digest.json").write_text(f'{{"digest": "{digest}"}}')

    step = cached(defined("def step(x):\n    calls.add()\n    opens()\n    return x", opens=Reads(folder)))
    for digest, computed in (("one", 1), ("one", 1), ("two", 2), ("two", 2), ("one", 2)):
        train(digest)
        with reads.following() as noted:
            step(1)
        assert noted == [["backbones", "doc-bert", digest, "smoke"]]
        assert len(calls) == computed


def test_what_reads_a_local_folder_is_not_kept(build):
    class Reads:
        def memo_content(self):
            return "reads"

        def __call__(self):
            reads.note("data", "lib", "digest")

    step = cached(defined("def step(x):\n    calls.add()\n    opens()\n    return x", opens=Reads()))
    assert step(1) == step(1) == 1
    assert len(calls) == 2


def test_the_clock_counts_a_found_answer_with_the_seconds_it_took():
    slow = "import time\ndef step(x):\n    time.sleep(0.3)\n    return x"
    inner = cached(defined(slow))
    outer = cached(defined("def step(x):\n    return inner(x)", inner=inner))

    def spent(function):
        begun = clock()
        function(1)
        return clock() - begun

    first = spent(inner)
    assert first >= 0.3
    assert spent(inner) == pytest.approx(first, rel=0.01)
    assert spent(outer) >= 0.3  # computed, with the inner answer found
    assert spent(outer) >= 0.3
    assert _store.facts(next(iter(entries(Path(os.environ["FINEGRAIN_BUILD"])))))["seconds"] >= 0.3


def held(size):
    """Hold so many megabytes for a moment."""
    return bytes(bytearray(b"1") * (size * 10**6))[-1]


def test_memory_is_the_most_that_the_work_held_at_once_and_what_it_kept_is_not_taken_twice():
    with metered() as outer:
        with metered() as first:
            kept = bytearray(b"1") * 100_000_000
        with metered() as second:
            held(30)  # twice: the array and its bytes
    assert len(kept) == 100_000_000
    assert first.megabytes == pytest.approx(100, abs=5)
    assert second.megabytes == pytest.approx(60, abs=5)
    assert outer.megabytes == pytest.approx(160, abs=10)
    with metered() as nothing:
        pass
    assert 0 <= nothing.megabytes < 2
    assert outer.seconds > first.seconds + second.seconds > 0


def test_memory_that_was_freed_before_and_is_used_again_counts():
    def small():
        return [bytearray(b"1") * 50_000 for _ in range(1000)]  # too small to be given back one by one

    with metered() as once:
        some = small()
    behind = bytearray(b"1") * 90_000  # what is freed before it stays with the process
    del some
    with metered() as nothing:
        pass
    some = small()
    del some
    with metered() as again:
        small()
    assert 0 <= nothing.megabytes < 2
    assert len(behind) == 90_000
    assert again.megabytes == pytest.approx(once.megabytes, rel=0.1) == pytest.approx(50, abs=5)


def test_an_answer_that_is_found_counts_with_the_memory_that_it_took_and_keeping_it_with_none():
    source = "def step(x):\n    return held(x), bytes(50_000_000)"
    step = cached(defined(source, held=held))

    def spent():
        with metered() as cost:
            step(60)
        return cost.megabytes

    assert spent() == pytest.approx(120, abs=10)  # packed, the answer and its bytes would take as much again
    assert spent() == pytest.approx(120, abs=10)


def test_where_the_system_does_not_tell_memory_it_is_unknown(monkeypatch):
    monkeypatch.setattr(_meter, "_resident", lambda: (math.nan, math.nan))
    step = cached(defined("def step(x):\n    return x"))
    for _ in range(2):
        with metered() as cost:
            assert step(1) == 1
        assert math.isnan(cost.megabytes)
        assert cost.seconds >= 0


def test_an_argument_to_ignore_changes_no_key():
    step = cached(defined("def step(x, bar=False):\n    calls.add()\n    return x"), ignore=("bar",))
    assert step(1) == step(1, bar=True) == 1
    assert len(calls) == 1


def test_an_edited_module_of_the_kit_is_not_trusted(monkeypatch):
    from finegrain.memo import _modules

    source = (
        "from finegrain.seeding import generator\ndef step(x):\n    calls.add()\n    return generator(x, 'a').random()"
    )
    step = cached(defined(source))
    assert step(1) == step(1)
    assert len(calls) == 1
    path = _modules.LIB / "finegrain/seeding.py"
    monkeypatch.setitem(_modules._SEEN, path, ((0, 0), "what was loaded"))
    with pytest.warns(UserWarning, match="was edited since this kernel imported it"):
        step(1)
    assert len(calls) == 2


def test_the_modules_behind_a_function_are_those_that_it_imports():
    from finegrain.memo import _modules
    from finegrain.models import load_masked_lm

    content = Content()
    content.of(load_masked_lm)
    assert {"finegrain/models/language.py", "finegrain/models/backbones.py", "finegrain/files.py"} <= set(
        content.modules
    )
    assert "finegrain/search/lexical.py" not in content.modules
    assert set(_modules.behind("finegrain.seeding")) == {f"finegrain/{name}.py" for name in ("errors", "seeding")}


def test_two_processes_at_once_compute_once(build, tmp_path):
    script = tmp_path / "step.py"
    script.write_text(
        "import time\nfrom finegrain.memo import cached\n"
        "def step(x):\n    open(path, 'a').write('computed ')\n    time.sleep(1)\n    return x * 2\n"
        f"path = {str(tmp_path / 'log')!r}\nprint(cached(step)(21))\n"
    )
    both = [subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].strip() for process in both] == ["42", "42"]
    assert (tmp_path / "log").read_text() == "computed "
    assert [path.name for path in (build / "cache/memo").iterdir() if path.name.endswith(".lock")] == []


def test_a_killed_process_leaves_nothing_that_stops_the_next(build, tmp_path):
    script = tmp_path / "step.py"
    script.write_text(
        "import os, time\nfrom finegrain.memo import cached\n"
        f"path = {str(tmp_path / 'begun')!r}\n"
        "def step(x):\n    first = not os.path.exists(path)\n    open(path, 'w').close()\n"
        "    time.sleep(300 if first else 0)\n    return x\nprint(cached(step)(1))\n"
    )
    killed = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    again = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True)
    assert again.stdout.strip() == "1"
    assert len(entries(build)) == 1
