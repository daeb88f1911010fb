"""Data cards, the docstrings of the modules in finegrain.data, as Markdown."""

import re
import textwrap


def data_card(text: str) -> str:
    """A data card as Markdown: "What: ..." and a line above indented ones become bold heads, a list stays as set."""
    parts = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        first, rest = lines[0], lines[1:]
        inner = textwrap.dedent("\n".join(rest))
        if rest and not first.startswith(" ") and all(line.startswith("    ") for line in rest) and ":" not in first:
            parts.append(f"**{_prose(first)}**\n\n{_lines(inner)}")
        elif any(line.startswith("    ") for line in lines):
            parts.append(f"```text\n{block}\n```")
        else:
            head, colon, tail = " ".join(lines).partition(": ")
            known = colon and len(head) < 30
            parts.append(f"**{_prose(head)}.** {_prose(tail)}" if known else _prose(block))
    return "\n\n".join(parts)


def _lines(text):
    """Paragraphs of `name: what` with hanging lines, as a list; other text as it is."""
    entries = re.split(r"\n(?=\S)", text)
    if all(re.match(r"\w[\w ]*: ", entry) for entry in entries):
        return "\n".join(f"- {_prose(entry)}" for entry in entries)
    return _prose(text)


def _escaped(text):
    return re.sub(r"([\\|<*_`$\[])", r"\\\1", text)


def _prose(text):
    """Text as Markdown shows it; code between backticks stays code."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else _escaped(part) for part in parts)
