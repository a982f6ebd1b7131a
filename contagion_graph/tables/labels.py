"""Labels of arguments: what is one, how it is shown, and frames whose rows and columns are matched by label."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph.errors import SHOWN, Faults, ParameterError, nearest

HINTED = 20
REMEDY = "Labels are text or integers; name these rows, or leave them out."


def text_index(labels: Any, where: str = "labels", faults: Faults | None = None) -> "pd.Index[str]":
    """Return labels as an index of text; integers are written as their digits.

    Parameters
    ----------
    labels : iterable of str or int
        The labels.
    where : str
        Name of the argument, for messages.
    faults : Faults, optional
        Where what is no label is noted; None: it is raised.

    Returns
    -------
    Index of str

    Raises
    ------
    ParameterError
        None, NaN, a flag, a fraction; a number and a text that are written alike.

    Examples
    --------
    >>> text_index([1, "A"]).tolist()
    ['1', 'A']
    >>> text_index(["A", None], "traders")
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: traders: no label in 1 row (row 1: None). Labels are text or integers; ...
    """
    if isinstance(labels, pd.RangeIndex):
        return pd.Index(labels.to_numpy().astype(np.str_), dtype="str")
    if isinstance(labels, pd.Index) and labels.dtype == "str" and not labels.hasnans:
        return labels
    listed, own = list(labels), Faults(ParameterError) if faults is None else faults
    _note_others(where, listed, own)
    if faults is None:
        own.raise_if_any()
    return pd.Index([str(label) for label in listed], dtype="str")


def is_label(label: object) -> bool:
    """Say whether something is a label: a text or an integer.

    Examples
    --------
    >>> is_label("ETH"), is_label(7), is_label(True), is_label(None)
    (True, True, False, False)
    """
    return isinstance(label, str | int | np.integer) and not isinstance(label, bool)


def label_text(label: object) -> str:
    """Return how a label is shown: the triple of an account as trader / pool / subaccount."""
    return " / ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _note_others(where: str, labels: list[Any], faults: Faults) -> None:
    """Note what is no label, and the numbers that stand beside the same digits as text."""
    wrong = [row for row, label in enumerate(labels) if not is_label(label)]
    if wrong:
        faults.add_rows(where, "no label", REMEDY, rows=wrong, examples=[repr(labels[row]) for row in wrong[:SHOWN]])
    texts = {label for label in labels if isinstance(label, str)}
    both = [row for row, label in enumerate(labels) if not isinstance(label, str) and str(label) in texts]
    if both:
        shown = [f"{labels[row]!r} and {str(labels[row])!r}" for row in both[:SHOWN]]
        faults.add_rows(where, "a label as number and as text", "Write all labels as text.", rows=both, examples=shown)


def note_repeated(where: str, index: Any, faults: Faults, remedy: str) -> None:
    """Note the labels that stand more than once."""
    rows = np.flatnonzero(index.duplicated())
    if rows.size:
        shown = [repr(label_text(index[row])) for row in rows[:SHOWN]]
        faults.add_rows(where, "repeated", remedy, rows=rows.tolist(), examples=shown)


def note_unknown(where: str, key: object, index: Any, faults: Faults) -> None:
    """Note that a label is unknown, and the known one that is nearest to it."""
    label, accounts = label_text(key), isinstance(index, pd.MultiIndex)
    # looking for the nearest takes long, and no more than the first few are shown
    hint = nearest(label, index.levels[0] if accounts else index) if len(faults.found) < HINTED else ""
    remedy = "Name a trader or a (trader, pool, subaccount)." if accounts else "Use a label of the graph."
    faults.add(where, f"unknown label {label!r}{hint}", remedy)


def labels_of_frame(where: str, matrix: Any, faults: Faults) -> "tuple[pd.Index[str] | None, pd.Index[str] | None]":
    """Return the labels of the rows and columns of a frame; None where they are but numbered, or there is no frame."""
    if not isinstance(matrix, pd.DataFrame):
        return None, None
    rows, columns = (
        None if _is_numbered(axis) else text_index(axis, f"{where} ({name})", faults)
        for name, axis in (("rows", matrix.index), ("columns", matrix.columns))
    )
    return rows, columns


def _is_numbered(axis: Any) -> bool:
    return isinstance(axis, pd.RangeIndex) and axis.start == 0 and axis.step == 1


def places_of(where: str, given: "pd.Index[str] | None", index: "pd.Index[str]", faults: Faults) -> Any:
    """Return where each label of an index stands among those of an argument, each once; None where all stay in place.

    Examples
    --------
    >>> places_of("quantity", pd.Index(["BTC", "ETH"]), pd.Index(["ETH", "BTC"]), Faults()).tolist()
    [1, 0]
    """
    if given is None or given.equals(index):
        return None
    known = len(faults.found)
    note_repeated(where, given, faults, "Give every label once, or all in the order of the graph.")
    for label in given[~given.isin(index)]:
        note_unknown(where, label, index, faults)
    lacking = np.flatnonzero(~index.isin(given))
    if lacking.size:
        shown = [repr(index[row]) for row in lacking[:SHOWN]]
        faults.add_rows(where, "a label is missing", "Give all labels.", rows=lacking.tolist(), examples=shown)
    if not index.is_unique and len(faults.found) == known:
        faults.add(where, "is given by label, and labels of the graph repeat", "Give it in the order of the graph.")
    return None if len(faults.found) > known else given.get_indexer(index)


def values_in_order(where: str, values: Any, index: "pd.Index[str]", faults: Faults) -> Any:
    """Return values by label (a mapping or a labelled Series) in the order of an index, others as they are."""
    series = pd.Series(values) if isinstance(values, Mapping) else values
    if not isinstance(series, pd.Series) or _is_numbered(series.index):
        return values
    places = places_of(where, text_index(series.index, where, faults), index, faults)
    return series if places is None else series.iloc[places]


def alike(labels: "pd.Index[str]") -> list[list[str]]:
    """Return the labels that differ only by upper and lower case, or by blanks around them, group by group.

    Examples
    --------
    >>> alike(pd.Index(["0xAb", "B", "0xab ", "0xAB"], dtype="str"))
    [['0xAb', '0xab ', '0xAB']]
    """
    bare = labels.str.strip().str.casefold()
    several = bare.duplicated(keep=False)
    groups: dict[str, list[str]] = {}
    for key, label in zip(bare[several], labels[several], strict=True):
        groups.setdefault(key, []).append(label)
    return list(groups.values())
