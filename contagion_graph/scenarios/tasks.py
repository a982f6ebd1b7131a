"""A part of a sweep: some hundred scenarios on one worker, and how parts are combined."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.chunks import WIDTH
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.candidates.batch import Batches
from contagion_graph.margin.candidates.single import Ended
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.scenarios.figures import COLUMNS, REACHED, Losses, figures, losses
from contagion_graph.state import Ends, Members, Tally, Touched

SIZE = 8 * WIDTH  # scenarios of a part: sums are taken within parts, then over parts in their order
LATEST = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class Setting:
    """What all parts of a sweep share.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the scenarios.
    rules : CascadeRules
        The model.
    kept : int or None
        Largest losses of each trader that are kept; None: nothing is kept of traders.
    fund : ndarray, shape (v,), optional
        Insurance funds in the place of the graph's.
    """

    graph: ExposureGraph
    rules: CascadeRules
    kept: int | None
    fund: FloatArray | None = None


class Task(NamedTuple):
    """Some scenarios: the number of the first of them, their shocked prices (S x m), and the losses worth keeping.

    Factors of the vols of all columns may follow the prices (S x 2 m).

    Where the largest losses of earlier scenarios are known, losses below `floor` (one for each trader) are not among
    the largest of all, and need not be kept; None: nothing is known. The outcome is the same.
    """

    first: int
    price: FloatArray
    floor: FloatArray | None = None


class Part(NamedTuple):
    """Results of some scenarios: a value in every column, final prices (S x m), needed amounts (S x layers v), tally.

    What a layer needs in a pool is `Waterfall.needed`.
    """

    figures: dict[str, Any]
    price: FloatArray
    needed: FloatArray
    tally: Tally | None


def new_tally(traders: int, kept: int) -> Tally:
    """Return a tally of no scenario."""
    sums = (np.zeros(traders), np.zeros(traders), np.zeros(traders), np.zeros(traders, dtype=np.int64))
    return Tally(*sums, np.full((traders, kept), -np.inf), np.full((traders, kept), LATEST, dtype=np.int32))


def least_kept(total: Part | None) -> FloatArray | None:
    """Return the least loss kept of each trader, -inf where there is room for more; None where nothing is kept."""
    if total is None or total.tally is None or total.tally.tail.shape[1] == 0:
        return None
    return total.tally.tail[:, 0].copy()


def add_tally(total: Tally, part: Tally) -> None:
    """Add the tally of later scenarios to one of earlier ones."""
    from contagion_graph.kernels import tallies

    for mine, more in zip(total[:4], part[:4], strict=True):
        np.add(mine, more, out=mine)
    tallies.merge_tails(total, part)


def work(setting: Setting, task: Task) -> Part:
    """Run the scenarios of a task, a batch at a time."""
    worker = Worker(setting, task.floor)
    for start in range(0, len(task.price), WIDTH):
        worker.add(task.first + start, task.price[start : start + WIDTH])
    return worker.part()


class Outcome(NamedTuple):
    """The result of one scenario of a batch: losses of active accounts, its row in the table, and its end state."""

    number: int
    found: Losses
    row: dict[str, Any]
    needed: FloatArray
    price: FloatArray
    loss_rate: FloatArray


class Worker:
    """The result of a part, scenario by scenario.

    Parameters
    ----------
    setting : Setting
        What all parts share.
    floor : ndarray, shape (t,), optional
        Losses of each trader that need not be kept.
    """

    def __init__(self, setting: Setting, floor: FloatArray | None = None) -> None:
        self.setting, self.batches = setting, Batches(setting.graph, setting.rules)
        graph = self.batches.graph
        self.graph, self.units = graph, graph._rows.column_sums(graph.quantity, np.ones(len(graph.cash)))
        self.rows: list[dict[str, Any]] = []
        self.prices: list[FloatArray] = []
        self.needed: list[FloatArray] = []
        self.gross: list[FloatArray] = []
        self.tally = new_tally(len(graph.traders), setting.kept or 0)
        self.floor = np.full(len(graph.traders), -np.inf) if floor is None else floor
        self.members = _members(graph, self.batches.shared_base)

    def add(self, first: int, price: FloatArray) -> None:
        """Run a batch."""
        done = sorted(self.batches.run(price, self._outcome, first=first, fund=self.setting.fund))  # by number
        self.rows += [each.row for each in done]
        needed, after, rate = (np.stack([getattr(each, name) for each in done]) for name in Outcome._fields[3:])
        self.prices.append(after)
        self.needed.append(needed)
        shocked = price[:, : after.shape[1]]
        self.gross.append(self._tallied(shocked, after, rate, [each.found for each in done], first))

    def _tallied(
        self, price: FloatArray, after: FloatArray, rate: FloatArray, found: list[Losses], first: int
    ) -> FloatArray:
        """Add the losses of a batch to the tally, and return the gross loss of each of its scenarios."""
        from contagion_graph.kernels import tallies

        ends, active = Ends(*map(_columns, (price, after, rate))), _active(found, len(self.graph.cash))
        span = (first, len(found))
        return tallies.add_batch(self.graph._rows.cells, self.members, ends, active, span, self.floor, self.tally)

    def _outcome(self, ended: Ended) -> Outcome:
        path = ended.path
        found = losses(self.graph, ended, all_accounts=self._own_weights(ended))
        row = figures(self.graph, ended, found, self.units)
        return Outcome(
            ended.number, found, row, path.waterfall.needed.ravel(), path.market.price, path.market.channels.loss_rate
        )

    def _own_weights(self, ended: Ended) -> bool:
        """Say whether losses were shared by weights that hold in this scenario only."""
        return self.batches.shared_base is None and bool(ended.path.market.channels.loss_rate.any())

    def part(self) -> Part:
        """Return the result of all scenarios run so far."""
        columns = {"gross_loss": np.concatenate(self.gross)}
        columns |= {name: np.array([row[name] for row in self.rows]) for name in (*COLUMNS[1:], REACHED)}
        tally = None if self.setting.kept is None else self.tally
        return Part(columns, np.concatenate(self.prices), np.concatenate(self.needed), tally)


def _members(graph: ExposureGraph, base: FloatArray | None) -> Members:
    trader = graph._rows.trader_of
    rows = np.argsort(trader, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(trader, minlength=len(graph.traders)))])
    weights = np.zeros(len(graph.cash)) if base is None else base
    return Members(first, rows, graph.cash, graph._rows.initial.value, weights, graph._rows.pool_of)


def _columns(values: FloatArray) -> FloatArray:
    """Return values of scenarios as columns, the last one repeated up to the width of a batch."""
    return np.ascontiguousarray(values[np.minimum(np.arange(WIDTH), len(values) - 1)].T)


def _active(found: list[Losses], n: int) -> Touched:
    rows = np.concatenate([each.rows for each in found])
    scenario = np.repeat(np.arange(len(found)), [each.rows.size for each in found])
    order = np.argsort(rows, kind="stable")
    loss, closed = (np.concatenate([getattr(each, name) for each in found])[order] for name in ("loss", "closed"))
    first = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    return Touched(first, scenario[order], loss, closed)
