"""The texts of a glyph class, each a function of its Unicode name: name, alias, descriptors, path."""

import hashlib
import unicodedata

from finegrain.data import _glyph_names

TEMPLATES = (
    "a picture of {}",
    "a drawing of {}",
    "an image of {}",
    "the character {}",
    "the glyph {}",
    "a print of {}",
    "this is {}",
)

ONSETS = (*"bdfghklmnprstvz", "br", "dr", "fl", "gr", "kl", "pl", "sk", "st", "tr")
VOWELS = tuple("aeiou")
CODAS = ("", "", "", "n", "l", "r", "m", "s")
# Words of English that the hashes of these names would spell. Words of Unicode names are avoided as well.
WORDS = frozenset(
    """
    belle bono bribe date demi fine harder hari kala lamar liza logo mare mega metis monte mora mule pope ravi regan
    ruben sara site store veto visa vito zebra
    """.split()  # noqa: SIM905
)


def texts_of(characters) -> list[dict]:
    """One dict a character, in the given order: the columns of the classes table that are texts."""
    names = [unicodedata.name(character).lower() for character in characters]
    said = {word for name in names for word in name.replace("-", " ").split()}
    taken: set[str] = set()
    rows = []
    for character, name in zip(characters, names, strict=True):
        alias = _alias(name, taken, said)
        taken.add(alias)
        description = _glyph_names.describe(character)
        rows.append(
            {
                "name": name,
                "alias": alias,
                "descriptors": _glyph_names.phrases(description),
                "script": description.script,
                "case": description.case,
                "base": description.base,
                "forms": description.forms,
                "marks": description.marks,
                "path": (
                    description.script,
                    description.case or "no case",
                    description.base,
                    " and ".join(description.forms + description.marks) or "no mark",
                ),
                "category": unicodedata.category(character),
            }
        )
    return rows


def position(name: str, purpose: str) -> float:
    """A number in [0, 1) that only the name and the purpose decide."""
    return int.from_bytes(hashlib.sha256(f"{purpose}\0{name}".encode()).digest()[:8], "big") / 2**64


def _alias(name, taken, said):
    """Two or three syllables from the name's hash; the next hash where that word is taken or says something."""
    attempt = 0
    while True:
        word = _pseudo_word(hashlib.sha256(f"alias\0{attempt}\0{name}".encode()).digest())
        own = any(part in word for part in name.split() if len(part) > 2)
        if not own and word not in taken and word not in said and word not in WORDS:
            return word
        attempt += 1


def _pseudo_word(hashed):
    count = 2 + hashed[0] % 2
    return "".join(
        ONSETS[hashed[3 * i + 1] % len(ONSETS)]
        + VOWELS[hashed[3 * i + 2] % len(VOWELS)]
        + CODAS[hashed[3 * i + 3] % len(CODAS)]
        for i in range(count)
    )
