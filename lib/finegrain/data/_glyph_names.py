"""What a Unicode name says of a picture: script, case, base, forms and marks, as data and as noun phrases."""

import dataclasses
import functools
import re
import unicodedata

from finegrain.data import _glyph_words as words


@dataclasses.dataclass(frozen=True)
class Description:
    """script (or family of signs), case and base as words; forms and marks as phrases without an article."""

    script: str
    case: str
    base: str
    forms: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    def but(self, forms=(), marks=()) -> "Description":
        """The same with more forms and marks; a form is not said twice."""
        forms = tuple(dict.fromkeys(self.forms + tuple(forms)))
        return dataclasses.replace(self, forms=forms, marks=self.marks + tuple(marks))


@functools.cache
def describe(character: str) -> Description:
    """What the decompositions and the name of a character say, the canonical decomposition first.

    >>> describe("é")
    Description(script='latin', case='lower case', base='e', forms=(), marks=('acute accent above',))
    """
    first, *rest = list(unicodedata.normalize("NFD", character))
    if rest and all(unicodedata.combining(mark) for mark in rest):
        base = describe(first)
        return base.but(marks=[_combining(mark, base.script) for mark in rest])
    if first != character and not rest:  # the Kelvin sign is a K
        return describe(first)
    name = unicodedata.name(character)
    return _from_compatibility(character, name) or _from_name(name, unicodedata.category(character))


def phrases(description: Description) -> tuple[str, ...]:
    """Short noun phrases in the order script, case, base, forms, marks.

    >>> phrases(describe("ḝ"))
    ('a latin letter', 'lower case', 'the base letter e', 'a cedilla below', 'a breve above')
    """
    script, base = description.script, description.base
    digit = base.startswith("digit ")
    if script in words.KINDS:
        said = [words.KINDS[script], description.case, f"the {base}" if base else ""]
    else:
        said = [
            _article(f"{script} {'digit' if digit else 'letter'}"),
            description.case,
            f"the {base}" if digit else f"the base letter {base}",
        ]
    return tuple(filter(None, said)) + description.forms + tuple(map(_article, description.marks))


def _from_compatibility(character, name):
    """A styled, raised, enclosed or positional form of one character, described as that character; else None."""
    tag, *targets = unicodedata.decomposition(character).split() or [""]
    texts = "".join(chr(int(target, 16)) for target in targets)
    inner = texts.removeprefix("(").removesuffix(")")
    if tag == "<compat>" and len(inner) == 1 and len(texts) == 3:
        return describe(inner).but(["inside parentheses"])
    if len(texts) == 2 and texts[1] == "." and tag == "<compat>":
        return describe(texts[0]).but(["followed by a full stop"])
    if len(texts) != 1:
        return None
    if tag in words.TAGS:
        return describe(texts).but([words.TAGS[tag]])
    if tag == "<font>":
        return describe(texts).but(_take(name, words.LETTER_FORMS)[0] or ["symbol form"])
    if tag == "<compat>" and name.endswith(("SYMBOL", "SIGN")) and unicodedata.category(texts)[0] == "L":
        return describe(texts).but(["symbol form"])
    return None


def _from_name(name, category):
    script = re.search(rf"\b({words.SCRIPTS})\b", name) if category[0] in "LN" else None
    if script is None and (category[0] != "L" or name.startswith("MODIFIER")):
        return _of_parts(name) or _sign(name, category)
    if script:
        name = name.replace(script[1], "", 1)
    position, name = _take(name, words.POSITIONS)
    core, *clauses = name.split(" WITH ")
    marks = [_mark(part) for clause in clauses for part in clause.split(" AND ")]
    forms, core = _take(core, words.LETTER_FORMS)
    case = {"CAPITAL": "upper case", "SMALL": "lower case"}.get(_first(core, ("CAPITAL", "SMALL")), "")
    base = " ".join(re.sub(r"\b(CAPITAL|SMALL|LETTER|SYLLABLE)\b", "", core).split()).lower()
    return Description(script[1].lower() if script else "symbol", case, base, tuple(forms + position), tuple(marks))


def _sign(name, category):
    """A sign: what kind, how drawn, and the clauses after with, over, above, below, and, or, ..."""
    kind = next((kind for pattern, kind in words.FAMILIES.items() if re.match(pattern, name)), "")
    kind = kind or words.CATEGORIES.get(category) or words.CATEGORIES.get(category[0], "symbol")
    case = ""
    if match := re.match("(SMALL )?(?=ROMAN NUMERAL)", name):
        case, name = "lower case" if match[1] else "upper case", name[match.end() :]
    name = re.sub(rf"^({words.FILLER}) ", "", name)
    head, *clauses = re.split(rf" (?=(?:{words.CONNECTIVES}) )", name)
    forms, base = _take(head, words.FORMS)
    if not base:  # all of it says how: then that is what it is
        forms, base = [], head
    marks = [_clause(clause) for clause in clauses]
    return Description(kind, case, base.removesuffix(" SIGN").lower(), tuple(forms), tuple(marks))


