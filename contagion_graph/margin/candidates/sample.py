"""How far a scenario takes prices, foreseen by its cascade on a sample of the accounts.

The sample is fixed by the graph: the accounts whose largest position would move a price most, those nearest to a
breach, and every k-th strip of 32 rows. An account of a strip stands for k accounts: its cash and positions are
multiplied by k. The others, and those with a given loss or default, stand for themselves.
"""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.chunks import STRIP
from contagion_graph.errors import ConvergenceError
from contagion_graph.graph.rows import Initial, RowReductions
from contagion_graph.graph.scenario import Scenario
from contagion_graph.margin.candidates.screening import Box
from contagion_graph.margin.candidates.subgraph import CandidateGraph
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.margin.rounds.account_state import Market, Rows, by_layer
from contagion_graph.margin.rounds.path import Path, run_path
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.solvers.arrays import ratio

EACH = 20_000  # accounts of each kind, about
ROUNDS = 64  # that are foreseen
MORE, SPARE, ERRORS = 1.05, 5e-4, 5.0  # a box goes so many times as far as the sample, and so many of its errors beyond
RATE, LOST = 1.2, 1e-4  # ... and to so many times its loss rate, and that of so large a loss, of gross value


Weights = tuple[FloatArray, tuple[float, ...]]


class Sample(CandidateGraph):
    """Some rows of a graph, each multiplied by how many rows it stands for.

    Parameters
    ----------
    graph : RowReductions
        With the margins of the liquidation rule.
    rows : ndarray of int
        The rows, ascending.
    weight : ndarray
        How many rows each of them stands for.
    error : ndarray, shape (m,)
        Standard error of what all accounts hold of each asset, if the sample is asked, as a share of its depth.
    """

    def __init__(self, graph: RowReductions, rows: Rows, weight: FloatArray, error: FloatArray) -> None:
        super().__init__(graph, rows)
        self.weight, self.error = weight, error
        if self.margins is not None:
            self.margins = self.margins.kept(self.all_rows, self.cells, weight)
        times = np.repeat(weight, np.diff(self.cells.indptr))
        self.cells = self.cells._replace(
            quantity=self.cells.quantity * times, margin_units=self.cells.margin_units * times
        )
        self.cash, self.falls = self.cash * weight, (self.falls[0] * weight, self.falls[1] * weight)
        self.initial = Initial(*(each * weight for each in self.initial))

    def account_column(self, name: str) -> FloatArray | None:
        """Return a further column of table accounts, an amount of currency."""
        column = super().account_column(name)
        return None if column is None else column * self.weight

    def with_rows(self, others: Rows) -> "Sample":
        """Return the sample with other rows, each of which stands for itself."""
        if others.size == 0:
            return self
        weight = np.zeros(self.graph.cash.size)
        weight[self.rows], weight[others] = self.weight, 1.0
        rows = np.flatnonzero(weight)
        return Sample(self.graph, rows, weight[rows], self.error)


def drawn(graph: RowReductions) -> Sample:
    """Return the sample of a graph.

    Rows of strips have the variance sum_i k q_ij^2, over all rows that do not stand for themselves.
    """
    from contagion_graph.kernels import row_sums

    n, every = graph.cash.size, max(graph.cash.size // EACH, 1)
    unit = np.where(graph.sellable, graph.price / graph.depth, 0.0)
    if graph.price_map is not None:
        unit = graph.price_map.passed_back(unit)
    impact = row_sums.largest_cells(graph.cells, unit, graph.row_borders)
    near = ratio(graph.equity - graph.initial.maintenance, graph.sensitivity, np.inf)
    k = min(EACH, n) - 1
    alone = (near <= np.partition(near, k)[k]) | (impact > np.partition(impact, n - 1 - k)[n - 1 - k])
    rows = np.flatnonzero((graph.all_rows // STRIP % every == 0) | alone)
    squares = row_sums.column_squares(graph.cells, np.where(alone, 0.0, every), graph.row_borders, unit.size)
    weight = np.where(alone[rows], 1.0, float(every))
    return Sample(graph, rows, weight, np.sqrt(squares.sum(axis=0)) * unit)


def foreseen(graph: Sample, scenario: Scenario, weights: Weights, rules: CascadeRules, impact: ImpactRecord) -> Box:
    """Return a box around the prices and loss rates through which a scenario takes the sample.

    Parameters
    ----------
    scenario : Scenario
        That of all accounts.
    weights : tuple
        Weights of all accounts in each layer of members, and by what those of each layer were multiplied.
    """
    base, scale = weights
    rows, weight, price = graph.rows, graph.weight, scenario.price_shocked
    case = replace(scenario, losses=scenario.losses[rows] * weight, defaults=scenario.defaults[rows])
    market = Market(graph, case, base[rows] * (weight if base.ndim == 1 else weight[:, None]))
    path = Path(graph, case, replace(rules, max_rounds=min(ROUNDS, rules.max_rounds)), impact, market, scale=scale)
    with suppress(ConvergenceError):  # then as far as it came
        run_path(path)
    prices = np.array([price, *(trade.after for trade in path.trades)])
    gross = graph.initial.gross
    closed = float((market.accounts.closed_long * gross).sum() / graph.gross_total)
    spare = price * (SPARE + ERRORS * np.sqrt(closed) * graph.error)
    low, high = price - MORE * (price - prices.min(axis=0)) - spare, price + MORE * (prices.max(axis=0) - price) + spare
    if path.book is not None:
        ends = path.book.columns.bounds(low, high)
        low, high = np.minimum(low, ends[0] * path.book.own_change), np.maximum(high, ends[1] * path.book.own_change)
    spare = ratio(LOST * graph.gross_total, by_layer(base).sum(axis=0), 0.0)
    rates = np.minimum(RATE * market.highest_rates() + spare, path.waterfall.caps or np.inf)
    return Box(np.maximum(low, 0.0), high, rates)
