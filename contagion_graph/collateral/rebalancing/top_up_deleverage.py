"""The cheapest change that keeps accounts solvent: collateral added, or positions closed."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice
from contagion_graph.collateral.rebalancing.margin_pieces import Choices, ruled, with_pieces
from contagion_graph.collateral.rebalancing.plan import AtRisk, Plan, at_risk, least, plan_of
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import AccountKey
from contagion_graph.solvers.programme import Programme
from contagion_graph.tables.checks import read_table
from contagion_graph.tables.schema import CASH, Number, Table
from contagion_graph.tables.vectors import row_of, vector

Objective = Literal["turnover", "cost", "impact"]
COST = Number("share of the value closed", low=0, high=1)
LOT = Number("units", low=0, infinite=True)
Accounts = Iterable[AccountKey] | AccountKey | None
DUST = 1e-12  # share of a need: less is the rounding of an optimum, not a trade


def top_up(graph: ExposureGraph, eligible: object, *, target: float = 0.0, accounts: Accounts = None) -> Plan:
    """Find the cheapest collateral to add so that accounts reach a target margin.

    With x_ia >= 0 the value of asset a that account i receives and h_a its haircut, column margin_long,

        minimise sum c_a x_ia   with   sum_a (1 - (1 + target) h_a) x_ia >= (1 + target) M_i - E_i
        sum_i x_ia <= available_a
        x_ia <= limit_a sum_b x_ib + max(0, limit_a collateral_i - held_ia)

    Where margin tiers or a scenario grid say the margin, (1 + target) (M_i(x) - M_i) takes the place of h_a's part.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts.
    eligible : table
        Columns asset (blank: cash) and, where it matters, cost (share of value, default 0), available (currency, for
        all accounts together), limit (share of an account's collateral, its long positions and cash, that the asset
        may be; what is added to an account beyond its limit already may have no larger share), lot (units; blank: any
        amount).
    target : float
        Equity above maintenance that is wanted, as a share of maintenance.
    accounts : traders or (trader, pool, subaccount), optional
        The accounts considered; None: all. Accounts that reach the target already get nothing.

    Returns
    -------
    Plan
        Its deposits; `total` is their cost.

    Raises
    ------
    InfeasibleError
        Which account lacks how much at best, and what binds.
    ConvergenceError
        The solver stopped, or its answer is not verified.
    TableError
        Faults of the table, an asset that the graph does not have.

    References
    ----------
    A linear programme, with lots a mixed-integer one, solved by HiGHS: Huangfu & Hall (2018), Mathematical Programming
    Computation 10. With one account and no limit it is a fractional knapsack: fill by cost over 1 - h.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0, 0.0]], price=[100.0, 50.0], margin_long=[0.1, 0.5], cash=[-950.0], traders=["Ann"],
    ...     assets=["ETH", "SOL"],
    ... )
    >>> eligible = {"asset": ["", "SOL"], "cost": [0.05, 0.01], "available": [1000.0, 60.0]}
    >>> cg.collateral.top_up(graph, eligible).table[["trader", "asset", "action", "quantity", "cost"]]
      trader asset   action  quantity  cost
    0    Ann        deposit      20.0   1.0
    1    Ann    SOL deposit       1.2   0.6
    """
    risky = at_risk("top_up", graph, target, accounts)
    offer, column = _eligible(graph, eligible)
    number = {name: np.tile(values, risky.rows.size) for name, values in offer.numbers.items()}
    n, k = risky.rows.size, offer.size
    of, what = np.repeat(np.arange(n), k), np.tile(column, n)
    price = np.where(what < 0, 1.0, graph.price[what])
    step = np.where(np.isnan(number["lot"]), 1.0, number["lot"] * price)
    haircut = np.where((what < 0) | ruled(graph, risky, of, what), 0.0, graph.margin_long[what])
    usable = step * (1.0 - (1.0 + target) * haircut)
    use, limit, names = _limits(graph, risky, offer, column, step)
    programme = Programme(
        cost=number["cost"] * step,
        gain=_by_account(of, usable, n),
        need=risky.lack,
        use=use,
        limit=limit,
        upper=np.full(of.size, np.inf),
        whole=~np.isnan(number["lot"]),
    )
    programme, more = with_pieces(programme, graph, risky, Choices(of, what, step / price), 1.0 + target)
    found = least("top_up", graph, risky, programme, lambda: (names + more, ()))
    value = found.x[: of.size] * step
    value = np.where(value > DUST * risky.lack[of], value, 0.0)
    asset = np.array([*graph.assets, CASH], dtype=object)[what]
    cost = number["cost"] * value
    columns = {"asset": asset, "action": "deposit", "quantity": value / price, "cost": cost}
    return plan_of(graph, risky.rows[of], cost.sum(), solution=found.solution, **columns)


def deleverage(
    graph: ExposureGraph,
    *,
    target: float = 0.0,
    cost: Any = 0.0,
    objective: Objective = "turnover",
    lots: Any = None,
    accounts: Accounts = None,
) -> Plan:
    """Find what accounts close, at present prices, so that they reach a target margin.

    With x_ij in [0, |Q_ij| p_j] the value that account i closes of asset j, m_ij its margin rate there, c_j the cost,

        sum_j ((1 + target) m_ij - c_j) x_ij >= (1 + target) M_i - E_i

    and the least sum x ("turnover"), sum c x ("cost"), or sum c x + sum_j (sold_j^2 + bought_j^2) / (2 depth_j)
    ("impact": the price impact of sales and purchases to first order, each side by itself). Where margin tiers or a
    scenario grid say the margin, M_i less the margin of what is left takes the place of sum_j m_ij x_ij.

    Parameters
    ----------
    graph : ExposureGraph
        What is not sellable is not closed.
    target : float
        Equity above maintenance that is wanted, as a share of maintenance.
    cost : number, array_like, or mapping or Series by asset
        c_j, paid by the account: share of the value closed.
    objective : {"turnover", "cost", "impact"}
        What is to be least.
    lots : number, array_like, or mapping or Series by asset, optional
        Units of a lot; 0: any amount.
    accounts : traders or (trader, pool, subaccount), optional
        The accounts considered; None: all.

    Returns
    -------
    Plan
        What is closed; `total` is the objective at its least [currency].

    Raises
    ------
    InfeasibleError
        An account reaches the target not even when all that helps is closed.
    ConvergenceError
        The solver stopped, or its answer is not verified.
    ParameterError
        Lots together with "impact"; a cost or a lot out of range, or of an unknown asset; unknown accounts.

    References
    ----------
    HiGHS as in `top_up`; "impact" is a convex quadratic programme, solved by Clarabel: Goulart & Chen (2024),
    arXiv:2405.12762.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[5.0, 3.0, 2.0]], price=100.0, margin_long=[0.05, 0.10, 0.02], cash=[-960.0], assets=["X", "Y", "Z"]
    ... )
    >>> plan = cg.collateral.deleverage(graph, cost={"X": 0.002, "Y": 0.03, "Z": 0.001})
    >>> plan.table[["asset", "quantity"]].round(4).to_dict("list"), round(plan.total, 4)
    ({'asset': ['Y'], 'quantity': [2.7143]}, 271.4286)
    """
    check_choice("deleverage: objective", objective, get_args(Objective))
    risky = at_risk("deleverage", graph, target, accounts)
    faults = Faults(ParameterError)
    share = vector("cost", cost, graph.assets, COST, faults, base=0.0)
    lot = vector("lots", 0.0 if lots is None else lots, graph.assets, LOT, faults, base=0.0)
    faults.raise_if_any()
    if objective == "impact" and lot.any():
        raise ParameterError(
            "deleverage: lots are whole numbers, which objective='impact' cannot keep; drop one of them"
        )
    held, rate = graph.quantity[risky.rows], graph.margin_units[risky.rows].data
    of, what, n = np.repeat(np.arange(risky.rows.size), np.diff(held.indptr)), held.indices, risky.rows.size
    closable = graph.sellable[what] & (held.data != 0.0)
    of, what, units, rate = of[closable], what[closable], np.abs(held.data[closable]), rate[closable]
    lot, price = lot[what], graph.price[what]
    step = np.where(lot > 0.0, lot * price, price)
    by_pieces = ruled(graph, risky, of, what)
    rate = np.where(by_pieces, 0.0, rate / units)
    gain = ((1.0 + target) * rate - share[what]) * step
    programme = Programme(
        cost=step if objective == "turnover" else share[what] * step,
        gain=_by_account(of, gain, n),
        need=risky.lack,
        use=sparse.csr_array((0, of.size)),
        limit=np.empty(0),
        upper=np.where(lot > 0.0, np.floor(units / np.where(lot > 0.0, lot, 1.0) * (1.0 + DUST)), units),
        whole=lot > 0.0,
    )
    short = held.data[closable] < 0.0
    choices = Choices(of, what, np.where(short, step, -step) / price)
    programme, more = with_pieces(programme, graph, risky, choices, 1.0 + target)
    pressure = _pressure(graph, what, short, step, programme.cost.size)
    squares = (pressure, 1.0 / np.tile(graph.depth, 2)) if objective == "impact" else None
    names = [f"all of its {label} closed" for label in graph.assets]
    found = least("deleverage", graph, risky, programme, lambda: (more, [names[j] for j in what]), squares)
    x, closing = found.x.copy(), found.x[: of.size]
    x[: of.size] = np.where(closing * np.where(by_pieces, step, gain) > DUST * risky.lack[of], closing, 0.0)
    value = x[: of.size] * step
    extra = 0.0 if squares is None else float(((pressure @ x) ** 2 * squares[1] / 2.0).sum())
    columns = {"asset": graph.assets[what], "action": "close", "quantity": value / price, "cost": share[what] * value}
    total = float(programme.cost @ x) + extra
    return plan_of(graph, risky.rows[of], total, solution=found.solution, **columns)


def _pressure(graph: ExposureGraph, what: Any, short: Any, step: FloatArray, size: int) -> sparse.csr_array:
    """Return the value sold of each asset, then the value bought, by what is closed; shape (2 m, size)."""
    m = len(graph.assets)
    return sparse.csr_array((step, (what + np.where(short, m, 0), np.arange(what.size))), (2 * m, size))


def _by_account(of: Any, values: FloatArray, n: int) -> sparse.csr_array:
    return sparse.csr_array((values, (of, np.arange(of.size))), (n, of.size))


def _eligible(graph: ExposureGraph, source: object) -> tuple[Table, Any]:
    """Read table eligible; return it, and the column of each asset, -1 for cash."""
    faults = Faults()
    table = read_table("eligible", source, faults)
    faults.raise_if_any()
    if table is None or table.size == 0:
        raise ParameterError("top_up: table eligible has no rows; name at least one asset, or a blank for cash")
    labels = [str(table.labels["asset"].values[code]) for code in table.labels["asset"].codes]
    columns = [[-1] if label == CASH else row_of("eligible.asset", label, graph.assets, faults) for label in labels]
    faults.raise_if_any()
    return table, np.array([column[0] for column in columns], dtype=np.int64)


def _limits(
    graph: ExposureGraph, risky: AtRisk, offer: Table, column: Any, step: FloatArray
) -> tuple[sparse.csr_array, FloatArray, list[str]]:
    """Return what there is of each asset, and how much of it an account may hold, as rows over (account, asset)."""
    n, k = risky.rows.size, offer.size
    label = [CASH if j < 0 else str(graph.assets[j]) for j in column]
    own = sparse.diags_array(step)
    bounded = np.flatnonzero(np.isfinite(offer.numbers["available"]))
    stock = sparse.kron(np.ones((1, n)), sparse.eye_array(k, format="csr")[bounded], format="csr") @ own
    shown = [f"available {label[a] or 'cash'}" for a in bounded]
    capped = np.flatnonzero(offer.numbers["limit"] < 1.0)
    share = offer.numbers["limit"][capped]
    block = sparse.eye_array(k, format="csr")[capped] - sparse.csr_array(np.outer(share, np.ones(k)))
    concentration = sparse.kron(sparse.eye_array(n), block, format="csr") @ own
    value = graph.quantity[risky.rows].maximum(0.0) @ sparse.diags_array(graph.price)
    cash = np.maximum(graph.cash[risky.rows], 0.0)
    total = np.asarray(value.sum(axis=1)).ravel() + cash
    held = np.column_stack([cash if column[a] < 0 else value[:, [column[a]]].toarray()[:, 0] for a in capped] or [[]])
    room = np.maximum(total[:, None] * share - held, 0.0).ravel() if capped.size else np.empty(0)
    shown += [f"limit of {label[a] or 'cash'} for {risky.label(graph, i)}" for i in range(n) for a in capped]
    return (
        sparse.vstack([stock, concentration], format="csr"),
        np.append(offer.numbers["available"][bounded], room),
        shown,
    )
