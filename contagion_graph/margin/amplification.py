"""How far a market is from a spiral: the amplification among the accounts in breach, as one number."""

from typing import Any, Literal, get_args

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_model, numeric
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock, check_graph, closed_shares, scenario
from contagion_graph.margin.equilibria.jacobian import STEP, price_slopes, rule_slopes, share_slopes
from contagion_graph.margin.equilibria.position_book import book_of
from contagion_graph.margin.equilibria.static_map import Case, payers_of
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.prepare import prepared
from contagion_graph.margin.rounds.account_state import Rows
from contagion_graph.rules.liquidation import Quotient
from contagion_graph.solvers.arrays import ratio

Side = Literal["long", "short"]
DENSE = 64  # up to so many assets all eigenvalues are found faster than the largest alone


def spectral_radius(
    graph: ExposureGraph, model: MarginCascade, shock: Shock | None = None, *, closed: Any = None
) -> float:
    """Return the spectral radius of the amplification among the accounts in breach: above 1 they spiral.

    Prices fall, the shortage of the accounts in breach grows, they sell more to cover it, and prices fall further. To
    first order the values sold v_j [currency at p0] answer to values sold by

        K_jl = p0_j sum_i Q~_ij (d gamma_i / d p_l) (d p_l / d v_l),    d p_l / d v_l = p_shocked_l f'(x_l) / depth_l

    summed over the accounts with E < M. Small sales v0 end at (I - K)^-1 v0 = v0 + K v0 + K^2 v0 + ... where the
    spectral radius is below 1, and do not stay small where it is above. d gamma / d p is that of the share that
    restores the margin, gamma = ((1+b) M - E) / ((1+b) M_c - penalty G_c), taken at gamma = 0, and every account in
    breach counts with it, also one that is beyond rescue. b is that of `TargetMargin`, and 0 for `FullLiquidation` and
    `CloseFactor`; `LeverageTarget` has its own gamma = (A - target E) / A_c. Accounts that are not in breach yet, and
    losses that pools share, are no part of it. With one asset it is the notional in breach over `critical_notional`.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shock.
    model : MarginCascade
        Its liquidation, impact and penalty.
    shock : mapping or Series asset -> relative price change
        -0.30 = falls by 30 %; None or empty: no shock.
    closed : Series by account, or array_like of shape (n,), optional
        Closed shares gamma at which to take slopes, prices and breaches, those of an equilibrium for example: K is then
        the derivative of the static map at fixed loss rates, and accounts that are wholly closed answer no more. None:
        no account has closed anything yet.

    Returns
    -------
    float
        0 if no account is in breach. Infinite if an account in breach with equity left cannot restore its margin by
        closing, since the penalty takes as much as the closing frees, or if the impact is infinitely steep, as
        `SquareRootImpact` is before anything is sold. An account without equity that no closing relieves is left out.

    Raises
    ------
    ParameterError
        A liquidation rule without `rule_slopes`; closed shares that are not n numbers from 0 to 1, or that meet an
        impact with volume="current", for which they do not say what was sold; a shock that the graph does not know or
        that is out of range.

    Notes
    -----
    K is only applied, as two sparse products, in ARPACK's iteration from a fixed start; with up to 64 assets in play
    all eigenvalues are computed. On netted books an eigenvalue of modulus above 1 can be an oscillation.

    References
    ----------
    Caccioli, Shrestha, Moore & Farmer (2014), J. Banking & Finance 46: fire sales are unstable where the largest
    eigenvalue of a branching matrix exceeds 1. Greenwood, Landier & Thesmar (2015), J. Financial Economics 115(3):
    the matrix of one round of leverage targeting.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[20.0]], price=1.0, depth=1000.0, margin_long=0.05, cash=[-19.1])
    >>> model = cg.MarginCascade(cg.TargetMargin(), impact=cg.LinearImpact(), penalty=0.01)
    >>> round(cg.spectral_radius(graph, model), 6)
    0.475
    >>> float((20.0 / cg.critical_notional(1000.0, 0.05, penalty=0.01)).round(6))
    0.475
    """
    check_graph(graph)
    check_model(model, MarginCascade, "cg.MarginCascade()")
    rule = rule_slopes(model.liquidation, model.penalty)
    if rule == STEP:
        rule = Quotient(1.0, 1.0, model.penalty)  # the share that restores the margin
    share = _closed_shares(graph, model, closed)
    graph, impact = prepared(graph, model)
    hit, base = scenario(graph, shock), np.zeros(len(share))
    if model.sharing is not None and share.any():
        base = model.sharing.weights(graph, hit.price_shocked)
    sells, answers, bounded = _links(
        Case(book_of(graph), hit, model, impact, base, payers_of(book_of(graph), model)), rule, share
    )
    return _radius(sells, answers) if bounded else float("inf")


