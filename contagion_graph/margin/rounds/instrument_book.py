"""Instruments in the rounds of a cascade: what their closing sells of the underlyings, and where they trade.

A round that closes units_j of instruments sells S_k += sum_j pass_j dF_j/du(u_k) units_j of underlying k, if that is
ever sold, u its price before the round; the instrument is then worth F_j(u'_k) and trades at F_j(w_k), w the average
price of the underlying in the round. A change of its own in the shock, and its own book where it has a depth, come on
top, as factors.
"""

import numpy as np

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.graph.price_map import PriceMap
from contagion_graph.solvers.arrays import ratio


class InstrumentBook:
    """The instruments of a graph while a cascade runs.

    Parameters
    ----------
    columns : PriceMap
        How they are priced, after a shock of vols.
    price_shocked : ndarray, shape (m,)
        Currency per unit.
    """

    def __init__(self, columns: PriceMap, price_shocked: FloatArray) -> None:
        self.columns = columns
        self.own_change = ratio(price_shocked, columns.prices(price_shocked), 1.0)
        self.passed_on, self.factor = np.zeros(price_shocked.size), np.ones(price_shocked.size)

    def sell(self, units: FloatArray, price: FloatArray, sellable: BoolArray) -> FloatArray:
        """Note a sale at prices before the round; return the units of each underlying that it sells besides, (m,)."""
        flow = np.where(sellable, self.columns.passed_on(units, price), 0.0)
        self.passed_on = self.passed_on + flow
        return flow

    def priced(self, price: FloatArray, factor: FloatArray) -> FloatArray:
        """Return prices with those of instruments put in; factor: that of their own books, shape (m,)."""
        own, priced = self.columns.instruments, price.copy()
        priced[own] = (self.columns.prices(price) * self.own_change * factor)[own]
        return priced
