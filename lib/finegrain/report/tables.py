"""Tables as CSV for programs, and as Markdown and HTML for readers."""

import html

import numpy as np
import pandas as pd

from finegrain.errors import InputError


def wide(estimates: pd.DataFrame) -> pd.DataFrame:
    """One row per arm from `finegrain.evaluate.estimates`; columns are each measure's mean, "... low" and "... high".

    >>> long = pd.DataFrame({"arm": ["a"], "measure": ["top-1"], "mean": [0.5], "low": [0.4], "high": [0.6]})
    >>> wide(long)
      arm  top-1  top-1 low  top-1 high
    0   a    0.5        0.4         0.6
    """
    rows = {arm: {"arm": arm} for arm in estimates["arm"]}
    for row in estimates.itertuples():
        rows[row.arm] |= {row.measure: row.mean, f"{row.measure} low": row.low, f"{row.measure} high": row.high}
    return pd.DataFrame(list(rows.values()))


def to_csv(frame: pd.DataFrame) -> str:
    """CSV with Unix line ends and six significant digits; a named index becomes the first columns."""
    return _flat(frame).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def to_markdown(frame: pd.DataFrame, digits: int = 3, formats=None) -> str:
    """A Markdown table of `readable` text, numbers to the right; texts are escaped."""
    shown = readable(frame, digits, formats)
    right = [_is_number(frame, column) for column in shown]
    header = "| " + " | ".join(escaped(str(column)) for column in shown) + " |"
    rule = "|" + "|".join(" ---: " if number else " --- " for number in right) + "|"
    rows = ["| " + " | ".join(escaped(text) for text in row) + " |" for row in shown.itertuples(index=False)]
    return "\n".join([header, rule, *rows]) + "\n"


def to_display(frame: pd.DataFrame, name: str, digits: int = 3, formats=None, caption: str = ""):
    """A pandas Styler of `readable` text for a notebook, without ids that vary from run to run."""
    from pandas.io.formats.style import Styler

    shown = readable(frame, digits, formats)
    to_the_right = [
        {"selector": f".col{i}", "props": "text-align: right; font-variant-numeric: tabular-nums"}
        for i, column in enumerate(shown)
        if _is_number(frame, column)
    ]
    styler = Styler(shown, uuid=name, cell_ids=False, caption=html.escape(caption) or None)
    return (
        styler.hide(axis="index")
        .format(escape="html")
        .format_index(escape="html", axis=1)
        .set_table_styles([{"selector": "th, td", "props": "text-align: left"}, *to_the_right])
    )


def readable(frame: pd.DataFrame, digits: int = 3, formats=None) -> pd.DataFrame:
    """The table as text: numbers with `digits` decimals, and columns X, "X low", "X high" as one, `mean [low, high]`.

    formats: column -> format specification where `digits` is not right, such as {"seconds": ".1f"}.

    >>> readable(pd.DataFrame({"arm": ["a"], "hit": [0.5], "hit low": [0.41234], "hit high": [0.6], "n": [1200]}))
      arm                   hit      n
    0   a  0.500 [0.412, 0.600]  1,200
    """
    frame, formats = _flat(frame), dict(formats or {})
    unknown = [column for column in formats if column not in frame]
    if unknown:
        raise InputError(
            f"the table has no column {unknown[0]!r} to format; it has {', '.join(map(str, frame.columns))}"
        )
    text = {}
    for column in frame:
        base = next((str(column).removesuffix(end) for end in (" low", " high") if str(column).endswith(end)), None)
        if base in frame and f"{base} low" in frame and f"{base} high" in frame:
            continue
        one = _formatter(formats.get(column), digits)
        if f"{column} low" in frame and f"{column} high" in frame:
            triples = zip(frame[column], frame[f"{column} low"], frame[f"{column} high"], strict=True)
            text[column] = [
                one(mean) if pd.isna(low) else f"{one(mean)} [{one(low)}, {one(high)}]" for mean, low, high in triples
            ]
        else:
            text[column] = [one(value) for value in frame[column]]
    return pd.DataFrame(text, columns=list(text))


def _flat(frame):
    if isinstance(frame.index, pd.RangeIndex) and frame.index.name is None:
        return frame
    if None in frame.index.names:
        raise InputError("the rows of the table have an index without a name; name it, it heads the first column")
    return frame.reset_index()


def _formatter(specification, digits):
    def one(value):
        if isinstance(value, bool | np.bool_):
            return "yes" if value else "no"
        if value is None or (np.isscalar(value) and pd.isna(value)):
            return "–"
        if isinstance(value, int | np.integer):
            return format(value, specification or ",d")
        if isinstance(value, float | np.floating):
            return format(value, specification or f",.{digits}f")
        return str(value)

    return one


def _is_number(frame, column):
    frame = _flat(frame)
    return pd.api.types.is_numeric_dtype(frame[column]) and not pd.api.types.is_bool_dtype(frame[column])


def escaped(text: str) -> str:
    """One line of text that Markdown shows as it is."""
    for special in ("\\", "|", "<", "*", "_", "`", "]("):  # "[0.4, 0.6]" may stay as it is, a link may not
        text = text.replace(special, f"\\{special}")
    return " ".join(text.split())
