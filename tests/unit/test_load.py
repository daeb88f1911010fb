"""One call for every source: names, kinds, notes of what was read, refusals."""

import pytest

from finegrain import InputError
from finegrain.data import Pairs, Retrieval, Texts, available, load
from finegrain.run import reads


def test_every_world_is_listed_with_its_kinds():
    assert available() == {
        "glyphs": ("images",),
        "digits": ("images",),
        "docstrings": ("texts", "retrieval", "pairs"),
    }


@pytest.mark.parametrize(
    ("kind", "record"), [(None, Texts), ("texts", Texts), ("retrieval", Retrieval), ("pairs", Pairs)]
)
def test_a_kind_chooses_the_record_and_the_read_is_noted(kind, record):
    loaded = load("docstrings", kind)
    assert type(loaded) is record
    assert reads.noted()["data"][f"docstrings ({kind or 'texts'})"] == loaded.digest


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("glyph", None, "did you mean glyphs?"),
        ("no/such/folder", None, "an existing path"),
        ("glyphs", "texts", "glyphs cannot be loaded as 'texts'; it gives images"),
        ("docstrings", "images", "texts or retrieval or pairs"),
        ("docstrings", "text", "choose one of images, texts, retrieval, pairs"),
        ("hf:owner", None, "write hf:owner/name"),
        ("hf:owner/name?lable=x", None, "unknown option 'lable'"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_sentence(name, kind, message):
    with pytest.raises(InputError) as refusal:
        load(name, kind)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
