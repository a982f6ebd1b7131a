"""Attribution of the indirect losses of a cascade to their sources (docs/blame.md)."""

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice
from contagion_graph.graph.scenario import AccountKey
from contagion_graph.margin.attribution.replay import check_sellers, replay, rows_of
from contagion_graph.margin.result import CascadeResult
from contagion_graph.margin.trades import Rows

By = Literal["trader", "asset", "pool", "round", "victim"]
NO_ASSET = ""


class _Ledger:
    """Amounts by source: one number a trader, asset, pool or round.

    price and shared are what all victims lose by sales and by shortfalls, own_price and own_shared the part of it that
    the trader of the source bears itself.
    """

    def __init__(self, result: CascadeResult, by: By) -> None:
        graph, rounds = result.graph, len(result.arrays.rounds)
        self.by, self.number = by, 0
        indexes: dict[str, pd.Index[Any]] = {
            "trader": graph.traders.rename("trader"),
            "victim": graph.traders.rename("trader"),
            "asset": graph.assets.append(pd.Index([NO_ASSET])).rename("asset"),
            "pool": graph.pools.rename("pool"),
            "round": pd.RangeIndex(rounds + 1, name="round"),
        }
        self.index = indexes[by]
        self.key = graph._rows.pool_of if by == "pool" else graph._rows.trader_of
        names = ("price", "own_price", "shared", "own_shared", "penalty", "relief")
        self.columns = {name: np.zeros(len(self.index)) for name in names}

    def add(self, name: str, rows: Rows, amount: FloatArray) -> None:
        """Add what accounts are the source of."""
        if self.by in {"asset", "round"}:
            self.columns[name][len(self.index) - 1 if self.by == "asset" else self.number] += amount.sum()
        else:
            np.add.at(self.columns[name], self.key[rows], amount)

    def contract(self, name: str, rows: Rows, shares: sparse.csr_array, loss: Any) -> None:
        """Add shares times the loss through each channel, one number a channel or one a source and channel."""
        amount = shares.multiply(loss)
        if self.by == "asset" and name.endswith("price"):
            self.columns[name][:-1] += amount.sum(axis=0)
        else:
            self.add(name, rows, amount.sum(axis=1))

    def frame(self) -> pd.DataFrame:
        """Return the table."""
        c = self.columns
        sales, shortfalls = c["price"] - c["own_price"], c["shared"] - c["own_shared"]
        itself = c["own_price"] + c["own_shared"] + c["penalty"]
        columns = {
            "self_inflicted": itself,
            "sales": sales,
            "shortfalls": shortfalls,
            "from_others": sales + shortfalls,
            "limited_liability": c["relief"],
            "total": itself + sales + shortfalls + c["relief"],
        }
        return pd.DataFrame(columns, index=self.index)


def blame(result: CascadeResult, by: By = "trader", *, victim: AccountKey | None = None) -> pd.DataFrame:
    """Attribute the indirect loss to the traders, assets, pools or rounds that are its source.

    A price move of a round is caused by the accounts that traded in it, in proportion to their share in the asset's net
    sale; a socialised loss by the accounts that left the shortfall; a penalty by the account that pays it:

        indirect_i = sum_t sum_j a_tij sum_s share_tsj + sum_t paid_ti sum_s share_ts + penalty_i + relief_i

    with a_tij what account i loses by the move of asset j in round t (docs/blame.md). The sums are exact: the totals of
    a table add up to the indirect loss, to rounding.

    Parameters
    ----------
    result : CascadeResult
        What `MarginCascade.run` returned.
    by : {"trader", "asset", "pool", "round", "victim"}
        What a row is: the trader whose accounts sold or left shortfalls; the asset whose price moved; the pool of those
        accounts; the round. "victim": the trader who bears the loss, whatever its source.
    victim : trader or (trader, pool, subaccount), optional
        Count only what this trader, or account, loses; None: all.

    Returns
    -------
    DataFrame
        All in currency. self_inflicted: by the trader that bears it, with the penalty. sales, shortfalls: by another
        trader than the one that bears it; from_others: the sum of the two. limited_liability: what the victim was
        spared, or, above 0, lost by the shock beyond its equity, in the row of the victim (round 0: the shock). total:
        all of it. By asset, the last row, "", is what passed through no price.

    Raises
    ------
    ParameterError
        An equilibrium, which has no rounds; an unknown `by` or `victim`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
    ... )
    >>> result = cg.MarginCascade().run(graph, {"0": -0.10})
    >>> cg.blame(result)[["self_inflicted", "from_others", "total"]].round(2)
            self_inflicted  from_others   total
    trader
    A                43.54        85.65  129.18
    B                 0.00         0.00    0.00
    >>> float(cg.blame(result, victim="B").loc["A", "sales"].round(2))
    85.65
    """
    check_choice("by", by, get_args(By))
    check_sellers(result)
    victims = np.ones(len(result.graph.account_index), dtype=bool)
    if victim is not None:
        victims[:] = False
        victims[rows_of(result, victim, "victim")] = True
    ledger = _Ledger(result, by)
    every = np.flatnonzero(victims)
    accounts = result.accounts.iloc[every]
    ledger.add("relief", every, (accounts["direct"] - accounts["standalone"]).to_numpy())
    held, gone = _held(result, victims), np.zeros(len(result.graph.assets))
    for ledger.number, one in enumerate(replay(result), 1):
        trade, sellers = one.trade, one.sellers
        sold = one.units.T @ victims[trade.rows].astype(np.float64)
        gone += sold
        move, cost = trade.before - trade.after, trade.before - trade.average
        ledger.contract("price", trade.rows, sellers, (held - gone) * move + sold * cost)
        ledger.contract("own_price", trade.rows, sellers, one.own(trade.rows, victims, one.hit))
        ledger.add("penalty", trade.rows, trade.penalty * victims[trade.rows])
        if trade.left.size:
            ledger.contract("shared", trade.left, one.leavers, one.paid(every).sum(axis=0))
            ledger.contract("own_shared", trade.left, one.leavers, one.own(trade.left, victims, one.paid))
            ledger.add("relief", trade.left, -trade.shortfall * victims[trade.left])
    if by == "victim":
        _by_victim(ledger, accounts, every)
    return ledger.frame()


def _held(result: CascadeResult, victims: Any) -> FloatArray:
    """Return the units of each asset that victims hold and could sell, net."""
    graph = result.graph
    return np.where(graph.sellable, graph._rows.column_sums(graph.quantity, victims.astype(np.float64)), 0.0)


def _by_victim(ledger: _Ledger, accounts: pd.DataFrame, rows: Rows) -> None:
    """Put what victims lose in the place of what sources cause; what is their own is the same."""
    for name, column in (("price", "impact"), ("shared", "socialised")):
        ledger.columns[name][:] = 0.0
        ledger.add(name, rows, accounts[column].to_numpy())
