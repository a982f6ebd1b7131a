"""Marginal exposure: the exact derivative of equity with respect to prices at the least equilibrium [units]."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.exposure.inputs import Positions, Traders, check_inputs, traders_of
from contagion_graph.exposure.matrix import ExposureMatrix
from contagion_graph.graph.backing import refuse_backing
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock, scenario
from contagion_graph.margin.equilibria.equilibria import from_open
from contagion_graph.margin.equilibria.jacobian import (
    State,
    jacobians,
    price_factors,
    price_slopes,
    rule_slopes,
    scaled,
    share_slopes,
)
from contagion_graph.margin.equilibria.nonsmooth import at_kink
from contagion_graph.margin.equilibria.static_map import Case
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.result import CascadeResult
from contagion_graph.rules.declarations import declared
from contagion_graph.solvers.arrays import over_cells
from contagion_graph.tables.vectors import rows_of

Term = tuple[sparse.csr_array, FloatArray]


@dataclass(frozen=True, eq=False, repr=False)
class MarginalExposure(ExposureMatrix):
    """Derivatives of traders' equity with respect to prices, and the kinks at which they are one-sided.

    Parameters
    ----------
    equilibrium : CascadeResult
        The equilibrium at which they are taken.
    one_sided : bool
        Whether that is for certain the least one. A netted book may have other equilibria; this is the one that the
        static map leads to from nothing closed.
    kinks : MultiIndex
        The accounts at a kink: just in breach, or just closing nothing, everything, or at a value of 0, or at the
        health below which a close factor closes everything. The derivative is one of several there.
    kink_pools : Index
        The pools whose insurance fund is just used up.
    kink_assets : Index
        The assets of which just as much is sold as brings their price impact to a kink.
    """

    _: KW_ONLY
    equilibrium: CascadeResult
    one_sided: bool
    kinks: pd.MultiIndex
    kink_pools: "pd.Index[str]"
    kink_assets: "pd.Index[str]"

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            traders, assets (counts); total (units, over both); kinks, kink_pools, kink_assets (counts).
        """
        counts = {name: len(getattr(self, name)) for name in ("kinks", "kink_pools", "kink_assets")}
        return pd.concat([super().summary(), pd.Series(counts, dtype=np.float64)]).rename("marginal_exposure")

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {**super()._tables(), "kinks": pd.DataFrame(index=self.kinks)}


def marginal_exposure(
    graph: ExposureGraph,
    model: MarginCascade,
    shock: Shock | None = None,
    *,
    assets: Iterable[object] | None = None,
    traders: Iterable[object] | None = None,
    tol: float = 1e-9,
    on_failure: OnFailure = "raise",
) -> MarginalExposure:
    """Return the derivative of each trader's equity with respect to each price, all reactions included.

    At the least equilibrium z = (S, l) = G(z, p_shocked) (in a netted book: at the one that the static map leads to
    from nothing closed), by the implicit function theorem,

        dz / dp_shocked = (I - dG/dz)^-1 dG/dp_shocked

    and from there the prices p, the average prices w and the loss rates l move, and with them, gamma and V as in
    docs/equilibria.md,

        E = (1 - gamma) (cash + Q.p - b l) + gamma max(0, V)

    Where no account is in breach it is the units held. `FullLiquidation` and `CloseFactor` are step functions: closed
    shares stay as they are, and it is the derivative within the step.

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
        Distance from a kink up to which an account is listed as at it, as a share of its |cash| + |Q|.p.
    on_failure : {"raise", "warn", "ignore"}
        What to do where the equilibrium does not converge: the derivative is then taken at the last state.

    Returns
    -------
    MarginalExposure
        Traders x assets [units], in factored form: d equity [currency] by d price [currency per unit].

    Raises
    ------
    ParameterError
        A rule without a derivative, as `RepayAndSeize`; weights that move with prices (`ProRata("profit")`) where
        losses are shared; a state whose answer to prices has no bound; a market in which nothing indirect can happen;
        a graph with a backing; an unknown label or shock.
    ConvergenceError
        No equilibrium was reached, as can happen in netted books, and `on_failure` is "raise".

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
    >>> cg.marginal_exposure(graph, model, {"X": -0.13}).to_pandas().round(3)
                 X      Y
    trader
    A       18.978  4.357
    B        2.429  4.518
    """
    check_inputs(graph, model, on_failure)
    check_number("marginal_exposure", "tol", tol, low=0)
    why = "a derivative by one price does not pass down to what is made of it; look_through with a size does"
    refuse_backing("marginal_exposure", graph, why)
    columns, chosen = rows_of(assets, graph.assets, "assets"), traders_of(graph, traders)
    rest = from_open(graph, scenario(graph, shock), model, on_failure)
    case, state = rest.case, rest.state
    if state.rate.any() and declared(model.sharing, "fixed") is not True:
        raise ParameterError(
            f"losses are shared by {model.sharing!r}, which does not declare that its weights are fixed; weights that "
            "move with prices have no derivative here; take another rule or base, or look_through with a size"
        )
    terms = derivative(case, state, columns, chosen)
    with np.errstate(invalid="ignore"):  # a loss rate is infinite where no account is left to share
        kinks = at_kink(case, state, tol)
    return MarginalExposure(
        traders=chosen.labels,
        assets=graph.assets[columns],
        terms=terms,
        cells=sparse.csr_array((len(chosen.labels), columns.size)),
        held=terms[0][0] if assets is None else terms[0][0][:, columns],
        name="d equity / d price [units]",
        model=model,
        solution=rest.result.solution,
        equilibrium=rest.result,
        one_sided=rest.one_sided,
        kinks=graph.account_index[kinks.accounts],
        kink_pools=graph.pools[kinks.channels],
        kink_assets=graph.assets[kinks.columns],
    )


