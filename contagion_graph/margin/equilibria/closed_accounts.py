"""The accounts that close something, copied next to each other: each step of an iteration asks for V of all of them."""

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.margin.equilibria.position_book import BookRows
from contagion_graph.margin.equilibria.static_map import Case, Prices
from contagion_graph.margin.rounds.account_state import Rows

GROWS = 2  # a piece is more than so many times as long as the next


class ClosedAccounts:
    """Copies of the accounts that close something, in pieces, each less than half as long as the one before.

    Parameters
    ----------
    case : Case
        What the static map is made of, for all accounts.
    """

    def __init__(self, case: Case) -> None:
        self.case, self.value = case, np.zeros(len(case.base))
        self.pieces: list[BookRows] = []
        self._here = np.zeros(len(case.base), dtype=bool)

    def add(self, rows: Rows) -> None:
        """Copy those of these accounts that are not copied yet."""
        rows = rows[~self._here[rows]]
        if rows.size == 0:
            return
        self._here[rows] = True
        while self.pieces and self.pieces[-1].rows.size <= GROWS * rows.size:
            rows = np.sort(np.concatenate([self.pieces.pop().rows, rows]))
        self.pieces.append(BookRows(self.case.book, rows, self.case.scenario.losses))

    def value_closed(self, prices: Prices, rows: Rows) -> FloatArray:
        """Return V of accounts that are copied [currency]."""
        for piece in self.pieces:
            self.value[piece.rows] = self.case.value_closed(prices, None, piece)[0]
        return self.value[rows]
