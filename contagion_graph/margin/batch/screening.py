"""How far scenarios will take prices and loss levels, roughly, and who can be concerned before they have gone so far.

Whoever is in breach at the shocked prices sells all that it has, at the prices which that makes others are in breach
and sell too, and so on: a pass over the rows a round, for all scenarios together. That is the cascade of full
liquidation without loss sharing, in rough sums. Its prices, and some more, are the box in which a scenario is followed.
"""

from typing import NamedTuple

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.graph.rows import RowReductions
from contagion_graph.margin.rounds.account_state import Rows
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.state import Batch, Rest

ROUNDS = 32  # look ahead no further
SMALL, FEW = 1e-3, 1 / 16  # ... nor where prices still move by more than that in so few of the scenarios
MISSED = 2.0  # how many times the move of the last round is still to come
MORE = 1.0 + 1e-9  # than any rounding of how far the clock goes


class Box(NamedTuple):
    """Where scenarios are followed: between two prices of every asset (B x m each), up to loss levels (B)."""

    low: FloatArray
    high: FloatArray
    level: FloatArray

    def of(self, scenario: int | list[int]) -> "Box":
        """Return the box of one scenario, or of some."""
        return Box(*(values[scenario] for values in self))


class Reach:
    """Looks ahead for scenarios of one graph.

    Parameters
    ----------
    graph : RowReductions
        With the margins of the liquidation rule.
    impact : ImpactRecord
        In the order of its assets.
    """

    def __init__(self, graph: RowReductions, impact: ImpactRecord) -> None:
        self.graph, self.impact = graph, impact

    def rest(self, base: FloatArray) -> Rest:
        """Return what is known of the accounts at rest, given their weights in loss sharing."""
        from contagion_graph.kernels import looks

        graph = self.graph
        rest = Rest(graph.cash, graph.initial.gross + graph.sensitivity, base, np.empty(base.size))
        looks.first_keys(graph.cash, *graph.initial, graph.sensitivity, base, (0.0, 0.0), rest.key)
        return rest

    def moves(self, prices: FloatArray, rest: Rest) -> tuple[FloatArray, FloatArray]:
        """Return how far prices will fall below, and rise above, the shocked prices of scenarios (B x m each)."""
        from contagion_graph.kernels import batch

        graph, marks = self.graph, np.zeros(rest.cash.size, dtype=np.uint64)
        low, high, now = prices.copy(), prices.copy(), prices.copy()
        lower, higher, left = np.zeros_like(prices), np.zeros_like(prices), np.arange(len(prices))
        with np.errstate(all="ignore"):
            for _ in range(ROUNDS):
                case = self._case(Box(now[left], now[left], np.zeros(left.size)), left)
                units = batch.units_sold(graph.cells, rest, case, graph.block_borders, marks)
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

    def near(self, box: Box, rest: Rest) -> tuple[Rows, list[Rows]]:
        """Return the rows that can be in breach somewhere in a box, and of each scenario which of these are in its."""
        from contagion_graph.kernels import batch

        case = self._case(box, np.arange(len(box.level)))
        marks = batch.near_rows(self.graph.cells, rest, case, self.graph.block_borders)
        some = np.flatnonzero(marks)
        first, rows = batch.rows_by_scenario(marks[some])
        return some, np.split(rows, first[1:-1])[: len(box.level)]

    def _case(self, box: Box, numbers: Rows) -> Batch:
        """Return boxes as columns, and the bits of their scenarios."""
        (low, high, level), price = box, self.graph.price
        clock = np.maximum(np.abs(low / price - 1.0), np.abs(high / price - 1.0)).max(axis=1)
        growth = np.maximum((high / price).max(axis=1), 1.0)
        columns = np.ascontiguousarray(low.T), np.ascontiguousarray(high.T)
        return Batch(*columns, growth, level, numbers.astype(np.uint64), float((clock + level).max()) * MORE)
