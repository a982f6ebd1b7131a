"""The result of one scenario of a sweep: its figures, and the losses of the accounts that traded or owe."""

from typing import Any, NamedTuple

import numpy as np

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.candidates.single import Ended
from contagion_graph.margin.rounds.account_state import Rows, by_layer

COLUMNS = (
    *("gross_loss", "net_loss", "closed", "breached", "shortfall", "fund_used", "socialised", "uncovered"),
    *("cover_1", "cover_2", "largest_move", "rounds", "converged"),
)
REACHED = "layer_reached"


class Losses(NamedTuple):
    """Active accounts of a scenario, ascending: their losses [currency], and whether they were closed whole."""

    rows: Rows
    loss: FloatArray
    closed: BoolArray


def losses(graph: ExposureGraph, ended: Ended, *, all_accounts: bool) -> Losses:
    """Return the losses of active accounts: those closed in part or whole, and those that could not pay their share.

    loss = initial E - E in the end, which is at least 0 for an account closed whole. `all_accounts`: of all accounts.
    """
    path, market = ended.path, ended.path.market
    active = np.zeros(ended.rows.size, dtype=bool)
    for trade in path.trades:
        active[trade.rows] = active[trade.capped] = True
    rows = np.flatnonzero(active)
    market.revalue_next(rows)
    market.revalue()
    equity, whole = market.equity(rows), path.closed_whole(rows)
    after = np.where(whole, np.maximum(equity, 0.0), equity)
    rows = ended.rows[rows]
    found = Losses(rows, graph.cash[rows] + graph._rows.initial.value[rows] - after, whole)
    return _of_all(graph, ended, found) if all_accounts else found


def _of_all(graph: ExposureGraph, ended: Ended, found: Losses) -> Losses:
    loss, closed = passive_loss(graph, ended, graph._rows.all_rows), np.zeros(len(graph.cash), dtype=bool)
    loss[found.rows], closed[found.rows] = found.loss, found.closed
    return Losses(graph._rows.all_rows, loss, closed)


def passive_loss(graph: ExposureGraph, ended: Ended, rows: Rows) -> FloatArray:
    """Return the losses of accounts that hold what they held: sum_j q_ij (p0_j - p'_j) + b_i C."""
    rates, v = ended.path.market.channels.loss_rate, len(graph.pools)
    base, level = by_layer(ended.base)[rows], rates.reshape(-1, v).T[graph._rows.pool_of[rows]]
    value = graph._rows.valuation(ended.path.market.price, rows)[0]
    loss: FloatArray = graph._rows.initial.value[rows] - value + (base * level).sum(axis=1)
    return loss


def _covers(graph: ExposureGraph, ended: Ended) -> dict[str, Any]:
    """Return what the one, and the two traders leave to others that leave most, and the last layer that is used.

    The number of a layer in the waterfall; -1: none; the number of layers: something stays uncovered.
    """
    waterfall, shortfall = ended.path.waterfall, ended.path.shortfall
    rows = np.flatnonzero(shortfall)
    due = shortfall[rows] - (waterfall.own_used[rows] if waterfall.has_own else 0.0)
    _, trader = np.unique(graph._rows.trader_of[ended.rows[rows]], return_inverse=True)
    most = np.sort(np.bincount(trader, due))[-2:]
    used = np.flatnonzero(np.append(waterfall.used.any(axis=1), waterfall.uncovered.any()))
    return {
        "cover_1": float(most[-1:].sum()),
        "cover_2": float(most.sum()),
        REACHED: int(used[-1]) if used.size else -1,
    }


def figures(graph: ExposureGraph, ended: Ended, found: Losses, units: FloatArray) -> dict[str, Any]:
    """Return the row of a scenario in the table of a sweep: `COLUMNS` but gross_loss, which takes all traders.

    `units` are the units of each asset that all accounts hold together.
    """
    path, market = ended.path, ended.path.market
    rounds = {name: sum(each[name] for each in path.rounds) for name in ("shortfall", "fund_used", "socialised")}
    lost = float(-(units @ (market.price - graph.price)) + (found.loss - passive_loss(graph, ended, found.rows)).sum())
    if market.channels.loss_rate.any():
        sums = [graph._rows.column_sums(graph._rows.membership, base) for base in by_layer(ended.base).T]
        lost += float(np.concatenate(sums) @ market.channels.loss_rate)
    move = np.divide(market.price, path.scenario.price_shocked, out=np.ones_like(market.price),
                     where=path.scenario.price_shocked > 0.0)  # fmt: skip
    return {
        "net_loss": lost,
        "closed": int(found.closed.sum()),
        "breached": int(np.count_nonzero(path.breach_round)),
        **rounds,
        "uncovered": float(path.waterfall.uncovered.sum()),
        **_covers(graph, ended),
        "largest_move": float(np.abs(move - 1.0).max()),
        "rounds": len(path.rounds),
        "converged": ended.solution.converged,
    }
