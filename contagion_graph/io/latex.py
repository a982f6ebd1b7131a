"""Tables for papers: LaTeX with booktabs, units, and as many digits as mean something."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph_formats.columns import writable

SHARE = "share"  # written in percent
UNITS = {
    **dict.fromkeys(("price_before", "price_shocked", "price_after", "price_after_short"), "currency per unit"),
    **dict.fromkeys(("closed", "largest_move", "haircut"), SHARE),
    **dict.fromkeys(("quantity", "units_sold"), "units"),
    **dict.fromkeys(("equity_before", "equity_after", "loss", "direct", "impact", "penalty", "socialised"), "currency"),
    **dict.fromkeys(("shortfall", "standalone", "indirect", "uncovered", "value_sold", "closed_value"), "currency"),
    **dict.fromkeys(("fund_before", "fund_used", "fund_received", "fund_after", "cash", "depth"), "currency"),
    **dict.fromkeys(("open_interest_before", "open_interest_after", "assets_before", "assets_after"), "currency"),
    **dict.fromkeys(("liabilities_before", "liabilities_after", "gross_value", "maintenance", "slack"), "currency"),
}
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    # after the end of a row LaTeX would take them for its options
    "[": "{[}",
    "*": "{*}",
    **{character: f"\\{character}" for character in "{}$&#_%"},
    **dict.fromkeys("\t\n\r", " "),
}
LARGE, SMALL = 1e5, 1e-3  # beyond these a column gets a power of ten


def to_latex(
    table: "pd.DataFrame | pd.Series[Any]",
    *,
    units: Mapping[str, str] | None = None,
    digits: int = 3,
    caption: str | None = None,
    label: str | None = None,
) -> str:
    r"""Return a table as LaTeX with a row of units; needs the package booktabs.

    Numbers are rounded to `digits` significant digits each, and to as many decimals at most: 0.000 is small, 0 is zero.
    A column with a number from 1e5 up, or with none from 1e-3 up, is divided by a power of 1000, which stands before
    its unit; shares are in percent.

    Parameters
    ----------
    table : DataFrame or Series
        Any table of a result, or a measure; its index becomes the first columns.
    units : mapping of column to unit, optional
        Beside those that the library knows; "share" for what is to be written in percent.
    digits : int
        Significant digits, from 1.
    caption, label : str, optional
        With a caption it becomes a floating table; LaTeX in it stays LaTeX.

    Returns
    -------
    str

    Raises
    ------
    ParameterError
        What is no table; a number of digits that cannot be.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> table = pd.DataFrame({"loss": [1234567.0, -45.6], "closed": [1.0, 0.25]}, index=["Ann & Co", "Bob"])
    >>> print(cg.to_latex(table.rename_axis("trader")))
    \begin{tabular}{lrr}
    \toprule
    trader & loss & closed \\
     & $10^{6}$ currency & \% \\
    \midrule
    Ann \& Co & 1.23 & 100 \\
    Bob & $-$0.000 & 25.0 \\
    \bottomrule
    \end{tabular}
    """
    if not isinstance(table, pd.DataFrame | pd.Series):
        raise ParameterError(f"table is {table!r:.60}; give a frame or a Series, such as result.traders")
    check_number("to_latex", "digits", digits, low=1, whole=True)
    frame = table.to_frame() if isinstance(table, pd.Series) else table
    known = {**UNITS, **(units or {})}
    columns = [*_index_columns(frame.index), *((name, frame.iloc[:, k]) for k, name in enumerate(frame.columns))]
    texts, unit_row = zip(*(_column(values, known.get(str(name), ""), digits) for name, values in columns), strict=True)
    kinds = "".join("r" if _is_number(values) else "l" for _, values in columns)
    names = [escape(str(name).replace("_", " ")) for name, _ in columns]
    head = [names, *([unit_row] if any(unit_row) else [])]
    rows = [_row(row) for row in zip(*texts, strict=True)]
    lines = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", *map(_row, head), r"\midrule", *rows]
    body = "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])
    if caption is None:
        return body
    mark = f"\\label{{{label}}}\n" if label else ""
    return f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n{mark}{body}\n\\end{{table}}"


def _index_columns(index: "pd.Index[Any]") -> list[tuple[str, "pd.Series[Any]"]]:
    """Return the columns of an index, unless it only counts rows."""
    if isinstance(index, pd.RangeIndex) and index.name is None:
        return []
    levels = index.to_frame(index=False)
    return [(str(name or ""), levels.iloc[:, k]) for k, name in enumerate(index.names)]


def _is_number(values: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def escape(text: str) -> str:
    r"""Return a text that LaTeX prints as it is; characters that no file should hold as _xHHHH_.

    Examples
    --------
    >>> escape("50% of A_1 & {B}")
    '50\\% of A\\_1 \\& \\{B\\}'
    """
    return "".join(SPECIAL.get(character, character) for character in writable(text))


def _row(cells: Any) -> str:
    return " & ".join(cells) + r" \\"


def _column(values: "pd.Series[Any]", unit: str, digits: int) -> tuple[list[str], str]:
    """Return the texts of a column, and its unit."""
    if not _is_number(values):
        return ["--" if pd.isna(value) else escape(str(value)) for value in values], escape(unit)
    if pd.api.types.is_integer_dtype(values):
        return ["--" if pd.isna(value) else _signed(f"{value:,}") for value in values], escape(unit)
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    if unit == SHARE:
        return [_number(100.0 * number, digits) for number in numbers], r"\%"
    sizes = np.abs(numbers[np.isfinite(numbers) & (numbers != 0.0)])
    largest = float(sizes.max(initial=0.0))
    power = 3 * math.floor(math.log10(largest) / 3) if largest and not SMALL <= largest < LARGE else 0
    scale = f"$10^{{{power}}}$ " if power else ""
    return [_number(number / 10.0**power, digits) for number in numbers], (scale + escape(unit)).rstrip()


def _number(number: float, digits: int) -> str:
    """Return a number with so many significant digits."""
    if math.isnan(number):
        return "--"
    if math.isinf(number):
        return r"$\infty$" if number > 0.0 else r"$-\infty$"
    if number == 0.0:
        return "0"
    rounded = f"{number:.{digits - 1}e}"
    decimals = digits - 1 - int(rounded.split("e")[1])
    return _signed(f"{float(rounded):,.0f}" if decimals < 0 else f"{number:,.{min(decimals, digits)}f}")


def _signed(text: str) -> str:
    return f"$-${text[1:]}" if text.startswith("-") else text
