"""Checks of a rule's parameters when the record is built."""

import math
from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray, Seed
from contagion_graph.errors import ParameterError

ROUNDING = 1e-12  # two computed amounts that differ by no more, as a share of what they are made of, are equal


def check_choice(what: str, value: object, choices: tuple[Any, ...]) -> None:
    """Refuse a value that is none of the choices.

    Examples
    --------
    >>> check_choice("ProRata: base", "debt", ("equity", "share"))
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: ProRata: base is 'debt'; it must be one of equity, share
    """
    if value not in choices:
        raise ParameterError(f"{what} is {value!r}; it must be one of {', '.join(choices)}")


def check_number(
    owner: str,
    name: str,
    value: Any,
    *,
    low: float,
    high: float = math.inf,
    above: bool = False,
    below: bool = False,
    whole: bool = False,
) -> None:
    """Refuse a parameter that is no finite number in [low, high], or no whole number where it has to be.

    `above` leaves `low` itself out, `below` leaves `high` out.

    Examples
    --------
    >>> check_number("TargetMargin", "buffer", -0.1, low=0)
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: TargetMargin: buffer is -0.1; it must be a number from 0 up
    >>> check_number("TargetMargin", "buffer", np.float32(0.1), low=0)
    >>> check_number("CloseFactor", "factor", 0.0, low=0, above=True, high=1)
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: CloseFactor: factor is 0.0; it must be a number above 0 up to 1
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and (not whole or value == int(value)):
        inside = (low < value if above else low <= value) and (value < high if below else value <= high)
        if inside:
            return
    span = f"above {low:g}" if above else f"from {low:g}"
    if high == math.inf:
        span += "" if above else " up"
    else:
        span += f"{' up' if above else ''} to {'below ' if below else ''}{high:g}"
    raise ParameterError(f"{owner}: {name} is {value!r}; it must be a {'whole ' if whole else ''}number {span}")


def check_model(model: object, kind: type[Any], example: str) -> None:
    """Refuse what is no model of this kind: most often, arguments that were swapped.

    Examples
    --------
    >>> check_model({"ETH": -0.3}, int, "2")
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: model is a dict; give a int, such as 2
    """
    if not isinstance(model, kind):
        raise ParameterError(f"model is a {type(model).__name__}; give a {kind.__name__}, such as {example}")


def check_kind(what: str, value: object, kind: type[Any] | tuple[type[Any], ...], give: str) -> None:
    """Refuse an argument of another kind, by name.

    Examples
    --------
    >>> check_kind("ladder: sizes", None, list, "a list of relative price changes")
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: ladder: sizes is a NoneType; give a list of relative price changes
    """
    if not isinstance(value, kind):
        raise ParameterError(f"{what} is a {type(value).__name__}; give {give}")


def numeric(what: str, value: Any) -> FloatArray:
    """Return numbers as an array; refuse what is none, by name."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{what} is a {type(value).__name__}; give numbers") from error


def given_as(value: object) -> str:
    """Return what a message says of a value that is no frame, or of one without rows or columns."""
    return f"; it is {'empty' if hasattr(value, 'columns') else f'a {type(value).__name__}'}"


def generator_of(owner: str, rng: Seed | None) -> np.random.Generator:
    """Return the generator of a seed, or the generator itself."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{owner}: rng is {rng!r:.60}; it must be what numpy.random.default_rng takes") from error
