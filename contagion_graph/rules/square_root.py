"""Square-root price impact: the law that measured sales follow, measured against trading volume."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.rules.by_asset import ByAsset, align_by_asset, read_by_asset, values_by_asset
from contagion_graph.rules.impact import ImpactRecord, share_before
from contagion_graph.solvers.arrays import ratio


@dataclass(frozen=True)
class SquareRootImpact(ImpactRecord):
    """Square-root price impact: f(x) = max(0, 1 - c sqrt(x)) for a sale, 1 + c sqrt(-x) for a purchase.

    Column `depth` is read as the trading volume that a sale is measured against, and c is what selling that volume does
    to the price. The slope at 0 is infinite, and f is convex in sales: small sales are the dear ones.

    Parameters
    ----------
    coefficient : float, or mapping or Series of asset to float
        c > 0; in the paper's terms, impact parameter kappa times volatility sigma.
    volume : {"initial", "current"}
        Whether the value sold counts at the price before the shock, or at the price when sold.

    References
    ----------
    Breuer, Summer & Urosevic (2023), J. Financial Stability 67: relative fall sigma kappa sqrt(sale / volume).

    Examples
    --------
    >>> import numpy as np
    >>> SquareRootImpact(0.5).price_factor(np.array([0.0, 0.25, 9.0, -1.0])).tolist()
    [1.0, 0.75, 0.0, 1.5]
    >>> import pandas as pd
    >>> impact = SquareRootImpact({"BTC": 0.25, "ETH": 0.5}).for_assets(pd.Index(["ETH", "BTC"]))
    >>> impact.price_factor(np.array([1.0, 1.0])).tolist()
    [0.5, 0.75]
    """

    coefficient: "float | Mapping[str, float] | pd.Series[float] | ByAsset"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "coefficient", read_by_asset(*self._coefficient, _positive))

    def for_assets(self, assets: "pd.Index[str]") -> Self:
        """Return the impact with its coefficients in the order of these assets; each asset needs one."""
        return replace(self, coefficient=align_by_asset(*self._coefficient, assets))

    def price_factor(self, x: FloatArray) -> FloatArray:
        """Return f(x) = max(0, 1 - c sign(x) sqrt(|x|))."""
        return np.maximum(1.0 - self._c * _signed_root(x), 0.0)

    def slope(self, x: FloatArray) -> FloatArray:
        """Return f'(x) = -c / (2 sqrt(|x|)): -inf at 0, and 0 from the size at which the price is zero."""
        return np.where(self._c * _signed_root(x) < 1.0, -0.5 * self._c * _over_root(x), 0.0)

    def average_slope(self, x: FloatArray) -> FloatArray:
        """Return the derivative of the mean of f over [0, x]: -c / (3 sqrt(|x|)), then (f(x) - mean) / x."""
        mean = self.average_factor(np.zeros_like(x), x)
        beyond = -mean / np.where(x > 0.0, x, 1.0)
        return np.where(self._c * _signed_root(x) < 1.0, -self._c / 3.0 * _over_root(x), beyond)

    def average_factor(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the mean of f over [start, end].

        1 - c times the mean root up to the size 1 / c^2 at which the price is zero, times the part of the interval
        below it.
        """
        with np.errstate(over="ignore"):  # a price that no sale can bring to zero
            zero = (1.0 / self._c) ** 2
        mean = 1.0 - self._c * _mean_root(np.minimum(start, zero), np.minimum(end, zero))
        mean = np.maximum(mean, 0.0) * share_before(zero, start, end)
        return np.where(start == end, self.price_factor(start), mean)

    def inverse(self, factor: FloatArray) -> FloatArray:
        """Return x = sign(1 - factor) ((1 - factor) / c)^2, inf below a factor of 0."""
        root = (1.0 - factor) / self._c
        return np.where(factor < 0.0, np.inf, root * np.abs(root))

    def kinks(self) -> FloatArray:
        """Return 1 / c^2, the size from which the price is 0."""
        with np.errstate(over="ignore"):  # a price that no sale can bring to zero
            return (1.0 / self._c[:, None]) ** 2

    @property
    def _coefficient(self) -> tuple[str, str, Any]:
        return "SquareRootImpact", "coefficient", self.coefficient

    @cached_property
    def _c(self) -> FloatArray:
        return np.array(values_by_asset(*self._coefficient), dtype=np.float64)


def _positive(name: str, value: Any) -> float:
    check_number("SquareRootImpact", name, value, low=0, above=True)
    return float(value)


def _signed_root(x: FloatArray) -> FloatArray:
    return np.copysign(np.sqrt(np.abs(x)), x)


def _over_root(x: FloatArray) -> FloatArray:
    """Return 1 / sqrt(|x|), inf at 0."""
    return ratio(1.0, np.sqrt(np.abs(x)), np.inf)


def _mean_root(start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the mean of sign(x) sqrt(|x|) over [start, end].

    With r and s the signed roots of the ends it is 2/3 (|s|^3 - |r|^3) / (s |s| - r |r|). What both differences have in
    common is divided out, so that nothing cancels where the ends are close.
    """
    r, s = _signed_root(start), _signed_root(end)
    same_side = (r < 0.0) == (s < 0.0)
    squares = np.abs(start) + np.abs(end)
    above: FloatArray = (squares + np.abs(r * s)) * np.where(same_side, 1.0, r + s)
    below: FloatArray = np.where(same_side, r + s, squares)
    mean: FloatArray = np.divide(above, below, out=np.zeros_like(above), where=below != 0.0)
    return 2.0 / 3.0 * mean
