"""A published table as LaTeX, for a paper."""

import itertools
import re
from pathlib import Path

from finegrain.errors import InputError

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{one: f"\\{one}" for one in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def latex(path) -> str:
    """The table of a Markdown file that `Report.table` wrote, as a table environment for the package booktabs.

    Numbers, digits and captions are those of the file. Raises InputError where it holds no such table.
    """
    path = Path(path)
    if path.suffix == ".csv":
        path = path.with_suffix(".md")
    if not path.is_file():
        raise InputError(f"there is no file {path}; name a table's .md or .csv below figures/")
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [_cells(line) for line in lines if line.startswith("|")]
    if len(rows) < 2:
        raise InputError(f"{path} holds no table")
    head, rule, *body = rows
    columns = "".join("r" if mark.endswith(":") else "l" for mark in rule)
    caption = " ".join(filter(None, itertools.takewhile(lambda line: not line.startswith("|"), lines)))
    parts = [r"\begin{table}", r"  \centering"]
    parts += [f"  \\caption{{{escaped(caption)}}}"] if caption else []
    parts += [f"  \\begin{{tabular}}{{{columns}}}", r"    \toprule", _row(head), r"    \midrule"]
    parts += [*map(_row, body), r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that LaTeX shows as it is.

    >>> escaped("5 % of a_b − c")
    '5 \\\\% of a\\\\_b $-$ c'
    """
    return "".join(SPECIAL.get(one, one) for one in text)


def _cells(line):
    """The texts between a row's bars, without Markdown's backslashes."""
    inner = re.split(r"(?<!\\)\|", line.strip())[1:-1]
    return [re.sub(r"\\(\W|_)", r"\1", cell.strip()) for cell in inner]


def _row(cells):
    return "    " + " & ".join(map(escaped, cells)) + r" \\"
