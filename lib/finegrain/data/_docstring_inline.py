"""Inside a paragraph: roles, references, emphasis, maths, paths and names become plain text (rules 3 and 4)."""

import re
from collections.abc import Iterable

# Names of packages that are never an ordinary word in technical prose ("rich" is one, and stays).
_PACKAGE_NAMES = (
    "beautiful ?soup|bs4|fonttools|hugging ?face(?:[ _]hub)?|ipython|jinja2?|jupyter(?:lab)?|matplotlib|mpmath|"
    "networkx|numpy|pandas|pillow|prompt[ _]toolkit|pyarrow|pyplot|py-?torch|scikit(?:-learn)?|scipy|seaborn|"
    "sentence[ -]transformers|sk-?learn|sympy|timm|torch|torchvision|tornado"
)
_IN_ANY_CASE = re.sub("[a-z]", lambda letter: f"[{letter[0].upper()}{letter[0]}]", _PACKAGE_NAMES)  # re.I is slower
_PACKAGE = re.compile(
    rf"\b(?:the )?(?:{_IN_ANY_CASE})(?:/(?:{_IN_ANY_CASE}))*(?:'s)?(?![\w-]|\.\w)|🤗(?: ?[Tt]ransformers)?"
)
_FILE_ENDINGS = {"py", "pyx", "txt", "csv", "json", "md", "rst", "h", "cpp", "so", "toml", "yaml", "yml", "ini", "html"}
_PATH = re.compile(r"(?<![\w.])~?\.?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_TYPESETTING = "left|right|text|mbox|mathrm|mathbf|mathcal|mathbb|mathsf|boldsymbol|operatorname|big|Big|quad|limits"
_HTML = "a|b|br|code|dd|div|dl|dt|em|hfoptions?|hr|i|img|li|ol|p|pre|small|span|strong|sub|sup|table|td|th|tip|tr|tt|ul"
_INLINE = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (
            r":math:`([^`\n]*)`|\\\(([^\n]*?)\\\)|\$([^$\n]{1,80})\$",
            lambda found: _plain_maths(next(filter(None, found.groups()), "")),
        ),
        (r":[\w:+-]+:`([~!.]*)([^`<\n]*?)[ \t]*(?:<[^`\n]*>)?`", lambda found: _shown_name(*found.groups())),
        (r"\[`?~?([^\]`\n]+)`?\]\([^)\n]*\)", r"\1"),  # [title](address)
        (r"\[`([~.]*)([^\]`\n]+)`\]", lambda found: _shown_name(*found.groups())),
        (r"``+([^`\n]*)``+", r"\1"),
        (
            r"`([~.]*)([^`<\n]*?)(?:[ \t]*<[^`>\n]*>)?`_{0,2}",
            lambda found: _plain_maths(_shown_name(*found.groups())),
        ),  # also `title <address>`_
        (r"[ \t]*\[[\w, -]{1,12}\]_|[ \t]\[\d{1,2}\](?=[\s.,;])", ""),  # footnote marks
        (r"<?https?://[^\s>)]+>?", ""),
        (rf"</?(?i:{_HTML})\b[^<>\n]{{0,80}}>", ""),
        (r"%\(\w+\)s|\{\{\w+\}\}", ""),
        (r"(?<![\w*])(\*\*|\*)(?=[^\s*])([^*\n]+?)(?<=[^\s*])\1(?![\w*])", r"\2"),
        (r"\\([*_`|\\ ])|(?<=\S)\\(?=s\b)", r"\1"),  # escapes, and the plural in ":class:`Axes`\s"
        (r"(?<![\w/])~(?=[A-Za-z_])", ""),
        (r"\b([A-Za-z]\w*[A-Za-z0-9])_(?=[\s.,;:)])", r"\1"),  # target_
    )
]
_TIDY = [
    (_PACKAGE, lambda found: found[0] if found.string[max(found.start() - 1, 0)] in ".-/" else ""),
    (re.compile(r"\([ \t]*[,;.]?[ \t]+\)|\([ \t]+[,;.]?[ \t]*\)"), ""),
    (re.compile(r"[^\S\n]+"), " "),
    (re.compile(r" ([,.;:)](?!\w))"), r"\1"),
    (re.compile(r"\( "), "("),
    (re.compile(r"^ | $", re.MULTILINE), ""),
]


class InlineCleaner:
    """Rules 3 and 4 as a function of paragraphs, one a line.

    modules: the names of all packages and modules read; a dotted path through one of them is cut to its last name.

    >>> InlineCleaner({"scipy", "signal"})("Like :func:`~scipy.signal.firwin` [1]_, on a *NumPy* array of ``n`` taps.")
    'Like firwin, on a array of n taps.'
    """

    def __init__(self, modules: Iterable[str]):
        aliases = {"np", "sp", "pd", "plt", "mpl", "nx", "nn", "F", "self", "cls", "sns", "pa", "xp", "tf", "jnp"}
        self._modules = {module.lstrip("_") for module in modules} | set(modules) | aliases

    def __call__(self, text: str) -> str:
        for pattern, replacement in _INLINE:
            text = pattern.sub(replacement, text)
        text = _PATH.sub(self._last_name, text)
        for pattern, replacement in _TIDY:
            text = pattern.sub(replacement, text)
        return text

    def _last_name(self, found):
        parts = found[0].lstrip("~.").split(".")
        if found[0][0] not in "~." and not any(part in self._modules for part in parts[:-1]):
            return found[0]
        return ".".join(parts[-2:]) if parts[-1] in _FILE_ENDINGS else parts[-1]


def _shown_name(marks, name):
    """What a reference shows: "~" before a dotted name asks for its last part."""
    return name.rpartition(".")[2] if "~" in marks else name


def _plain_maths(text):
    r"""LaTeX as it would be read: "\frac{a}{2} \rightarrow \mathbb{R}" is "(a)/(2) rightarrow R"."""
    if "\\" not in text:
        return text
    text = re.sub(r"\\d?frac\{([^{}]*)\}\{([^{}]*)\}", r"(\1)/(\2)", text)
    text = re.sub(rf"\\(?:(?:{_TYPESETTING})(?![a-z])|[,;! ])", " ", text)
    text = re.sub(r"\\([A-Za-z]+)", r" \1 ", text).replace("\\", "")
    return re.sub(r" {2,}", " ", re.sub(r"[{}]", "", text)).strip()
