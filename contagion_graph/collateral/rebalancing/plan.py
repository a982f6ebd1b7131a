"""A plan: what accounts add, close or move, as a table, and the graph after it."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from contagion_graph._result import Result
from contagion_graph._solution import EXACT, Solution
from contagion_graph._typing import FloatArray
from contagion_graph._validate import ROUNDING, check_number
from contagion_graph.errors import InfeasibleError, ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph, check_no_instruments
from contagion_graph.margin.model import MarginCascade
from contagion_graph.solvers.arrays import ratio
from contagion_graph.solvers.programme import MISS, Optimum, Programme, Squares
from contagion_graph.tables.labels import label_text
from contagion_graph.tables.schema import ACCOUNT_LEVELS, CASH
from contagion_graph.tables.vectors import account_rows

Rows = np.ndarray[Any, np.dtype[np.int64]]
COLUMNS = (*ACCOUNT_LEVELS, "asset", "action", "quantity", "cost")


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Result):
    """What accounts add, close or move to reach their target margin.

    Parameters
    ----------
    table : DataFrame
        trader, pool, subaccount; asset (blank = cash); action: "deposit" (fully paid units or cash are added), "close"
        (units held are sold, units owed bought back, at the price), "send" and "receive" (cash moves between accounts
        of a trader); quantity [units, or currency of cash], above 0; cost [currency]. The cost of closing and of
        sending is paid by the account itself, that of deposits by those that provide them.
    total : float
        What was minimised: the sum of costs, or the value closed [currency].
    solution : Solution
        How the computation ended.
    model : MarginCascade, optional
        The cascade that the plan was made for; None: the needs do not depend on a cascade.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0]], price=[100.0], margin_long=0.1, cash=[-950.0], traders=["Ann"], assets=["ETH"]
    ... )
    >>> plan = cg.collateral.deleverage(graph)
    >>> plan.table[["trader", "asset", "action", "quantity"]]
      trader asset action  quantity
    0    Ann   ETH  close       5.0
    >>> plan.apply(graph).slack.round(6).tolist()
    [0.0]
    """

    table: pd.DataFrame
    _: KW_ONLY
    total: float
    solution: Solution = EXACT
    model: MarginCascade | None = None

    def apply(self, graph: ExposureGraph) -> ExposureGraph:
        """Return the graph after the plan.

        A deposit is a position of its own, fully paid. Closing takes the same share off every position that the account
        has in the asset, realises profit and loss in cash at the price, and pays the cost.

        Parameters
        ----------
        graph : ExposureGraph
            The one that the plan was made for.

        Returns
        -------
        ExposureGraph
            With the same accounts and assets, in the same order.

        Raises
        ------
        ParameterError
            An account or asset that the graph does not have, or more to close than is held.
        """
        check_graph(graph)
        frames = graph.to_frames()
        cash, positions = frames["accounts"]["cash"].to_numpy(copy=True), frames["positions"]
        account, asset = self._places(graph)
        action = self.table["action"].to_numpy()
        quantity, cost = self.table["quantity"].to_numpy(np.float64), self.table["cost"].to_numpy(np.float64)
        sign = np.select([action == "send", action == "close"], [-1.0, 0.0], 1.0)
        np.add.at(cash, account, np.where(asset < 0, sign * quantity, 0.0) - np.where(action != "deposit", cost, 0.0))
        closing = action == "close"
        positions = _closed(graph, positions, cash, (account[closing], asset[closing], quantity[closing]))
        added = self.table[(action == "deposit") & (asset >= 0)]
        frames["positions"] = pd.concat([positions, _deposits(added, positions)], ignore_index=True)
        frames["accounts"] = frames["accounts"].assign(cash=cash)
        return ExposureGraph.from_tables(**frames, payoffs=graph.payoffs)

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            accounts, lines (of the table), total (what was minimised), cost (the sum) [currency].
        """
        accounts = self.table[list(ACCOUNT_LEVELS)].drop_duplicates()
        figures = {"accounts": len(accounts), "lines": len(self.table), "total": self.total}
        return pd.Series({**figures, "cost": self.table["cost"].sum()}, dtype=float)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"plan": self.table.set_index(list(ACCOUNT_LEVELS))}

    def __repr__(self) -> str:
        s = self.summary()
        return (
            f"<Plan: {s['lines']:,.0f} line{'' if s['lines'] == 1 else 's'} for {s['accounts']:,.0f} "
            f"account{'' if s['accounts'] == 1 else 's'}; total {self.total:,.6g}. {self.solution.status.value}>"
        )

    def _places(self, graph: ExposureGraph) -> tuple[Rows, Rows]:
        labels = pd.MultiIndex.from_frame(self.table[list(ACCOUNT_LEVELS)].astype("str"))
        account = graph.account_index.get_indexer(labels)
        asset = graph.assets.get_indexer(pd.Index(self.table["asset"]))
        wrong = np.flatnonzero((account < 0) | ((asset < 0) & (self.table["asset"] != CASH)))
        if wrong.size:
            row = self.table.iloc[wrong[0]]
            raise ParameterError(
                f"plan: the graph has no account {label_text(tuple(row[list(ACCOUNT_LEVELS)]))!r} or no asset "
                f"{row['asset']!r}; apply a plan to the graph that it was made for"
            )
        return account, asset


