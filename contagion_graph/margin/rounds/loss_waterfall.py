"""Who pays what accounts leave unpaid: the layers of a waterfall, one after the other."""

from typing import NamedTuple, cast

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.margin.prepare import CascadeRules
from contagion_graph.margin.rounds.account_state import Market, Rows
from contagion_graph.rules.layers import Layer, Resource
from contagion_graph.solvers.arrays import ratio


class Shared(NamedTuple):
    """How a loss was shared among members.

    Parameters
    ----------
    left : ndarray, shape (v,)
        What is left where no member can pay more [currency].
    rise : ndarray, shape (v,)
        The water levels lambda.
    capped : ndarray of int
        Members that could not pay their part.
    paid : ndarray
        What each of them paid: its positive equity [currency].
    """

    left: FloatArray
    rise: FloatArray
    capped: Rows
    paid: FloatArray


class Settled(NamedTuple):
    """How the shortfalls of a round were settled.

    Parameters
    ----------
    totals : dict of str to float
        shortfall, fund_used, socialised, uncovered, over all pools [currency].
    due : ndarray
        What each account that left a shortfall left to others: less what its own contribution paid [currency].
    rise : ndarray, shape (l v,)
        The water levels of the pools in each layer of members.
    capped, layer : ndarray of int
        Members that could not pay their part, and in which layer of members.
    paid : ndarray
        What each of them paid [currency].
    """

    totals: dict[str, float]
    due: FloatArray
    rise: FloatArray
    capped: Rows
    layer: Rows
    paid: FloatArray


class Waterfall:
    """The layers of a cascade and what they have left.

    Parameters
    ----------
    market : Market
        The accounts; its loss rates are raised.
    rules : CascadeRules
        The waterfall, and how much of the penalties enters the funds.
    fund : ndarray, shape (v,), optional
        Insurance funds in the place of the graph's [currency].
    scale : tuple of float
        By what the weights of each layer of members were multiplied.

    Attributes
    ----------
    used, needed : ndarray, shape (layers, v)
        What each layer has paid, and with which amount it would have paid all that reached it: the largest excess, over
        the rounds, of that over the penalties that it had received [currency].
    """

    def __init__(
        self, market: Market, rules: CascadeRules, fund: FloatArray | None = None, scale: tuple[float, ...] = (1.0,)
    ) -> None:
        graph, v = market.graph, len(market.graph.pools)
        self.market, self.graph, self.rules = market, graph, rules
        self.caps = [layer.cap / k for layer, k in zip(rules.members, scale, strict=False)]
        self.purses: dict[int, FloatArray] = {}
        self.has_own = any(layer.kind == "own" for layer in rules.waterfall)
        self.own = self.own_used = np.zeros(0)
        for k, layer in enumerate(rules.waterfall):
            if layer.kind == "own":
                self.own, self.own_used = cast(Resource, layer)._amounts(graph), np.zeros(graph.cash.size)
            elif layer.kind == "fund" and fund is not None:
                self.purses[k] = fund.copy()
            elif layer.kind in ("fund", "purse"):
                self.purses[k] = cast(Resource, layer)._amounts(graph).copy()
        self.used, self.reached, self.needed = np.zeros((3, len(rules.waterfall), v))
        self.shortfall, self.received, self.uncovered = np.zeros(v), np.zeros(v), np.zeros(v)

    @property
    def fund_used(self) -> FloatArray:
        """What the insurance funds have paid, shape (v,) [currency]."""
        used: FloatArray = self.used[[layer.kind == "fund" for layer in self.rules.waterfall]].sum(axis=0)
        return used

    def settle(self, rows: Rows, shortfall: FloatArray, penalties: FloatArray) -> Settled:
        """Let each layer pay what the layers before it left of the shortfalls of some rows (step 8).

        `penalties` are sums within each chunk, shape (chunks, v).
        """
        graph, shares = self.graph, list[Shared]()
        own = self._own(rows, shortfall)
        parts = [graph.chunk_sums(graph.membership, shortfall, rows), penalties]
        if self.has_own:
            parts.append(graph.chunk_sums(graph.membership, own, rows))
        lost, paid, *of_own = np.split(graph.group.total(np.hstack(parts)), len(parts))
        received, before, due = self.rules.penalty_to_fund * paid, self.used.copy(), lost
        for k, layer in enumerate(self.rules.waterfall):
            self.reached[k] += due
            if layer.kind == "members":
                number = len(shares)
                room = self.caps[number] - self.market.rates(number)
                shares.append(share_losses(self.market, due, number, room))
                self.used[k] += due - shares[-1].left
                due = shares[-1].left
                continue
            if layer.kind == "deleverage":  # done before anything was sold
                continue
            if layer.kind == "own":
                used = of_own[0]
            else:
                if layer.kind == "fund":
                    self.purses[k] += received
                used = np.minimum(due, self.purses[k])
                self.purses[k] -= used
            self.used[k] += used
            due = due - used
        self.shortfall += lost
        self.received += received
        self.uncovered += due
        into_fund = [[layer.kind == "fund"] for layer in self.rules.waterfall]
        self.needed = np.maximum(self.needed, self.reached - np.where(into_fund, self.received, 0.0))
        return self._settled(lost, due, self.used - before, shortfall - own if self.has_own else shortfall, shares)

    def own_left(self, rows: Rows) -> FloatArray:
        """Return what is left of the own contributions of accounts [currency]."""
        return self.own[rows] if self.has_own else np.zeros(rows.size)

    def left_before(self, layer: Layer) -> FloatArray:
        """Return what the purses before a layer have left in each pool, shape (v,) [currency]."""
        place = self.rules.waterfall.index(layer)
        left = [np.zeros(self.shortfall.size), *(purse for k, purse in self.purses.items() if k < place)]
        total: FloatArray = np.sum(left, axis=0)
        return total

    def _own(self, rows: Rows, shortfall: FloatArray) -> FloatArray:
        """Let accounts pay their own shortfalls as far as they have put something in."""
        if not self.has_own:
            return shortfall
        own: FloatArray = np.minimum(self.own[rows], shortfall)
        self.own[rows] -= own
        self.own_used[rows] += own
        return own

    def _settled(
        self, lost: FloatArray, uncovered: FloatArray, used: FloatArray, due: FloatArray, shares: list[Shared]
    ) -> Settled:
        kinds = [layer.kind for layer in self.rules.waterfall]
        by_kind = {kind: used[[each == kind for each in kinds]].sum() for kind in ("fund", "members")}
        totals = {
            "shortfall": lost.sum(),
            "fund_used": by_kind["fund"],
            "socialised": by_kind["members"],
            "uncovered": uncovered.sum(),
        }
        nothing = Shared(uncovered, np.zeros(len(uncovered)), np.empty(0, dtype=np.int64), np.empty(0))
        shares = shares or [nothing]
        return Settled(
            {name: float(amount) for name, amount in totals.items()},
            due,
            np.concatenate([each.rise for each in shares]),
            np.concatenate([each.capped for each in shares]),
            np.repeat(np.arange(len(shares)), [each.capped.size for each in shares]),
            np.concatenate([each.paid for each in shares]),
        )


