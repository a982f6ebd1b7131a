"""Price impact: what a price becomes when so much of an asset has been sold.

With x = S p0 / depth, S the net units sold so far, the price is p = p_shocked f(x). f(0) = 1, f never rises with x, and
f'(0) = -1: selling a small value v moves the price by v / depth. x < 0 is net buying and pushes the price up.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from contagion_graph.tables.schema import FloatArray


class Impact(Protocol):
    """What the cascade asks of a price impact; x and the results have the shape of the assets."""

    def price_factor(self, x: FloatArray) -> FloatArray:
        """Return f(x), the price as a multiple of the shocked price."""

    def average_factor(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the mean of f over [start, end], f(start) where both are equal."""


@dataclass(frozen=True)
class LinearImpact:
    """Linear price impact, floored at a price of zero: f(x) = max(0, 1 - x).

    References
    ----------
    Kyle (1985), Econometrica 53(6); Greenwood, Landier & Thesmar (2015), J. Financial Economics 115(3).

    Examples
    --------
    >>> import numpy as np
    >>> LinearImpact().price_factor(np.array([0.0, 0.25, 2.0])).tolist()
    [1.0, 0.75, 0.0]
    >>> LinearImpact().average_factor(np.array([0.0]), np.array([0.5])).tolist()
    [0.75]
    """

    def price_factor(self, x: FloatArray) -> FloatArray:
        """Return f(x) = max(0, 1 - x)."""
        return np.maximum(1.0 - x, 0.0)

    def average_factor(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the mean of f over [start, end].

        (f(start) + f(end)) / 2, times the part of the interval on which the price is not yet zero.
        """
        width = end - start
        moving = width != 0
        before_zero = np.minimum(end, 1.0) - np.minimum(start, 1.0)
        share: FloatArray = np.divide(before_zero, width, out=np.ones_like(width), where=moving)
        return 0.5 * (self.price_factor(start) + self.price_factor(end)) * share


@dataclass(frozen=True)
class ExponentialImpact:
    """Exponential price impact: f(x) = exp(-x).

    References
    ----------
    Cifuentes, Ferrucci & Shin (2005), J. European Economic Association 3(2-3).

    Examples
    --------
    >>> import numpy as np
    >>> ExponentialImpact().price_factor(np.array([0.0, 0.5])).round(6).tolist()
    [1.0, 0.606531]
    >>> ExponentialImpact().average_factor(np.array([0.0]), np.array([0.5])).round(6).tolist()
    [0.786939]
    """

    def price_factor(self, x: FloatArray) -> FloatArray:
        """Return f(x) = exp(-x)."""
        return np.exp(-x)

    def average_factor(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the mean of f over [start, end]: exp(-start) (1 - exp(-h)) / h with h = end - start."""
        width = end - start
        moving = width != 0
        return np.exp(-start) * np.divide(-np.expm1(-width), width, out=np.ones_like(width), where=moving)
