"""Checks of a rule's parameters when the record is built."""

import math

from contagion_graph.errors import ParameterError


def check_number(
    owner: str, name: str, value: float, *, low: float, high: float = math.inf, whole: bool = False
) -> None:
    """Refuse a parameter that is no finite number in [low, high], or no whole number where it has to be.

    Examples
    --------
    >>> check_number("TargetMargin", "buffer", -0.1, low=0)
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: TargetMargin: buffer is -0.1; it must be a number from 0 up
    """
    span = f"from {low:g} up" if high == math.inf else f"from {low:g} to {high:g}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high or (whole and value != int(value)):
        raise ParameterError(f"{owner}: {name} is {value!r}; it must be a {'whole ' if whole else ''}number {span}")
