"""From a docstring to readable English prose in sections.

Indentation is cleaned here and not by `inspect.cleandoc`, whose rules changed with Python 3.13.

The rules, in the order in which they are applied to a docstring:

1. Left out: doctest and IPython sessions, fenced code, literal blocks after "::", grid and simple tables, footnotes,
   and every directive with its block (version notes, maths, plots, code) except admonitions, whose text stays.
2. Sections are those of numpydoc (underlined) and of Google's style ("Args:"); `:param x:` fields count as Parameters.
   "See Also" becomes links, "References" is left out, headings are kept as names of the sections only.
3. Roles, references, emphasis, literals, links and inline maths become their plain text; URLs, footnote marks and
   unfilled placeholders go.
4. Of a dotted path through a module only the last name stays ("scipy.signal.firwin" is "firwin"), and the packages'
   names go where they are not ordinary words ("a NumPy array" is "a array").
5. Lines are joined to one line a paragraph; a parameter is one paragraph "name (type): description". Entries that are a
   bare name go, and so do announcements of what was left out ("For example:", "See also").
"""

import dataclasses
import itertools
import re


@dataclasses.dataclass(frozen=True)
class Prose:
    """A cleaned docstring: its first sentence, its sections (title, paragraphs) and the names in its See Also."""

    summary: str
    sections: tuple[tuple[str, tuple[str, ...]], ...]
    see_also: tuple[str, ...]


