"""The derivative of the static map in its small state: prices and loss rates are few, however many the accounts.

The static map T of docs/equilibria.md takes closed shares gamma to closed shares. Everything passes through the state
z = (S, l), the net units sold of each column of the book and the loss rate of each channel: with gamma(z) what the
liquidation rule asks of every account at z,

    G(z) = (Q~^T gamma,  max(0, sum of shortfalls - fund) / sum b (1 - gamma))

has a fixed point wherever T has one. Its derivative J is k + v numbers square. It is assembled from the accounts that
close a part, and from those that leave a shortfall. It serves Newton's method for a fixed point, z <- z + (I - J)^-1
(G(z) - z); the amplification of a small shock, dz/dp_bar = (I - J)^-1 dG/dp_bar; and the spectral radius of the
amplification among the accounts in breach. A book with relief "other" has two states that bound each other, and no
derivative here.

References
----------
Ortega & Rheinboldt (1970), Iterative Solution of Nonlinear Equations in Several Variables: Newton's method, and the
implicit function theorem.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.errors import ParameterError
from contagion_graph.margin.equilibria.static_map import Case, Prices
from contagion_graph.margin.rounds.account_state import Rows
from contagion_graph.rules.declarations import declared
from contagion_graph.rules.impact import ImpactRecord
from contagion_graph.rules.liquidation import LiquidationRule, Quotient
from contagion_graph.solvers.arrays import over_cells, ratio, with_data

STEP = Quotient(0.0, 0.0, 0.0)


def rule_slopes(liquidation: LiquidationRule, penalty: float) -> Quotient:
    """Return the linear functions of which the closed share of a liquidation rule is the quotient.

    Parameters
    ----------
    liquidation : LiquidationRule
        One that declares `closed_values`, and is flat between jumps, or `quotient`.
    penalty : float
        Share of the closed gross value that the account pays.

    Returns
    -------
    Quotient

    Raises
    ------
    ParameterError
        For any other rule.

    Examples
    --------
    >>> from contagion_graph.rules.liquidation import LeverageTarget, TargetMargin
    >>> rule_slopes(TargetMargin(buffer=0.5), 0.02)
    Quotient(margin=1.5, equity=1.0, gross=0.02)
    >>> rule_slopes(LeverageTarget(cap=20, target=15), 0.02)
    Quotient(margin=20, equity=15, gross=0.0)
    """
    if declared(liquidation, "closed_values") is not None:
        return STEP
    quotient = declared(liquidation, "quotient")
    if quotient is None:
        raise ParameterError(
            f"the closed share of {type(liquidation).__name__} has no derivative here; take FullLiquidation, "
            "TargetMargin, CloseFactor or LeverageTarget, or declare quotient (docs/adding-a-rule.md)"
        )
    found: Quotient = quotient(penalty)
    return found


class State(NamedTuple):
    """A state of the small map, and who closes how much there.

    Parameters
    ----------
    sold : ndarray, shape (k,)
        S, net units sold.
    rate : ndarray, shape (v,)
        l, loss per unit of base weight.
    rows : ndarray, shape (a,)
        The accounts that close something, ascending.
    share : ndarray, shape (a,)
        Their closed shares gamma(S, l), in (0, 1].
    """

    sold: FloatArray
    rate: FloatArray
    rows: Rows
    share: FloatArray


def state_at(case: Case, sold: FloatArray, rate: FloatArray) -> State:
    """Return the state (S, l) with the closed shares that the liquidation rule asks for there."""
    prices, every = case.prices(sold, np.zeros_like(sold)), case.book.all_rows
    share = case.closed_share(prices, every, *case.margins(prices, rate))
    rows = np.flatnonzero(share)
    return State(sold, rate, rows, share[rows])


class ShareSlopes(NamedTuple):
    """How the closed shares of a accounts move, and their relief; both slopes are 0 where it is not above 0.

    By price: d gamma / d p, shape (a, k). By burden: d gamma / d (b.l), what a unit of currency less in equity adds.
    Relief: by how much closing everything reduces the shortage [currency]. Held: what they hold [units], (a, k).
    """

    by_price: sparse.csr_array
    by_burden: FloatArray
    relief: FloatArray
    held: sparse.csr_array


def share_slopes(case: Case, rule: Quotient, rows: Rows, share: FloatArray, price: FloatArray) -> ShareSlopes:
    """Return the slopes of gamma = N / D at gamma = share: dN / D - gamma dD / D, both linear in prices."""
    held, needed = case.book.quantity[rows], case.book.margin_units[rows].data
    freed = case.book.sellable[held.indices] * (rule.margin * needed - rule.gross * np.abs(held.data))
    relief = with_data(held, freed) @ price
    unit = ratio(1.0, relief, 0.0)
    cells = rule.margin * needed - rule.equity * held.data - over_cells(held, share) * freed
    return ShareSlopes(with_data(held, over_cells(held, unit) * cells), rule.equity * unit, relief, held)


def price_slopes(case: Case, sold: FloatArray) -> Prices:
    """Return dp/dS = p_bar f'(x) p0 / depth of each column, and dw/dS; -inf where an impact starts infinitely steep."""
    size, impact = case.book.size(sold, np.zeros_like(sold)), case.impact
    slope, average_slope = declared(impact, "slope"), declared(impact, "average_slope")
    if type(impact).average_slope is ImpactRecord.average_slope:  # a formula of f, its mean and its slope
        average_slope = impact.average_slope
    if slope is None or average_slope is None:
        raise ParameterError(f"{type(impact).__name__} has no slope(x) and average_slope(x); derivatives need both")
    scale = case.scenario.price_shocked * case.book.size_of_unit
    slopes = (each(size).ravel() for each in (slope, average_slope))
    terminal, average = (np.multiply(scale, slope, out=np.zeros_like(scale), where=scale != 0.0) for slope in slopes)
    return Prices(terminal, average)


