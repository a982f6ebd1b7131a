"""Many scenarios on one graph: passes over the rows for up to `WIDTH` of them, then the rounds of each on few rows.

The passes foresee roughly how far each scenario takes prices, and find which accounts can be in breach before they have
gone farther (screening.py). These are copied next to each other, and the rounds of `MarginCascade.run` go on among
them, until prices or loss rates leave what was foreseen: then a second pass allows for more, and last the scenario
runs on all rows. What is foreseen decides the work, never the answer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.errors import ConvergenceError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.rows import RowReductions
from contagion_graph.graph.scenario import Scenario
from contagion_graph.margin.candidates.screening import Box, Screen
from contagion_graph.margin.candidates.single import Ended, run_rounds
from contagion_graph.margin.candidates.subgraph import CandidateGraph, CandidateMarket, OutsideBoxError
from contagion_graph.margin.prepare import CascadeRules, prepared
from contagion_graph.margin.rounds.account_state import Rows
from contagion_graph.margin.rounds.channel_sums import ChannelSums
from contagion_graph.margin.rounds.fills import passes_on
from contagion_graph.margin.rounds.path import Path, run_path, weights
from contagion_graph.rules.declarations import declared
from contagion_graph.solvers.arrays import ratio
from contagion_graph.state import Rest

MORE, SPARE = 1.25, 2e-3  # a box goes so many times as far as foreseen, and a small move beyond that
FARTHER = 3.0  # ... the second box
LEAST_RATE, LEAST_SHARE = 0.02, 0.1
Outcome = TypeVar("Outcome")
FEW = 0.5  # of all rows; more of them are not worth a copy


class Case(NamedTuple):
    """A scenario to follow: its place in the batch, shocked prices, candidates among the rows of a graph, and box."""

    number: int
    price: FloatArray
    around: RowReductions
    candidates: Rows
    box: Box


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
        self.graph, self.impact = prepared(graph, rules, any_margin=True, any_waterfall=True)
        self.rows = self.graph._rows
        self.rules, self.screen = rules, Screen(self.rows, self.impact)
        self._share, self._rate = 1.0, LEAST_RATE
        one = len(rules.members) < 2  # loss rate a pool; the passes know that, flat rates and plain assets
        self._fits = self.rows.margins is None and self.rows.price_map is None and one
        self._fits &= not passes_on(self.rows, rules)
        self._same = one and all(declared(each, "fixed") is True for each in rules.members)
        if one:
            self._base = self._whole(graph.price)
        self._first = 0

    @property
    def shared_base(self) -> FloatArray | None:
        """The weights in loss sharing that hold in all scenarios; None where each has its own."""
        return self._base.amount if self._same else None

    def run(
        self,
        prices: FloatArray,
        finish: Callable[[Ended], Outcome] = lambda ended: ended,  # type: ignore[assignment,return-value]
        *,
        first: int = 0,
        fund: FloatArray | None = None,
    ) -> Iterator[Outcome]:
        """Yield the results of the scenarios as they end, not always in order.

        Parameters
        ----------
        prices : ndarray, shape (B, m)
            Shocked prices of at most `WIDTH` scenarios. Factors of vols may follow (B x 2 m), of a graph with
            instruments, whose scenarios run one by one.
        finish : callable
            Takes a scenario that has ended, on the thread that ran it, and returns its result.
        first : int
            What the first of them is called where one fails.
        fund : ndarray, shape (v,), optional
            Insurance funds in the place of the graph's.
        """
        from contagion_graph.kernels import threads

        def follow(case: Case) -> tuple[tuple[float, float], Outcome] | None:
            ended = self._on_candidates(case, fund)
            return None if ended is None else (_gone(ended.path), finish(ended))

        self._first = first
        if not self._fits:
            for number, price in enumerate(prices):
                yield finish(self._alone(number, price, fund))
            return
        initial = self._initial(prices)
        moves, gone, left = self.screen.moves(prices, initial), np.zeros((len(prices), 2)), list(range(len(prices)))
        for box in self._boxes(prices, moves):
            around, candidates = self._around(box.of(left), initial) if left else (self.rows, [])
            cases = [Case(k, prices[k], around, rows, box.of(k)) for k, rows in zip(left, candidates, strict=True)]
            left, rows = [], sum(each.size for each in candidates) / max(len(candidates), 1)
            for case, found in zip(cases, threads.each(follow, cases, rows), strict=True):
                if found is None:
                    left.append(case.number)
                else:
                    gone[case.number], outcome = found
                    yield outcome
        for number in left:
            ended = self._alone(number, prices[number], fund)
            gone[number] = _gone(ended.path)
            yield finish(ended)
        self._learn(_largest(np.maximum(*moves), prices), *gone.T)

    def _learn(self, foreseen: FloatArray, gone: FloatArray, rate: FloatArray) -> None:
        """Look as far ahead from now on as these scenarios would have needed."""
        moved = (foreseen > SPARE) & (foreseen < np.inf)
        if moved.any():
            self._share = min(max(MORE * float((gone[moved] / foreseen[moved]).max()), LEAST_SHARE), 1.0)
        self._rate = max(LEAST_RATE, MORE * float(np.quantile(rate, 0.9)))

    def _boxes(self, prices: FloatArray, moves: tuple[FloatArray, FloatArray]) -> Iterator[Box]:
        """Yield a box around each scenario, then a wider one."""
        for more, times in ((MORE * self._share, 1.0), (FARTHER, 10.0)):
            fall, rise = (more * move + times * SPARE * prices for move in moves)
            yield Box(np.maximum(prices - fall, 0.0), prices + rise, np.full(len(prices), times * self._rate))

    def _around(self, box: Box, initial: Rest) -> tuple[RowReductions, list[Rows]]:
        """Return the candidates of all scenarios, copied if they are few, and which of them are those of each scenario.

        The rows of a scenario are far apart in the graph; out of that copy they come fast.
        """
        some, candidates = self.screen.candidates(box, initial)
        if some.size > FEW * len(self.graph.cash):
            return self.rows, [some[rows] for rows in candidates]
        return CandidateGraph(self.rows, some), candidates

    def _initial(self, prices: FloatArray) -> Rest:
        """Return what is known of the accounts before a scenario; weights are the largest in any of the scenarios."""
        base = self._base.amount
        if not self._same:
            base = np.max([self._whole(price).amount for price in prices], axis=0)
        return self.screen.initial(base)

    def _whole(self, price: FloatArray) -> ChannelSums:
        return ChannelSums(self.rows, weights(self.graph, price, self.rules)[0]).added_up()

    def _on_candidates(self, case: Case, fund: FloatArray | None) -> Ended | None:
        """Run a scenario on its candidates; None where other accounts can be in breach."""
        number, price, around, candidates, box = case
        if candidates.size > FEW * len(self.graph.cash):
            return None
        few, scenario = CandidateGraph(around, candidates), self._scenario(price, candidates.size)
        whole = self._base if self._same else self._whole(price)
        try:
            market = CandidateMarket(few, scenario, [whole], box)
            path = Path(few, scenario, self.rules, self.impact, market, fund=fund)
            with self._named(number):
                return Ended(path, run_path(path), few.rows, whole.amount, number)
        except OutsideBoxError:
            return None

    def _alone(self, number: int, price: FloatArray, fund: FloatArray | None) -> Ended:
        """Run a scenario as one that is not in a batch."""
        m, columns = len(self.graph.assets), self.graph._price_map
        scenario = self._scenario(price[:m], len(self.graph.cash))
        if columns is not None and price.size > m:
            scenario = replace(scenario, columns=columns.with_vols(price[m:]))
        with self._named(number):
            ended = run_rounds(self.graph, scenario, self.rules, self.impact, fund=fund)
            return ended._replace(number=number)

    @staticmethod
    def _scenario(price: FloatArray, size: int) -> Scenario:
        return Scenario(price, np.zeros(size), np.zeros(size, dtype=bool))

    @contextmanager
    def _named(self, number: int) -> Iterator[None]:
        """Say of which scenario an error tells."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found, and named, at the next look
                yield
        except ConvergenceError as error:
            message = f"scenario {self._first + number} (rows count from 0): {error}"
            raise ConvergenceError(message, error.solution) from error


def _gone(path: Path) -> tuple[float, float]:
    """Return the largest relative move of a price since the shock, and the highest loss rate."""
    shocked = path.scenario.price_shocked
    return float(_largest(np.abs(path.market.price - shocked), shocked)), float(path.market.channels.loss_rate.max())


def _largest(move: FloatArray, price: FloatArray) -> FloatArray:
    """Return the largest relative move, of each scenario or of one."""
    largest: FloatArray = ratio(move, price, 0.0).max(axis=-1)
    return largest
