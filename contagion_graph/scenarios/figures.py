"""What one scenario of a sweep came to: its figures, and the losses of the accounts that it touched."""

from typing import Any, NamedTuple

import numpy as np

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.batch.batch import Ended
from contagion_graph.margin.rounds.account_state import Rows

COLUMNS = (
    *("loss", "closed", "breached", "shortfall", "fund_used", "socialised", "uncovered"),
    *("largest_move", "rounds", "converged"),
)


class Losses(NamedTuple):
    """Accounts that a scenario touched, ascending: their losses [currency], and whether they were closed whole."""

    rows: Rows
    loss: FloatArray
    closed: BoolArray


def losses(graph: ExposureGraph, ended: Ended, *, everybody: bool) -> Losses:
    """Return what the accounts lost that were closed, in part or whole, or that could not pay their part.

    loss = E at rest - E in the end, which is at least 0 for an account closed whole. `everybody`: of all accounts.
    """
    path, market = ended.path, ended.path.market
    touched = np.zeros(ended.rows.size, dtype=bool)
    for trade in path.trades:
        touched[trade.rows] = touched[trade.capped] = True
    rows = np.flatnonzero(touched)
    market.look_again(rows)
    market.look()
    equity, whole = market.equity(rows), path.closed_whole(rows)
    after = np.where(whole, np.maximum(equity, 0.0), equity)
    rows = ended.rows[rows]
    found = Losses(rows, graph.cash[rows] + graph._rows.initial.value[rows] - after, whole)
    return _of_all(graph, ended, found) if everybody else found


def _of_all(graph: ExposureGraph, ended: Ended, found: Losses) -> Losses:
    loss, closed = untouched(graph, ended, graph._rows.all_rows), np.zeros(len(graph.cash), dtype=bool)
    loss[found.rows], closed[found.rows] = found.loss, found.closed
    return Losses(graph._rows.all_rows, loss, closed)


def untouched(graph: ExposureGraph, ended: Ended, rows: Rows) -> FloatArray:
    """Return what accounts would have lost had they not been touched: sum_j q_ij (p0_j - p'_j) + b_i C."""
    level = ended.path.market.channels.level[graph._rows.pool_of[rows]]
    value = graph._rows.valuation(ended.path.market.price, rows)[0]
    loss: FloatArray = graph._rows.initial.value[rows] - value + ended.base[rows] * level
    return loss


def figures(graph: ExposureGraph, ended: Ended, found: Losses, units: FloatArray) -> dict[str, Any]:
    """Return the row of a scenario in the table of a sweep; its columns are `COLUMNS`.

    `units` are the units of each asset that all accounts hold together.
    """
    path, market = ended.path, ended.path.market
    rounds = {name: sum(each[name] for each in path.rounds) for name in ("shortfall", "fund_used", "socialised")}
    lost = float(-(units @ (market.price - graph.price)) + (found.loss - untouched(graph, ended, found.rows)).sum())
    if market.channels.level.any():
        lost += float(graph._rows.column_sums(graph._rows.membership, ended.base) @ market.channels.level)
    move = np.divide(market.price, path.scenario.price_shocked, out=np.ones_like(market.price),
                     where=path.scenario.price_shocked > 0.0)  # fmt: skip
    return {
        "loss": lost,
        "closed": int(found.closed.sum()),
        "breached": int(np.count_nonzero(path.breach_round)),
        **rounds,
        "uncovered": float(path.uncovered.sum()),
        "largest_move": float(np.abs(move - 1.0).max()),
        "rounds": len(path.rounds),
        "converged": ended.solution.converged,
    }
