"""The heaviest chains of causes that lead from a shock to a trader's loss (docs/blame.md)."""

import heapq
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph._validate import ROUNDING, check_number
from contagion_graph.graph.scenario import AccountKey, check_no_instruments
from contagion_graph.margin.attribution.replay import Round, check_rounds, replay, rows_of
from contagion_graph.margin.result import CascadeResult
from contagion_graph.margin.trades import Rows
from contagion_graph.solvers.arrays import largest, over_cells, ratio

NO_SOURCE = -1  # the source of what needs no further cause


Part = tuple[FloatArray, Any, Any]


class _Causes(NamedTuple):
    """The causes of a loss: amounts, channels (m assets, then v pools, then none) and sources."""

    amount: FloatArray
    channel: Rows
    source: Rows


class _Events:
    """What accounts moved in a channel, round by round: additions to numbered slots."""

    def __init__(self, size: int) -> None:
        self.size, self.slots, self.amounts, self.ends = size, [np.empty(0, dtype=np.int64)], [np.empty(0)], [0]

    def add(self, slots: Rows, amounts: FloatArray) -> None:
        """Add what happened in the next round."""
        self.slots.append(slots)
        self.amounts.append(amounts)
        self.ends.append(self.ends[-1] + slots.size)

    def before(self, number: int) -> FloatArray:
        """Return the sums over the rounds before one."""
        self.slots, self.amounts = [np.concatenate(self.slots)], [np.concatenate(self.amounts)]
        end = self.ends[number - 1]
        return np.bincount(self.slots[0][:end], self.amounts[0][:end], self.size).astype(np.float64)