def _clause(clause):
    """A clause of a sign's name as a phrase: the same mark as a letter's where it is one."""
    connective, _, rest = clause.partition(" ")
    if connective in ("WITH", "AND") and (rest in words.MARKS or rest.endswith(tuple(f" {p}" for p in words.PLACES))):
        return _mark(rest)
    rest = rest.replace("BLACK", "FILLED").replace("WHITE", "OUTLINED").lower()
    return rest if connective == "WITH" else f"{connective.lower()} {rest}"


def _of_parts(name):
    """Signs that are a set of parts, each with its place: braille, dominoes, cards, boxes, stacked lines."""
    if match := re.fullmatch(r"BRAILLE PATTERN DOTS-(\d+)", name):
        return Description("braille", "", "cell", (), tuple(f"dot in the {words.DOTS[dot]}" for dot in match[1]))
    if match := re.fullmatch(r"DOMINO TILE (HORIZONTAL|VERTICAL)-(\d+)-(\d+)", name):
        sides = ("left", "right") if match[1] == "HORIZONTAL" else ("upper", "lower")
        halves = (
            f"{side} half with {words.COUNTS[int(dots)]}" for side, dots in zip(sides, match.groups()[1:], strict=True)
        )
        return Description("domino", "", "tile", (match[1].lower(),), tuple(halves))
    if match := re.fullmatch(r"PLAYING CARD (\w+) OF (\w+)", name):
        return Description("playing card", "", match[1].lower(), (), (f"suit of {match[2].lower()}",))
    if name.startswith("QUADRANT "):
        return Description(
            "block", "", "quadrants", (), tuple(f"{part.lower()} filled" for part in name[9:].split(" AND "))
        )
    if name.startswith("BOX DRAWINGS") and "DIAGONAL" not in name:
        return _box(name)
    if match := re.fullmatch(r"(HEXA|TETRA|TRI|DI|MONO)GRAM FOR .*", name):
        return _stacked_lines(match[1], ord(unicodedata.lookup(name)))
    return None


def _box(said):
    forms = [form for word, form in (("ARC", "with a round corner"), ("TRIPLE DASH", "dashed in three"),
                                     ("QUADRUPLE DASH", "dashed in four"), ("DOUBLE DASH", "dashed in two"))
             if word in said]  # fmt: skip
    said = re.sub(r"ARC|(TRIPLE|QUADRUPLE|DOUBLE) DASH", "", said)
    arms, usual = [], "LIGHT"
    for part in said.split(" AND "):
        weight = _first(part, words.WEIGHTS) or usual
        usual = weight
        arms += [
            f"{words.WEIGHTS[weight]} line {place}"
            for word in part.split()
            if word in words.ARMS
            for place in words.ARMS[word]
        ]
    return Description("box drawing", "", "", tuple(forms), tuple(arms))


def _stacked_lines(figure, codepoint):
    """Monograms to hexagrams of the I Ching and the tetragrams of the Tai Xuan Jing, line by line from the top."""
    if figure == "HEXA":
        upper, lower = map(int, words.HEXAGRAMS[2 * (codepoint - 0x4DC0) :][:2])
        breaks = [trigram >> line & 1 for trigram in (upper, lower) for line in range(3)]
    elif codepoint >= 0x1D306:
        breaks = [(codepoint - 0x1D306) // 3**place % 3 for place in (3, 2, 1, 0)]
    elif codepoint >= 0x1D300:
        breaks = [[2], [0, 2], [1, 2], [2, 0], [2, 1], [2, 2]][codepoint - 0x1D300]
    else:
        start, lines = {"TRI": (0x2630, 3), "DI": (0x268C, 2), "MONO": (0x268A, 1)}[figure]
        breaks = [codepoint - start >> line & 1 for line in range(lines)]
    kinds = ("unbroken", "broken", "twice broken")
    said = (f"{words.ROWS[row]} line {kinds[broken]}" for row, broken in enumerate(breaks))
    return Description("stacked lines", "", f"{figure.lower()}gram", (), tuple(said))


def _take(said, vocabulary):
    """The forms that occur in a name, in the name's order, and the name without them."""
    found = []
    for word in vocabulary:
        match = re.search(rf"(?<![\w-]){word}(?![\w-])", said)
        if match:
            found.append((match.start(), words.FORMS[word]))
            said = said[: match.start()] + "\0" * len(word) + said[match.end() :]
    return [form for _, form in sorted(found)], " ".join(said.replace("\0", " ").split())


def _combining(mark, script):
    name = unicodedata.name(mark).removeprefix("COMBINING ").removeprefix("HEBREW POINT ").removeprefix("ARABIC ")
    if script == "greek" and name.endswith("COMMA ABOVE"):
        return ("rough" if name.startswith("REVERSED") else "smooth") + " breathing above"
    return _mark(name.replace(" ACCENT", ""), words.COMBINING_CLASSES.get(unicodedata.combining(mark), ""))


def _mark(name, place=""):
    for ending, said in words.PLACES.items():
        if name.endswith(" " + ending) and name not in words.MARKS:
            name, place = name.removesuffix(" " + ending), said
    noun, usual = words.MARKS.get(name, (name.lower(), ""))
    return f"{noun} {place or usual}".strip()


def _first(said, vocabulary):
    return next((word for word in said.split() if word in vocabulary), "")


def _article(noun):
    if re.fullmatch(words.NO_ARTICLE, noun):
        return noun
    return ("an " if noun[0] in "aeiou" or noun.startswith("s ") else "a ") + noun