def _closed(graph: ExposureGraph, positions: pd.DataFrame, cash: FloatArray, cells: Any) -> pd.DataFrame:
    """Take what is closed off the positions, and put what it fetches into cash."""
    account, asset, quantity = cells
    closed = pd.Series(quantity, index=pd.MultiIndex.from_arrays([account, asset])).groupby(level=[0, 1]).sum()
    rows = graph.account_index.get_indexer(pd.MultiIndex.from_frame(positions[list(ACCOUNT_LEVELS)]))
    columns = graph.assets.get_indexer(pd.Index(positions["asset"]))
    held = positions["quantity"].to_numpy(np.float64)
    cell = pd.MultiIndex.from_arrays([rows, columns])
    net = pd.Series(held, index=cell).groupby(level=[0, 1]).sum().abs().reindex(closed.index, fill_value=0.0)
    over = np.flatnonzero(closed.to_numpy() > net.to_numpy() * (1.0 + MISS))
    if over.size:
        row, column = closed.index[over[0]]
        raise ParameterError(
            f"plan: account {label_text(graph.account_index[row])!r} closes {closed.iloc[over[0]]:g} units of "
            f"{graph.assets[column]!r} and holds {net.iloc[over[0]]:g}; apply a plan to the graph that it was made for"
        )
    share = (closed / net).clip(upper=1.0).reindex(cell, fill_value=0.0).to_numpy()
    entry = np.nan_to_num(positions["entry_price"].to_numpy(np.float64))
    np.add.at(cash, rows, share * held * (graph.price[columns] - entry))
    return positions.assign(quantity=held * (1.0 - share))[share < 1.0]


