"""What a cascade came to: arrays, and the labelled tables made of them when first asked for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion_graph._cached import cached_property
from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import BoolArray, FloatArray, IntArray
from contagion_graph._validate import ROUNDING
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.price_map import PriceMap
from contagion_graph.graph.rows import cells_of
from contagion_graph.margin.trades import Fill, Passed, Trade
from contagion_graph.solvers.arrays import ratio
from contagion_graph.state import Closed, Marks

if TYPE_CHECKING:
    from contagion_graph.margin.model import MarginCascade


@dataclass(frozen=True, eq=False)
class CascadeArrays:
    """The end of a cascade in label order: n accounts, m assets, v pools.

    Parameters
    ----------
    price_shocked, price_after : ndarray, shape (m,)
        Currency per unit.
    sold, value_sold : ndarray, shape (m,)
        Net units sold, and what they fetched [currency].
    losses, proceeds, penalty, socialised, shortfall : ndarray, shape (n,)
        Given losses; what closing brought before the penalty; the penalty; the share in other members' shortfalls;
        what the account left unpaid [currency].
    closed : ndarray, shape (n,)
        Share of what the account could sell that was closed, 0 to 1; of its long positions where `closed_short` is
        given.
    breach_round : ndarray of int, shape (n,)
        First round in which it was in breach; 0 = never.
    pool_shortfall, fund_used, fund_received, uncovered : ndarray, shape (v,)
        Currency.
    rounds : list of dict
        One record a round.
    closed_short : ndarray, shape (n,), optional
        Share of the short positions that was closed; None: the same as `closed`.
    price_short : ndarray, shape (m,), optional
        Price at which short positions are valued in the end; None: `price_after`.
    trades : tuple of Trade, optional
        What each round closed and who bore it; None: an equilibrium, which has no rounds.
    price_given : ndarray, shape (m,), optional
        Price after the changes that were given, before they were passed down; None: the graph has no backing.
    passed_on : ndarray, shape (m,), optional
        Units that closing instruments sold in the books of their underlyings; None: the graph has no instruments.
    columns : PriceMap, optional
        How instruments were priced; None: the graph has none.
    passed : Passed, optional
        Positions that have passed from account to account; None: none can.
    own_used : ndarray, shape (n,), optional
        What the own contributions of accounts paid of their shortfalls [currency]; None: the waterfall has no such
        layer.
    layers_used : ndarray, shape (layers, v), optional
        What each layer of the waterfall paid in each pool [currency]; None: an equilibrium.
    """

    price_shocked: FloatArray
    price_after: FloatArray
    sold: FloatArray
    value_sold: FloatArray
    losses: FloatArray
    proceeds: FloatArray
    penalty: FloatArray
    socialised: FloatArray
    shortfall: FloatArray
    closed: FloatArray
    breach_round: IntArray
    pool_shortfall: FloatArray
    fund_used: FloatArray
    fund_received: FloatArray
    uncovered: FloatArray
    rounds: list[dict[str, float]]
    closed_short: FloatArray | None = None
    price_short: FloatArray | None = None
    trades: "tuple[Trade, ...] | None" = None
    price_given: FloatArray | None = None
    passed_on: FloatArray | None = None
    columns: PriceMap | None = None
    passed: Passed | None = None
    own_used: FloatArray | None = None
    layers_used: FloatArray | None = None

    @property
    def closed_whole(self) -> BoolArray:
        """Whether an account closed everything, shape (n,)."""
        whole: BoolArray = self.closed == 1.0
        if self.closed_short is not None:
            whole &= self.closed_short == 1.0
        return whole


FILL_TYPES = {"round": "int64", "kind": "str", **dict.fromkeys(("units", "price", "mark"), "float64")}
ROUND_COLUMNS = ("breached", "closed_value", "largest_move", "shortfall", "fund_used", "socialised", "uncovered")
SUMMED = (
    *("equity_before", "equity_after", "loss", "direct", "impact"),
    *("penalty", "socialised", "shortfall", "standalone", "indirect"),
)


def _with_transfers(
    columns: tuple[str, ...], found: FloatArray, at_end: FloatArray, transfer: FloatArray
) -> FloatArray:
    """Return a ledger with what positions that passed lost, from those of the positions before and after."""
    before, after = (dict(zip(columns, each, strict=True)) for each in (found, at_end))
    moved = before["direct"] - after["direct"]  # of the prices before the cascade, on what passed
    out = {
        **before,
        **{name: after[name] for name in ("equity_after", "loss")},
        "impact": after["impact"] - moved - transfer,
        "indirect": after["loss"] - before["standalone"],
    }
    return np.stack([*out.values(), transfer])


@dataclass(frozen=True, eq=False, repr=False)
class CascadeResult(Result):
    """The result of a margin cascade: who lost what, through which channel, in which round.

    For every account, loss = direct + impact + penalty + socialised + transfer - shortfall, where transfer is there
    only where positions pass from account to account, and indirect = loss - standalone; over
    all, loss + what own contributions, funds and purses paid + uncovered = direct + impact + penalty.

    Parameters
    ----------
    graph : ExposureGraph
        The graph before the scenario, with the margins that the liquidation rule went by.
    model : MarginCascade
        The model that was run.
    arrays : CascadeArrays
        Numbers in label order.
    solution : Solution
        How the computation ended.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-850.0, -500.0], traders=["A", "B"]
    ... )
    >>> result = cg.MarginCascade().run(graph, {"0": -0.10})
    >>> result
    <CascadeResult: 1 of 2 accounts breached, 1 closed whole in 1 round; gross loss 329.183, of which 129.183 ...
    >>> result.traders[["loss", "direct", "indirect", "breach_round"]].round(2)
              loss  direct  indirect  breach_round
    trader
    A       143.54   100.0     43.54             1
    B       185.65   100.0     85.65             0
    """

    graph: ExposureGraph
    model: "MarginCascade"
    arrays: CascadeArrays
    solution: Solution

    @cached_property
    def accounts(self) -> pd.DataFrame:
        """One row an account.

        equity_before, equity_after, loss, direct, impact, penalty, socialised, shortfall, standalone, indirect
        [currency], closed (share 0 to 1; where longs and shorts were closed to different shares, of their gross value
        before the shock), breach_round (0 = never); own_used where the waterfall has own contributions: what that of
        the account paid of its shortfall [currency].
        """
        columns, ledger = self._ledger
        frame = pd.DataFrame(ledger.T, index=self.graph.account_index, columns=list(columns), copy=False)
        if self.arrays.closed_short is not None:
            frame["closed"] = self._closed
        if self.arrays.own_used is not None:
            frame["own_used"] = self.arrays.own_used
        return frame.assign(breach_round=self.arrays.breach_round)

    @cached_property
    def _ledger(self) -> tuple[tuple[str, ...], FloatArray]:
        """The figures of all accounts, shape (columns, n), and their names."""
        from contagion_graph.kernels import ledger

        graph, end, rows = self.graph, self.arrays, self.graph._rows
        shares = end.closed, end.closed if end.closed_short is None else end.closed_short
        closed = Closed(*shares, end.proceeds, end.penalty, end.socialised, end.shortfall)
        at_short = end.price_after if end.price_short is None else end.price_short
        marks = Marks(end.price_shocked, end.price_after, at_short, graph.sellable.astype(np.float64))
        values = graph.cash, rows.initial.value, end.losses
        found = ledger.account_ledger(rows.cells, *values, closed, marks, rows.row_borders)
        if end.passed is None:
            return ledger.COLUMNS, found
        held, transfer = end.passed.quantity, end.passed.transfer
        closed = closed._replace(proceeds=closed.proceeds - transfer)
        cells = cells_of(held, held)
        at_end = ledger.account_ledger(cells, *values, closed, marks, rows.row_borders)
        return (*ledger.COLUMNS, "transfer"), _with_transfers(ledger.COLUMNS, found, at_end, transfer)

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row a position, or part of one, that passed from account to account, in order.

        round, kind ("deleverage" or "take_over"), bankrupt and counterparty (traders), pool, asset, units (that the
        bankrupt account gave up; below 0: bought back), price and mark (at which both traded, and the price before the
        round; currency per unit), amount (what the counterparty lost by that; currency).
        """
        graph = self.graph
        made = () if self.arrays.passed is None else self.arrays.passed.fills
        frame = pd.DataFrame(made, columns=list(Fill._fields)).astype(FILL_TYPES)
        trader, pool = graph._rows.trader_of, graph._rows.pool_of
        source, target = (frame[name].to_numpy(dtype=np.int64) for name in ("source", "target"))
        return pd.DataFrame(
            {
                **{name: frame[name] for name in ("round", "kind")},
                "bankrupt": graph.traders[trader[source]],
                "counterparty": graph.traders[trader[target]],
                "pool": graph.pools[pool[source]],
                "asset": graph.assets[frame["asset"].to_numpy(dtype=np.int64)],
                **{name: frame[name] for name in ("units", "price", "mark")},
                "amount": frame["units"] * (frame["price"] - frame["mark"]),
            }
        )

    @cached_property
    def _gross_loss(self) -> float:
        """Loss of the traders that lose [currency], without the tables."""
        columns, ledger = self._ledger
        loss = ledger[columns.index("loss")]
        loses = self.graph._rows.per_trader(loss) > 0.0
        return self.graph.total(loss * loses[self.graph._rows.trader_of])

    @cached_property
    def _closed(self) -> FloatArray:
        """The share of each account that was closed: of the sellable gross value at p0, where sides differ."""
        long, short = self.arrays.closed, self.arrays.closed_short
        if short is None:
            return long
        value, gross, _ = self.graph._rows.valuation(np.where(self.graph.sellable, self.graph.price, 0.0))
        held_long = ratio(gross + value, 2.0 * gross, 0.5)
        return short + held_long * (long - short)

    @cached_property
    def traders(self) -> pd.DataFrame:
        """One row a trader: the sums of its accounts.

        Columns as in `accounts`; closed is weighted by gross value before the shock (plain mean where there is none),
        breach_round is the first of its accounts.
        """
        graph, accounts = self.graph, self.accounts
        trader, total = graph._rows.trader_of, graph._rows.per_trader
        further = [name for name in ("transfer", "own_used") if name in accounts]
        columns: dict[str, Any] = {name: total(accounts[name]) for name in (*SUMMED, *further)}
        gross = graph._rows.initial.gross
        weight = np.where((total(gross) > 0.0)[trader], gross, 1.0)
        columns["closed"] = total(weight * self._closed) / total(weight)
        columns["breach_round"] = graph._rows.least_per_trader(self.arrays.breach_round)
        return pd.DataFrame(columns, index=graph.traders.rename("trader"))

    @cached_property
    @np.errstate(invalid="ignore")  # an unbounded end has infinite prices
    def assets(self) -> pd.DataFrame:
        """One row an asset.

        price_before, price_shocked, price_after [currency per unit], units_sold (net; below 0 = bought), value_sold,
        open_interest_before, open_interest_after [currency; longs and shorts both count]; price_after_short where
        shorts are valued at another price than longs; where the graph has a backing, price_given: the price after the
        changes that were given, before they were passed down to what is made of an asset; where the graph has
        instruments, units_passed_on: what closing them sold in the book of their underlying, above its own units_sold.
        """
        graph, end = self.graph, self.arrays
        held = graph.quantity if end.passed is None else end.passed.quantity
        before, after = abs(graph.quantity), abs(held)
        everything, at_end = (
            graph._rows.column_sums(each, np.ones(len(graph.account_index))) for each in (before, after)
        )
        short = end.closed if end.closed_short is None else end.closed_short
        closed = graph._rows.column_sums(after, (end.closed + short) / 2.0)
        closed += graph._rows.column_sums(held, (end.closed - short) / 2.0)
        closed = np.where(graph.sellable, closed, 0.0)
        columns = {
            "price_before": graph.price,
            "price_shocked": end.price_shocked,
            "price_after": end.price_after,
            "units_sold": end.sold,
            "value_sold": end.value_sold,
            "open_interest_before": everything * graph.price,
            "open_interest_after": (at_end - closed) * end.price_after,
        }
        if end.price_short is not None:
            columns["price_after_short"] = end.price_short
        if end.price_given is not None:
            columns["price_given"] = end.price_given
        if end.passed_on is not None:
            columns["units_passed_on"] = end.passed_on
        return pd.DataFrame(columns, index=graph.assets.rename("asset"))

    @cached_property
    @np.errstate(invalid="ignore")  # an unbounded end has infinite prices
    def pools(self) -> pd.DataFrame:
        """One row a pool.

        shortfall, fund_before, fund_used, fund_received, fund_after, socialised, uncovered, assets_before,
        assets_after, liabilities_before, liabilities_after [currency], solvency_before, solvency_after (assets over
        liabilities; NaN without liabilities). Liabilities are the positive equities; assets are the fund plus the sum
        of equities, where an uncovered shortfall still counts as the negative equity that it is.
        """
        graph, end, accounts = self.graph, self.arrays, self.accounts

        def total(amount: Any) -> FloatArray:
            return graph._rows.column_sums(graph._rows.membership, np.asarray(amount, dtype=np.float64))

        before, after = accounts["equity_before"], accounts["equity_after"]
        fund_after = graph.insurance_fund - end.fund_used + end.fund_received
        columns = {
            "shortfall": end.pool_shortfall,
            "fund_before": graph.insurance_fund,
            "fund_used": end.fund_used,
            "fund_received": end.fund_received,
            "fund_after": fund_after,
            "socialised": total(end.socialised),
            "uncovered": end.uncovered,
            "assets_before": graph.insurance_fund + total(before),
            "assets_after": fund_after + total(after) - end.uncovered,
            "liabilities_before": total(np.maximum(before, 0.0)),
            "liabilities_after": total(np.maximum(after, 0.0)),
        }
        frame = pd.DataFrame(columns, index=graph.pools.rename("pool"))
        for when in ("before", "after"):
            owed = frame[f"liabilities_{when}"]
            frame[f"solvency_{when}"] = frame[f"assets_{when}"] / owed.where(owed > 0.0)
        return frame

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row a pool and layer of the waterfall, in the order in which they pay.

        capacity (what it could pay at most: with penalties, for a fund; infinite for members without a cap), used, left
        [currency]. What no layer paid is `uncovered` of the pool.
        """
        graph, end, waterfall = self.graph, self.arrays, self.model.waterfall
        used = end.layers_used
        if used is None:  # an equilibrium: the fund pays first, then members
            paid = {"fund": end.fund_used, "members": end.pool_shortfall - end.fund_used - end.uncovered}
            used = np.array([paid[layer.kind] for layer in waterfall]).reshape(-1, len(graph.pools))
        sizes = [
            layer._capacity(graph, end.price_shocked) + (end.fund_received if layer.kind == "fund" else 0.0)
            for layer in waterfall
        ]
        capacity = np.array(sizes).reshape(-1, len(graph.pools)).T.ravel()
        index = pd.MultiIndex.from_product([graph.pools, [layer.name for layer in waterfall]], names=["pool", "layer"])
        columns = {"capacity": capacity, "used": used.T.ravel(), "left": np.maximum(capacity - used.T.ravel(), 0.0)}
        return pd.DataFrame(columns, index=index)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """One row a round, from 1.

        breached (accounts), closed_value (at the prices before the round), shortfall, fund_used, socialised, uncovered
        [currency], largest_move (relative change of a price in the round).
        """
        index = pd.RangeIndex(1, len(self.arrays.rounds) + 1, name="round")
        frame = pd.DataFrame(self.arrays.rounds, index=index, columns=list(ROUND_COLUMNS), dtype=np.float64)
        return frame.astype({"breached": np.int64})

    def bystanders(self) -> pd.DataFrame:
        """Return the traders that are not directly exposed to the shock and lose, the largest loss first.

        A loss of less than 1e-12 of what the trader holds is rounding.

        Returns
        -------
        DataFrame
            The rows of `traders` for them.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays(
        ...     [[9.0, 2.0], [0.0, 4.0]], price=[10.0, 10.0], depth=100.0, margin_long=0.1, cash=[-95.0, 0.0]
        ... )
        >>> cg.MarginCascade().run(graph, {"0": -0.2}).bystanders().index.tolist()
        ['1']
        """
        hit: pd.DataFrame = self.traders[self._hit_by_others]
        return hit.sort_values("loss", ascending=False, kind="stable")

    @cached_property
    def _hit_by_others(self) -> BoolArray:
        """Which traders are not directly exposed to the shock and lose."""
        traders = self.traders
        gross = self.graph._rows.per_trader(self.graph._rows.initial.gross)
        lost = traders["loss"] > ROUNDING * (gross + traders["equity_before"].abs())
        hit: BoolArray = ((traders["direct"] == 0.0) & lost).to_numpy()
        return hit

    @cached_property
    def baseline(self) -> "CascadeResult":
        """The same model on the same graph without a shock, run when first asked for.

        Its accounts with breach_round 1 are in breach before any shock; what it closes and loses is no effect of one.
        """
        return self.model.run(self.graph, on_failure="ignore")

    def _tables(self) -> dict[str, pd.DataFrame]:
        tables = {name: getattr(self, name) for name in ("traders", "accounts", "assets", "pools", "rounds")}
        tables["waterfall"] = self.layers
        return tables if self.arrays.passed is None else {**tables, "fills": self.fills}

    def _first_rows(self) -> pd.DataFrame:
        return self.rounds

    @np.errstate(invalid="ignore")  # an unbounded end has infinite prices
    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            rounds; traders; accounts; breached and closed (accounts; closed = wholly); breached_before (accounts in
            breach before the shock); gross_loss and gross_indirect (currency: loss and indirect of the traders that
            lose); net_loss, direct, impact, penalty, socialised, shortfall, standalone, indirect (currency, over all
            accounts: gains are taken off losses); fund_used, fund_received, uncovered (currency, over all pools);
            largest_fall (relative fall of a price from before the shock to the end); bystanders (traders that are not
            directly exposed to the shock and lose) and bystander_loss (currency); passed_down (assets to whose price
            the shock was passed down), where the graph has a backing.
        """
        graph, end = self.graph, self.arrays
        totals = {name: graph.total(self.accounts[name].to_numpy()) for name in SUMMED[2:]}
        loses = (self.traders["loss"] > 0.0).to_numpy()[graph._rows.trader_of]
        gross = {name: graph.total(self.accounts[name].to_numpy() * loses) for name in ("loss", "indirect")}
        pools = self.pools[["fund_used", "fund_received", "uncovered"]].sum()
        hit, mine = self._hit_by_others, graph._rows.counted_traders
        flags = (mine, mine & hit, graph._rows.in_breach, end.breach_round > 0, end.closed_whole)
        counts = graph._rows.count([len(graph.account_index), *map(np.count_nonzero, flags)])
        accounts, traders, bystanders, before, breached, closed = counts
        fall = 1.0 - end.price_after / graph.price
        figures: dict[str, float] = {
            "rounds": len(end.rounds),
            "traders": traders,
            "accounts": accounts,
            "breached": breached,
            "closed": closed,
            "breached_before": before,
            "gross_loss": gross["loss"],
            "gross_indirect": gross["indirect"],
            "net_loss": totals.pop("loss"),
            **totals,
            **{str(name): float(amount) for name, amount in pools.items()},
            "largest_fall": float(fall.max()),
            "bystanders": bystanders,
            "bystander_loss": graph.total(self.accounts["loss"].to_numpy() * hit[graph._rows.trader_of]),
        }
        if end.price_given is not None:
            figures["passed_down"] = int(np.count_nonzero(end.price_shocked != end.price_given))
        return pd.Series(figures, name="cascade", dtype=np.float64)

    def __repr__(self) -> str:
        s = self.summary()
        plural = "" if s["rounds"] == 1 else "s"
        before = f" ({s['breached_before']:,.0f} before the shock)" if s["breached_before"] else ""
        passed = f"; prices that table backing moved: {s['passed_down']:.0f}" if "passed_down" in s else ""
        return (
            f"<CascadeResult: {s['breached']:,.0f} of {s['accounts']:,.0f} accounts breached{before}, "
            f"{s['closed']:,.0f} closed whole in {s['rounds']:.0f} round{plural}; gross loss {s['gross_loss']:,.6g}, "
            f"of which {s['gross_indirect']:,.6g} indirect; shortfall {s['shortfall']:,.6g}, of which the fund paid "
            f"{s['fund_used']:,.6g}, members {s['socialised']:,.6g}, uncovered {s['uncovered']:,.6g}{passed}. "
            f"{self.solution.status.value}>"
        )
