"""Instruments of a monitor: their prices follow those of their underlyings."""

from dataclasses import replace
from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.graph.price_map import PriceMap

LEAST = float(np.finfo(np.float64).tiny)  # prices are above 0
Columns = np.ndarray[Any, np.dtype[np.int64]]


class Instruments:
    """How the prices of instruments follow; what a price of its own adds to the value of one stays from then on.

    Parameters
    ----------
    prices : PriceMap
        Of the first graph; assets that are listed later are priced by themselves.
    """

    def __init__(self, prices: PriceMap) -> None:
        self._map = prices

    @property
    def underlyings(self) -> set[int]:
        """The columns that instruments are priced from."""
        return set(self._map.underlying[self._map.instruments].tolist())

    def moved(self, price: FloatArray, columns: Columns, values: FloatArray) -> tuple[Columns, FloatArray]:
        """Return the columns and new prices of an event, with those of the instruments that follow.

        Parameters
        ----------
        price : ndarray
            Before the event [currency per unit].
        columns, values : ndarray
            The prices that the event names.
        """
        own, m = self._map.instruments, self._map.underlying.size
        new = price[:m].copy()
        known = columns < m
        new[columns[known]] = values[known]
        follow = own[np.isin(self._map.underlying[own], columns) & ~np.isin(own, columns)]
        worth = self._map.values(new)
        new[follow] = np.maximum(worth[follow], LEAST)
        if np.isin(columns, own).any():
            self._map = replace(self._map, price=np.where(np.isin(np.arange(m), columns), new, worth))
        return np.concatenate([columns, follow]), np.concatenate([values, new[follow]])