class _History:
    """Causes and effects among the accounts that were ever in breach, numbered 0, 1, ... as `rows`.

    Until its first breach an account has closed nothing. So what it lost until then by the sales of s is q_ij C_sj: C,
    one number a cell of s, is the move of price j so far that s is the source of. `best` is the share of the heaviest
    chain in all that an account lost before its first breach: the best that a search can hope for behind it.
    """

    def __init__(self, result: CascadeResult, victims: Rows) -> None:
        graph, end = result.graph, result.arrays
        self.graph, self.end = graph, end
        self.rows = np.flatnonzero(end.breach_round > 0)
        self.first = end.breach_round[self.rows]
        self.cells = graph.quantity[self.rows]
        self.cells.data = self.cells.data * graph.sellable[self.cells.indices]
        self.seller = np.repeat(np.arange(self.rows.size), np.diff(self.cells.indptr))
        self.pool = graph._rows.pool_of[self.rows].astype(np.int64)  # codes of few pools are small integers
        self.best, self.paid = np.ones(self.rows.size), np.zeros(self.rows.size)
        self.moves, self.levies = _Events(self.cells.nnz), _Events(self.rows.size)
        self.lost_by_price, self.lost_by_pool = np.zeros(self.cells.nnz), np.zeros(self.rows.size)
        paid = np.zeros(len(graph.account_index))
        move, levy = np.zeros(self.cells.nnz), np.zeros(self.rows.size)
        for number, one in enumerate(replay(result), 1):
            new = np.flatnonzero(self.first == number)
            if new.size:
                self.paid[new] = paid[self.rows[new]]
                self._find_best(new, move, levy)
            self._sales(one, one.hit(victims).sum(axis=0), move)
            self._shortfalls(one, one.paid(graph._rows.all_rows), victims, (paid, levy))

    def _sales(self, one: Round, lost: FloatArray, move: FloatArray) -> None:
        """Add the price moves of a round by seller, and what the victims lost by them."""
        place, shares = np.searchsorted(self.rows, one.trade.rows), one.sellers
        offset = self.cells.indptr[place] - shares.indptr[:-1]
        slots = over_cells(shares, offset) + np.arange(shares.nnz)
        self.moves.add(slots, shares.data * (one.trade.before - one.trade.after)[shares.indices])
        move[slots] += self.moves.amounts[-1]
        self.lost_by_price[slots] += shares.data * lost[shares.indices]

    def _shortfalls(
        self, one: Round, payments: sparse.csr_array, victims: Rows, so_far: tuple[FloatArray, FloatArray]
    ) -> None:
        """Add the shortfalls of a round by the account that left them, and what the victims paid for them."""
        place, (paid, levy) = np.searchsorted(self.rows, one.trade.left), so_far
        self.levies.add(place, one.leavers.multiply(payments.sum(axis=0)).sum(axis=1))
        levy[place] += self.levies.amounts[-1]
        paid += payments.data
        self.lost_by_pool[place] += one.leavers.multiply(payments[victims].sum(axis=0)).sum(axis=1)

    def _find_best(self, new: Rows, move: FloatArray, levy: FloatArray) -> None:
        """Set `best` of the accounts that a round is the first to find in breach, given C and levies before it."""
        graph, rows, (m, v) = self.graph, self.rows[new], (len(self.graph.assets), len(self.graph.pools))
        sums, peaks = np.zeros((2, m)), np.zeros((2, m))  # of falls, which hurt longs, and of rises
        for side, signed in enumerate((move, -move)):
            push = np.maximum(signed, 0.0)
            sums[side] = np.bincount(self.cells.indices, push, m)
            np.maximum.at(peaks[side], self.cells.indices, push * self.best[self.seller])
        pool_sum, pool_peak = np.bincount(self.pool, levy, v), np.zeros(v)
        np.maximum.at(pool_peak, self.pool, levy * self.best)
        held = self.cells[new]
        side, size = (held.data < 0.0).astype(int), np.abs(held.data)
        lost, peak = held.copy(), held
        lost.data, peak.data = size * sums[side, held.indices], size * peaks[side, held.indices]
        direct = graph.quantity[rows]
        direct.data = np.maximum(direct.data * (graph.price - self.end.price_shocked)[direct.indices], 0.0)
        given, paid, pool = self.end.losses[rows], self.paid[new], self.pool[new]
        by_pool = paid * ratio(pool_peak, pool_sum, 0.0)[pool]
        heaviest = np.maximum.reduce([given, by_pool, *(each.max(axis=1).toarray() for each in (direct, peak))])
        total = direct.sum(axis=1) + given + lost.sum(axis=1) + paid
        self.best[new] = ratio(heaviest, total, 1.0)

    def causes_of_loss(self, rows: Rows) -> _Causes:
        """Return what the victims lost by the sales and shortfalls of other traders [currency]."""
        own = self.graph._rows.trader_of[self.rows] == self.graph._rows.trader_of[rows[0]]
        by_price, by_pool = np.where(own[self.seller], 0.0, self.lost_by_price), np.where(own, 0.0, self.lost_by_pool)
        return self._joined([(by_price, self.cells.indices, self.seller), self._by_pool(by_pool)])

    def causes_of_breach(self, i: int) -> _Causes:
        """Return what account i lost before its first breach, and by whom, as shares of the sum."""
        graph, end, row = self.graph, self.end, self.rows[i]
        held = graph.quantity[[row]]
        assets, none = held.indices, np.array([len(graph.assets) + len(graph.pools)])
        direct = held.data * (graph.price - end.price_shocked)[assets]
        units = np.zeros(len(graph.assets))
        units[assets] = held.data * graph.sellable[assets]
        by_price = units[self.cells.indices] * self.moves.before(self.first[i])
        levy = np.where(self.pool == self.pool[i], self.levies.before(self.first[i]), 0.0)
        by_pool = self.paid[i] * levy / levy.sum() if self.paid[i] > 0.0 else levy * 0.0
        causes = self._joined(
            [
                (direct, assets, np.full(assets.size, NO_SOURCE)),
                (end.losses[[row]], none, np.array([NO_SOURCE])),
                (by_price, self.cells.indices, self.seller),
                self._by_pool(by_pool),
            ]
        )
        if causes.amount.size == 0:
            return _Causes(np.ones(1), none, np.array([NO_SOURCE]))
        return causes._replace(amount=causes.amount / causes.amount.sum())

    def _by_pool(self, amount: FloatArray) -> Part:
        return amount, len(self.graph.assets) + self.pool, np.arange(self.rows.size)

    @staticmethod
    def _joined(parts: list[Part]) -> _Causes:
        amount, channel, source = (np.concatenate(each) for each in zip(*parts, strict=True))
        hurt = amount > 0.0
        return _Causes(amount[hurt], channel[hurt], source[hurt])