class Jacobians(NamedTuple):
    """The derivative of G at a state: [units sold, loss rates] by what they answer to.

    Parameters
    ----------
    by_state : ndarray, shape (k + v, k + v)
        J = dG/dz: by units sold and loss rates.
    by_price : ndarray, shape (k + v, k)
        dG/dp_bar at fixed z: what a shock does before anything answers to it, dp/dp_bar = f(x) and dw/dp_bar = mean f.
        Base weights count as fixed; those of ProRata("profit") are taken at the shocked prices, and that they move with
        them is left out.
    """

    by_state: FloatArray
    by_price: FloatArray


def jacobians(case: Case, state: State) -> Jacobians:
    """Return how units sold and loss rates answer at a state to each other, and to shocked prices.

    Exact wherever G is smooth; `kinks.at_kink` says who is too close to where it is not.

    Parameters
    ----------
    case : Case
        The book, the shocked prices and the rules.
    state : State
        S, l and the closed shares there.

    Returns
    -------
    Jacobians

    Raises
    ------
    ParameterError
        If the rule has no `rule_slopes`, or an impact is infinitely steep at a price that accounts answer to.
    """
    moves = price_slopes(case, state.sold)
    steep = np.isinf(moves.terminal)
    if steep.any():
        held = case.book.count(np.bincount(case.book.quantity[state.rows].indices, minlength=steep.size)) > 0
        if (steep & held & case.book.sellable).any():
            raise ParameterError(
                f"{type(case.impact).__name__} is infinitely steep where nothing is sold; start from a state in which "
                "every asset that is held by an account in breach has been sold or bought"
            )
        moves = Prices(*(np.where(steep, 0.0, move) for move in moves))  # never sold, or no account answers
    terminal, average, by_rate = _answers(case, state)
    by_sold, by_price = (
        terminal * each.terminal + average * each.average for each in (moves, price_factors(case, state))
    )
    return Jacobians(np.hstack([by_sold, by_rate]), by_price)


def price_factors(case: Case, state: State) -> Prices:
    """Return dp/dp_bar = f(x) and dw/dp_bar = mean f of each column of the book, at fixed units sold."""
    size = case.book.size(state.sold, np.zeros_like(state.sold))
    factors = case.impact.price_factor(size), case.impact.average_factor(np.zeros_like(size), size)
    return Prices(*(factor.ravel() for factor in factors))


def _answers(case: Case, state: State) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return dG by p (k + v, k), by w (k + v, k) and by l (k + v, v), each as if the others stood still.

    Sums over the accounts that close a part, and over those that leave a shortfall: outer products of what an account
    adds to S and l, and what its closed share, or what it is worth, answers to.
    """
    book, prices = case.book, case.prices(state.sold, np.zeros_like(state.sold))
    shortfall = np.maximum(-case.value_closed(prices, state.rows)[0], 0.0)
    part, rate = _rate_parts(case, state, shortfall)
    partly, down = state.share < 1.0, shortfall > 0.0
    rows, rule = state.rows[partly], rule_slopes(case.rules.liquidation, case.rules.penalty)
    slopes = share_slopes(case, rule, rows, state.share[partly], prices.terminal)
    weights, members = book.weights_by_channel(case.base, rows), book.membership[rows]
    # who closes more leaves more of its shortfall, and less of its weight to share what there is
    level = scaled(members, shortfall[partly], part) + scaled(weights, np.ones(rows.size), rate * part)
    held, burden = scaled(slopes.held, np.ones(rows.size), book.sellable), scaled(weights, slopes.by_burden)
    terminal, by_rate = (
        np.vstack([book.cross_sums(each, right, rows) for each in (held, level.tocsr())])
        for right in (slopes.by_price, burden)
    )
    left = scaled(book.membership[state.rows[down]], state.share[down], part)
    average, k = np.zeros_like(terminal), state.sold.size
    fetched, kept = _value_cells(case, state.rows[down])
    average[k:] -= book.cross_sums(left, fetched, state.rows[down])
    terminal[k:] -= book.cross_sums(left, kept, state.rows[down])
    return terminal, average, by_rate


def _rate_parts(case: Case, state: State, shortfall: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return 1 / sum b (1 - gamma) of each channel whose loss rate is above 0 and finite, else 0, and the rate."""
    book = case.book
    excess = book.column_sums(book.membership, state.share * shortfall, state.rows) - book.insurance_fund
    nothing = np.zeros_like(excess)
    if case.rules.sharing is None or not (excess > 0.0).any():
        return nothing, nothing
    left = case.base.copy()
    left[state.rows] *= 1.0 - state.share
    base = book.column_sums(book.membership, left)
    part = np.divide(1.0, base, out=nothing, where=(excess > 0.0) & (base > 0.0))
    return part, np.maximum(excess, 0.0) * part


def _value_cells(case: Case, rows: Rows) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return dV/dw and dV/dp of accounts that close whole with V < 0; they pay no penalty where equity caps it."""
    held, penalty = case.book.quantity[rows], case.rules.penalty if case.rules.penalty_cap is None else 0.0
    sellable = case.book.sellable[held.indices]
    fetched = np.where(sellable, held.data - penalty * np.abs(held.data), 0.0)
    return with_data(held, fetched), with_data(held, np.where(sellable, 0.0, held.data))


def scaled(cells: sparse.csr_array, by_row: FloatArray, by_column: Any = None) -> sparse.csr_array:
    """Return cells times a number of their row, and, if given, one of their column."""
    data = over_cells(cells, by_row) * cells.data
    return with_data(cells, data if by_column is None else data * by_column[cells.indices])
