"""What a notebook may use, and how much of its text is kept."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finegrain import InputError
from finegrain.run import limits, outputs


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    for name in (limits.TIME, limits.MEMORY, "SLURM_MEM_PER_NODE"):
        monkeypatch.delenv(name, raising=False)


def test_time_follows_the_budget_with_a_floor_and_memory_the_machine():
    assert limits.limits(100).seconds == 2000
    assert limits.limits(5).seconds == limits.LEAST_SECONDS
    assert limits.limits(None).seconds is None
    assert limits.limits(5).memory == round(limits.SHARE * limits.memory_here())


def test_what_is_said_goes_before_and_nought_is_none(monkeypatch):
    monkeypatch.setenv(limits.TIME, "7")
    monkeypatch.setenv(limits.MEMORY, "1.5")
    assert limits.limits(100) == limits.Limits(7, 3 * 2**29)
    monkeypatch.setenv(limits.TIME, "0")
    monkeypatch.setenv(limits.MEMORY, "0")
    assert limits.limits(100) == limits.Limits(None, None)
    monkeypatch.setenv(limits.TIME, "nan")
    with pytest.raises(InputError, match="LIMIT='nan': give a number of seconds"):
        limits.limits(100)


def test_slurm_may_give_less_than_the_machine_has(monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "512")
    assert limits.memory_here() == 512 * 2**20


def test_the_memory_of_this_process_is_found():
    held = bytearray(50_000_000)
    held[::4096] = b"x" * len(held[::4096])
    before = limits.resident(os.getpid())
    assert before > 50_000_000
    assert limits.resident(2**22 + 1) == 0  # no such process
    del held


@settings(max_examples=200)
@given(st.lists(st.text("abc\n", max_size=12), max_size=30), st.integers(1, 20), st.integers(1, 8))
def test_the_first_and_the_last_part_of_a_text_are_kept_however_it_is_written(parts, first, last):
    written = []
    limited = outputs.Limited(written.append, first, last)
    whole = "".join(parts)
    assert [limited.write(part) for part in parts] == [len(part) for part in parts]
    limited.end()
    left = len(whole) - first - last
    expected = whole
    if left > 0:
        expected = f"{whole[:first]}\n[... {left:,} characters left out ...]\n{whole[-last:]}"
    assert "".join(written) == expected


def test_each_cell_begins_anew():
    written = []
    limited = outputs.Limited(written.append, 4, 2)
    for _ in range(2):
        limited.write("abcdefgh")
        limited.end()
    assert "".join(written) == "abcd\n[... 2 characters left out ...]\ngh" * 2