def critical_notional(depth: Any, margin: Any, *, penalty: Any = 0.0, side: Side = "long") -> FloatArray:
    """Return the notional in breach of one asset from which it spirals.

    Who is short of margin by s closes s / (m - f). Each unit long that is in breach is short of (1 - m) r more after a
    fall by r, each unit short of (1 + m) r more after a rise, and closing N moves the price by N / depth. So it does
    not end where the notional in breach exceeds

        depth (m - f) / (1 - m) for longs,    depth (m - f) / (1 + m) for shorts.

    Parameters
    ----------
    depth, margin : array_like
        Currency, above 0, inf = no impact; maintenance margin rate m in (0, 1].
    penalty : array_like
        Share f of the closed notional that the account pays, from 0 up to below m.
    side : {"long", "short"}
        Which side is in breach.

    Returns
    -------
    ndarray
        Currency at the price before the shock, in the shape of the arguments together; inf where no notional spirals.

    Raises
    ------
    ParameterError
        If a value is out of range, or the shapes do not go together.

    References
    ----------
    Brunnermeier & Pedersen (2009), Review of Financial Studies 22(6): the loss spiral, and when it diverges.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.critical_notional([1000.0, 1000.0], 0.05, penalty=[0.0, 0.01]).round(4).tolist()
    [52.6316, 42.1053]
    >>> cg.critical_notional(1000.0, 0.05, penalty=0.05)
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: critical_notional: penalty is 0.05; it must be from 0 up to below margin
    """
    check_choice("critical_notional: side", side, get_args(Side))
    given = {"depth": depth, "margin": margin, "penalty": penalty}
    numbers = [numeric(f"critical_notional: {name}", value) for name, value in given.items()]
    try:
        D, m, f = np.broadcast_arrays(*numbers)
    except ValueError as error:
        raise ParameterError(f"critical_notional: {error}") from error
    for name, value, good, span in (
        ("depth", D, D > 0.0, "above 0"),
        ("margin", m, (m > 0.0) & (m <= 1.0), "above 0 up to 1"),
        ("penalty", f, (f >= 0.0) & (f < m), "from 0 up to below margin"),
    ):
        wrong = np.flatnonzero(~good)
        if wrong.size:
            where = f" at position {wrong[0]}" if value.ndim else ""
            raise ParameterError(f"critical_notional: {name} is {value.flat[wrong[0]]:g}{where}; it must be {span}")
    deeper = 1.0 - m if side == "long" else 1.0 + m
    return ratio(D * (m - f), deeper, np.inf)


def _closed_shares(graph: ExposureGraph, model: MarginCascade, closed: Any) -> FloatArray:
    if closed is None:
        return np.zeros(len(graph.account_index))
    if model.impact.volume == "current":
        raise ParameterError(
            "closed shares do not say what was sold where volume counts at the price when sold; use volume='initial'"
        )
    return closed_shares(graph, closed)


def _links(case: Case, rule: Quotient, share: FloatArray) -> tuple[sparse.csr_array, sparse.csr_array, bool]:
    """Return value sold at p0 by closed share, and closed share by value sold, and whether all that is bounded.

    Of the accounts in breach, and of the assets that one of them can sell and whose price answers to that.
    """
    book = case.book
    sold = case.sold(share)
    prices = case.prices(sold, np.zeros_like(sold))
    closing: Rows = np.flatnonzero(share)
    rate = case.loss_rate(share, closing, case.value_closed(prices, closing)[0])
    equity, maintenance = case.margins(prices, rate)
    rows = np.flatnonzero((equity < maintenance) & (share < 1.0))
    sells = book.quantity[rows] @ sparse.diags_array(book.price * book.sellable)
    sells.eliminate_zeros()
    # dp/dv; the volume of a first sale counts at p0, or at the shocked price
    counted = book.price if case.impact.volume == "initial" else case.scenario.price_shocked
    move = price_slopes(case, sold).terminal * counted / np.square(book.price)
    play = (move != 0.0) & (np.bincount(sells.indices, minlength=move.size) > 0)
    sells, move = sells[:, play].tocsr(), move[play]
    slopes = share_slopes(case, rule, rows, share[rows], prices.terminal)
    # however much such an account closes, it is short of more
    beyond_relief = (slopes.relief <= 0.0) & (equity[rows] > 0.0) & (np.diff(sells.indptr) > 0)
    bounded = not (beyond_relief.any() or np.isinf(move).any())
    return sells, slopes.by_price[:, play] @ sparse.diags_array(np.where(np.isinf(move), 0.0, move)), bounded


def _radius(sells: sparse.csr_array, answers: sparse.csr_array) -> float:
    """Return the largest modulus among the eigenvalues of sells^T answers."""
    back, answers, size = sells.T.tocsr(), answers.tocsr(), sells.shape[1]
    if size == 0:
        return 0.0
    if size > DENSE:
        operator = linalg.LinearOperator((size, size), matvec=lambda v: back @ (answers @ v), dtype=np.float64)
        start = np.random.default_rng(0).uniform(0.5, 1.5, size)
        try:
            return float(np.abs(linalg.eigs(operator, k=1, v0=start, return_eigenvectors=False)).max())
        except linalg.ArpackError:  # it has met an invariant subspace, or eigenvalues too close to tell apart
            pass
    return float(np.abs(np.linalg.eigvals((back @ answers).toarray())).max())
