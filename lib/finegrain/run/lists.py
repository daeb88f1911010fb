"""What can be named in parameters, as tables to read: data sets and models."""

import re

from finegrain.data._load import available
from finegrain.data._presets import PRESETS
from finegrain.models._registry import MADE_BY, PACKAGED

COLUMNS = ("name", "kind", "from", "measure", "published")  # of a data set
FORMS = """\
images  local-dir:FOLDER, FOLDER        a folder in open_clip's layout
        hf-hub:owner/name[@revision]    a model of the hub in that layout
        FILE.npz                        vectors that were computed elsewhere
texts   FOLDER, owner/name[@revision]   in the layout of sentence-transformers or transformers
llm     FOLDER, owner/name[@revision]   a causal model of transformers
        http://ADDRESS/v1#MODEL         a server that speaks OpenAI's protocol"""


def datasets() -> str:
    """One line for each data set: name, kinds, where it comes from, what is measured, and a published score."""
    rows = [COLUMNS]
    rows += [(name, ", ".join(kinds), "installed packages", "", "") for name, kinds in available().items()]
    rows += public()
    other = "or a folder, a table, an .npz file of embeddings, hf:owner/name@revision?text=...&label=..."
    return f"{_aligned(rows)}\n{other}"


def public() -> list[tuple[str, str, str, str, str]]:
    """The public data sets, a row of COLUMNS each; "from" is the repository on the hub with its revision."""
    rows = []
    for name, preset in PRESETS.items():
        score = "{:g} ({}; {})".format(*preset.published) if preset.published else ""
        source = preset.source.removeprefix("hf:").partition("?")[0] or "a local folder"
        rows.append((name, preset.kind, _short(source), preset.measure, score))
    return rows


def models(words=()) -> str:
    """The models by name; with words, the pairs of open_clip whose names hold all of them."""
    import open_clip

    pairs = ["/".join(pair) for pair in open_clip.list_pretrained()]
    if words:
        found = [pair for pair in pairs if all(word.lower() in pair.lower() for word in words)]
        return "\n".join(found) or f"no pair of open_clip's {len(pairs)} holds {' and '.join(words)}"
    made = [(name, f"trained by notebooks/{maker}") for name, maker in MADE_BY.items()]
    rows = [*((name, "from a pinned package") for name in PACKAGED), *made]
    rows.append(("ARCHITECTURE/WEIGHTS", f"one of open_clip's {len(pairs)} pairs, such as ViT-B-32/openai"))
    return f"{_aligned(rows)}\n{FORMS}"


def _aligned(rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _short(source: str) -> str:
    """A hub id with its revision as far as one needs it to recognise it."""
    return re.sub(r"(@[0-9a-f]{8})[0-9a-f]{32}$", r"\1", source)
