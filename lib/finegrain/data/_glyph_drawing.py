"""How a character becomes a picture: the fonts that matplotlib ships, drawn by Pillow on a fixed em and baseline."""

import functools
from pathlib import Path

import numpy as np

from finegrain.errors import InputError

SIZE = 32  # pixels, height and width of an image
EM = 3 / 4  # of the image's size; the baseline lies as far below the upper edge
SMALLEST_EM = 1 / 2  # of EM; what would have to be smaller is left out

# name: (file, family, weight, slant, role). Roles: a `near` face is an untrained face of a trained family, a `far`
# face belongs to a family that is never trained. The order is the order of items within a class.
FACES = {
    "DejaVu Sans": ("DejaVuSans", "DejaVu Sans", "regular", "upright", "train"),
    "DejaVu Sans Bold": ("DejaVuSans-Bold", "DejaVu Sans", "bold", "upright", "train"),
    "DejaVu Sans Bold Oblique": ("DejaVuSans-BoldOblique", "DejaVu Sans", "bold", "slanted", "train"),
    "DejaVu Serif": ("DejaVuSerif", "DejaVu Serif", "regular", "upright", "train"),
    "DejaVu Serif Bold": ("DejaVuSerif-Bold", "DejaVu Serif", "bold", "upright", "train"),
    "DejaVu Serif Italic": ("DejaVuSerif-Italic", "DejaVu Serif", "regular", "slanted", "train"),
    "DejaVu Sans Mono": ("DejaVuSansMono", "DejaVu Sans Mono", "regular", "upright", "train"),
    "DejaVu Sans Mono Bold": ("DejaVuSansMono-Bold", "DejaVu Sans Mono", "bold", "upright", "train"),
    "DejaVu Sans Mono Oblique": ("DejaVuSansMono-Oblique", "DejaVu Sans Mono", "regular", "slanted", "train"),
    "DejaVu Sans Oblique": ("DejaVuSans-Oblique", "DejaVu Sans", "regular", "slanted", "near"),
    "DejaVu Serif Bold Italic": ("DejaVuSerif-BoldItalic", "DejaVu Serif", "bold", "slanted", "near"),
    "DejaVu Sans Mono Bold Oblique": ("DejaVuSansMono-BoldOblique", "DejaVu Sans Mono", "bold", "slanted", "near"),
    "STIXGeneral": ("STIXGeneral", "STIXGeneral", "regular", "upright", "far"),
    "STIXGeneral Bold": ("STIXGeneralBol", "STIXGeneral", "bold", "upright", "far"),
    "STIXGeneral Italic": ("STIXGeneralItalic", "STIXGeneral", "regular", "slanted", "far"),
    "STIXGeneral Bold Italic": ("STIXGeneralBolIta", "STIXGeneral", "bold", "slanted", "far"),
}


@functools.cache
def characters_of(face: str) -> frozenset[str]:
    """The characters that a face maps to a glyph of its own (its character map)."""
    from matplotlib.ft2font import FT2Font

    return frozenset(map(chr, FT2Font(_path(face)).get_charmap()))


def draw(character: str, face: str, size: int = SIZE) -> np.ndarray | None:
    """One character in one face: (size, size) uint8, ink 255 on 0; None if it is blank or far too large.

    The em is three quarters of `size`, the baseline three quarters below the upper edge, the advance width is
    centred: case, the place of marks, and the left or right half of a cell can be seen. Ink that would leave the
    picture (or its margin of 1/32) is moved inside by the fewest whole pixels; ink that is too large for that is
    drawn with the largest smaller em, in whole pixels, that fits, down to half of the usual one.

    Raises InputError for an unknown face and for a character that the face has no glyph for.

    >>> draw("e", "DejaVu Sans").shape
    (32, 32)
    """
    from PIL import Image, ImageDraw

    if face not in FACES:
        raise InputError(f"unknown face {face!r}; the faces are {', '.join(FACES)}")
    if character not in characters_of(face):
        raise InputError(f"the face {face} has no glyph for {character!r}; choose another face")
    margin = max(1, size // 32)
    usual = round(size * EM)
    for em in range(usual, round(usual * SMALLEST_EM) - 1, -1):
        font = _font(face, em)
        origin = 2 * size  # far from every edge of a sheet of 5 x 5 images
        sheet = Image.new("L", (5 * size, 5 * size))
        ImageDraw.Draw(sheet).text((origin, origin), character, fill=255, font=font, anchor="ls")
        ink = sheet.getbbox()
        if ink is None:
            return None
        left, top, right, bottom = ink
        if max(right - left, bottom - top) > size - 2 * margin:
            continue
        x = origin - round((size - font.getlength(character)) / 2)
        y = origin - usual
        x = min(max(x, right + margin - size), left - margin)
        y = min(max(y, bottom + margin - size), top - margin)
        return np.asarray(sheet.crop((x, y, x + size, y + size)))
    return None


@functools.cache
def _font(face, em):
    from PIL import ImageFont

    return ImageFont.truetype(_path(face), em, layout_engine=ImageFont.Layout.BASIC)


def _path(face):
    import matplotlib

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", FACES[face][0] + ".ttf"))
