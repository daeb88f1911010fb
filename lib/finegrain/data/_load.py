"""One call for every source: `load(name, kind)`."""

import difflib
import importlib

from finegrain.data import _hub, _presets, folders
from finegrain.data._records import ImageText, Pairs, Retrieval, Texts
from finegrain.errors import InputError
from finegrain.run import reads

KINDS = ("images", "texts", "retrieval", "pairs")
# name -> (module, loader, kinds; the first is what `kind=None` means)
_WORLDS = {
    "glyphs": ("finegrain.data.glyphs", "load_glyphs", ("images",)),
    "digits": ("finegrain.data.digits", "load_digits", ("images",)),
    "docstrings": ("finegrain.data.docstrings", "load_docstrings", ("texts", "retrieval", "pairs")),
}


def available() -> dict[str, tuple[str, ...]]:
    """The data sets that need no download, each with the kinds it can be loaded as, the usual one first.

    >>> available()["docstrings"]
    ('texts', 'retrieval', 'pairs')
    """
    return {name: kinds for name, (_, _, kinds) in _WORLDS.items()}


def load(name: str, kind: str | None = None) -> ImageText | Texts | Retrieval | Pairs:
    """A data set by name or folder, as one of the four plain records.

    name: "glyphs", "digits", "docstrings"; the path of a folder or file in one of the layouts of
        `finegrain.data.folders`; "hf:owner/name@revision", a data set of the hub (`finegrain.data._hub`); or the name
        of a public data set that `finegrain datasets` lists, such as "pets". Options follow a path or a hub id as in an
        address: "reviews.csv?text=review&label=stars".
    kind: "images", "texts", "retrieval" or "pairs"; None is the usual kind of the source.

    Raises InputError where the name or path is unknown, the source cannot give the kind, or its files are broken.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind={kind!r}: choose one of {', '.join(KINDS)}")
    if name in _WORLDS:
        module, loader, kinds = _WORLDS[name]
        if kind is not None and kind not in kinds:
            raise InputError(f"{name} cannot be loaded as {kind!r}; it gives {' or '.join(kinds)}")
        function = getattr(importlib.import_module(module), loader)
        record = function(kind or kinds[0]) if len(kinds) > 1 else function()
        reads.note("data", name if len(kinds) == 1 else f"{name} ({kind or kinds[0]})", record.digest)
        return record
    if name.startswith("hf:") or name in _presets.PRESETS:
        preset = _presets.PRESETS.get(name)
        record = preset.load(kind) if preset else _hub.load_hub(name, kind)
        reads.note("data", name, record.digest)
        return record
    if not folders.split_options(name)[0].exists():
        nearest = difflib.get_close_matches(name, [*_WORLDS, *_presets.PRESETS], n=1, cutoff=0.6)
        usual = (
            f"give one of {', '.join(_WORLDS)}, an existing path, or hf:owner/name (`finegrain datasets` lists more)"
        )
        hint = f"did you mean {nearest[0]}?" if nearest else usual
        raise InputError(f"there is no data set or folder {name!r}; {hint}")
    record = folders.load_folder(name, kind)
    reads.note("data", name, record.digest)
    return record
