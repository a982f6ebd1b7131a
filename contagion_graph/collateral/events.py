"""Checks of events before anything is changed."""

import math
from typing import Any

import numpy as np

from contagion_graph.errors import EventError


def number(what: str, value: Any, *, least: float = -math.inf, above: bool = False) -> float:
    """Return a finite number from `least` up, or above it; refuse anything else.

    Examples
    --------
    >>> number("the price of 'ETH'", 0, least=0, above=True)
    Traceback (most recent call last):
    contagion_graph.errors.EventError: the price of 'ETH' is 0; it must be a finite number above 0
    """
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and (value > least if above else value >= least):
        return float(value)
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


def traded(cell: tuple[float, float], quantity: float, rates: tuple[float, float]) -> tuple[float, float]:
    """Return the quantity and the margin units of a cell after a trade.

    What closes takes its part of the margin units away; what opens brings |quantity| times the rate of its side,
    rates = (long, short).

    Examples
    --------
    >>> traded((10.0, 1.0), -4.0, (0.2, 0.3))
    (6.0, 0.6)
    >>> traded((10.0, 1.0), 5.0, (0.2, 0.3))
    (15.0, 2.0)
    >>> traded((10.0, 1.0), -14.0, (0.2, 0.5))
    (-4.0, 2.0)
    """
    held, margin_units = cell
    after = held + quantity
    if held * quantity < 0.0 and abs(quantity) <= abs(held):
        return after, margin_units * (after / held)
    opened, kept = (quantity, margin_units) if held * quantity >= 0.0 else (after, 0.0)
    return after, kept + abs(opened) * rates[opened < 0.0]
