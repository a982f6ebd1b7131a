"""Bounds on the effect of a trader's absence: they find the k largest knock-outs with certainty.

They hold where the set of closed accounts is monotone in the set of traders present (see `coalitions`): C_r(A), the
accounts that have closed by round r where traders A are absent, shrinks as A grows. Write x_r(A) for how far sales have
moved along the price impact after round r, and w_r(A) for the prices of the round. "No better" is: lower for what is
held long, higher for what is held short.

**A cascade without any one member of a group S.** K_0 is empty; x_r = (sales of K_r) less, asset by asset, the largest
that one member of S has sold in K_r; K_(r+1) holds the accounts that are in breach at the prices of x_r. For each i in
S, K_r without i's accounts is a subset of C_r({i}): so it is for r = 0, and if for r, x_r({i}) is at least what K_r
less i's accounts has sold, hence at least x_r; prices without i are no better than those of x_r, and any other account
in breach at the latter is in breach at the former. x_r never falls as r rises, since a larger K_r adds no more to the
largest member than to the sum.

**Bounds on losses.** Account j of another trader closes in round r(j) when all are there. Without i it closes no
earlier, at prices no better than w_(r(j))({i}), hence no better than w_(r(j)), a mean of a non-increasing f over
[x_(r-1), x_r], or a point between its ends. Or it stays open, at prices no better than the last ones p_end of the
cascade above, which are no better than w_(r(j)) either. It pays the penalty for certain if it is in K. So it ends with
at most

    V_j = cash_j + Q~_j.w_(r(j)) - penalty |Q~_j|.w_(r(j)) [j in K] + (Q - Q~)_j.p_shocked,    or max(0, V_j),

the penalty at most what is left without it (`penalty_cap`),
and an account that never closes with at most cash_j + Q_j.p_end. Summed over all but i, this is the least that the
others lose without i, and so the most that i's absence saves them. Shortfalls without i are at least max(0, -V_j) over
K.

`largest_knockouts` starts from the group of all traders, halves groups, the one with the largest bound first, and runs
groups of one trader, until the k largest are known. Members of a group should be of similar size: its bound is about
that of the largest.
"""

import heapq

import numpy as np

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.importance.absences.coalitions import Game, Numbers
from contagion_graph.margin.equilibria.isotone import isotone_obstacles
from contagion_graph.margin.equilibria.static_map import less_penalty
from contagion_graph.solvers.arrays import product, row_of_cells

ROUNDING = 1e-11  # of gross value: the most by which rounding lowers a bound


def unbounded(game: Game) -> str:
    """Return why the bounds do not hold for a game, in words; empty where they do."""
    model = game.shocked.model
    if game.measure == "uncovered" and model.penalty > 0.0 and model.penalty_to_fund > 0.0:
        return "penalties enter the fund"
    return ", ".join(isotone_obstacles(game.graph, model))


