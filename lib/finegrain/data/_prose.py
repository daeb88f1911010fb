"""Plain texts for language models: whatever a source holds, labelled or not."""

import pandas as pd

from finegrain import files
from finegrain.data import _load
from finegrain.errors import InputError
from finegrain.run import reads


def prose(name: str, fold: str) -> pd.DataFrame:
    """All texts of a fold, one row each: `text`, and `group`, which near duplicates share.

    name: "docstrings" (more texts than its topics and its retrieval task hold), or any other source that
        `load` gives as texts.
    fold: train, dev, test or confirm.

    Raises InputError if the source has no texts in that fold.
    """
    if name == "docstrings":
        from finegrain.data.docstrings import docstring_table

        table = docstring_table()
        texts = table["summary"].str.cat(table["body"], sep="\n").str.strip()
        frame = pd.DataFrame({"text": texts.array, "group": table["group"].array, "fold": table["fold"].array})
        reads.note("data", "docstrings (prose)", files.digest(*frame["text"], *frame["fold"]))
    else:
        data = _load.load(name, "texts")
        frame = pd.DataFrame({"text": data.texts, "group": data.items["group"], "fold": data.items["fold"]})
    frame = frame.loc[frame["fold"] == fold, ["text", "group"]].reset_index(drop=True)
    if frame.empty:
        raise InputError(f"{name} has no texts in the fold {fold!r}; give a source with more texts")
    return frame