def derivative(case: Case, state: State, columns: Positions, chosen: Traders) -> tuple[Term, ...]:
    """Return d equity of some traders by the prices of some assets at an equilibrium, as sums of products."""
    return _terms(case, state, _answer(case, state, columns), chosen)


class Answer(NamedTuple):
    """How p, w (k, a) [1] and l (v, a) answer to shocked prices."""

    terminal: FloatArray
    average: FloatArray
    rate: FloatArray


def _answer(case: Case, state: State, columns: Positions) -> Answer:
    """Return how prices and loss rates answer, after all reactions, to the shocked prices of some assets."""
    (J, P), slopes = jacobians(case, state), price_slopes(case, state.sold)
    try:
        moved = np.asarray(np.linalg.solve(np.eye(len(J)) - J, P[:, columns]), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise ParameterError(
            "at this equilibrium prices answer to a shock without bound: it is the edge of a spiral; take a "
            "smaller shock"
        ) from error
    prices = []
    for slope, factor in zip(slopes, price_factors(case, state), strict=True):
        # infinitely steep is only what is not sold, which does not move here
        change = np.where(np.isinf(slope), 0.0, slope)[:, None] * moved[: slope.size]
        change[columns, np.arange(columns.size)] += factor[columns]
        prices.append(change)
    return Answer(prices[0], prices[1], moved[state.sold.size :])


def _terms(case: Case, state: State, answer: Answer, chosen: Traders) -> tuple[Term, ...]:
    """Return dE of the chosen traders as holdings times moves of p, w and l.

    dE = Q.dp - b dl, and for accounts that close something, more by

        -gamma (Q.dp - b dl) + (max(0, V) - cash - Q.p + b l) dgamma + gamma dV [V > 0].
    """
    terms = [(case.book.quantity, answer.terminal)]
    if answer.rate.any():
        terms.append((case.book.weights_by_channel(case.base), -answer.rate))
    if state.rows.size:
        each = zip(_closing(case, state), answer, strict=True)
        terms += [(cells, move) for cells, move in each if cells.nnz and move.any()]
    return tuple((chosen.add(cells), move) for cells, move in terms)


def _closing(case: Case, state: State) -> tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]:
    """Return how accounts that close something answer to p, w (n, k) and l (n, v) beyond Q and -b."""
    book, rows, share = case.book, state.rows, state.share
    prices, base = case.prices(state.sold, np.zeros_like(state.sold)), case.base[rows]
    value, partly, pool = case.value_closed(prices, rows)[0], share < 1.0, book.pool_of[rows]
    rate = np.where(np.isfinite(state.rate), state.rate, 0.0)
    open_value = book.cash[rows] - case.scenario.losses[rows] + book.valuation(prices.terminal, rows)[0]
    gap = (np.maximum(value, 0.0) - (open_value - base * rate[pool])) * partly
    slopes = share_slopes(case, rule_slopes(case.rules.liquidation, case.rules.penalty), rows, share, prices.terminal)
    held, sellable = slopes.held, book.sellable[slopes.held.indices]
    q, left = held.data, over_cells(held, share * (value > 0.0))
    on_terminal = (
        over_cells(held, gap) * slopes.by_price.data - over_cells(held, share) * q + np.where(sellable, 0.0, left * q)
    )
    on_average = np.where(sellable, left * (q - case.rules.penalty * np.abs(q)), 0.0)
    weights = book.weights_by_channel(case.base, rows)
    on_rate = scaled(weights, share + gap * slopes.by_burden)
    n = len(book.account_index)
    cells = ((on_terminal, held), (on_average, held), (on_rate.data, on_rate))
    return tuple(_among_all(data, each, rows, n) for data, each in cells)


def _among_all(data: FloatArray, cells: sparse.csr_array, rows: Positions, n: int) -> sparse.csr_array:
    """Return the cells of some rows (ascending) as those of a matrix of n rows."""
    counts = np.zeros(n + 1, dtype=cells.indptr.dtype)
    counts[rows + 1] = np.diff(cells.indptr)
    return sparse.csr_array((data, cells.indices, np.cumsum(counts, dtype=counts.dtype)), shape=(n, cells.shape[1]))
