"""Data set "digits": scikit-learn's handwritten digits, drawn by people rather than by a font.

What: 1,797 images of the ten ASCII digits, written by hand on forms; 8x8 cells of 0 to 16 ink, enlarged here to 18x18
pixels (bicubic) and set on the baseline of the world "glyphs", in the same 32x32 pixels and polarity, about as high
as a printed digit is there. The classes are the ten rows of the glyph table, so name, alias, descriptors and path are
the same words; they are trained classes there: known classes, unknown hands.

Folds: `group` is the form that a digit stands on. Fourteen forms can be read off the labels, each with the same
sequence of about 130 digits; folds are whole forms, by the hash of their names: train 2, dev 2, test 8 and confirm 2
(260, 252, 1,027 and 258 images).

Source and licence: `sklearn.datasets.load_digits`, the test part of UCI's "Optical Recognition of Handwritten Digits"
(E. Alpaydin and C. Kaynak, 1998), CC BY 4.0.

Known biases: the source names 13 writers, so at least two forms are by one hand and may lie in two folds; intervals
that resample forms rest on eight of them; the strokes were shrunk to 8x8 cells, so they are blurred.
"""

import numpy as np
import pandas as pd

from finegrain import files
from finegrain.data import _glyph_texts, glyphs
from finegrain.data._glyph_drawing import SIZE
from finegrain.data._records import ImageText

INK = 18  # pixels that the eight cells become; a printed digit is 18 pixels high
BASELINE = 24
STARTS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)  # first digit of each form
FORMS = {"train": 2, "dev": 2, "test": 8, "confirm": 2}


def load_digits() -> ImageText:
    """The data set; needs the glyph world for its texts, which is made if it has not been yet.

    images: (1797, 32, 32) uint8, ink 255 on 0; labels: (1797,) int64.
    """
    import sklearn.datasets

    source = sklearn.datasets.load_digits()
    images = np.stack([_enlarged(cells) for cells in source.images])
    labels = source.target.astype(np.int64)
    world = glyphs.load_glyphs()
    classes = world.classes.set_index("character", drop=False).loc[list(glyphs.DIGITS)].reset_index(drop=True)
    form = np.searchsorted(STARTS, np.arange(len(labels)), side="right") - 1
    group = np.array([f"form {number:02d}" for number in range(len(STARTS))], object)
    fold = _folds_of_forms(group)
    items = pd.DataFrame({"fold": fold[form], "group": group[form], "character": np.array(list(glyphs.DIGITS))[labels]})
    texts = classes[["name", "alias", "descriptors", "path"]].to_dict("list")
    digest = files.digest(
        images, labels, str(texts), "\n".join(items["fold"] + items["group"]), "\n".join(world.templates)
    )
    return ImageText("digits", images, labels, classes, items, world.templates, digest)


def _enlarged(cells):
    """(8, 8) cells of 0 to 16 as (32, 32) uint8, the lowest row of cells on the baseline."""
    from PIL import Image

    small = Image.fromarray(np.round(cells * (255 / 16)).astype(np.uint8))
    image: np.ndarray = np.zeros((SIZE, SIZE), np.uint8)
    left = (SIZE - INK) // 2
    image[BASELINE - INK : BASELINE, left : left + INK] = small.resize((INK, INK), Image.Resampling.BICUBIC)
    return image


def _folds_of_forms(group):
    """Whole forms, in the order of their names' hashes: the first are train, the next dev, and so on."""
    order = sorted(range(len(group)), key=lambda row: _glyph_texts.position(group[row], "digits"))
    fold: np.ndarray = np.empty(len(group), object)
    fold[order] = [name for name, count in FORMS.items() for _ in range(count)]
    return fold
