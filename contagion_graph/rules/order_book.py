"""Price impact of an order book: the price falls from level to level."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import isfinite
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.rules.by_asset import ByAsset, align_by_asset, read_by_asset, values_by_asset
from contagion_graph.rules.impact import ImpactRecord

Levels = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class OrderBookImpact(ImpactRecord):
    """Piecewise linear price impact through the levels of an order book.

    f goes in straight lines from level to level, through (0, 1), and stays at the factor of the last level beyond it,
    on either side. So a book that is used up goes on buying at its last price: end it with a factor of 0 where no one
    would buy. Without levels of negative size buying moves no price.

    Column `depth` is the unit of the sizes, and need not be the slope at 0: with a depth of 1 sizes are currency, with
    the volume of a day they are shares of that. A blank depth means no impact here too.

    Parameters
    ----------
    levels : sequence of (size, factor), or mapping or Series of asset to such a sequence
        Size x is the value sold up to and with the level over depth, negative where it is bought; factor f(x) is the
        price there as a multiple of the price before. Sizes rise strictly, factors never rise and are not negative.
        `levels_of_book` makes them of prices and quantities.
    volume : {"initial", "current"}
        Whether the value sold counts at the price before the shock, or at the price when sold.

    References
    ----------
    Cont, Kukanov & Stoikov (2014), J. Financial Econometrics 12(1): how a price moves through the levels of a book.

    Examples
    --------
    >>> import numpy as np
    >>> impact = OrderBookImpact([(-0.5, 1.25), (1.0, 0.75), (2.0, 0.0)])
    >>> impact.price_factor(np.array([-0.25, 0.0, 1.0, 1.5, 7.0])).tolist()
    [1.125, 1.0, 0.75, 0.375, 0.0]
    >>> impact.average_factor(np.zeros(2), np.array([1.0, 4.0])).tolist()
    [0.875, 0.3125]
    >>> impact.inverse(np.array([0.5, 2.0])).round(6).tolist()
    [1.333333, -inf]
    """

    levels: "Iterable[Sequence[float]] | Mapping[str, Iterable[Sequence[float]]] | pd.Series[Any] | ByAsset"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "levels", read_by_asset(*self._levels, _read_levels))

    @staticmethod
    def levels_of_book(
        price: float,
        bids: Iterable[Sequence[float]],
        asks: Iterable[Sequence[float]] = (),
        *,
        depth: float = 1.0,
    ) -> Levels:
        """Return the levels of a book of orders.

        Parameters
        ----------
        price : float
            The asset's price in table assets [currency per unit], between the best bid and the best ask.
        bids, asks : iterable of (price, quantity)
            The best first [currency per unit, units].
        depth : float
            The asset's depth in table assets [currency].

        Returns
        -------
        tuple of (size, factor)
            Each order spread evenly from the price of the one before it to its own.

        Examples
        --------
        >>> OrderBookImpact.levels_of_book(100.0, [(99.0, 5.0), (95.0, 20.0)], [(101.0, 10.0)], depth=1e4)
        ((-0.1, 1.01), (0.0, 1.0), (0.05, 0.99), (0.25, 0.95))
        """
        check_number("OrderBookImpact", "price", price, low=0, above=True)
        check_number("OrderBookImpact", "depth", depth, low=0, above=True)
        sold, bought = (_cumulated(list(side), price, depth) for side in (bids, asks))
        return _read_levels("book", [(-size, factor) for size, factor in reversed(bought)] + sold)

    def for_assets(self, assets: "pd.Index[str]") -> Self:
        """Return the impact with its books in the order of these assets; each asset needs one."""
        return replace(self, levels=align_by_asset(*self._levels, assets))

    def price_factor(self, x: FloatArray) -> FloatArray:
        """Return f(x), linear from level to level and constant beyond the last."""
        lines = self._lines
        line = (lines.knots <= x[..., np.newaxis]).sum(axis=-1)
        edge, width, before, after = lines.take(line)
        # counted from the end of the line nothing cancels; with the bound f never rises with x, not even by rounding
        return np.minimum(after + (before - after) * ((edge - x) / width), before)

    def slope(self, x: FloatArray) -> FloatArray:
        """Return f'(x), that of the line to the right where two meet; 0 beyond the last level."""
        lines = self._lines
        _, width, before, after = lines.take((lines.knots <= x[..., np.newaxis]).sum(axis=-1))
        slope: FloatArray = (after - before) / width
        return slope

    def average_factor(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return the mean of f over [start, end]: each line's mid-point, weighted by the width on that line."""
        lines = self._lines
        low, high = (pick(start, end)[..., np.newaxis] for pick in (np.minimum, np.maximum))
        left, right = (np.clip(x, lines.left, lines.right) for x in (low, high))
        to_go = ((lines.edge - left) + (lines.edge - right)) / (2.0 * lines.width)
        middle = lines.after + (lines.before - lines.after) * to_go
        area = ((right - left) * middle).sum(axis=-1)
        width = (high - low)[..., 0]
        mean: FloatArray = np.divide(area, width, out=self.price_factor(start), where=width != 0.0)
        return mean

    def inverse(self, factor: FloatArray) -> FloatArray:
        """Return the x nearest to 0 with f(x) = factor; inf below the last bid, -inf above the last ask."""
        lines = self._lines
        wanted = factor[..., np.newaxis]
        # up to 1 the first level that is low enough ends the line; above 1 the last that is high enough begins it
        line = np.where(factor < 1.0, (lines.factors > wanted).sum(axis=-1), (lines.factors >= wanted).sum(axis=-1))
        edge, width, before, after = lines.take(line)
        to_go: FloatArray = np.divide(
            factor - after, before - after, out=np.full_like(factor, np.nan), where=before > after
        )
        x = np.where(factor == 1.0, 0.0, edge - width * to_go)
        lowest, highest = lines.factors[:, -1], lines.factors[:, 0]
        return np.where(factor < lowest, np.inf, np.where(factor > highest, -np.inf, x))

    def kinks(self) -> FloatArray:
        """Return the sizes of the levels."""
        return self._lines.knots

    @property
    def _levels(self) -> tuple[str, str, Any]:
        return "OrderBookImpact", "levels", self.levels

    @cached_property
    def _lines(self) -> "_Lines":
        return _lines(values_by_asset(*self._levels))


class _Lines(NamedTuple):
    """The straight lines of the books, K levels each: K + 1 lines a book, the first and the last without end.

    Parameters
    ----------
    knots, factors : ndarray, shape (books, K)
        The levels, with (0, 1) among them; a shorter book repeats its last one.
    left, right, edge, width, before, after : ndarray, shape (books, K + 1)
        Where a line begins and ends, its finite end, the right one if both are, its width (1 where that is 0 or
        infinite), and f at both ends.
    """

    knots: FloatArray
    factors: FloatArray
    left: FloatArray
    right: FloatArray
    edge: FloatArray
    width: FloatArray
    before: FloatArray
    after: FloatArray

    def take(self, line: Any) -> tuple[FloatArray, ...]:
        """Return edge, width, before and after of one line of each book."""
        book = np.arange(len(self.knots)) if len(self.knots) > 1 else 0
        return tuple(array[book, line] for array in (self.edge, self.width, self.before, self.after))


def _lines(books: tuple[Levels, ...]) -> _Lines:
    longest = max(len(book) for book in books)
    levels = np.array([book + book[-1:] * (longest - len(book)) for book in books])
    knots, factors = levels[..., 0], levels[..., 1]
    end = np.full((len(books), 1), np.inf)
    left, right = np.hstack([-end, knots]), np.hstack([knots, end])
    before, after = np.hstack([factors[:, :1], factors]), np.hstack([factors, factors[:, -1:]])
    edge, width = np.hstack([knots, knots[:, -1:]]), right - left
    width[~np.isfinite(width) | (width == 0.0)] = 1.0
    return _Lines(knots, factors, left, right, edge, width, before, after)


def _cumulated(side: list[Sequence[float]], price: float, depth: float) -> list[tuple[float, float]]:
    units = accumulate(quantity for _, quantity in side)
    return [(sold * price / depth, level / price) for sold, (level, _) in zip(units, side, strict=True)]


def _read_levels(name: str, levels: Any) -> Levels:
    """Return the levels as pairs of numbers, with (0, 1) among them, or say which is wrong."""
    try:
        points = [(float(size), float(factor)) for size, factor in levels]
    except (TypeError, ValueError):
        points = []
    if not points:
        raise ParameterError(f"OrderBookImpact: {name} is {levels!r:.60}; it must be one or more pairs (size, factor)")
    if 0.0 not in (size for size, _ in points):
        first_sale = next((k for k, (size, _) in enumerate(points) if size > 0.0), len(points))
        points.insert(first_sale, (0.0, 1.0))
    for point in points:
        if not (isfinite(point[0]) and isfinite(point[1]) and point[1] >= 0.0) or (point[0] == 0.0 and point[1] != 1.0):
            raise ParameterError(
                f"OrderBookImpact: {name} has {point}; both must be finite, the factor not negative, and 1 at size 0"
            )
    for point, following in pairwise(points):
        if not (point[0] < following[0] and point[1] >= following[1]):
            raise ParameterError(
                f"OrderBookImpact: {name} has {following} after {point}; sizes must rise, and factors must not"
            )
    return tuple(points)
