"""How far each scenario is expected to move prices, roughly, and which accounts can be in breach until then.

Every account in breach at the shocked prices sells all that it has; at the prices after these sales more accounts are
in breach and sell too, and so on: one pass over the rows a round, for all scenarios together. That is the cascade of
full liquidation without loss sharing, in rough sums. Its prices, and some more, are the box in which a scenario is
followed: accounts that cannot be in breach anywhere in the box are left out (docs/screening.md).
"""

from typing import NamedTuple

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.graph.rows import RowReductions
from contagion_graph.margin.rounds.account_state import Rows
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.state import Batch, Rest

ROUNDS = 32  # that are foreseen
SMALL, FEW = 1e-3, 1 / 16  # ... nor where prices still move by more than that in so few of the scenarios
MISSED = 2.0  # how many times the move of the last round is still to come
MORE = 1.0 + 1e-9  # than any rounding of the cumulative price move


class Box(NamedTuple):
    """Where scenarios are followed: between two prices of every asset (B x m each), up to loss rates (B)."""

    low: FloatArray
    high: FloatArray
    loss_rate: FloatArray

    def of(self, scenario: int | list[int]) -> "Box":
        """Return the box of one scenario, or of some."""
        return Box(*(values[scenario] for values in self))


class Screen:
    """Finds the candidates for a breach of scenarios of one graph.

    Parameters
    ----------
    graph : RowReductions
        With the margins of the liquidation rule.
    impact : ImpactRecord
        In the order of its assets.
    """

    def __init__(self, graph: RowReductions, impact: ImpactRecord) -> None:
        self.graph, self.impact = graph, impact

    def initial(self, base: FloatArray) -> Rest:
        """Return what is known of the accounts before a scenario, given their weights in loss sharing."""
        from contagion_graph.kernels import revaluation

        graph = self.graph
        initial = Rest(graph.cash, graph.initial.gross + graph.sensitivity, base, np.empty(base.size))
        revaluation.first_triggers(*graph.linear, base, (0.0, 0.0), initial.trigger)
        return initial

    def moves(self, prices: FloatArray, initial: Rest) -> tuple[FloatArray, FloatArray]:
        """Return how far prices will fall below, and rise above, the shocked prices of scenarios (B x m each)."""
        from contagion_graph.kernels import batch

        graph, marks = self.graph, np.zeros(initial.cash.size, dtype=np.uint64)
        low, high, now = prices.copy(), prices.copy(), prices.copy()
        lower, higher, left = np.zeros_like(prices), np.zeros_like(prices), np.arange(len(prices))
        with np.errstate(all="ignore"):
            for _ in range(ROUNDS):
                case = self._case(Box(now[left], now[left], np.zeros(left.size)), left)
                units = batch.units_sold(graph.cells, initial, case, graph.block_borders, marks)
                after = prices[left] * self._factors(units.T)
                lower[left], higher[left] = np.fmin(after - low[left], 0.0), np.fmax(after - high[left], 0.0)
                low[left] += lower[left]
                high[left] += higher[left]
                moving = ~(np.abs(after - now[left]) <= SMALL * prices[left]).all(axis=1)
                now[left] = after
                left = left[moving]
                if left.size <= FEW * len(prices):
                    break
            return prices - low - MISSED * lower, high - prices + MISSED * higher

    def _factors(self, units: FloatArray) -> FloatArray:
        graph = self.graph
        size = np.where(graph.sellable, units, 0.0) * graph.price / graph.depth
        return np.array([self.impact.price_factor(each) for each in size])

    def candidates(self, box: Box, initial: Rest) -> tuple[Rows, list[Rows]]:
        """Return the rows that can be in breach somewhere in a box, and of each scenario which of these are in its."""
        from contagion_graph.kernels import batch

        case = self._case(box, np.arange(len(box.loss_rate)))
        marks = batch.candidate_rows(self.graph.cells, initial, case, self.graph.block_borders)
        some = np.flatnonzero(marks)
        first, rows = batch.rows_by_scenario(marks[some])
        return some, np.split(rows, first[1:-1])[: len(box.loss_rate)]

    def _case(self, box: Box, numbers: Rows) -> Batch:
        """Return boxes as columns, and the bits of their scenarios."""
        (low, high, loss_rate), price = box, self.graph.price
        price_move = np.maximum(np.abs(low / price - 1.0), np.abs(high / price - 1.0)).max(axis=1)
        growth = np.maximum((high / price).max(axis=1), 1.0)
        columns = np.ascontiguousarray(low.T), np.ascontiguousarray(high.T)
        return Batch(
            *columns, growth, loss_rate, numbers.astype(np.uint64), float((price_move + loss_rate).max()) * MORE
        )