def share_losses(market: Market, due: FloatArray, layer: int, room: FloatArray) -> Shared:
    """Share a loss of each pool among its members by their weights in a layer, each paying at most its equity.

    A member pays min(lambda_k b_i, E_i) with lambda_k, the water level of its pool k, such that the payments add up to
    the loss, and at most room_k. Found exactly in finitely many steps: members who cannot pay their part pay all they
    have, the level of the others rises, and again. Accounts that could be unable to pay are revalued before.

    Parameters
    ----------
    market : Market
        Its loss rates are raised.
    due : ndarray, shape (v,)
        Loss of each pool [currency].
    layer : int
        Which layer of members.
    room : ndarray, shape (v,)
        How far the levels may rise; infinite: without a limit.

    Returns
    -------
    Shared
    """
    if not (due * (room > 0.0)).any():
        return Shared(due, np.zeros_like(due), np.empty(0, dtype=np.int64), np.empty(0))
    graph, accounts = market.graph, market.accounts
    market.shares_losses = True
    rows, equity = market.candidates()
    rows = rows[(market.weights(rows, layer) > 0.0) & (equity <= 0.0)]
    exempt, paid = [(rows, market.exempt(rows, layer))], [np.zeros(rows.size)]
    left = due.copy()
    while True:
        total = market.open_base(layer)
        level = ratio(left, total, 0.0)
        rise = np.minimum(level, room)
        rates = market.rise_of(rise, layer)
        market.revalue(rates)
        rows, equity = market.candidates(rates)
        weight = market.weights(rows, layer)
        short = (weight > 0.0) & (rise[graph.pool_of[rows]] * weight >= equity)
        rows = rows[short]
        *pay, unable = graph.group.total(graph.chunk_sums(graph.membership, equity[short], rows), [rows.size])
        if not unable:
            break
        left = left - pay
        exempt.append((rows, market.exempt(rows, layer)))
        paid.append(equity[short])
        # a member that pays all it has is left with exactly 0: rounding must not decide whether it breaches
        accounts.settled[rows] = accounts.worth[rows]
    rise = np.where((left > 0.0) & (total == 0.0) & np.isfinite(room), room, rise)  # nobody could pay more
    market.rates(layer)[:] += rise
    for rows, weights in exempt:
        market.readmit(rows, weights, layer)
    beyond = np.where(level > room, left - rise * total, np.where(total > 0.0, 0.0, left))
    return Shared(np.maximum(beyond, 0.0), rise, np.concatenate([rows for rows, _ in exempt]), np.concatenate(paid))
