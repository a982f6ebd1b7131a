"""How equity answers to prices: the exact derivative at the least equilibrium, and what it says in units held."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph.errors import ParameterError
from contagion_graph.exposure.matrix import ExposureMatrix, Positions, positions_of
from contagion_graph.exposure.setting import check_inputs, traders_of
from contagion_graph.graph import ExposureGraph
from contagion_graph.margin.bound import Case
from contagion_graph.margin.equilibrium import case_of
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.slopes import (
    State,
    at_kink,
    jacobian,
    price_jacobian,
    price_slopes,
    rule_slopes,
    share_slopes,
)
from contagion_graph.results import CascadeResult
from contagion_graph.rules.checks import check_number
from contagion_graph.rules.sharing import ProRata
from contagion_graph.shocks import Shock, scenario
from contagion_graph.tables.schema import FloatArray

FIXED = 1e-6  # closed shares that the static map moves by more than this are no equilibrium


@dataclass(frozen=True, eq=False, repr=False)
class MarginalExposure(ExposureMatrix):
    """Derivatives of traders' equity with respect to prices, and where they mean little.

    Parameters
    ----------
    least : CascadeResult
        The least equilibrium, at which they are taken.
    kinks : MultiIndex
        The accounts at a kink: just in breach, or just closing nothing, everything, or at a value of 0. The derivative
        is one of several there.
    kink_pools : Index
        The pools whose insurance fund is just used up.
    """

    least: CascadeResult
    kinks: pd.MultiIndex
    kink_pools: "pd.Index[str]"


def marginal_exposure(
    graph: ExposureGraph,
    model: MarginCascade,
    *,
    shock: Shock | None = None,
    assets: Iterable[object] | None = None,
    traders: Iterable[object] | None = None,
    tol: float = 1e-9,
) -> MarginalExposure:
    """Return the derivative of each trader's equity with respect to each price, once everybody has reacted.

    At the least equilibrium z = (S, l) = G(z, p_shocked), by the implicit function theorem,

        dz / dp_shocked = (I - dG/dz)^-1 dG/dp_shocked

    and from there the prices p, the average prices w and the loss rates l move, and with them, gamma and V as in
    docs/equilibria.md,

        E = (1 - gamma) (cash + Q.p - b l) + gamma max(0, V)

    Where nobody is in breach it is the units held. Steps have no slope: under `FullLiquidation` and `CloseFactor` the
    closed shares stay as they are, and it is the derivative within the step.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts, m assets.
    model : MarginCascade
        With `TargetMargin`, `LeverageTarget`, `FullLiquidation` or `CloseFactor`, and an impact with slopes.
    shock : mapping or Series asset -> relative price change, optional
        The stressed state; None: as it is.
    assets, traders : iterable of labels, optional
        None: all.
    tol : float
        How near a kink counts as at it, as a share of an account's |cash| + |Q|.p.

    Returns
    -------
    MarginalExposure
        Traders x assets [units], in factored form: d equity [currency] by d price [currency per unit].

    Raises
    ------
    ParameterError
        A rule without a derivative, as `RepayAndSeize`; a netted book with several equilibria; weights that move with
        prices (`ProRata("profit")`) where losses are shared; a state whose answer to prices has no bound; a market in
        which nothing indirect can happen.
    TableError
        An unknown label or shock.
    ConvergenceError
        As in `MarginCascade.equilibria`.

    References
    ----------
    Feinstein, Pang, Rudloff, Schaanning, Sturm & Wildman (2018), Sensitivity of the Eisenberg-Noe clearing vector, SIAM
    J. Financial Mathematics 9(4): derivatives of a clearing fixed point.

    Examples
    --------
    B holds no X, and yet loses on it: A, which has to close a part of its book, sells Y as well, and loses on its own
    sales.

    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[9.0, 2.0], [0.0, 4.0]], price=10.0, depth=1000.0, margin_long=0.1, cash=[-90.0, 0.0],
    ...     traders=["A", "B"], assets=["X", "Y"],
    ... )
    >>> model = cg.MarginCascade(cg.TargetMargin())
    >>> cg.marginal_exposure(graph, model, shock={"X": -0.13}).to_pandas().round(3)
                 X      Y
    trader
    A       18.978  4.357
    B        2.429  4.518
    """
    check_inputs(graph, model)
    check_number("marginal_exposure", "tol", tol, low=0)
    columns, chosen = positions_of("assets", assets, graph.assets), traders_of(graph, traders)
    both = model.equilibria(graph, shock)
    case = case_of(both.least.graph, scenario(both.least.graph, shock), model, None)
    state = _state(case, both.least.arrays.closed, certain=both.one_sided)
    answer = _answer(case, state, columns)
    terms = [(chosen.add(graph.quantity), answer.terminal)]
    if answer.rate.any():
        terms.append((chosen.add(graph.weights_by_channel(case.base)), -answer.rate))
    if state.rows.size:
        terms.append((chosen.add(_closing(case, state)), np.vstack(answer)))
    cells = sparse.csr_array((len(chosen.labels), columns.size))
    held = terms[0][0] if assets is None else terms[0][0][:, columns]
    with np.errstate(invalid="ignore"):  # a loss rate is infinite where nobody is left to share
        kinks = at_kink(case, state, tol)
    name = "d equity / d price [units]"
    where = (graph.accounts[kinks.accounts], graph.pools[kinks.channels])
    return MarginalExposure(chosen.labels, graph.assets[columns], tuple(terms), cells, held, name, both.least, *where)


class Answer(NamedTuple):
    """How p, w (k, a) [1] and l (v, a) answer to shocked prices."""

    terminal: FloatArray
    average: FloatArray
    rate: FloatArray


def _state(case: Case, share: FloatArray, *, certain: bool) -> State:
    """Return the small state of closed shares that are an equilibrium."""
    if not certain and np.abs(case.apply(share) - share).max() > FIXED:
        raise ParameterError(
            "assets are held on both sides, and there is no single equilibrium at which to take a derivative; use "
            "indirect_exposure or look_through with a size"
        )
    rows = np.flatnonzero(share)
    sold = case.sold(share)
    value = case.value_closed(case.prices(sold, np.zeros_like(sold)), rows)[0]
    rate = case.loss_rate(share, rows, value)
    if rate.any() and case.rules.sharing == ProRata("profit"):
        raise ParameterError(
            "losses are shared by ProRata('profit'), whose weights move with prices, and that has no derivative here; "
            "take another base, or look_through with a size"
        )
    return State(sold, rate, rows, share[rows])


def _answer(case: Case, state: State, columns: Positions) -> Answer:
    """Return how prices and loss rates answer, after all reactions, to the shocked prices of some assets."""
    size, slopes = case.book.size(state.sold, np.zeros_like(state.sold)), price_slopes(case, state.sold)
    J, P = jacobian(case, state), price_jacobian(case, state)[:, columns]
    try:
        moved = np.asarray(np.linalg.solve(np.eye(len(J)) - J, P), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise ParameterError(
            "at this equilibrium prices answer to a shock without bound: it is the edge of a spiral; take a "
            "smaller shock"
        ) from error
    factors = case.impact.price_factor(size), case.impact.average_factor(np.zeros_like(size), size)
    prices = []
    for slope, factor in zip(slopes, factors, strict=True):
        # infinitely steep is only what is not sold, which does not move here
        change = np.where(np.isinf(slope), 0.0, slope)[:, None] * moved[: slope.size]
        change[columns, np.arange(columns.size)] += factor.ravel()[columns]
        prices.append(change)
    return Answer(prices[0], prices[1], moved[state.sold.size :])


def _closing(case: Case, state: State) -> sparse.csr_array:
    """Return by how much accounts that close something answer otherwise to p, w and l than by Q and -b.

    dE = (1 - gamma) (Q.dp - b dl) + (max(0, V) - cash - Q.p + b l) dgamma + gamma dV where V > 0, shape (n, 2 k + v).
    """
    book, rows, share, k = case.book, state.rows, state.share, len(case.book.price)
    prices, base = case.prices(state.sold, np.zeros(k)), case.base[state.rows]
    value, pool = case.value_closed(prices, rows)[0], book.pool_of[state.rows]
    partly, rate = share < 1.0, np.where(np.isfinite(state.rate), state.rate, 0.0)
    open_value = book.cash[rows] - case.scenario.losses[rows] + book.valuation(prices.terminal, rows)[0]
    gap = np.maximum(value, 0.0) - (open_value - base * rate[pool])
    rule = rule_slopes(case.rules.liquidation, case.rules.penalty)
    slopes = share_slopes(case, rule, rows[partly], share[partly], prices.terminal)
    by_burden = np.zeros(rows.size)
    by_burden[partly] = slopes.by_burden
    held = book.quantity[rows]
    of_row, q, sellable = np.repeat(np.arange(rows.size), np.diff(held.indptr)), held.data, book.sellable[held.indices]
    by_price = np.zeros(q.size)
    by_price[partly[of_row]] = slopes.by_price.data
    kept = (share * (value > 0.0))[of_row]
    on_terminal = -share[of_row] * q + gap[of_row] * by_price + np.where(sellable, 0.0, kept * q)
    on_average = np.where(sellable, kept * (q - case.rules.penalty * np.abs(q)), 0.0)
    on_rate = base * (share + gap * by_burden)
    data = np.concatenate([on_terminal, on_average, on_rate])
    row = np.concatenate([rows[of_row], rows[of_row], rows])
    column = np.concatenate([held.indices, held.indices + k, pool + 2 * k])
    return sparse.csr_array((data, (row, column)), shape=(len(book.accounts), 2 * k + rate.size))
