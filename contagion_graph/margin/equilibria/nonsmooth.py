"""Where the static map is not smooth: states at which its slope (jacobian.py) means little."""

from typing import NamedTuple

import numpy as np

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.margin.equilibria.jacobian import STEP, State, rule_slopes
from contagion_graph.margin.equilibria.static_map import Case
from contagion_graph.rules.declarations import declared
from contagion_graph.rules.liquidation import BreachedAccounts


class Kinks(NamedTuple):
    """Which accounts (n,), channels (v,) and columns of the book (k,) sit where the static map is not smooth."""

    accounts: BoolArray
    channels: BoolArray
    columns: BoolArray


def at_kink(case: Case, state: State, tol: float = 1e-9) -> Kinks:
    """Say which accounts, channels and columns are so near to a kink or a jump that the slope means little there.

    An account: E = M; in breach E = 0, the rule's closed share just 0 or 1, or at a jump of it; V = 0 where something
    is closed, before the penalty or after it. A channel: its fund is just used up. A column that is sold: its price
    impact has a kink. Near is within the share `tol` of |cash| + |Q|.p, of 1, of the fund, and of the size sold.
    """
    book, prices = case.book, case.prices(state.sold, np.zeros_like(state.sold))
    equity, scale, maintenance = case.marks(prices, state.rate)
    scale += np.abs(book.cash - case.scenario.losses)
    scale *= tol
    slack = equity - maintenance
    rows, edge = np.flatnonzero(slack < 0.0), np.flatnonzero(np.abs(slack) <= scale)
    near = np.zeros(slack.size, dtype=bool)
    near[edge] = scale[edge] > 0.0
    near[rows] |= _at_edge(case, case.breached(prices, rows, equity[rows], maintenance[rows]), scale[rows], tol)
    near[case.scenario.defaults] = False  # whose share is 1 whatever their margin
    value = case.value_closed(prices, state.rows)[0]
    money, kept, _, charge = case.closing(prices, state.rows)
    away = np.abs(money + kept - charge)
    if case.rules.penalty_cap == "equity":
        away = np.minimum(away, np.abs(money + kept))
    near[state.rows] |= away <= scale[state.rows]
    lost = book.column_sums(book.membership, state.share * np.maximum(-value, 0.0), state.rows)
    fund = book.insurance_fund
    channels = (np.abs(lost - fund) <= tol * (lost + fund)) & (lost > 0.0)
    return Kinks(near, channels, _impact_kinks(case, state, tol))


def _at_edge(case: Case, accounts: BreachedAccounts, scale: FloatArray, tol: float) -> BoolArray:
    """Say of accounts in breach whether E is 0, or their closed share just 0 or 1, or at a jump."""
    rule = rule_slopes(case.rules.liquidation, case.rules.penalty)
    relief = rule.margin * accounts.closable_maintenance - rule.gross * accounts.closable_gross
    wanted = rule.margin * accounts.maintenance - rule.equity * accounts.equity
    edge = (np.minimum(np.abs(wanted), np.abs(wanted - relief)) <= tol * np.abs(relief)) & (relief > 0.0)
    near: BoolArray = (np.abs(accounts.equity) <= scale) | edge
    distance = declared(case.rules.liquidation, "distance_to_jump")
    if distance is not None:
        near |= distance(accounts) <= scale
    elif rule == STEP and not case.rules.closes_whole:
        raise ParameterError(
            f"{type(case.rules.liquidation).__name__} declares closed_values, but no distance_to_jump: where its "
            "closed share jumps is not known (docs/adding-a-rule.md)"
        )
    return near


def _impact_kinks(case: Case, state: State, tol: float) -> BoolArray:
    """Say of each column whether what is sold of it is just where its price impact has a kink."""
    size = case.book.size(state.sold, np.zeros_like(state.sold))
    kinks = declared(case.impact, "kinks")
    if kinks is None:
        raise ParameterError(f"{type(case.impact).__name__} has no kinks(): where its slope jumps is not known")
    away = np.abs(size[..., None] - kinks())
    near = (away <= tol * np.abs(size)[..., None]).any(axis=-1).ravel()
    at_kink: BoolArray = near & (state.sold != 0.0)
    return at_kink
