"""Checks of events before anything is changed."""

import math
from typing import Any

import numpy as np

from contagion_graph.errors import EventError, ParameterError
from contagion_graph.graph.exposure import ExposureGraph

LARGEST = 1e100  # of what is given: values are sums of products of two such numbers, which stay far from overflowing
NUMBERS = (int, float, np.integer, np.floating)


def number(what: str, value: Any, *, least: float = -math.inf, above: bool = False) -> float:
    """Return a finite number from `least` up, or above it, of at most `LARGEST` in size; refuse anything else.

    Examples
    --------
    >>> number("the price of 'ETH'", 0, least=0, above=True)
    Traceback (most recent call last):
    contagion_graph.errors.EventError: the price of 'ETH' is 0; it must be a finite number above 0
    """
    is_number = isinstance(value, NUMBERS) and not isinstance(value, bool)
    if is_number and -LARGEST <= value <= LARGEST and (value > least if above else value >= least):
        return float(value)
    if is_number and LARGEST < abs(value) < math.inf:
        raise EventError(f"{what} is beyond {LARGEST:g} in size; values could overflow")
    span = "" if least == -math.inf else f" {'above' if above else 'from'} {least:g}{'' if above else ' up'}"
    raise EventError(f"{what} is {value!r}; it must be a finite number{span}")


def share(what: str, value: Any) -> float:
    """Return a number from 0 to 1; refuse anything else."""
    if number(what, value, least=0) > 1.0:
        raise EventError(f"{what} is {value!r}; it must be a share from 0 to 1")
    return float(value)


def following(last: int, sequence: Any) -> int:
    """Return the number of the event to come; refuse one that came already, or comes after a later one.

    Examples
    --------
    >>> following(7, None), following(7, 9)
    (8, 9)
    >>> following(7, 7)
    Traceback (most recent call last):
    contagion_graph.errors.EventError: event 7 is a duplicate: the last one was 7
    """
    if sequence is None:
        return last + 1
    if not isinstance(sequence, int | np.integer) or isinstance(sequence, bool):
        raise EventError(f"sequence is {sequence!r}; number events by whole numbers")
    if sequence <= last:
        what = "a duplicate" if sequence == last else "out of order"
        raise EventError(f"event {sequence} is {what}: the last one was {last}")
    return int(sequence)


def check_scale(graph: ExposureGraph) -> None:
    """Refuse a graph whose numbers are larger than those of an event may be."""
    arrays = {"quantity": graph.quantity.data, "margin_units": graph.margin_units.data}
    arrays |= {name: getattr(graph, name) for name in ("cash", "price", "insurance_fund")}
    for name, values in arrays.items():
        largest = max(values.max(initial=0.0), -values.min(initial=0.0))
        if not largest <= LARGEST:
            raise ParameterError(
                f"SolvencyMonitor: graph.{name} goes up to {largest:g}, beyond {LARGEST:g} in size; values could "
                "overflow; measure in larger units"
            )