def paths(result: CascadeResult, trader: AccountKey, *, k: int = 5) -> pd.DataFrame:
    """Return the k heaviest chains by which others' closing led to a trader's loss.

    A chain asset -> trader -> asset -> trader says: the fall of the first asset, in the shock, hit an account; it was
    closed, and its sales moved the second asset; that hit the next; and so on to the trader in question. Where
    the link is a pool, the account before it left a shortfall there. The weight of a chain is

        (what the trader lost by the last account through the last channel) x product of shares,

    a share being what an account lost through one channel by one source before its first breach, over all that it had
    lost by then, gains apart. The weights of all chains add up to what the trader lost by others, gains apart. The
    search is exact: no other chain is heavier.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned.
    trader : label or (trader, pool, subaccount)
        The trader, or account, that lost.
    k : int
        At least 1.

    Returns
    -------
    DataFrame
        chain (tuple of asset:, trader: and pool: labels, the first cause first), loss [currency], share (of the
        indirect loss; NaN where that is not positive), the heaviest first. Chains below 1e-12 of what the trader holds
        are left out. A chain that begins with a trader: a given loss or default, or a breach before any shock.

    Raises
    ------
    ParameterError
        An equilibrium, which has no rounds; an unknown trader; k below 1.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[9.0, 2.0], [0.0, 4.0]], price=10.0, depth=100.0, margin_long=0.1, cash=[-95.0, 0.0],
    ...     traders=["A", "B"], assets=["ETH", "BTC"],
    ... )
    >>> found = cg.paths(cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(graph, {"ETH": -0.2}), "B")
    >>> found["chain"].tolist()
    [('asset:ETH', 'trader:A', 'asset:BTC', 'trader:B')]
    """
    check_rounds(result)
    check_no_instruments(result.graph, "paths")
    check_number("paths", "k", k, low=1, whole=True)
    victims = rows_of(result, trader, "trader")
    history, graph = _History(result, victims), result.graph
    channels = [*(f"asset:{each}" for each in graph.assets), *(f"pool:{each}" for each in graph.pools)]
    sources = graph.traders[graph._rows.trader_of[history.rows]]
    number = count()
    heap: list[tuple[float, int, float, int, tuple[str, ...]]] = []
    found: list[tuple[tuple[str, ...], float]] = []

    def extend(chain: tuple[str, ...], weight: float, causes: _Causes) -> None:
        """Offer a chain with each of its k best further causes; the first k that reach an end are the heaviest."""
        weights = weight * causes.amount
        hope = weights * np.where(causes.source == NO_SOURCE, 1.0, history.best[causes.source])
        for each in largest(hope, k):
            longer = (*channels[causes.channel[each] :][:1], *chain)
            source = int(causes.source[each])
            longer = longer if source == NO_SOURCE else (f"trader:{sources[source]}", *longer)
            heapq.heappush(heap, (-hope[each], next(number), weights[each], source, longer))

    least = ROUNDING * float(graph._rows.initial.gross[victims].sum())
    extend((f"trader:{graph.traders[graph._rows.trader_of[victims[0]]]}",), 1.0, history.causes_of_loss(victims))
    while heap and len(found) < k:
        hope, _, weight, source, chain = heapq.heappop(heap)
        if -hope <= least:
            break
        if source == NO_SOURCE:
            found.append((chain, weight))
        else:
            extend(chain, weight, history.causes_of_breach(source))
    indirect = float(result.accounts["indirect"].iloc[victims].sum())
    frame = pd.DataFrame({"chain": [chain for chain, _ in found], "loss": np.array([each for _, each in found])})
    frame["share"] = frame["loss"] / indirect if indirect > 0.0 else np.nan
    return frame
