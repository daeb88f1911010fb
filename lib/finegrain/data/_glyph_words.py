"""The vocabulary of `_glyph_names`: what the words of Unicode names mean for a picture, as data."""

SCRIPTS = (
    "EXTENDED ARABIC-INDIC|ARABIC-INDIC|LATIN|GREEK|CYRILLIC|ARMENIAN|HEBREW|ARABIC|NKO|THAI|LAO|GEORGIAN|OGHAM|"
    "TIFINAGH|COPTIC|LISU|SYRIAC|HIRAGANA|CANADIAN SYLLABICS|OLD ITALIC"
)

# How the members of a script, or of a family of signs, are called where "a <script> letter" would not do.
KINDS = {
    "arrow": "an arrow",
    "braille": "a braille pattern",
    "box drawing": "a box drawing",
    "block": "a block element",
    "domino": "a domino tile",
    "playing card": "a playing card",
    "stacked lines": "stacked lines",
    "mathematical": "a mathematical sign",
    "currency": "a currency sign",
    "punctuation": "a punctuation mark",
    "accent": "an accent standing alone",
    "modifier": "a modifier letter",
    "number": "a number",
    "apl": "a programming sign",
    "symbol": "a symbol",
}
FAMILIES = {  # by the name, else by the category
    r"BRAILLE": "braille",
    r"BOX DRAWINGS": "box drawing",
    r"DOMINO": "domino",
    r"PLAYING CARD": "playing card",
    r"(HEXA|TETRA|TRI|DI|MONO)GRAM FOR": "stacked lines",
    r"APL FUNCTIONAL": "apl",
    r".*(ARROW|HARPOON)": "arrow",
    r"(.* )?(BLOCK|SHADE)$|QUADRANT": "block",
    r"MODIFIER LETTER": "modifier",
}
CATEGORIES = {"Sm": "mathematical", "Sc": "currency", "Sk": "accent", "P": "punctuation", "N": "number", "S": "symbol"}

# Words that say how something is drawn rather than what it is. Longer keys come first.
FORMS = {
    "SMALL CAPITAL": "small capital",
    "BLACK-LETTER": "in blackletter",
    "FRAKTUR": "in blackletter",
    "DOUBLE-STRUCK": "double-struck",
    "SANS-SERIF": "without serifs",
    "MONOSPACE": "in typewriter style",
    "BOLD": "in bold",
    "ITALIC": "in italics",
    "SCRIPT": "in handwriting",
    "FULLWIDTH": "full width",
    "TURNED": "turned upside down",
    "REVERSED": "mirrored",
    "INVERTED": "upside down",
    "ROTATED": "rotated",
    "SIDEWAYS": "lying on its side",
    "DOTLESS": "without its dot",
    "LIGATURE": "ligature",
    "ISOLATED FORM": "isolated form",
    "INITIAL FORM": "initial form",
    "MEDIAL FORM": "medial form",
    "FINAL FORM": "final form",
    "INITIAL": "initial form",
    "LOOPED": "looped",
    "TAILED": "tailed",
    "STRETCHED": "stretched",
    "BARRED": "barred",
    "OPEN CENTRE": "with an open centre",
    "OPEN": "open",
    "CLOSED": "closed",
    "LONG": "long",
    "SHORT": "short",
    "WIDE": "wide",
    "INSULAR": "insular",
    "NEGATIVE": "white on black",
    "CIRCLED": "inside a circle",
    "SQUARED": "inside a square",
    "DOTTED": "dotted",
    "DASHED": "dashed",
    "HEAVY": "heavy",
    "LIGHT": "light",
    "MEDIUM": "medium",
    "LARGE": "large",
    "SMALL": "small",
    "BLACK": "filled",
    "WHITE": "outlined",
    "DOUBLE": "double",
    "TRIPLE": "triple",
    "QUADRUPLE": "quadruple",
    "TWO-HEADED": "with two heads",
    "HORIZONTAL": "horizontal",
    "VERTICAL": "vertical",
    "DIAGONAL": "diagonal",
    "LEFT RIGHT": "pointing left and right",
    "UP DOWN": "pointing up and down",
    "NORTH EAST": "pointing to the upper right",
    "NORTH WEST": "pointing to the upper left",
    "SOUTH EAST": "pointing to the lower right",
    "SOUTH WEST": "pointing to the lower left",
    "LEFTWARDS": "pointing left",
    "RIGHTWARDS": "pointing right",
    "UPWARDS": "pointing up",
    "DOWNWARDS": "pointing down",
    "LEFT-POINTING": "pointing left",
    "RIGHT-POINTING": "pointing right",
    "UP-POINTING": "pointing up",
    "DOWN-POINTING": "pointing down",
    "UPPER LEFT": "at the upper left",
    "UPPER RIGHT": "at the upper right",
    "LOWER LEFT": "at the lower left",
    "LOWER RIGHT": "at the lower right",
    "ANTICLOCKWISE": "anticlockwise",
    "CLOCKWISE": "clockwise",
}
LETTER_FORMS = tuple(FORMS)[: tuple(FORMS).index("NEGATIVE")]  # the rest are part of what a letter is called
TAGS = {  # of compatibility decompositions
    "<super>": "raised as a superscript",
    "<sub>": "lowered as a subscript",
    "<wide>": "full width",
    "<circle>": "inside a circle",
    "<isolated>": "isolated form",
    "<initial>": "initial form",
    "<medial>": "medial form",
    "<final>": "final form",
}
POSITIONS = ("ISOLATED FORM", "INITIAL FORM", "MEDIAL FORM", "FINAL FORM")  # said after everything else
FILLER = "APL FUNCTIONAL SYMBOL|MATHEMATICAL|DINGBAT|BOX DRAWINGS|MODIFIER LETTER|MODIFIER|VULGAR|GREEK"
CONNECTIVES = "WITH|OVER|ABOVE|BELOW|AND|OR|BUT|CONTAINING|THROUGH|BESIDE|IN|FROM|TO|BY|ON"

