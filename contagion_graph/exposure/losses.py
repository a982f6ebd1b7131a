"""Losses of accounts in a run of a cascade, in factored form.

An account that is never in breach holds what it held: from the start on, or from the shock on, it loses

    Q_i.(p_start - p_after) + b_i C_k

with C_k the sum of its pool's loss rates. So one run reduces to m price moves, v loss rates, and a correction for the
few accounts that traded, paid all they had into a shared loss, or had another weight in it. Many runs are columns of
these.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from scipy import sparse

from contagion_graph._typing import BoolArray, FloatArray, OnFailure
from contagion_graph.errors import ConvergenceError
from contagion_graph.exposure.inputs import Positions, Traders
from contagion_graph.graph.backing import given_prices, is_backed, weights_of
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.result import CascadeArrays, CascadeResult
from contagion_graph.margin.rounds.account_state import union
from contagion_graph.solvers.arrays import ratio
from contagion_graph.solvers.iteration import furthest

Measure = Literal["loss", "indirect"]
Terms = tuple[tuple[sparse.csr_array, FloatArray], ...]
BY_ACCOUNT = ("losses", "proceeds", "penalty", "socialised", "shortfall", "closed", "closed_short", "breach_round")
ROUNDING = 1e-12
ROWS_AT_ONCE = 65_536


class Run(NamedTuple):
    """One run: price moves (m,) [currency per unit], loss rates (v,), corrections (n, 1) [currency]."""

    moves: FloatArray
    rate: FloatArray
    cells: sparse.csc_array

    def less(self, other: "Run") -> "Run":
        """Return the difference of two runs."""
        return Run(self.moves - other.moves, self.rate - other.rate, (self.cells - other.cells).tocsc())


class Losses:
    """Turns results of one model on one graph into losses of the accounts of some traders, less those of a baseline.

    Parameters
    ----------
    baseline : CascadeResult
        The run that the others are compared with.
    traders : Traders
        Whose accounts count.
    measure : {"loss", "indirect"}
        Loss, or loss - standalone.
    """

    def __init__(self, baseline: CascadeResult, traders: Traders, measure: Measure) -> None:
        self.graph, self.sharing = baseline.graph, baseline.model.sharing
        self.traders, self.measure = traders, measure
        self.solution = baseline.solution
        self.unmoved = baseline.solution.steps == 0
        self.baseline = self._run(baseline)

    @cached_property
    def base(self) -> FloatArray:
        """The weights b at the prices before the shock, shape (n,)."""
        return self._weights(self.graph.price)

    def _weights(self, price: FloatArray) -> FloatArray:
        assert self.sharing is not None, "weights are asked for where losses are shared"
        return self.sharing.weights(self.graph, price)

    def of(self, result: CascadeResult) -> Run:
        """Return the losses of a result less those of the baseline; `solution` is that of the worst run so far."""
        self.solution = furthest((self.solution, result.solution))
        return self._run(result).less(self.baseline)

    def by_asset(self, model: MarginCascade, columns: Positions, size: float, on_failure: OnFailure) -> list[Run]:
        """Return the runs in which one asset after the other moves by `size`."""
        quiet, labels, none = self._quiet(size), self.graph.assets, np.zeros(len(self.graph.pools))
        runs = []
        for column in columns:
            if quiet[column]:
                moves = np.zeros(len(labels))
                moves[column] = 0.0 if self.measure == "indirect" else -size * self.graph.price[column]
                runs.append(Run(moves, none, sparse.csc_array((len(self.graph.account_index), 1))).less(self.baseline))
                continue
            try:
                runs.append(self.of(model.run(self.graph, {labels[column]: size}, on_failure=on_failure)))
            except ConvergenceError as error:
                error.add_note(f"in the run with shock={{{labels[column]!r}: {size}}}")
                raise
        return runs

    def _quiet(self, size: float) -> BoolArray:
        """Return whether no account comes into breach when an asset alone moves: then nothing follows, shape (m,).

        Slack then falls by (q_ij - mu_ij) p0_j size at most, and stays above 0 by as much as rounding can be.
        """
        graph, quiet = self.graph, np.full(len(self.graph.assets), self.unmoved)
        if is_backed(graph):  # what moves is then more than one asset
            quiet &= weights_of(graph).sum(axis=0) == 0.0
        noise = ROUNDING * (np.abs(graph.cash) + graph._rows.initial.gross)
        slack = graph._rows.equity - graph._rows.initial.maintenance - noise
        if not self.unmoved or (slack < 0.0).any():
            return np.zeros_like(quiet)
        if graph._price_map is not None:  # what is priced from an asset moves with it
            quiet[graph._price_map.underlying[graph._price_map.instruments]] = False
        indptr, indices, _, at_most = graph._rows.bounding
        for start in range(0, slack.size, ROWS_AT_ONCE):
            rows = slice(start, min(start + ROWS_AT_ONCE, slack.size))
            part = slice(indptr[rows.start], indptr[rows.stop])
            column = indices[part]
            moved = (graph.quantity.data[part] - at_most[part]) * (graph.price * size)[column]
            left = np.repeat(slack[rows], np.diff(indptr[rows.start : rows.stop + 1])) + moved
            quiet[column[left < 0.0]] = False
        return quiet

    def terms(self, runs: Sequence[Run]) -> tuple[Terms, sparse.csr_array]:
        """Return terms and cells of an `ExposureMatrix` with one column a run."""
        moves, rates = (np.stack(each, axis=1) for each in ([run.moves for run in runs], [run.rate for run in runs]))
        terms: Terms = ((self._held, moves),)
        if rates.any():
            terms += ((self.traders.add(self.graph._rows.weights_by_channel(self.base)), rates),)
        return terms, self.traders.add(sparse.hstack([run.cells for run in runs], format="csr"))

    def by_trader(self, run: Run) -> FloatArray:
        """Return the loss of each trader in one run [currency]."""
        terms, cells = self.terms([run])
        total: FloatArray = cells.toarray()[:, 0]
        for left, right in terms:
            total += left @ right[:, 0]
        return total

    @cached_property
    def _held(self) -> sparse.csr_array:
        return self.traders.add(self.graph.quantity)

    def _run(self, result: CascadeResult) -> Run:
        graph, end = self.graph, result.arrays
        moves = (_given(end) if self.measure == "indirect" else graph.price) - end.price_after
        rate, uneven = np.zeros(len(graph.pools)), graph._rows.all_rows[:0]
        if end.socialised.any():
            rate, uneven = self._loss_rates(end)
        rows = union(np.flatnonzero(end.breach_round), uneven, len(graph.account_index))
        rows = rows[self.traders.accounts[rows]]
        values = np.zeros(rows.size)
        if rows.size:
            values = self._measured(result, rows) - graph.quantity[rows] @ moves
            if rate.any():
                values -= self.base[rows] * rate[graph._rows.pool_of[rows]]
        column = (values, rows, np.array([0, rows.size]))
        return Run(moves, rate, sparse.csc_array(column, shape=(len(graph.account_index), 1)))

    def _measured(self, result: CascadeResult, rows: Positions) -> FloatArray:
        """Return the measure of some accounts; what was passed down to what they hold counts as indirect."""
        end, some = result.arrays, accounts_of(result, rows).accounts
        measured: FloatArray = some[self.measure].to_numpy()
        if self.measure == "loss" or end.price_given is None:
            return measured
        direct = self.graph.quantity[rows] @ (self.graph.price - end.price_given) + end.losses[rows]
        measured = some["loss"] - np.minimum(direct, np.maximum(some["equity_before"], 0.0))
        return np.asarray(measured)

    def _loss_rates(self, end: CascadeArrays) -> tuple[FloatArray, Positions]:
        """Return the loss rate of each pool, and the accounts that have not borne b times it."""
        pool, rate = self.graph._rows.pool_of, np.zeros(len(self.graph.pools))
        base = self._weights(end.price_shocked)  # some move with the shock
        per_weight = ratio(end.socialised, base, 0.0)
        np.maximum.at(rate, pool, per_weight)  # accounts that could not pay in full, or closed early, bore less
        even = self.base * rate[pool]
        return rate, np.flatnonzero(np.abs(end.socialised - even) > ROUNDING * even)


def accounts_of(result: CascadeResult, rows: Positions) -> CascadeResult:
    """Return the part of a result about some accounts (ascending), for its table `accounts`."""
    graph, end = result.graph, result.arrays
    part = {
        **{"quantity": graph.quantity[rows], "margin_units": graph.margin_units[rows], "cash": graph.cash[rows]},
        **{"account_index": graph.account_index[rows], "share": None, "records": None, "attributes": {}},
        "account_margin": None if graph.account_margin is None else graph.account_margin[rows],
    }
    columns = {name: getattr(end, name) for name in BY_ACCOUNT}
    columns = {name: column if column is None else column[rows] for name, column in columns.items()}
    return replace(result, graph=replace(graph, **part), arrays=replace(end, **columns))


def _given(end: CascadeArrays) -> FloatArray:
    return end.price_shocked if end.price_given is None else end.price_given


def changed_state(end: CascadeArrays, before: CascadeArrays) -> BoolArray:
    """Return which accounts are in another state, open, closed in part or closed whole, than in another run."""
    states = [(each.breach_round > 0).astype(np.int8) + each.closed_whole for each in (end, before)]
    return np.asarray(states[0] != states[1])


def standalone(graph: ExposureGraph, asset: int, size: float) -> FloatArray:
    """Return min(direct, positive equity) of every account where one asset alone moves [currency].

    direct_i = -Q_ij p0_j size, and the losses of the instruments that are priced from it.
    """
    if graph._price_map is None:
        direct = graph.quantity[:, [asset]].toarray()[:, 0] * (-size * graph.price[asset])
    else:
        change = np.where(np.arange(len(graph.assets)) == asset, size, 0.0)
        direct = graph.quantity @ (graph.price - given_prices(graph, change))
    return np.asarray(np.minimum(direct, np.maximum(graph._rows.equity, 0.0)))
