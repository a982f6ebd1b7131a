"""Tables of past prices: one row a date, in order, one column an asset."""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph.errors import SHOWN, Faults, ParameterError
from contagion_graph.tables.labels import note_repeated, text_index
from contagion_graph.tables.vectors import number_of

DATES = ("date", "datetime", "time", "timestamp", "day")  # names of columns that hold no prices
NUMBER = r"\s*[+-]?\d{1,3}(?:[.,' ]?\d{3})*(?:[.,]\d+)?(?:[eE][+-]?\d+)?\s*"  # with or without separators of thousands
NUMBERS = "Give positive numbers, without separators of thousands; drop the dates that lack one, or the assets."
ORDER = "Give the oldest first, as in prices.sort_index()"


def log_returns(prices: pd.DataFrame) -> pd.DataFrame:
    """Return the log-returns of a table of prices: one row a date, in order, one column an asset.

    Examples
    --------
    >>> import pandas as pd
    >>> log_returns(pd.DataFrame({"ETH": [100.0, 110.0, 99.0]})).round(4)["ETH"].tolist()
    [0.0953, -0.1054]
    >>> log_returns(pd.DataFrame({"ETH": [99.0, 110.0, 100.0]}, index=["2024-01-03", "2024-01-02", "2024-01-01"]))
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: prices: dates do not ascend in 2 rows (row 1: '2024-01-02' after ...
    """
    if not isinstance(prices, pd.DataFrame) or len(prices) < 3:
        found = f"{len(prices)} rows" if isinstance(prices, pd.DataFrame) else f"a {type(prices).__name__}"
        raise ParameterError(
            f"prices must be a frame with a row a date and a column an asset, of at least 3 rows; it is {found}"
        )
    faults = Faults(ParameterError)
    assets = text_index(prices.columns, "prices", faults)
    note_repeated("prices", assets, faults, "Give each asset one column.")
    _note_dates(prices, assets, faults)
    _note_order(prices.index, faults)
    faults.raise_if_any()
    values = _numbers(prices, assets)
    return pd.DataFrame(np.diff(np.log(values), axis=0), index=prices.index[1:], columns=assets)


def holds_dates(name: object, values: "pd.Series[Any]") -> bool:
    """Say whether a column holds dates: by its type, by its name, or as texts that are dates and no numbers."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype) or str(name).strip().lower() in DATES:
        return True
    if pd.api.types.is_numeric_dtype(values.dtype) or values.astype(str).str.fullmatch(NUMBER).any():
        return False
    return any(each.notna().all() for each in _read_as_dates(values))


def _read_as_dates(values: Any) -> "list[pd.Series[Any]]":
    """Return texts read as dates, with the month first and with the day first; NaT where one is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas says that it cannot tell which of the two they are
        texts = pd.Series(values).astype(str)
        return [pd.to_datetime(texts, errors="coerce", dayfirst=first, utc=True) for first in (False, True)]


def _note_dates(prices: pd.DataFrame, assets: "pd.Index[str]", faults: Faults) -> None:
    for k, asset in enumerate(assets):
        if holds_dates(asset, prices.iloc[:, k]):
            faults.add("prices", f"column {asset!r} holds dates", "Make it the index: prices.set_index(...).")


def _note_order(dates: "pd.Index[Any]", faults: Faults) -> None:
    """Note dates that repeat or do not ascend; labels that are no dates and no numbers are taken in their order."""
    note_repeated("prices (dates)", dates, faults, "Give each date one row.")
    if isinstance(dates, pd.PeriodIndex | pd.DatetimeIndex | pd.TimedeltaIndex) or pd.api.types.is_numeric_dtype(dates):
        readings: list[Any] = [pd.Series(dates)]
    else:
        readings = [each for each in _read_as_dates(dates) if each.notna().all()]
    falls = [np.flatnonzero(each.iloc[1:].array < each.iloc[:-1].array) + 1 for each in readings]
    rows = min(falls, key=lambda each: each.size) if falls else np.zeros(0, dtype=np.int64)
    if rows.size:
        shown = [f"{_date(dates[row])} after {_date(dates[row - 1])}" for row in rows[:SHOWN]]
        faults.add_rows("prices", "dates do not ascend", ORDER, rows=rows.tolist(), examples=shown)


def _date(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _numbers(prices: pd.DataFrame, assets: "pd.Index[str]") -> FloatArray:
    values = np.empty(prices.shape)
    for k in range(len(assets)):
        column = prices.iloc[:, k]
        if pd.api.types.is_numeric_dtype(column.dtype):
            values[:, k] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            values[:, k] = [_read(value) for value in column]
    wrong = np.argwhere(~(np.isfinite(values) & (values > 0.0)))
    if len(wrong):
        row, column = wrong[0]
        given = prices.iat[row, column]
        shown = f"{given:g}" if isinstance(given, int | float | np.number) else repr(given)
        where = f"{shown} at {prices.index[row]!r} for asset {assets[column]!r}"
        raise ParameterError(f"prices: {where}, and {len(wrong) - 1} more like it. {NUMBERS}")
    return values


def _read(value: Any) -> float:
    try:
        return number_of(value)
    except (TypeError, ValueError):
        return np.nan
