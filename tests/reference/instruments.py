"""Columns that are priced from others, one by one, straight from docs/instruments.md: slow, apart from the package."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .dense_state import Floats
from .margins import black, normal


class Instrument(NamedTuple):
    """A call (1), a put (-1) or a linear instrument (0) in column `column`, on that of its underlying."""

    column: int
    underlying: int
    kind: int
    ratio: float
    strike: float
    years: float
    vol: float
    pass_through: float

    def value(self, u: float, vol: float) -> float:
        """Return F(u)."""
        if self.kind == 0:
            return self.ratio * u
        if u <= 0.0:
            return self.strike if self.kind < 0 else 0.0
        return black(self.kind, self.strike, self.years, u, vol)

    def delta(self, u: float, vol: float) -> float:
        """Return F'(u)."""
        if self.kind == 0:
            return self.ratio
        if u <= 0.0:
            return -1.0 if self.kind < 0 else 0.0
        width = vol * math.sqrt(self.years)
        return self.kind * normal(self.kind * (math.log(u / self.strike) / width + width / 2))


@dataclass(frozen=True)
class Instruments:
    """All instruments of a market; what their price was above F before the shock, and what a shock made of them."""

    rows: list[Instrument]
    residual: list[float]
    own: list[float]

    def prices(self, price: Floats, factor: Floats | None = None) -> Floats:
        """Return all prices, given those of the underlyings, and what sales multiply own prices by, shape (m,)."""
        found = np.array(price, dtype=np.float64)
        for row, residual, own in zip(self.rows, self.residual, self.own, strict=True):
            value = max(0.0, row.value(float(price[row.underlying]), row.vol) + residual)
            found[row.column] = own * value * (1.0 if factor is None else factor[row.column])
        return found

    def reached(self, units: Floats, price: Floats) -> Floats:
        """Return what reaches each book when units are sold: the units, and their deltas at the price before."""
        found = np.array(units, dtype=np.float64)
        for row in self.rows:
            delta = row.delta(float(price[row.underlying]), row.vol)
            found[row.underlying] += row.pass_through * delta * units[row.column]
        return found

    def shocked(self, shock: Floats, vol_shock: Floats) -> "Instruments":
        """Return the instruments after changes of their own prices, and of the volatilities of underlyings."""
        rows = [row._replace(vol=row.vol * (1.0 + vol_shock[row.underlying])) for row in self.rows]
        return replace(self, rows=rows, own=[1.0 + shock[row.column] for row in rows])


def instruments_of(rows: list[Instrument], price: Floats) -> Instruments:
    """Return instruments that cost what they cost before any shock."""
    residual = [float(price[row.column]) - row.value(float(price[row.underlying]), row.vol) for row in rows]
    return Instruments(rows, residual, [1.0] * len(rows))
