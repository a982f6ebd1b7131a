"""Many scenarios on one graph: one pass over the rows for up to `WIDTH` of them, then the rounds of each on few rows.

The pass finds, for each scenario, which accounts can be in breach at the shocked prices or soon after
(kernels/batch.py). These are copied next to each other, and the rounds of `MarginCascade.run` go on among them, until
prices or loss levels have gone so far that others can be concerned: then a second pass looks farther ahead, and last
the scenario runs on all rows. How far a pass looks ahead decides the work, never the answer.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from contagion_graph.chunks import WIDTH
from contagion_graph.errors import ConvergenceError
from contagion_graph.graph import ExposureGraph
from contagion_graph.margin.market import Market, Rows
from contagion_graph.margin.near import NearGraph, NearMarket, TooFarError, WholeBase
from contagion_graph.margin.path import Path, run_path, weights
from contagion_graph.margin.rules import CascadeRules, prepared
from contagion_graph.rules.sharing import ProRata
from contagion_graph.shocks import Scenario
from contagion_graph.solvers.solution import Solution
from contagion_graph.state import Batch, Rest
from contagion_graph.tables.schema import FloatArray

FIRST_AHEAD, LEAST_AHEAD, FARTHER, SPARE = 0.02, 1e-3, 3.0, 1.25
FEW = 0.5  # of all rows; more of them are not worth a copy


class Ended(NamedTuple):
    """A scenario that has come to rest.

    Parameters
    ----------
    number : int
        Its place in the batch.
    path : Path
        Its rounds.
    solution : Solution
        How it ended.
    rows : ndarray of int
        The rows of the graph that are rows of the path.
    base : ndarray, shape (n,)
        Weights of all accounts in loss sharing.
    """

    number: int
    path: Path
    solution: Solution
    rows: Rows
    base: FloatArray


class Batches:
    """Runs the scenarios of price changes of one graph and one model, in batches.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the scenarios.
    rules : CascadeRules
        The model.
    """

    def __init__(self, graph: ExposureGraph, rules: CascadeRules) -> None:
        self.graph, self.impact = prepared(graph, rules)
        self.rules, self._ahead = rules, FIRST_AHEAD
        sharing = rules.sharing
        self._same = sharing is None or (isinstance(sharing, ProRata) and sharing.base != "profit")
        self._base, self._first = self._whole(graph.price), 0
        quantity, margin_units = self.graph.quantity.data, self.graph.margin_units.data
        self._slopes = self.graph.cells._replace(quantity=quantity - margin_units)

    @property
    def shared_base(self) -> FloatArray | None:
        """The weights in loss sharing that hold in all scenarios; None where each has its own."""
        return self._base.at_rest if self._same else None

    def run(self, prices: FloatArray, *, first: int = 0, fund: FloatArray | None = None) -> Iterator[Ended]:
        """Yield the scenarios as they end, not always in order.

        Parameters
        ----------
        prices : ndarray, shape (B, m)
            Shocked prices of at most `WIDTH` scenarios.
        first : int
            What the first of them is called where one fails.
        fund : ndarray, shape (v,), optional
            Insurance funds in the place of the graph's.
        """
        self._first = first
        left, travelled = np.arange(len(prices)), np.zeros(len(prices))
        for ahead in (self._ahead, FARTHER * self._ahead):
            too_far = []
            for number, near, horizon in self.near(prices, left, ahead):
                ended = self._on_near(number, prices[number], near, horizon, fund)
                if ended is None:
                    too_far.append(number)
                    travelled[number] = FARTHER * self._ahead
                else:
                    travelled[number] = _travelled(ended.path)
                    yield ended
            left = np.array(too_far, dtype=np.int64)
        for number in left.tolist():
            yield self._on_all(number, prices[number], fund)
        self._ahead = max(LEAST_AHEAD, SPARE * float(np.quantile(travelled, 0.75)))

    def near(self, prices: FloatArray, numbers: Rows, ahead: float) -> Iterator[tuple[int, Rows, float]]:
        """Yield, of each scenario, the rows that can be concerned before T + C reaches a horizon, and that horizon."""
        from contagion_graph.kernels import batch

        if numbers.size == 0:
            return
        padded = prices[numbers[np.minimum(np.arange(WIDTH), numbers.size - 1)]]
        relative = padded / self.graph.price
        clock, growth = np.abs(relative - 1.0).max(axis=1), np.maximum(relative.max(axis=1), 1.0)
        case = Batch(np.ascontiguousarray(padded.T), clock, growth, np.full(WIDTH, ahead))
        marks = batch.near_rows(self._slopes, self._rest(prices[numbers]), case, self.graph.block_borders)
        for bit, number in enumerate(numbers.tolist()):
            yield number, batch.marked(marks, bit), float(clock[bit]) + ahead

    def _rest(self, prices: FloatArray) -> Rest:
        """Return what is known of the accounts at rest; weights are the largest in any of the scenarios."""
        from contagion_graph.kernels import looks

        graph, base = self.graph, self._base.at_rest
        if not self._same:
            base = np.max([self._whole(price).at_rest for price in prices], axis=0)
        rest = Rest(graph.cash, graph.rest[1] + graph.sensitivity, graph.sensitivity, base, np.empty(base.size))
        looks.first_keys(graph.cash, *graph.rest, graph.sensitivity, base, rest.key)
        return rest

    def _whole(self, price: FloatArray) -> WholeBase:
        return WholeBase(self.graph, weights(self.graph, self._scenario(price, len(self.graph.cash)), self.rules))

    def _on_near(
        self, number: int, price: FloatArray, near: Rows, horizon: float, fund: FloatArray | None
    ) -> Ended | None:
        """Run a scenario among the rows near it; None where others can be concerned."""
        if near.size > FEW * len(self.graph.cash):
            return None
        few, scenario = NearGraph(self.graph, near), self._scenario(price, near.size)
        whole = self._base if self._same else self._whole(price)
        try:
            market = NearMarket(few, scenario, whole, horizon)
            path = Path(few, scenario, self.rules, self.impact, market)
            return Ended(number, path, self._played(number, path, fund), near, whole.at_rest)
        except TooFarError:
            return None

    def _on_all(self, number: int, price: FloatArray, fund: FloatArray | None) -> Ended:
        scenario = self._scenario(price, len(self.graph.cash))
        base = weights(self.graph, scenario, self.rules)
        path = Path(self.graph, scenario, self.rules, self.impact, Market(self.graph, scenario, base.copy()))
        return Ended(number, path, self._played(number, path, fund), self.graph.all_rows, base)

    @staticmethod
    def _scenario(price: FloatArray, size: int) -> Scenario:
        return Scenario(price, np.zeros(size), np.zeros(size, dtype=bool))

    def _played(self, number: int, path: Path, fund: FloatArray | None) -> Solution:
        if fund is not None:
            path.fund = fund.copy()
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found, and named, at the next look
                return run_path(path)
        except ConvergenceError as error:
            message = f"scenario {self._first + number} (rows count from 0): {error}"
            raise ConvergenceError(message, error.solution) from error


def _travelled(path: Path) -> float:
    """Return how far clock and loss levels have gone since the shocked prices."""
    market, shocked = path.market, path.scenario.price_shocked
    start = np.abs(shocked / path.graph.price - 1.0).max()
    return float(market.clock - start + market.channels.level.max())
