"""Which notebook makes which backbone: plain facts, read by the loaders and by the scheduler alike."""

import os
from pathlib import Path

from finegrain import files

# Name of the backbone -> the notebook that trains it, as a path below notebooks/ without its suffix.
MADE_BY = {
    "glyph-clip": "backbones/glyph_clip",
    "doc-bert": "backbones/doc_bert",
    "doc-bert-scratch": "backbones/doc_bert",
    "doc-gpt": "backbones/doc_gpt",
    "doc-gpt-scratch": "backbones/doc_gpt",
}
PACKAGED = ("minilm",)  # comes with a pinned package, no notebook trains it


def backbone_folder(name: str, scale: str = "default") -> Path:
    """The folder of a trained backbone: smoke has its own tiny ones, default and full share theirs.

    $FINEGRAIN_BACKBONES names another folder for all of them, whatever the scale. The runner sets it where a
    backbone's notebook runs with parameters of its own, so that a trial never replaces what other notebooks start
    from; set by hand, it makes a notebook start from such a trial's backbones.
    """
    if os.environ.get("FINEGRAIN_BACKBONES"):
        return Path(os.environ["FINEGRAIN_BACKBONES"], name)
    return files.build(*(["smoke"] if scale == "smoke" else []), "backbones", name)
