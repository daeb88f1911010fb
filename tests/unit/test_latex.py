"""A published table as LaTeX: the same cells, escaped, numbers to the right."""

import pandas as pd
import pytest

from finegrain import InputError
from finegrain.report import Report
from finegrain.report.latex import latex


def test_a_published_table_becomes_booktabs(tmp_path):
    report = Report("retrieval/one", out=str(tmp_path))
    frame = pd.DataFrame(
        {"arm": ["a_b & 5 %", "x|y"], "hit": [0.5, -0.25], "hit low": [0.4, -1.0], "hit high": [0.6, 1.0]}
    )
    report.table(frame, caption="How $ much")
    expected = r"""\begin{table}
  \centering
  \caption{How \$ much}
  \begin{tabular}{lr}
    \toprule
    arm & hit \\
    \midrule
    a\_b \& 5 \% & 0.500 [0.400, 0.600] \\
    x|y & -0.250 [-1.000, 1.000] \\
    \bottomrule
  \end{tabular}
\end{table}
"""
    assert latex(tmp_path / "table.md") == latex(tmp_path / "table.csv") == expected


def test_what_is_no_table_is_named(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        latex(tmp_path / "table.md")
    (tmp_path / "table.md").write_text("words\n")
    with pytest.raises(InputError, match="holds no table"):
        latex(tmp_path / "table.md")