_TITLES = {
    "parameters": "Parameters", "args": "Parameters", "arguments": "Parameters", "other parameters": "Parameters",
    "keyword args": "Parameters", "keyword arguments": "Parameters", "kwargs": "Parameters", "inputs": "Parameters",
    "attributes": "Attributes", "properties": "Attributes", "methods": "Methods",
    "returns": "Returns", "return": "Returns", "yields": "Returns", "outputs": "Returns",
    "raises": "Raises", "warns": "Raises", "except": "Raises",
    "notes": "Notes", "note": "Notes", "warning": "Notes", "warnings": "Notes", "remarks": "Notes", "shape": "Shape",
    "examples": "Examples", "example": "Examples", "usage": "Examples",
    "references": "References", "reference": "References", "see also": "See Also", "seealso": "See Also",
}  # fmt: skip
_LISTS = {"Parameters", "Attributes", "Methods", "Returns", "Raises"}
_ADMONITIONS = {"note", "warning", "tip", "important", "caution", "hint", "attention", "danger", "admonition", "topic"}
_DIRECTIVE = re.compile(r"\.\.\s+([\w-]+)\s*::\s*(.*)$")
# What is left of a paragraph that was an address, a reference or the announcement of an example.
_EMPTY = re.compile(
    r"(?:[^A-Za-z]|[A-Za-z](?![A-Za-z]))*$|(?:\S+ ){0,2}\S+ ?:$|(?:see|see also|cf|source|references?)\W*$", re.I
)
_TABLE = re.compile(r"=+( +=+)+$|\+[-=+]+\+$")
_UNDERLINE = re.compile(r"\s*([-=~^*])\1{2,}\s*$")
_GOOGLE = re.compile(r"([A-Z][A-Za-z ]{2,20}?)\s*::?$")
_FIELD = re.compile(
    r":(param|parameter|arg|argument|key|keyword|type|rtype|returns?|yields?|raises?|ivar|cvar|vartype)\b([^:]*):"
)
_SIGNATURE = re.compile(r"[\w.]+\(.*\)(\s*->.*)?$", re.DOTALL)
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bvs\.)(?<!\bcf\.)(?<!\b[A-Za-z]\.)\s+(?=[A-Z\"'(`])"
)


def parse(raw: str, clean_inline) -> Prose:
    """A docstring by rules 1 to 5 above.

    clean_inline: a function of paragraphs, one a line, for rules 3 and 4: an `_docstring_inline.InlineCleaner`.
    """
    lines, linked = _without_blocks(_dedent(raw))
    sections = [["", []]]
    for line, title in _headed(lines):
        if title is None:
            sections[-1][1].append(line)
        else:
            if title != sections[-1][0]:
                sections.append([title, []])
            sections[-1][1].append(line)
    see_also, titles, paragraphs = list(_names(linked)), [], []
    for title, body in sections:
        if title == "See Also":
            see_also.extend(_names(body))
        elif title not in ("References", "Types"):
            found = [text for text in _entries(body) if " " in text] if title in _LISTS else _paragraphs(body)
            if not titles and found and _SIGNATURE.match(found[0]):
                del found[0]
            paragraphs.extend(found)
            titles.extend([title] * len(found))
    cleaned = clean_inline("\n".join(paragraphs)).split("\n")
    kept = [pair for pair in zip(titles, cleaned, strict=True) if not _EMPTY.match(pair[1])] if titles else []
    summary = ""
    if kept and kept[0][0] == "":
        summary, *rest = _SENTENCE_END.split(kept[0][1], maxsplit=1)
        kept[:1] = [("", text) for text in rest]
    grouped = itertools.groupby(kept, key=lambda pair: pair[0])
    return Prose(
        summary,
        tuple((title, tuple(text for _, text in pairs)) for title, pairs in grouped),
        tuple(dict.fromkeys(see_also)),
    )


def _dedent(raw):
    lines = raw.expandtabs().splitlines() or [""]
    margins = [len(line) - len(line.lstrip(" ")) for line in lines[1:] if line.strip()]
    margin = min(margins, default=0)
    return [lines[0].strip(), *(line[margin:].rstrip() for line in lines[1:])]


def _indent(line):
    return len(line) - len(line.lstrip(" "))


def _block_end(lines, start, indent):
    """The first row from `start` on that is neither blank nor indented deeper than `indent`."""
    row = start
    while row < len(lines) and (not lines[row].strip() or _indent(lines[row]) > indent):
        row += 1
    return row


def _without_blocks(lines):
    """The lines without code, tables and directives; and the lines of `seealso` directives."""
    kept, linked = [], []
    row = 0
    while row < len(lines):
        line, bare = lines[row], lines[row].strip()
        indent = _indent(line)
        row += 1
        directive = _DIRECTIVE.match(bare)
        if bare.startswith((">>>", "In [")):
            while row < len(lines) and lines[row].strip():
                row += 1
        elif bare.startswith(("```", "~~~")) and bare.count("```") < 2:
            while row < len(lines) and not lines[row].strip().startswith(bare[:3]):
                row += 1
            row += 1
        elif _TABLE.match(bare):
            while row < len(lines) and lines[row].strip():
                row += 1
        elif directive:
            end = _block_end(lines, row, indent)
            name, argument = directive[1].lower(), directive[2]
            block = [argument, *_dedent("\n" + "\n".join(lines[row:end]))]
            if name == "seealso":
                linked.extend(block)
            elif name in _ADMONITIONS:
                inner, more = _without_blocks([part for part in block if not part.startswith(":class:")])
                kept.extend(["", *(" " * indent + part for part in inner), ""])
                linked.extend(more)
            row = end
        elif bare.startswith(".. ") or bare == "..":
            row = _block_end(lines, row, indent)
        elif bare.endswith("::") and _title_of(bare) not in _LISTS:
            kept.append("" if bare == "::" else line.rstrip()[:-1])
            row = _block_end(lines, row, indent)
        elif not bare.startswith(("|", "+")) or len(bare) < 3:
            kept.append(line)
    return kept, linked


def _title_of(bare):
    match = _GOOGLE.match(bare)
    return _TITLES.get(match[1].lower()) if match else None


def _headed(lines):
    """Pairs (line, None), or (rest of the line, title) where a section starts."""
    margin = None  # of the heading "Args:" whose section is open and indented deeper
    row = 0
    while row < len(lines):
        line = lines[row]
        bare = line.strip()
        field = _FIELD.match(bare) if bare.startswith(":") else None
        if bare and row + 1 < len(lines) and _UNDERLINE.match(lines[row + 1]):
            title = bare.strip("*: ")
            yield "", _TITLES.get(title.lower(), title)
            margin = None
            row += 1
        elif _indent(line) <= 4 and _title_of(bare):
            yield "", _title_of(bare)
            following = next((other for other in lines[row + 1 :] if other.strip()), "")
            margin = _indent(line) if _indent(following) > _indent(line) else None
        elif field:
            kind, name = field.groups()
            rest = bare[field.end() :].strip()
            if kind in ("type", "rtype", "vartype"):
                yield "", "Types"
            elif kind.startswith(("return", "yield")):
                yield rest, "Returns"
            else:
                yield (
                    f"{name.split()[-1] if name.split() else ''}: {rest}",
                    "Raises" if kind[:5] == "raise" else "Parameters",
                )
        elif bare and margin is not None and _indent(line) <= margin:
            yield line, ""
            margin = None
        elif not _UNDERLINE.match(line) and not re.match(r"#+ ", bare):
            yield line, None
        row += 1


def _paragraphs(lines):
    """Runs of lines, broken at blank lines and at list items."""
    found, current = [], []
    for line in [*lines, ""]:
        bare = line.strip()
        item = re.match(r"([-*+•]|\(?\d{1,2}[.)])\s+(?=\S)", bare)
        if (not bare or item) and current:
            found.append(" ".join(current))
            current = []
        if bare:
            current.append(bare[item.end() :] if item else bare)
    return found


_ENTRY = re.compile(
    r"(?P<name>[^\s:(][^:(]*?)\s*(\((?P<type>[^()]*(\([^()]*\)[^()]*)*)\))?\s*:(?!\S*`)\s*(?P<rest>.*)$"
)


def _entries(lines):
    """One paragraph an entry: "name (type): description"; text that is no list stays paragraphs."""
    margin = min((_indent(line) for line in lines if line.strip()), default=0)
    found = []
    last = (
        "blank"  # what the line before was: blank, a bare name, text, numpydoc's "name : type", Google's "name: text"
    )
    for line in lines:
        bare = re.sub(r"^[-*+•]\s+(?=\S)", "", line.strip())
        entry = None if _indent(line) > margin else _ENTRY.match(bare)
        if not bare:
            last = "blank" if last == "text" else last
        elif _indent(line) > margin and found:
            found[-1] += (": " if last in ("name", "numpydoc") else " ") + bare
            last = "text" if last == "text" else "indented"
        elif entry and " : " in bare and not entry["type"]:
            found.append(f"{entry['name']} ({entry['rest']})" if entry["rest"] else entry["name"])
            last = "numpydoc"
        elif entry:
            type_of = f" ({entry['type']})" if entry["type"] else ""
            found.append(f"{entry['name']}{type_of}: {entry['rest']}".rstrip())
            last = "text"
        elif last == "text":
            found[-1] += " " + bare
        else:
            found.append(bare)
            last = "text" if len(bare.split()) > 3 else "name"
    return found


_ROLE = re.compile(r":[\w:+-]+:`([^`]*)`")


def _names(lines):
    """The names that a See Also block points to."""
    for line in lines:
        roles = _ROLE.findall(line)
        for role in roles:
            target = re.sub(r".*<(.*)>", r"\1", role).lstrip("~.!")
            yield re.sub(r"\(.*", "", target)
        if not roles and line.strip() and _indent(line) <= 4:
            for name in re.split(r"\s:|:\s|:$", line.strip(), maxsplit=1)[0].split(","):
                name = re.sub(r"\(.*", "", name).strip(" `~.*-")
                if re.fullmatch(r"[A-Za-z_][\w.]*", name):
                    yield name
