"""What each round of a cascade did to accounts, holdings and prices, as flat arrays.

Time 0 is before the shock; round t of a cascade of T rounds is the time from t to t + 1; T + 1 is the end.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.holdings import Array, Positions
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.graph_formats.from_any import Source
from contagion_graph.margin.attribution.replay import replay
from contagion_graph.margin.result import CascadeResult
from contagion_graph.solvers.arrays import ratio

NO_CASCADE = {ExposureGraph: "a graph", ObligationNetwork: "a network"}


@dataclass(frozen=True, eq=False)
class Rounds:
    """The closings, round by round: one entry an account in breach and round, in the order of rounds.

    Parameters
    ----------
    last : int
        T, the number of rounds.
    round, account : ndarray of int, shape (entries,)
        The account in breach, and the round.
    long, short : ndarray, shape (entries,)
        By how much the closed share of its longs, and of its shorts, grew.
    long_closed, short_closed : ndarray of int, shape (n,)
        The round in which an account's longs (shorts) were closed whole; 0 = never.
    price : ndarray, shape (T + 2, m)
        Before the shock, at the start of each round, and in the end.
    average : ndarray, shape (T + 1, m)
        At which each round traded; row 0 is of no round.
    """

    last: int
    round: Array
    account: Array
    long: FloatArray
    short: FloatArray
    long_closed: Array
    short_closed: Array
    price: FloatArray
    average: FloatArray

    @property
    def closed(self) -> Array:
        """The round in which an account was closed whole, shape (n,); 0 = never."""
        whole = (self.long_closed > 0) & (self.short_closed > 0)
        return np.where(whole, np.maximum(self.long_closed, self.short_closed), 0)


@dataclass(frozen=True, eq=False)
class Moves:
    """What was traded: one entry a group (an edge, or a node) of positions and round, by group, then round.

    Parameters
    ----------
    group, round : ndarray of int, shape (moves,)
        What was traded, and in which round.
    left : ndarray, shape (moves,)
        Share of the group that is still held after the round, 0 to 1.
    units, value : ndarray, shape (moves,)
        Units sold, and what they fetched [currency]; below 0 where they were bought back.
    gone : ndarray of int, shape (groups,)
        The round in which the last of a group was sold; 0 = never.
    """

    group: Array
    round: Array
    left: FloatArray
    units: FloatArray
    value: FloatArray
    gone: Array


def rounds_of(source: Source, mode: str) -> tuple[ExposureGraph, Rounds]:
    """Return the graph and the rounds of a cascade.

    Raises
    ------
    ParameterError
        What is no cascade, or an equilibrium, which has no rounds.
    """
    if not isinstance(source, CascadeResult) or source.arrays.trades is None:
        what = "an equilibrium" if isinstance(source, CascadeResult) else NO_CASCADE.get(type(source), "this result")
        raise ParameterError(
            f"mode={mode!r} shows rounds and {what} has none; give the result of a run, or mode='static'"
        )
    graph, trades = source.graph, source.arrays.trades
    whole = np.zeros((2, len(graph.account_index)), dtype=np.int64)
    grown = []
    for step, one in enumerate(replay(source), start=1):
        rows, part = one.trade.rows, one.part[:, one.trade.rows]
        whole[:, rows] = np.where((one.closed[:, rows] == 1.0) & (part > 0.0), step, whole[:, rows])
        grown.append(part)
    long, short = np.concatenate([np.zeros((2, 0)), *grown], axis=1)
    sizes = np.array([trade.rows.size for trade in trades], dtype=np.int64)
    nothing = np.zeros(len(graph.assets))
    return graph, Rounds(
        len(trades),
        np.repeat(np.arange(1, len(trades) + 1), sizes),
        np.concatenate([np.zeros(0, dtype=np.int64), *(trade.rows for trade in trades)]),
        long,
        short,
        whole[0],
        whole[1],
        np.stack([graph.price, *(trade.before for trade in trades), source.arrays.price_after]),
        np.stack([nothing, *(trade.average for trade in trades)]),
    )


def moves_of(rounds: Rounds, graph: ExposureGraph, positions: Positions, group: Array, size: int) -> Moves:
    """Return what was traded of each group of positions; a position of group -1 is in none."""
    entry, position = _joined(rounds, positions)
    short = positions.quantity[position] < 0.0
    share = np.where(short, rounds.short[entry], rounds.long[entry])
    kept = (share > 0.0) & graph.sellable[positions.asset[position]] & (group[position] >= 0)
    entry, position, share = entry[kept], position[kept], share[kept]
    key, move = np.unique(group[position] * (rounds.last + 1) + rounds.round[entry], return_inverse=True)
    moved, step = np.divmod(key, rounds.last + 1)
    units = share * positions.quantity[position]
    price = rounds.average[rounds.round[entry], positions.asset[position]]
    drawn = group >= 0
    total = np.bincount(group[drawn], weights=np.abs(positions.value[drawn]), minlength=size)
    part = np.bincount(move, weights=np.abs(positions.value[position]) * share, minlength=key.size)
    gone = _gone(rounds, graph, positions, group, size)
    so_far = pd.Series(part).groupby(moved).cumsum().to_numpy()
    left = 1.0 - ratio(so_far, total[moved], 0.0)
    return Moves(
        moved,
        step,
        np.where(gone[moved] == step, 0.0, np.clip(left, 0.0, 1.0)),
        np.bincount(move, weights=units, minlength=key.size).astype(np.float64),
        np.bincount(move, weights=units * price, minlength=key.size).astype(np.float64),
        gone,
    )


def _joined(rounds: Rounds, positions: Positions) -> tuple[Array, Array]:
    """Return the pairs of an entry of `rounds` and a position of its account."""
    order = np.argsort(positions.account, kind="stable")
    sorted_accounts = positions.account[order]
    first, end = (np.searchsorted(sorted_accounts, rounds.account, side) for side in ("left", "right"))
    counts = end - first
    entry = np.repeat(np.arange(rounds.account.size), counts)
    within = np.arange(entry.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return entry, order[first[entry] + within]


def _gone(rounds: Rounds, graph: ExposureGraph, positions: Positions, group: Array, size: int) -> Array:
    side = np.where(
        positions.quantity < 0.0, *(c[positions.account] for c in (rounds.short_closed, rounds.long_closed))
    )
    sold = np.where(graph.sellable[positions.asset], side, 0)
    return when_all(group[group >= 0], sold[group >= 0], size, rounds.last)


def when_all(group: Array, step: Array, size: int, last: int) -> Array:
    """Return the round in which the last member of each group was closed, by those of the members; 0 = never."""
    latest, earliest = np.zeros(size, dtype=np.int64), np.full(size, last + 1)
    np.maximum.at(latest, group, step)
    np.minimum.at(earliest, group, step)
    return np.where(earliest > 0, latest, 0)
