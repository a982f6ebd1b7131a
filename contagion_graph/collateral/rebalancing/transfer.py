"""Moving a trader's own cash to where it is needed: between pools and chains, over routes with limits and fees."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray
from contagion_graph.collateral.rebalancing.plan import AtRisk, Plan, Rows, at_risk, favour, least, plan_of
from contagion_graph.collateral.rebalancing.top_up_deleverage import DUST, Accounts
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.solvers.programme import Programme
from contagion_graph.tables.assemble import check_known
from contagion_graph.tables.checks import read_table
from contagion_graph.tables.labels import label_text
from contagion_graph.tables.schema import CASH, Table


class Ways(NamedTuple):
    """Every way of moving cash: the account that sends, the one at risk that receives (its number), the route."""

    source: Rows
    risky: Rows
    route: Rows


def transfer(
    graph: ExposureGraph, routes: object, *, target: float = 0.0, deadline: float = np.inf, accounts: Accounts = None
) -> Plan:
    """Find the cheapest moves of traders' own cash, between their accounts, after which accounts reach a target margin.

    With y_sir >= 0 the cash that account s sends to account i of the same trader over route r,

        minimise sum fee_r y_sir   with   sum_{s,r} (1 - fee_r) y_sir >= (1 + target) M_i - E_i
        sum_{i,r} y_sir <= spare_s,   sum_{s,i} y_sir <= capacity_r

    spare_s is the account's cash, at most what it has above the target itself: E_s - (1 + target) M_s.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts in v pools.
    routes : table
        Columns from_pool, to_pool and, where it matters, capacity (currency), fee (share of what is sent), delay
        (days). Between accounts of one pool: a route from the pool to itself.
    target : float
        Equity above maintenance that is wanted, as a share of maintenance.
    deadline : float
        Days; slower routes are not used.
    accounts : traders or (trader, pool, subaccount), optional
        The accounts to bring to the target; None: all that are below it.

    Returns
    -------
    Plan
        Pairs of "send" and "receive"; `total` is the fees.

    Raises
    ------
    InfeasibleError
        Which account lacks how much at best, and what binds.
    ConvergenceError
        The solver stopped, or its answer is not verified.
    TableError
        Faults of the table, a pool that the graph does not have.

    References
    ----------
    A transport problem with losses on the way (generalised network flow), solved as a linear programme by HiGHS.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_tables(
    ...     positions={"trader": ["Ann"], "asset": ["ETH"], "quantity": [10.0], "pool": ["rollup"]},
    ...     assets={"asset": ["ETH"], "price": [100.0], "margin_long": [0.1]},
    ...     accounts={"trader": ["Ann", "Ann"], "pool": ["rollup", "mainnet"], "cash": [-950.0, 500.0]},
    ... )
    >>> routes = {"from_pool": ["mainnet"], "to_pool": ["rollup"], "fee": [0.02]}
    >>> plan = cg.collateral.transfer(graph, routes)
    >>> plan.table[["pool", "action", "quantity", "cost"]].round(3)
          pool   action  quantity  cost
    0  mainnet     send      50.0  1.02
    1   rollup  receive      50.0  0.00
    """
    risky = at_risk("transfer", graph, target, accounts)
    table = _routes(graph, routes)
    if not deadline >= 0.0:
        raise ParameterError(f"transfer: deadline is {deadline!r}; it must be a number of days from 0 up")
    spare = _spare(graph, target)
    ways = _ways(graph, table, risky, spare, deadline)
    n, k = risky.rows.size, ways.route.size
    fee = table.numbers["fee"][ways.route]
    sources, source = np.unique(ways.source, return_inverse=True)
    capacity = table.numbers["capacity"]
    bounded = np.isfinite(capacity)
    over = sparse.csr_array((np.ones(k), (ways.route, np.arange(k))), (table.size, k))
    out = sparse.csr_array((np.ones(k), (source, np.arange(k))), (sources.size, k))
    programme = Programme(
        cost=fee,
        gain=sparse.csr_array((1.0 - fee, (ways.risky, np.arange(k))), (n, k)),
        need=risky.lack,
        use=sparse.vstack([out, over[bounded]], format="csr"),
        limit=np.append(spare[sources], capacity[bounded]),
        upper=np.full(k, np.inf),
        whole=np.zeros(k, dtype=bool),
    )

    def names() -> tuple[list[str], tuple[()]]:
        spare_of = [f"cash to spare in {label_text(graph.account_index[s])}" for s in sources]
        return spare_of + [f"capacity of {_route_name(table, r)}" for r in np.flatnonzero(bounded).tolist()], ()

    found = least("transfer", graph, risky, programme, names)
    sent = np.where(found.x > DUST * risky.lack[ways.risky], found.x, 0.0)
    return _moves(graph, risky, ways, sent, fee, found.solution)


def _moves(
    graph: ExposureGraph, risky: AtRisk, ways: Ways, sent: FloatArray, fee: FloatArray, solution: Solution
) -> Plan:
    """Return a line for what is sent and one for what is received; the sender pays the fee on top of what arrives."""
    rows = np.column_stack([ways.source, risky.rows[ways.risky]]).ravel()
    arrives = sent * (1.0 - fee)
    cost = np.column_stack([sent - arrives, np.zeros_like(sent)]).ravel()
    columns: dict[str, Any] = {
        "asset": CASH,
        "action": np.tile(["send", "receive"], sent.size),
        "quantity": np.repeat(arrives, 2),
    }
    return plan_of(graph, rows, float((fee * sent).sum()), solution=solution, **columns, cost=cost)


def _routes(graph: ExposureGraph, source: object) -> Table:
    faults = Faults()
    table = read_table("routes", source, faults)
    if table is not None:
        for column in ("from_pool", "to_pool"):
            check_known(table, column, graph.pools, "Use a pool of the graph.", faults)
    faults.raise_if_any()
    assert table is not None, "a table that cannot be read is a fault"
    return table


def _spare(graph: ExposureGraph, target: float) -> FloatArray:
    cash = graph.cash if graph.records is None else graph.records.own_cash
    above = graph._rows.equity - (1.0 + target) * graph._rows.initial.maintenance - favour(graph)
    return np.maximum(np.minimum(cash, above), 0.0)


def _ways(graph: ExposureGraph, table: Table, risky: AtRisk, spare: FloatArray, deadline: float) -> Ways:
    """Join accounts at risk with the accounts of the same trader that have cash to spare, and with the routes."""
    pool = [graph.pools.get_indexer(_labels(table, column)) for column in ("from_pool", "to_pool")]
    fast = np.flatnonzero(table.numbers["delay"] <= deadline)
    route = pd.DataFrame({"route": fast, "start": pool[0][fast], "end": pool[1][fast]})
    trader, place = graph._rows.trader_of, graph._rows.pool_of
    giving = np.flatnonzero(spare > 0.0)
    sources = pd.DataFrame({"source": giving, "trader": trader[giving], "start": place[giving]})
    needy = pd.DataFrame({"risky": np.arange(risky.rows.size), "trader": trader[risky.rows], "end": place[risky.rows]})
    joined = needy.merge(sources, on="trader").merge(route, on=["start", "end"]).sort_values(["risky", "source"])
    return Ways(*(joined[name].to_numpy(np.int64) for name in ("source", "risky", "route")))


def _labels(table: Table, column: str) -> Any:
    return table.labels[column].values[table.labels[column].codes]


def _route_name(table: Table, route: int) -> str:
    return " -> ".join(str(_labels(table, column)[route]) for column in ("from_pool", "to_pool"))
