"""The prices of all columns of a graph from those of its underlyings: options, dated futures, wrapped tokens.

p_j = max(F_j(u_k, vol_j) + e_j, 0), u_k the price of the underlying k of column j; e_j = p0_j - F_j(u0_k, vol_j) stays
constant. A column that is no instrument is its own underlying.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._cached import cached_property
from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.solvers import black

Codes = np.ndarray[Any, Any]  # of whole numbers
NONE = -1  # no netting set
SIGN = {"call": 1.0, "put": -1.0}
NEAR = 2.0  # times u0, up or down: there the bounds of deltas are taken that say how the revaluation counts moves
STEP = 1e-4  # relative move of u, and of vol, by which the greeks of payoffs of one's own are taken


class Payoff(Protocol):
    """The value of one unit of an instrument, given the price u of its underlying: with u it only rises, or falls.

    docs/adding-a-payoff.md shows one. What is asked for comes as arrays of one shape, and so does the answer.
    """

    def price(self, u: FloatArray, vol: FloatArray) -> FloatArray:
        """Return the value of one unit.

        Parameters
        ----------
        u : ndarray
            Prices of the underlying, from 0 up [currency per unit].
        vol : ndarray
            Vols a year; NaN where the table has none.

        Returns
        -------
        ndarray
            Currency per unit.
        """

    def delta(self, u: FloatArray, vol: FloatArray) -> FloatArray:
        """Return dF/du.

        Parameters
        ----------
        u, vol : ndarray
            As for `price`.

        Returns
        -------
        ndarray
            Units of the underlying a unit.
        """

    def delta_bound(self, low: float, high: float) -> float:
        """Return a number that |dF/du| never exceeds for u between two prices, at any vol.

        Parameters
        ----------
        low, high : float
            From 0 up to infinity [currency per unit].

        Returns
        -------
        float
            Infinity where nothing is known: then accounts on a grid that hold it are valued in every round.
        """


class Greeks(NamedTuple):
    """Sensitivities of one unit of each column, shape (m,): dp/du, d2p/du2, dp/dvol, change of p a year."""

    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray


@dataclass(frozen=True, eq=False)
class PriceMap:
    """How the columns of a graph are priced from its underlyings.

    Parameters
    ----------
    price : ndarray, shape (m,)
        p0 of all columns [currency per unit].
    underlying : ndarray of int, shape (m,)
        The column that each is priced from; itself where it is no instrument.
    linear, options : ndarray of int
        The columns that are ratio x u, and those that are calls and puts.
    ratio, sign, strike, expiry, vol, pass_through : ndarray, shape (m,)
        The terms of each column; NaN where it has none. Columns that are no instruments pass nothing on.
    payoffs : tuple of (int, Payoff)
        Columns with a payoff of one's own.
    """

    price: FloatArray
    underlying: Codes
    linear: Codes
    options: Codes
    ratio: FloatArray
    sign: FloatArray
    strike: FloatArray
    expiry: FloatArray
    vol: FloatArray
    pass_through: FloatArray
    payoffs: tuple[tuple[int, Payoff], ...] = ()

    @cached_property
    def instruments(self) -> Codes:
        """The columns that are priced from another one, ascending."""
        return np.flatnonzero(self.underlying != np.arange(self.underlying.size))

    @cached_property
    def onto_underlyings(self) -> sparse.csr_array:
        """1 where a column is, or is priced from, the column of the matrix, shape (m, m)."""
        own = self.instruments
        m = self.underlying.size
        rows = np.concatenate([np.arange(m), own]), np.concatenate([np.arange(m), self.underlying[own]])
        return sparse.csr_array((np.ones(m + own.size), rows), shape=(m, m))

    @cached_property
    def netting(self) -> Codes:
        """Which options share underlying, strike and expiry, shape (m,); -1: no option."""
        sets = np.full(self.underlying.size, NONE)
        if self.options.size:
            own = self.options
            terms = np.column_stack([self.underlying[own], self.strike[own], self.expiry[own]])
            sets[own] = np.unique(terms, axis=0, return_inverse=True)[1].reshape(-1)
        return sets

    @cached_property
    def _model0(self) -> FloatArray:
        """F at p0, shape (m,)."""
        return self._model(self.price[self.underlying], self.vol)

    @cached_property
    def _fits(self) -> BoolArray:
        """Whether p0 is F at p0, so that nothing has to be added."""
        fits: BoolArray = self._model0 == self.price
        return fits

    def _model(self, u: FloatArray, vol: FloatArray) -> FloatArray:
        """Return F_j(u_j, vol_j) of all columns, the last axis; u itself where a column is no instrument."""
        out = np.array(u, dtype=np.float64)
        vol = np.broadcast_to(vol, out.shape)
        out[..., self.linear] = self.ratio[self.linear] * u[..., self.linear]
        own = self.options
        if own.size:
            out[..., own] = black.price(self.sign[own], u[..., own], self.strike[own], self.expiry[own], vol[..., own])
        for column, payoff in self.payoffs:
            out[..., column] = payoff.price(u[..., column], vol[..., column])
        return out

    def prices(self, price: FloatArray) -> FloatArray:
        """Return the prices of all columns, given those of the underlyings; the others of `price` are not read.

        Parameters
        ----------
        price : ndarray, shape (m,) or (N, m)
            Currency per unit.
        """
        return np.maximum(self.values(price), 0.0)

    def values(self, price: FloatArray) -> FloatArray:
        """Return F + e of all columns, which can be below 0, as `prices` does."""
        price = np.asarray(price)
        model = self._model(price[..., self.underlying], self.vol)
        return np.where(self._fits, model, self.price + (model - self._model0))

    def deltas(self, price: FloatArray) -> FloatArray:
        """Return dF/du of every column at prices of the underlyings, shape (m,); 1 where it is no instrument."""
        u, own = price[self.underlying], self.options
        out = np.ones(u.size)
        out[self.linear] = self.ratio[self.linear]
        if own.size:
            out[own] = black.delta(self.sign[own], u[own], self.strike[own], self.expiry[own], self.vol[own])
        for column, payoff in self.payoffs:
            out[column] = payoff.delta(u[column], self.vol[column])
        return out

    def gains(self, price: FloatArray, move: FloatArray, vol_factor: FloatArray) -> FloatArray:
        """Return F(u (1 + move), vol x vol_factor) - F(u, vol) of each column and scenario, shape (m, S)."""
        u = price[self.underlying]
        moved = self._model((u[:, None] * (1.0 + move)).T, (self.vol[:, None] * vol_factor).T).T
        gained: FloatArray = np.asarray(moved - self._model(u, self.vol)[:, None])
        plain = np.ones(u.size, dtype=bool)
        plain[self.instruments] = False
        gained[plain] = u[plain, None] * move[plain]
        gained[self.linear] = (self.ratio * u)[self.linear, None] * move[self.linear]
        return gained

    def steepest(self, move: FloatArray, weight: FloatArray, unit: FloatArray) -> FloatArray:
        """Return how much of a unit the weighted gains of each column can change as all prices move by 1, shape (m,).

        |dL/du| <= weight ((1 + move) D + D), D the largest |dF/du|; ratio weight |move| where F = ratio u. Assets that
        are no instruments gain with their own price, so that only what is more than the price itself counts.
        """
        out: FloatArray = np.maximum((weight * move).max(axis=1), 0.0)
        u, own = unit[self.underlying], np.setdiff1d(self.instruments, self.linear)
        most = self.delta_bounds.copy()
        for column, payoff in self.payoffs:
            most[column] = payoff.delta_bound(0.0, np.inf)
        out[own] = (most * u / unit)[own] * (weight * (2.0 + move)).max(axis=1)[own]
        line = self.linear
        out[line] = (self.ratio * u / unit)[line] * np.abs(weight * move).max(axis=1)[line]
        return out

    def passed_on(self, units: FloatArray, price: FloatArray) -> FloatArray:
        """Return the units of each underlying that a sale of instruments sells too: sum_j pass_j dF_j/du units_j.

        Parameters
        ----------
        units : ndarray, shape (m,)
            Units sold of each column.
        price : ndarray, shape (m,)
            Prices at which the deltas are taken [currency per unit].
        """
        own = self.instruments
        flow = (self.pass_through * self.deltas(price) * units)[own]
        passed: FloatArray = np.bincount(self.underlying[own], weights=flow, minlength=units.size).astype(np.float64)
        return passed

    def bounds(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the least and the largest prices while those of underlyings are in a box: payoffs are monotone."""
        ends = self.prices(low), self.prices(high)
        return np.minimum(*ends), np.maximum(*ends)

    def passed_back(self, moved: FloatArray) -> FloatArray:
        """Return what a sold unit of each column moves most: its own book, or that of its underlying, shape (m,).

        `moved` is what it moves of its own book.
        """
        return np.maximum(moved, moved[self.underlying] * np.abs(self.pass_through * self.deltas(self.price)))

    @cached_property
    def delta_bounds(self) -> FloatArray:
        """A number that |dF/du| of each column does not exceed between half and twice u0, shape (m,)."""
        bounds, u = np.ones(self.underlying.size), self.price[self.underlying]
        bounds[self.linear] = self.ratio[self.linear]
        for column, payoff in self.payoffs:
            bounds[column] = payoff.delta_bound(u[column] / NEAR, NEAR * u[column])
        return bounds

    def greeks(self) -> Greeks:
        """Return the sensitivities of one unit of each column at p0."""
        u, own = self.price[self.underlying], self.options
        gamma, vega, theta = np.zeros((3, u.size))
        terms = u[own], self.strike[own], self.expiry[own], self.vol[own]
        gamma[own], vega[own], theta[own] = black.gamma(*terms), black.vega(*terms), black.theta(*terms)
        for column, payoff in self.payoffs:
            at, vol = u[column], self.vol[column]
            steps = at * np.array([1.0 - STEP, 1.0 + STEP])
            gamma[column] = np.diff(payoff.delta(steps, np.full(2, vol)))[0] / (2.0 * STEP * at)
            if vol > 0.0:
                near = vol * np.array([1.0 - STEP, 1.0 + STEP])
                vega[column] = np.diff(payoff.price(np.full(2, at), near))[0] / (2.0 * STEP * vol)
            theta[column] = np.nan
        return Greeks(self.deltas(self.price), gamma, vega, theta)

    def with_vols(self, factor: FloatArray) -> "PriceMap":
        """Return the map after relative changes of vols, by column; what was added to F at p0 stays the same."""
        changed = replace(self, vol=self.vol * factor)
        vars(changed).update(_model0=self._model0, _fits=self._fits)
        return changed


def price_map(
    table: pd.DataFrame, assets: "pd.Index[str]", price: FloatArray, payoffs: Mapping[str, Payoff] | None
) -> PriceMap:
    """Return the price map of table instruments, checked, whose vols are filled."""
    m, (column, on) = len(assets), (assets.get_indexer(pd.Index(table[name])) for name in ("asset", "underlying"))
    terms = {name: np.full(m, np.nan) for name in ("ratio", "strike", "expiry", "vol")}
    for name, values in terms.items():
        values[column] = table[name]
    kind = np.full(m, "", dtype=object)
    kind[column] = table["kind"]
    pass_through, underlying = np.zeros(m), np.arange(m)
    pass_through[column], underlying[column] = table["pass_through"], on
    return PriceMap(
        price=price,
        underlying=underlying,
        linear=np.flatnonzero(kind == "linear"),
        options=np.flatnonzero(np.isin(kind, list(SIGN))),
        sign=np.array([SIGN.get(each, np.nan) for each in kind]),
        pass_through=pass_through,
        payoffs=tuple((int(k), (payoffs or {})[assets[k]]) for k in np.flatnonzero(kind == "payoff").tolist()),
        **terms,
    )