def _deposits(rows: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Return deposits as positions; the ids of positions are theirs alone."""
    columns = {name: rows[name].to_numpy() for name in ("trader", "asset", "pool", "subaccount", "quantity")}
    frame = pd.DataFrame({**columns, "entry_price": np.nan, "margin": np.nan, "kind": "deposit"})
    if "position" in like:
        taken = set(like["position"])
        names = (name for k in range(len(taken) + len(frame)) if (name := f"deposit {k}") not in taken)
        frame["position"] = [next(names) for _ in range(len(frame))]
    return frame


class AtRisk(NamedTuple):
    """The accounts that miss a target, what they lack of it, and that rounded in their favour [currency]."""

    rows: Rows
    lack: FloatArray
    need: FloatArray

    def label(self, graph: ExposureGraph, k: int) -> str:
        """Return how the k-th of them is shown."""
        return label_text(graph.account_index[self.rows[k]])


def at_risk(owner: str, graph: ExposureGraph, target: float, accounts: Any = None) -> AtRisk:
    """Return the accounts with E < (1 + target) M, all or among some, and (1 + target) M - E of each [currency].

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0], [10.0]], price=100.0, margin_long=0.1, cash=[-950.0, -800.0])
    >>> at_risk("top_up", graph, 0.5).lack.tolist()
    [100.0]
    """
    check_graph(graph)
    check_no_instruments(graph, owner)
    check_number(owner, "target", target, low=0)
    lack = (1.0 + target) * graph._rows.initial.maintenance - graph._rows.equity
    rows = np.arange(lack.size)
    if accounts is not None:
        rows = np.unique(account_rows(accounts, graph.account_index, f"{owner}: accounts"))
    rows = rows[lack[rows] > 0.0]
    return AtRisk(rows, lack[rows], lack[rows] + favour(graph)[rows])


def favour(graph: ExposureGraph) -> FloatArray:
    """Return by how much plans round in the favour of each account: a share of |cash| + gross value [currency]."""
    return ROUNDING * (np.abs(graph.cash) + graph._rows.initial.gross)


Names = Callable[[], tuple[Sequence[str], Sequence[str]]]


def least(
    owner: str, graph: ExposureGraph, risky: AtRisk, programme: Programme, names: Names, squares: Squares | None = None
) -> Optimum:
    """Return the optimum of a programme; where no x reaches all needs, raise: which account lacks what, what binds.

    The needs are those of `risky`, rounded in the accounts' favour where that is feasible and nothing is bound to
    lots: a tie would take a lot more. `names` returns the names of the programme's limits and of its upper bounds;
    `squares` is what a quadratic programme adds to the cost.
    """
    found = None if programme.whole.any() else replace(programme, need=risky.need).solve(owner, squares)
    if found is None:
        found = programme.solve(owner, squares)
    if found is None:
        raise _infeasible(owner, graph, risky, programme, *names())
    return found._replace(x=_made_up(programme, found.x, risky.need))


def _made_up(programme: Programme, x: FloatArray, need: FloatArray) -> FloatArray:
    """Return x with what a solver's tolerance has missed of a need made up by what is divisible, in proportion.

    Each x helps one account.
    """
    helps = programme.gain.maximum(0.0)
    inside = (x < programme.upper) & ~programme.whole
    part, short = helps @ (x * inside), np.maximum(need - programme.gain @ x, 0.0)
    short = np.where(short <= MISS * need, short, 0.0)  # more is no miss of a solver: the needs themselves were solved
    more = (helps > 0.0).T @ ratio(short, part, 0.0)
    return np.where(inside, np.minimum(x * (1.0 + more), programme.upper), x)


def _infeasible(
    owner: str, graph: ExposureGraph, risky: AtRisk, programme: Programme, limits: Sequence[str], uppers: Sequence[str]
) -> InfeasibleError:
    missing, best = programme.shortfall(owner)
    binding = programme.binding(int(np.argmax(missing)), best, limits, uppers)
    short = np.flatnonzero(missing > MISS * risky.lack)
    worst = short[np.argmax(missing[short])]
    limits = "; ".join(binding) or "nothing that may be used helps it"
    message = (
        f"{owner}: {short.size} account{'s' if short.size > 1 else ''} cannot reach the target; "
        f"{risky.label(graph, int(worst))!r} lacks {missing[worst]:,.6g} of {risky.lack[worst]:,.6g} [currency] at "
        f"best. What binds: {limits}. Allow more, or lower the target"
    )
    return InfeasibleError(message, {graph.account_index[risky.rows[k]]: float(missing[k]) for k in short})


def plan_of(
    graph: ExposureGraph,
    rows: Rows,
    total: float,
    *,
    solution: Solution = EXACT,
    model: MarginCascade | None = None,
    **columns: Any,
) -> Plan:
    """Return a plan for the accounts of some rows; lines of nothing are left out."""
    labels = {name: graph.account_index.get_level_values(name)[rows] for name in ACCOUNT_LEVELS}
    table = pd.DataFrame({**labels, **columns})[list(COLUMNS)]
    table = table[table["quantity"] > 0.0].reset_index(drop=True)
    return Plan(table, total=float(total), solution=solution, model=model)
