"""Vectors that go with labels: a number for all, a mapping or Series by label, or an array in label order."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import SHOWN, Faults, ParameterError
from contagion_graph.tables.labels import is_label, label_text, note_unknown, text_index
from contagion_graph.tables.schema import Number

Rows = np.ndarray[Any, np.dtype[np.int64]]


def vector(
    where: str, value: Any, index: Any, kind: Number, faults: Faults, *, base: FloatArray | float | None = None
) -> FloatArray:
    """Return one number a label, checked against the range of its column.

    Parameters
    ----------
    where : str
        Name of the argument, for messages.
    value : number, mapping, Series or array_like
        One number for all labels; numbers by label; or one number a label, in order.
    index : Index or MultiIndex
        The labels.
    kind : Number
        Range and unit.
    faults : Faults
        Where what is wrong is noted.
    base : array or number, optional
        What a mapping or Series does not name keeps this value; 0 where there is none. NaN: it must name all labels.

    Returns
    -------
    ndarray of float64, shape (len(index),)
        Where a fault was noted, its content means nothing.
    """
    size = len(index)
    if isinstance(value, pd.Series) and value.index.equals(index) and value.index.is_unique:
        value = value.to_numpy()
    if isinstance(value, Mapping | pd.Series):
        return _checked(where, *_from_labels(where, value, index, base, faults), index, kind, faults)
    if isinstance(value, pd.DataFrame):
        faults.add(where, "is a frame", "Give one number, a Series or mapping by label, or one number a label.")
        return np.zeros(size)
    try:
        numbers = _numbers(value)
    except (TypeError, ValueError):
        faults.add(where, f"{value!r:.60} is not numeric", f"It must be {kind}.")
        return np.zeros(size)
    if numbers.ndim == 0:
        numbers = np.full(size, float(numbers))
    if numbers.shape != (size,):
        faults.add(where, f"has shape {numbers.shape}, expected ({size},)", "Give one number a label, in order.")
        return np.zeros(size)
    return _checked(where, numbers, np.ones(size, dtype=bool), index, kind, faults)


def _numbers(value: Any) -> FloatArray:
    given = np.array(value)
    if given.dtype.kind not in "OSU":
        return given.astype(np.float64)
    numbers = np.array([number_of(each) for each in given.ravel()], dtype=np.float64)
    return numbers.reshape(given.shape)


def argument(where: str, value: Any, index: Any, kind: Number, *, base: FloatArray | float | None = None) -> FloatArray:
    """Return `vector` of an argument of a function or model; what is wrong with it is a ParameterError.

    Examples
    --------
    >>> argument("recovery", {"A": 0.5}, pd.Index(["A", "B"]), Number("share", low=0.0, high=1.0)).tolist()
    [0.5, 0.0]
    """
    faults = Faults(ParameterError)
    numbers = vector(where, value, index, kind, faults, base=base)
    faults.raise_if_any()
    return numbers


def _from_labels(
    where: str, value: "Mapping[Any, Any] | pd.Series[Any]", index: Any, base: FloatArray | float | None, faults: Faults
) -> tuple[FloatArray, BoolArray]:
    """Return numbers in the order of an index, and which of them are there."""
    numbers = np.full(len(index), 0.0 if base is None else base, dtype=np.float64)
    named = np.zeros(len(index), dtype=bool)
    keys, given = list(value.keys()), [_number(where, key, number, faults) for key, number in value.items()]
    known = len(faults.found)
    if not isinstance(index, pd.MultiIndex):
        text_index(keys, where, faults)  # notes what is no label
    for key, number in zip(keys, given, strict=True) if len(faults.found) == known else ():
        rows = row_of(where, key, index, faults)
        if rows and named[rows[0]]:
            faults.add(where, f"{label_text(key)!r} is named twice", "Name each label once.")
        numbers[rows], named[rows] = number, True
    lacking = np.flatnonzero(np.isnan(np.broadcast_to(0.0 if base is None else base, numbers.shape)) & ~named)
    if lacking.size and len(faults.found) == known:
        shown = [repr(label_text(index[row])) for row in lacking[:SHOWN]]
        faults.add_rows(where, "has nothing", "Give a number for every label.", rows=lacking.tolist(), examples=shown)
    return numbers, named | ~np.isnan(numbers)


def _number(where: str, key: object, number: Any, faults: Faults) -> float:
    try:
        return number_of(number)
    except (TypeError, ValueError):
        faults.add(where, f"{label_text(key)!r}: {number!r} is not a number", "Give a number.")
        return 0.0


def number_of(value: Any) -> float:
    """Return a number, or the number that a text is: as `float`, without its underscores.

    Examples
    --------
    >>> number_of("1e3")
    1000.0
    >>> number_of("5_0")
    Traceback (most recent call last):
    ValueError: '5_0' is no number
    """
    if isinstance(value, str) and "_" in value:
        raise ValueError(f"{value!r} is no number")
    return float(value)


def rows_of(labels: Any, index: "pd.Index[str]", where: str) -> Rows:
    """Return the positions of labels in an index, in the order given; None: all.

    Parameters
    ----------
    labels : iterable of labels, or None
        Each once.
    index : Index
        The labels that there are.
    where : str
        Name of the argument, for messages.

    Returns
    -------
    ndarray of int64

    Raises
    ------
    ParameterError
        A text in the place of a list, no label, a label twice, or unknown labels: all of them are listed.

    Examples
    --------
    >>> assets = pd.Index(["BTC", "ETH"])
    >>> rows_of(["ETH", "BTC"], assets, "assets").tolist()
    [1, 0]
    >>> rows_of(["EHT"], assets, "assets")
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: assets: unknown label 'EHT' (did you mean 'ETH'?). Use a label of the graph.
    """
    if labels is None:
        return np.arange(len(index))
    if isinstance(labels, str | bytes) or not hasattr(labels, "__iter__"):
        raise ParameterError(f"{where} is {labels!r:.60}; give a list of labels")
    wanted, faults = text_index(labels, where), Faults(ParameterError)
    if not len(wanted):
        raise ParameterError(f"{where} is empty; name at least one label of the graph, or leave it out for all")
    if not wanted.is_unique:
        raise ParameterError(f"{where}: {wanted[wanted.duplicated()][0]!r} is named twice; name each label once")
    found = np.asarray(index.get_indexer(wanted), dtype=np.int64)
    for label in wanted[found < 0]:
        note_unknown(where, label, index, faults)
    faults.raise_if_any()
    return found


def account_rows(keys: Any, accounts: pd.MultiIndex, where: str) -> Rows:
    """Return the rows of accounts that an argument names, by trader (all its accounts) or by triple, in its order.

    Parameters
    ----------
    keys : label, triple, or iterable of these
        Traders, or (trader, pool, subaccount).
    accounts : MultiIndex
        The labels of the accounts.
    where : str
        Name of the argument, for messages.

    Returns
    -------
    ndarray of int64

    Raises
    ------
    ParameterError
        Unknown labels: all of them are listed.

    Examples
    --------
    >>> accounts = pd.MultiIndex.from_tuples([("A", "perps", ""), ("A", "loans", ""), ("B", "loans", "")])
    >>> account_rows(["A", ("B", "loans", "")], accounts, "accounts").tolist()
    [0, 1, 2]
    """
    listed = [keys] if isinstance(keys, str | tuple) or not hasattr(keys, "__iter__") else list(keys)
    faults, rows = Faults(ParameterError), [account_rows_of(key, accounts) for key in listed]
    for key, found in zip(listed, rows, strict=True):
        if not found:
            note_unknown(where, key, accounts, faults)
    faults.raise_if_any()
    return np.array([row for found in rows for row in found], dtype=np.int64)


def row_of(where: str, key: object, index: Any, faults: Faults) -> list[int]:
    """Return the position of one label, as a list of one; empty, and a fault, where it is unknown or ambiguous.

    An account is named by its triple, or by its trader where the trader has just one account.
    """
    rows = _rows_of(key, index)
    if len(rows) == 1:
        return rows
    if rows:
        faults.add(where, f"{label_text(key)!r} has {len(rows)} accounts", "Name one by (trader, pool, subaccount).")
    else:
        note_unknown(where, key, index, faults)
    return []


def account_rows_of(key: object, accounts: pd.MultiIndex) -> list[int]:
    """Return the rows of a trader's accounts, or of the one account that a triple names; empty where unknown."""
    if isinstance(key, tuple):
        if len(key) != accounts.nlevels or not all(map(is_label, key)):
            return []
        return _row_of(tuple(str(part) for part in key), accounts)
    codes = _row_of(str(key), accounts.levels[0]) if is_label(key) else []
    return np.flatnonzero(accounts.codes[0] == codes[0]).tolist() if codes else []


def _rows_of(key: object, index: Any) -> list[int]:
    if isinstance(index, pd.MultiIndex):
        return account_rows_of(key, index)
    return _row_of(str(key), index) if is_label(key) else []


def _row_of(key: Any, index: Any) -> list[int]:
    try:
        return [int(index.get_loc(key))]
    except KeyError:
        return []


def _checked(where: str, numbers: FloatArray, there: BoolArray, index: Any, kind: Number, faults: Faults) -> FloatArray:
    for problem, wrong in (("NaN", np.isnan(numbers) & there), ("out of range", kind.fault_of(numbers))):
        rows = np.flatnonzero(wrong)
        if rows.size:
            shown = [f"{numbers[row]}, {label_text(index[row])!r}" for row in rows[:SHOWN]]
            faults.add_rows(where, problem, f"It must be {kind}.", rows=rows.tolist(), examples=shown)
    return numbers