class Bounds:
    """Upper bounds on knock-outs in the shocked case of a game.

    Parameters
    ----------
    game : Game
        One that is not `unbounded`.
    """

    def __init__(self, game: Game) -> None:
        self.game, self.end, self.model = game, game.shocked.full.arrays, game.shocked.model
        graph = self.graph = game.graph
        self.rows = np.flatnonzero(self.end.breach_round)
        self.step, self.trader = self.end.breach_round[self.rows], graph._rows.trader_of[self.rows]
        self.cells, self.margin = graph.quantity[self.rows], graph.margin_units[self.rows]
        self.tradable = self.cells.copy()
        self.tradable.data *= graph.sellable[self.tradable.indices]
        self.row_of = row_of_cells(self.cells)
        self.cash = graph.cash[self.rows]
        self.unsold = (self.cells - self.tradable) @ self.end.price_shocked
        self.impact = self.model.impact.for_assets(graph.assets)
        self.slip = ROUNDING * (np.abs(self.cash) + abs(self.cells) @ graph.price)
        self.held_open = game.held - self.cells.T @ np.ones(self.rows.size)
        paid = self.end.proceeds[self.rows] - self.end.penalty[self.rows]
        self.value = np.maximum(self.cash + paid + self.unsold, 0.0)

    def group(self, members: Numbers) -> FloatArray:
        """Return an upper bound on the change of the measure by the absence of each member of a group."""
        sizes, closes = self._cascade(members)
        value = self._values(sizes, closes)
        owner, count = self.trader, len(self.graph.traders)
        if self.game.measure == "loss":
            gain = np.maximum(value, 0.0) - self.value
            move = product(self.end.price_shocked, self.impact.price_factor(sizes[-1])) - self.end.price_after
            total = gain.sum() + float(self.held_open @ move)
            return np.asarray(total - np.bincount(owner, weights=gain, minlength=count)[members])
        least = np.where(closes, np.maximum(-value, 0.0), 0.0)
        pools = len(self.graph.pools)
        due = np.bincount(self.graph._rows.pool_of[self.rows], weights=least, minlength=pools)
        place = owner.astype(np.int64) * pools + self.graph._rows.pool_of[self.rows]
        own = np.bincount(place, weights=least, minlength=count * pools).reshape(count, pools)[members]
        if self.game.measure == "shortfall":
            return np.asarray(self.end.pool_shortfall.sum() - (due - own).sum(axis=1))
        left = np.maximum(due - own - self.graph.insurance_fund, 0.0)
        return np.asarray(self.end.uncovered.sum() - left.sum(axis=1))

    def _cascade(self, members: Numbers) -> tuple[FloatArray, BoolArray]:
        """Return x_r of the cascade without any one member, one row a round from 0, and who is in K at the end."""
        place = np.full(len(self.graph.traders), members.size)
        place[members] = np.arange(members.size)
        place, unit = place[self.trader], self.graph.price / self.graph.depth
        sold_by = np.zeros((members.size + 1, unit.size))  # the last row: all who are no members
        closed, sizes = np.zeros(self.rows.size, dtype=bool), [np.zeros(unit.size)]
        while True:
            price = product(self.end.price_shocked, self.impact.price_factor(sizes[-1]))
            new = ~closed & (self.cash + self.cells @ price - self.margin @ price < -self.slip)
            if not new.any() and len(sizes) > self.step.max():
                return np.array(sizes), closed
            closed |= new
            cells = new[self.row_of]
            spot = place[self.row_of[cells]], self.tradable.indices[cells]
            np.add.at(sold_by, spot, self.tradable.data[cells])
            first = np.abs(sold_by[:-1]).argmax(axis=0)  # of one sign in each column: the book is one-sided
            sizes.append((sold_by.sum(axis=0) - sold_by[first, np.arange(unit.size)]) * unit)

    def _values(self, sizes: FloatArray, closes: BoolArray) -> FloatArray:
        """Return V_j of the accounts that close when all are there."""
        start, end = sizes[:-1], sizes[1:]
        if self.model.trade_price_weight is None:
            factor = self.impact.average_factor(start, end)
        else:
            factor = self.impact.price_factor(start)
            factor = factor + self.model.trade_price_weight * (self.impact.price_factor(end) - factor)
        price = product(self.end.price_shocked, factor)[self.step - 1]
        held, at = self.tradable.data, price[self.row_of, self.tradable.indices]
        rows, size = self.row_of, self.rows.size
        fetched, gross = (np.bincount(rows, weights=units * at, minlength=size) for units in (held, np.abs(held)))
        value: FloatArray = self.cash + fetched + self.unsold
        penalty: FloatArray = np.asarray(np.where(closes, self.model.penalty, 0.0) * gross, dtype=np.float64)
        return value - penalty if self.model.penalty_cap is None else less_penalty(value, penalty)


def largest_knockouts(bounds: Bounds, k: int, known: dict[int, float], candidates: Numbers) -> dict[int, float]:
    """Return the knock-outs that are needed to know the k largest, those already known among them.

    Parameters
    ----------
    bounds : Bounds
        The bounds on groups of traders.
    k : int
        Number of traders to find.
    known : dict of trader number to knock-out
        Knock-outs that need no run, or were run already.
    candidates : ndarray
        The other traders, ordered by size.

    Returns
    -------
    dict of trader number to knock-out
        A trader that is not in it has a smaller knock-out than k traders that are.
    """
    found, game = dict(known), bounds.game
    best = heapq.nlargest(k, found.values())
    heapq.heapify(best)
    slip = ROUNDING * float(game.graph._rows.initial.gross.sum())
    groups = [(-np.inf, 0, candidates.size)]
    while groups:
        bound, start, stop = heapq.heappop(groups)
        if len(best) == k and slip - bound < best[0]:
            break  # no group that is left can do better
        if stop - start == 1:
            trader = int(candidates[start])
            found[trader] = game.knockout(trader)
            (heapq.heappushpop if len(best) == k else heapq.heappush)(best, found[trader])
            continue
        middle = (start + stop) // 2
        for first, last in ((start, middle), (middle, stop)):
            highest = float(bounds.group(candidates[first:last]).max())
            heapq.heappush(groups, (max(-highest, bound), first, last))
    return found
