"""Price impact: what a price becomes when so much of an asset has been sold.

With x the net value sold so far over the asset's depth, the price is p = p_shocked f(x). f(0) = 1, f never rises with
x, and, but for the impacts of square_root.py and order_book.py, f'(0) = -1: selling a small value v moves the price by
v / depth. x < 0 is net buying and pushes the price up.

The value sold counts at the price before the shock (`volume="initial"`: x = S p0 / depth, S the net units sold) or at
the price when sold (`volume="current"`: a round that sells s units adds s p / depth, p the price before that round). An
impact only carries this choice; the cascade, which knows the prices, makes x of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, get_args

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number

Volume = Literal["initial", "current"]
NEAR_ZERO = 1e-8  # closer to 0 the difference f(x) - mean has fewer digits than its limit


@dataclass(frozen=True, kw_only=True)
class ImpactRecord:
    """What price impacts share; one of your own inherits it, and adds `price_factor` and `average_factor`.

    x, factors and results have the shape of the assets. Derivatives also need `slope`, and the analyses that ask where
    a derivative exists `kinks`. A subclass that replaces `price_factor` defines these again
    (docs/adding-a-rule.md).

    Parameters
    ----------
    volume : {"initial", "current"}
        Whether the value sold counts at the price before the shock, or at the price when sold.

    Attributes
    ----------
    price_factor : callable
        Takes x, returns f(x), the price as a multiple of the shocked price.
    average_factor : callable
        Takes `start` and `end`, returns the mean of f over [start, end], f(start) where both are equal.
    slope : callable
        Takes x, returns f'(x), where f has a kink the slope to its right, on the side of further sales.
    inverse : callable
        Takes a factor, returns the x nearest to 0 with f(x) = factor; inf where no sale, -inf where no purchase reaches
        it.
    """

    volume: Volume = "initial"
    price_factor: ClassVar[Callable[..., FloatArray]]
    average_factor: ClassVar[Callable[..., FloatArray]]
    slope: ClassVar[Callable[..., FloatArray]]
    inverse: ClassVar[Callable[..., FloatArray]]

    def __post_init__(self) -> None:
        check_choice(f"{type(self).__name__}: volume", self.volume, get_args(Volume))

    def for_assets(self, assets: "pd.Index[str]") -> Self:
        """Return the impact with what differs by asset in the order of these assets.

        Parameters
        ----------
        assets : Index
            Labels of all assets of a graph.

        Returns
        -------
        ImpactRecord
            This one where nothing differs by asset.
        """
        return self

    def average_slope(self, x: FloatArray) -> FloatArray:
        """Return the derivative of the mean of f over [0, x]: (f(x) - mean) / x, and f'(0) / 2 at 0.

        Parameters
        ----------
        x : ndarray
            Net value sold over depth.

        Returns
        -------
        ndarray
            With the shape of x.
        """
        near = np.abs(x) < NEAR_ZERO
        away = np.where(near, 1.0, x)
        from_zero = (self.price_factor(x) - self.average_factor(np.zeros_like(x), x)) / away
        return np.where(near, 0.5 * self.slope(x), from_zero)

    def kinks(self) -> FloatArray:
        """Return the sizes x at which f has no slope: none.

        Returns
        -------
        ndarray
            Shape (m, K), or (1, K) where they hold for every asset.
        """
        return np.empty((1, 0))


@dataclass(frozen=True)
class LinearImpact(ImpactRecord):
    """Linear price impact, floored at a price of zero: f(x) = max(0, 1 - x).

    Parameters
    ----------
    volume : {"initial", "current"}
        Whether the value sold counts at the price before the shock, or at the price when sold.

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

    def slope(self, x: FloatArray) -> FloatArray:
        """Return f'(x) = -1, and 0 from x = 1 up."""
        return np.where(x < 1.0, -1.0, 0.0)

    def average_factor(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the mean of f over [start, end].

        (f(start) + f(end)) / 2, times the part of the interval on which the price is not yet zero.
        """
        return 0.5 * (self.price_factor(start) + self.price_factor(end)) * share_before(1.0, start, end)

    def inverse(self, factor: FloatArray) -> FloatArray:
        """Return x = 1 - factor, inf below a factor of 0."""
        return np.where(factor < 0.0, np.inf, 1.0 - factor)

    def kinks(self) -> FloatArray:
        """Return 1, the size from which the price is 0."""
        return np.ones((1, 1))


@dataclass(frozen=True)
class ExponentialImpact(ImpactRecord):
    """Exponential price impact: f(x) = exp(-x).

    Parameters
    ----------
    volume : {"initial", "current"}
        Whether the value sold counts at the price before the shock, or at the price when sold.

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

    kinks = ImpactRecord.kinks  # declared: none

    def price_factor(self, x: FloatArray) -> FloatArray:
        """Return f(x) = exp(-x)."""
        return np.exp(-x)

    def slope(self, x: FloatArray) -> FloatArray:
        """Return f'(x) = -exp(-x)."""
        return -np.exp(-x)

    def average_factor(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the mean of f over [start, end]: f(low) (1 - exp(-h)) / h with low the lesser end, h the width."""
        return _mean_decay(start, end)

    def inverse(self, factor: FloatArray) -> FloatArray:
        """Return x = -log(factor), inf from a factor of 0 down."""
        return _decay_size(factor)


@dataclass(frozen=True)
class FloorExponentialImpact(ImpactRecord):
    """Exponential price impact down to a floor: f(x) = b + (1 - b) exp(-x / (1 - b)).

    Buyers outside the fire sale buy without limit at the share b of the shocked price, so no sale brings the price to
    b. The formula also holds for net buying: the price then grows exponentially, at the rate 1 / (1 - b).

    Parameters
    ----------
    floor : float
        b in [0, 1), the floor as a share of the shocked price.
    volume : {"initial", "current"}
        Whether the value sold counts at the price before the shock, or at the price when sold (as in the paper).

    References
    ----------
    Cont & Schaanning (2017), Norges Bank Working Paper 2/2017: a sale of q lowers a price S by the share
    (1 - B/S) (1 - exp(-q / delta)), with delta = (1 - B/S0) D. Sales one after the other add up to f, b = B/S0.

    Examples
    --------
    >>> import numpy as np
    >>> impact = FloorExponentialImpact(0.5)
    >>> impact.price_factor(np.array([0.0, 0.5, 50.0])).round(6).tolist()
    [1.0, 0.68394, 0.5]
    >>> impact.inverse(np.array([0.75, 0.5])).round(6).tolist()
    [0.346574, inf]
    """

    floor: float
    kinks = ImpactRecord.kinks  # declared: none

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("FloorExponentialImpact", "floor", self.floor, low=0, high=1, below=True)

    def price_factor(self, x: FloatArray) -> FloatArray:
        """Return f(x) = b + (1 - b) exp(-x / (1 - b))."""
        span = 1.0 - self.floor
        return self.floor + span * np.exp(-x / span)

    def slope(self, x: FloatArray) -> FloatArray:
        """Return f'(x) = -exp(-x / (1 - b))."""
        return -np.exp(-x / (1.0 - self.floor))

    def average_factor(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the mean of f over [start, end]: b + (1 - b) times the mean of exp(-x / (1 - b))."""
        span = 1.0 - self.floor
        return self.floor + span * _mean_decay(start / span, end / span)

    def inverse(self, factor: FloatArray) -> FloatArray:
        """Return x = -(1 - b) log((factor - b) / (1 - b)), inf from a factor of b down."""
        span = 1.0 - self.floor
        return span * _decay_size((factor - self.floor) / span)


@dataclass(frozen=True)
class ConstantProductImpact(ImpactRecord):
    """Price impact of an automated market maker with a constant product, no fee: f(x) = 1 / (1 + x / 2)^2.

    A pool holds X units of the asset and Y of currency, p0 = Y / X. A seller of d units is paid Y d / (X + d), and the
    price is then p0 (X / (X + d))^2. Put depth = X p0 / 2 = Y / 2, half the value of one side of the pool:
    then x / 2 = d / X. Buying stops short of the whole reserve: from x = -2 down the price is infinite, and a cascade
    that comes to that raises `ConvergenceError`, which names the asset.

    Parameters
    ----------
    volume : {"initial", "current"}
        Whether the value sold counts at the price before the shock, or at the price when sold; the formula of the pool
        is that of "initial".

    References
    ----------
    Angeris & Chitra (2020), Improved price oracles: constant function market makers, ACM AFT 2020.

    Examples
    --------
    >>> import numpy as np
    >>> ConstantProductImpact().price_factor(np.array([0.0, 2.0, -1.0, -2.0])).tolist()
    [1.0, 0.25, 4.0, inf]
    >>> ConstantProductImpact().average_factor(np.array([0.0]), np.array([2.0])).tolist()
    [0.5]
    """

    kinks = ImpactRecord.kinks  # declared: none

    def price_factor(self, x: FloatArray) -> FloatArray:
        """Return f(x) = 1 / (1 + x / 2)^2, inf from -2 down."""
        return np.square(_reserve_ratio(x))

    def slope(self, x: FloatArray) -> FloatArray:
        """Return f'(x) = -1 / (1 + x / 2)^3, -inf from -2 down."""
        return -(_reserve_ratio(x) ** 3)

    def average_factor(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the mean of f over [start, end]: 1 / ((1 + start / 2) (1 + end / 2))."""
        return _reserve_ratio(start) * _reserve_ratio(end)

    def inverse(self, factor: FloatArray) -> FloatArray:
        """Return x = 2 / sqrt(factor) - 2, inf from a factor of 0 down."""
        root = np.sqrt(np.maximum(factor, 0.0))
        after: FloatArray = np.divide(2.0, root, out=np.full_like(root, np.inf), where=root != 0.0)
        return after - 2.0


def share_before(zero: FloatArray | float, start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the share of [start, end] that lies below the size at which the price is zero, 1 where both are equal."""
    width = end - start
    before: FloatArray = np.minimum(end, zero) - np.minimum(start, zero)
    share: FloatArray = np.divide(before, width, out=np.ones_like(before), where=width != 0)
    return share


def _mean_decay(start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the mean of exp(-x); from the lesser end, so that the factors do not overflow where the mean does not."""
    width = np.abs(end - start)
    mean: FloatArray = np.divide(-np.expm1(-width), width, out=np.ones_like(width), where=width != 0)
    return np.exp(-np.minimum(start, end)) * mean


def _decay_size(factor: FloatArray) -> FloatArray:
    """Return the x with exp(-x) = factor, inf from a factor of 0 down."""
    log: FloatArray = np.log(factor, out=np.full_like(factor, -np.inf), where=~(factor <= 0.0))
    return 0.0 - log


def _reserve_ratio(x: FloatArray) -> FloatArray:
    """Return the asset's reserve before a trade over that after it, 1 / (1 + x / 2)."""
    after = 2.0 + x
    ratio: FloatArray = np.divide(2.0, after, out=np.full_like(after, np.inf), where=~(after <= 0.0))
    return ratio