# The noun of a mark, and where it sits when its name does not say so.
MARKS = {
    "ACUTE": ("acute accent", "above"),
    "GRAVE": ("grave accent", "above"),
    "DOUBLE ACUTE": ("double acute accent", "above"),
    "DOUBLE GRAVE": ("double grave accent", "above"),
    "CIRCUMFLEX": ("circumflex accent", "above"),
    "TILDE": ("tilde", "above"),
    "MACRON": ("macron", "above"),
    "BREVE": ("breve", "above"),
    "INVERTED BREVE": ("inverted breve", "above"),
    "CARON": ("caron", "above"),
    "DIAERESIS": ("diaeresis", "above"),
    "RING": ("ring", "above"),
    "DOT": ("dot", "above"),
    "VRACHY": ("breve", "above"),
    "DIALYTIKA": ("diaeresis", "above"),
    "TONOS": ("acute accent", "above"),
    "OXIA": ("acute accent", "above"),
    "VARIA": ("grave accent", "above"),
    "PERISPOMENI": ("perispomeni", "above"),
    "GREEK PERISPOMENI": ("perispomeni", "above"),
    "PSILI": ("smooth breathing", "above"),
    "DASIA": ("rough breathing", "above"),
    "PROSGEGRAMMENI": ("iota subscript", "below"),
    "GREEK YPOGEGRAMMENI": ("iota subscript", "below"),
    "CEDILLA": ("cedilla", "below"),
    "OGONEK": ("ogonek", "below"),
    "HORN": ("horn", "at the upper right"),
    "STROKE": ("stroke", "through it"),
    "BAR": ("bar", "through it"),
    "DIAGONAL STROKE": ("diagonal stroke", "through it"),
    "VERTICAL STROKE": ("vertical stroke", "through it"),
    "MIDDLE TILDE": ("tilde", "through it"),
    "LONG SOLIDUS OVERLAY": ("stroke", "through it"),
    "LONG VERTICAL LINE OVERLAY": ("vertical stroke", "through it"),
    "DESCENDER": ("descender", "below"),
    "LINE BELOW": ("macron", "below"),
    "UNDERBAR": ("bar", "below"),
    "OVERBAR": ("bar", "above"),
}
PLACES = {  # what a mark's name may end in
    "ABOVE RIGHT": "at the upper right",
    "ABOVE": "above",
    "BELOW": "below",
    "OVERLAY": "through it",
    "INSIDE": "inside",
}
COMBINING_CLASSES = {
    **dict.fromkeys((14, 15, 16, 17, 18, 20, 202, 220, 233, 240), "below"),
    **dict.fromkeys((19, 23, 230, 232, 234), "above"),
    1: "through it",
    21: "inside",
    24: "at the upper right",
    25: "at the upper left",
    216: "at the upper right",
}

DOTS = {  # of a braille cell, by row and side
    **dict(zip("1237", (f"{row} row on the left" for row in ("top", "second", "third", "bottom")), strict=True)),
    **dict(zip("4568", (f"{row} row on the right" for row in ("top", "second", "third", "bottom")), strict=True)),
}
NO_ARTICLE = (  # how phrases start, and how they end
    rf"(?i:{CONNECTIVES}|two|three|four|first|second|third|fourth|fifth|sixth) .*|"
    r".*(eyes|rays|drops|dots|corners|serifs|horns|sunglasses)"
)
COUNTS = ("no dots", "one dot", "two dots", "three dots", "four dots", "five dots", "six dots")
ARMS = {  # of a box drawing
    "LEFT": ("to the left",),
    "RIGHT": ("to the right",),
    "UP": ("upwards",),
    "DOWN": ("downwards",),
    "HORIZONTAL": ("to the left", "to the right"),
    "VERTICAL": ("upwards", "downwards"),
}
WEIGHTS = {"LIGHT": "light", "SINGLE": "light", "HEAVY": "heavy", "DOUBLE": "double"}
ROWS = ("first", "second", "third", "fourth", "fifth", "sixth")
# The 64 hexagrams in their order, each as its upper and lower trigram; a trigram's bits say which of its lines
# are broken, from the top.
HEXAGRAMS = (
    "00775365500575574001700702207637136471472362677303606314552216340630277242215635614310041774155412243366463132264411"
    "455141365225"
)
