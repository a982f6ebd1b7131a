"""The rounds of a cascade again: which accounts moved each price and left each shortfall, and which lost by it.

Between a source and a victim stands a channel: the price of an asset, or the loss rate of a pool. So all that passed
between accounts in a round is held as (source, channel) shares and (victim, channel) amounts, never by pairs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from contagion_graph._cached import cached_property
from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.price_map import PriceMap
from contagion_graph.margin.result import CascadeResult
from contagion_graph.margin.rounds.account_state import by_layer
from contagion_graph.margin.rounds.path import weights
from contagion_graph.margin.trades import Rows, Trade
from contagion_graph.solvers.arrays import ratio
from contagion_graph.tables.vectors import account_rows

NEAR_ZERO = 0.1  # of what was traded: a net sale below it is near 0, and shares of it would exceed 5.5


def check_rounds(result: Any) -> None:
    """Refuse what has no recorded rounds.

    Raises
    ------
    ParameterError
        What is no result of a cascade; an equilibrium.
    """
    if not isinstance(result, CascadeResult):
        raise ParameterError(f"result is a {type(result).__name__}; give what MarginCascade.run returns")
    if result.arrays.trades is None:
        raise ParameterError(
            "an equilibrium has no rounds, and those of a DistributedGraph stay on the workers: no blame is known. "
            "Give what MarginCascade.run returns for an ExposureGraph"
        )


def moves_twice(result: CascadeResult) -> bool:
    """Say whether an instrument has a depth of its own: its price then moves for two reasons in one round."""
    columns = result.arrays.columns
    return columns is not None and bool(np.isfinite(result.graph.depth[columns.instruments]).any())


def check_sellers(result: Any) -> None:
    """Refuse what has no recorded rounds, or rounds in which it is not known who moved a price how far.

    Raises
    ------
    ParameterError
        What is no result of a cascade; an equilibrium; instruments with a depth of their own.
    """
    check_rounds(result)
    if moves_twice(result):
        raise ParameterError(
            "an instrument has a depth of its own, so that its price moves for two reasons in one round: whom to blame "
            "for how much of it is not known. Leave the depth of instruments blank"
        )


@dataclass(frozen=True, eq=False)
class Round:
    """One round of a result again; it holds until the next one is asked for.

    Parameters
    ----------
    graph : ExposureGraph
        Of the result.
    trade : Trade
        What the round recorded.
    closed : ndarray, shape (2, n)
        Closed share of the longs, and of the shorts, of every account after the round, 0 to 1.
    part : ndarray, shape (2, n)
        By how much that grew in the round.
    base : ndarray, shape (n, l)
        Base weights b of loss sharing in each layer of members.
    columns : PriceMap or None
        How instruments are priced; None: there are none.
    """

    graph: ExposureGraph
    trade: Trade
    closed: FloatArray
    part: FloatArray
    base: FloatArray
    columns: PriceMap | None = None

    @cached_property
    def units(self) -> sparse.csr_array:
        """Units closed: above 0 sold, below 0 bought back, shape (accounts in breach, m)."""
        return self._cells(self.trade.rows, self.part)

    @cached_property
    def sellers(self) -> sparse.csr_array:
        """Share of each account in breach in the move of each price; a column adds up to 1.

        An instrument moves with its underlying: by whom that was sold, itself or through what is priced from it.
        """
        if self.columns is None:
            return net_shares(self.units)
        m, own = self.columns.underlying.size, self.columns.instruments
        plain = np.setdiff1d(np.arange(m), own)
        passed = (self.columns.pass_through * self.columns.deltas(self.trade.before))[own]
        cells = np.concatenate([np.ones(plain.size), passed]), np.concatenate([plain, own])
        onto = sparse.csr_array((cells[0], (cells[1], self.columns.underlying[cells[1]])), shape=(m, m))
        each = sparse.csr_array((np.ones(m), (self.columns.underlying, np.arange(m))), shape=(m, m))
        return net_shares(sparse.csr_array(self.units @ onto @ each))

    @cached_property
    def leavers(self) -> sparse.csr_array:
        """Share of each account that left a shortfall in what its pool shares; a column adds up to 1."""
        pool, size = self.graph._rows.pool_of[self.trade.left], len(self.graph.pools)
        due = np.bincount(pool, self.trade.due, size)
        cells = (ratio(self.trade.due, due[pool], 0.0), pool, np.arange(self.trade.left.size + 1))
        return sparse.csr_array(cells, (self.trade.left.size, size))

    def hit(self, rows: Rows) -> sparse.csr_array:
        """Return what rows lose in the round by the move of each price, (rows, m): left (p - p') + closed (p - w)."""
        trade, left = self.trade, self._cells(rows, 1.0 - self.closed[:, rows], aligned=True)
        closed = self._cells(rows, self.part)
        left.data *= (trade.before - trade.after)[left.indices]
        left.data += closed.data * (trade.before - trade.average)[closed.indices]
        return left

    def paid(self, rows: Rows) -> sparse.csr_array:
        """Return what rows pay in the round for the shortfalls of their pool, (rows, v): min(lambda b, equity)."""
        amount, pool = self.paid_in_layers(rows).sum(axis=1), self.graph._rows.pool_of[rows]
        return sparse.csr_array((amount, pool, np.arange(rows.size + 1)), (rows.size, len(self.graph.pools)))

    def paid_in_layers(self, rows: Rows) -> FloatArray:
        """Return what rows pay in the round in each layer of members, (rows, l)."""
        trade, pool = self.trade, self.graph._rows.pool_of[rows]
        rise = trade.rise.reshape(-1, len(self.graph.pools)).T[pool]
        amount = np.where((self.closed[:, rows] == 1.0).all(axis=0)[:, None], 0.0, self.base[rows] * rise)
        place = np.minimum(np.searchsorted(rows, trade.capped), max(rows.size - 1, 0))
        if rows.size:
            among = rows[place] == trade.capped
            amount[place[among], trade.layer[among]] = trade.paid[among]
        return amount

    def own(self, rows: Rows, victims: BoolArray, amounts: Callable[[Rows], sparse.csr_array]) -> sparse.csr_array:
        """Return what the trader of each row loses itself through each channel, over its accounts among the victims."""
        trader, involved = self.graph._rows.trader_of, np.zeros(len(self.graph.traders), dtype=bool)
        involved[trader[rows]] = True
        family = np.flatnonzero(involved[trader] & victims)
        number = np.cumsum(involved) - 1  # of each trader among those involved
        shape = (int(involved.sum()), family.size)
        total = sparse.csr_array((np.ones(family.size), (number[trader[family]], np.arange(family.size))), shape)
        return (total @ amounts(family))[number[trader[rows]]]

    def _cells(self, rows: Rows, share: FloatArray, *, aligned: bool = False) -> sparse.csr_array:
        """Return Q~ of rows, its longs and shorts times a share (2, n); aligned: the share is (2, rows)."""
        cells = self.graph.quantity[rows]
        if not aligned:
            share = share[:, rows]
        row = np.repeat(np.arange(rows.size), np.diff(cells.indptr))
        side = np.where(cells.data < 0.0, share[1, row], share[0, row])
        cells.data = cells.data * side * self.graph.sellable[cells.indices]
        return cells


def replay(result: CascadeResult) -> Iterator[Round]:
    """Yield the rounds of a result again, with the closed share of each account after each.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned.

    Yields
    ------
    Round
        In order.

    Raises
    ------
    ParameterError
        What is no result of a cascade; an equilibrium, which has no rounds.
    """
    check_rounds(result)
    if result.arrays.passed is not None:
        raise ParameterError(
            "positions pass from account to account in this cascade (Deleverage, or vaults); whom to blame for what is "
            "not known of what has passed: result.fills says who took what from whom"
        )
    n, end = len(result.graph.account_index), result.arrays
    base = by_layer(weights(result.graph, end.price_shocked, result.model)[0])
    closed, part = np.zeros((2, n)), np.zeros((2, n))  # gamma and d, of longs and of shorts
    for trade in end.trades or ():
        share, before = np.array([trade.long, trade.short]), closed[:, trade.rows]
        part[:, trade.rows] = share * (1.0 - before)
        closed[:, trade.rows] = np.where(share == 1.0, 1.0, before + part[:, trade.rows])
        yield Round(result.graph, trade, closed, part, base, end.columns)
        part[:, trade.rows] = 0.0


def net_shares(units: sparse.csr_array) -> sparse.csr_array:
    """Return each seller's share of the net sale of each asset; where that is near 0, of the sales on its side.

    share_ij = u_ij / sum_i u_ij; where |sum_i u_ij| <= 0.1 sum_i |u_ij|: the same with u_ij on the side of the sum only
    (on both sides, in size, where the sum is 0).

    Examples
    --------
    >>> from scipy import sparse
    >>> net_shares(sparse.csr_array([[6.0, 10.0], [-2.0, -9.5]])).toarray().tolist()
    [[1.5, 1.0], [-0.5, 0.0]]
    """
    column, u, m = units.indices, units.data, units.shape[1]
    net, gross = np.bincount(column, u, m), np.bincount(column, np.abs(u), m)
    near, sign = np.abs(net) <= NEAR_ZERO * gross, np.sign(net)
    on_side = np.where(sign[column] == 0.0, np.abs(u), np.maximum(u * sign[column], 0.0))
    weight = np.where(near[column], on_side, u)
    total = np.bincount(column, weight, m)[column]
    share = np.divide(weight, total, out=np.zeros_like(weight), where=total != 0.0)
    return sparse.csr_array((share, column, units.indptr), units.shape)


def rows_of(result: CascadeResult, trader: object, argument: str) -> Rows:
    """Return the accounts of a trader, or the one that a triple names."""
    return account_rows([trader], result.graph.account_index, argument)
