"""How far prices can move along a direction until accounts breach, on margin tiers and scenario grids.

At prices p (1 + t change) each part of a margin is max_l (a_l + b_l t): a cell with tiers, a risk group on a grid. So
slack s(t) = E - M is concave in t and made of lines. From a t at which it is below 0, the root of the line that binds
there never passes the first t at which it is, and Newton's method is exact after as many steps as lines bind in turn.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.graph.margins import GraphMargins
from contagion_graph.graph.scenario_grids import NONE
from contagion_graph.solvers.arrays import ratio, row_of_cells

Rows = np.ndarray[Any, Any]  # of whole numbers
CLOSE = 1e-15  # share of a move: a step that is smaller is rounding
FURTHEST = 2.0**40  # times the price: where nothing falls, no account that is sound there counts


@dataclass(eq=False)
class SlackLines:
    """Slack of accounts along a direction of prices: slack + t rise, less what parts of margins need more than now.

    Parameters
    ----------
    slack, rise : ndarray, shape (n,)
        E - M at t = 0, and by how much E, less margins that are lines themselves, changes per unit of t [currency].
    parts : list of (accounts, a, b)
        Of each kind of part: whose each is (k), and its pieces a + b t (k x l) [currency].
    """

    slack: FloatArray
    rise: FloatArray
    parts: list[tuple[Rows, FloatArray, FloatArray]] = field(default_factory=list)

    def at(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return slack and its slope at a t of each account; 0 for those that are left out."""
        slack, slope, n = self.slack + t * self.rise, self.rise.copy(), t.size
        for account, level, rise in self.parts:
            binding = (level + t[account, None] * rise).argmax(axis=1)
            each, start = np.arange(account.size), level.max(axis=1)
            more = level[each, binding] - start + t[account] * rise[each, binding]
            slack -= np.bincount(account, weights=more, minlength=n)
            slope -= np.bincount(account, weights=rise[each, binding], minlength=n)
        return slack, slope

    def roots(self, t: FloatArray, going: BoolArray) -> FloatArray:
        """Return where Newton's method ends from t, for some accounts; after a first step slack is at most 0."""
        while going.any():
            slack, slope = self.at(t)
            there = np.where(going, t - ratio(slack, np.abs(slope), 0.0) * np.sign(slope), t)
            going = going & (np.abs(there - t) > CLOSE * np.abs(t)) & (self.at(there)[0] < 0.0)
            t = there
        return t

    def first(self, furthest: float) -> FloatArray:
        """Return the least t at which each account that is sound breaches; inf: none below `furthest`."""
        t = np.full(self.slack.size, furthest if np.isfinite(furthest) else 1.0)
        while True:
            sound = self.at(t)[0] >= 0.0
            if np.isfinite(furthest) or not (sound & (t < FURTHEST)).any():
                break
            t = np.where(sound & (t < FURTHEST), 16.0 * t, t)
        found = np.maximum(self.roots(t, ~sound), 0.0)
        return np.asarray(np.where(~sound & (found < furthest), found, np.inf))


def slack_lines(
    margins: GraphMargins,
    quantity: sparse.csr_array,
    margin_units: FloatArray,
    slack: FloatArray,
    price: FloatArray,
    change: FloatArray,
) -> SlackLines:
    """Return the slack of accounts along a direction of prices, from which no instrument is priced.

    Parameters
    ----------
    margins : GraphMargins
        Of these accounts.
    quantity, margin_units : csr_array, and its margin units by cell
        What they hold.
    slack : ndarray, shape (n,)
        E - M at present prices [currency].
    price, change : ndarray, shape (m,)
        Present prices; relative change of each per unit of t.
    """
    account, column, held = row_of_cells(quantity), quantity.indices, quantity.data
    step, n = price * change, quantity.shape[0]
    on_rates = margins.on_grids[0][account] == NONE
    first, _, rate, amount = margins.schedule(price.size)
    count = np.where(on_rates, np.diff(first)[column], 0)
    flat = np.where(on_rates & (count == 0), margin_units, 0.0)
    rise = np.asarray(np.bincount(account, weights=(held - flat) * step[column], minlength=n), dtype=np.float64)
    found = SlackLines(slack, rise)
    cells = np.flatnonzero((count > 0) & (step[column] != 0.0))
    if cells.size:
        tier = np.minimum(np.arange(count.max()), count[cells, None] - 1) + first[column[cells], None]
        units = np.abs(held[cells, None]) * rate[tier]
        found.parts.append(
            (account[cells], units * price[column[cells], None] - amount[tier], units * step[column[cells], None])
        )
    for grid in margins.grids:
        if not grid.rows.size or grid.segments.column.size == 0:
            continue
        own = (grid.columns.underlying == np.arange(price.size)) * step  # the gains of instruments stay
        segments, starts = grid.segments, grid.segments.start[:-1]
        parts = []
        for block in (grid.gains(price), grid.weight * grid.move * own[:, None]):
            loss = -np.add.reduceat(segments.quantity[:, None] * block[segments.column], starts, axis=0)
            parts.append(np.append(loss, np.zeros((starts.size, 1)), axis=1))
        found.parts.append((grid.rows[grid.account_of_segment], parts[0], parts[1]))
    return found
