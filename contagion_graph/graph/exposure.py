"""The exposure graph: traders, assets and positions as one frozen, sparse, labelled object."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._cached import OwnTables, cached_property
from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.graph import elements
from contagion_graph.graph.exports import GraphExports
from contagion_graph.graph.greeks import greeks_table
from contagion_graph.graph.margins import GraphMargins, margins_of, risk_groups
from contagion_graph.graph.obligations import ObligationNetwork
from contagion_graph.graph.price_map import Payoff, PriceMap, price_map
from contagion_graph.graph.rows import RowReductions
from contagion_graph.graph.scenario_grids import Columns, LinearColumns
from contagion_graph.tables import arrays, assemble
from contagion_graph.tables.instruments import (
    check_sellable,
    check_underlyings,
    following,
    instrument_labels,
    with_prices,
)
from contagion_graph.tables.networks import ranks_of_frame
from contagion_graph.tables.records import PositionRecords
from contagion_graph.tables.vectors import row_of

SAME = object()


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ExposureGraph(OwnTables, GraphExports):
    """Who holds what, on which margin, in which pool: n accounts, m assets, v pools.

    Build it with `from_tables`, `from_arrays` or `from_networkx`. It never changes: its arrays are read-only, and
    `assign` and `subset` return a new graph. Row i of every matrix and vector is account i; column j is asset j.

    Parameters
    ----------
    quantity : csr_array, shape (n, m)
        Signed units held.
    margin_units : csr_array, shape (n, m)
        Units that equity must cover, in the same cells as `quantity`.
    cash : ndarray, shape (n,)
        Currency; includes -quantity * entry_price of derivatives.
    price, depth, margin_long, margin_short : ndarray, shape (m,)
        Currency per unit; currency (inf = no impact); shares of a position's value.
    sellable : ndarray of bool, shape (m,)
        False where the asset is marked to market and margined, but never sold.
    insurance_fund : ndarray, shape (v,)
        Currency.
    share : ndarray, shape (n,), or None
        Weights in loss sharing, where they were given.
    account_index : MultiIndex
        The label (trader, pool, subaccount) of each row.
    assets, pools : Index
        The label of each column and of each pool.
    records : PositionRecords or None
        The single positions; None where the graph came from arrays and each cell is one position.
    attributes : mapping of table name to DataFrame
        Further columns of tables assets, pools and accounts, by label.
    backing, obligation_table : DataFrame or None
        Tables backing and obligations, checked. `obligations` is the network of the latter.
    instruments : DataFrame or None
        Table instruments, checked, with the vols of all options.
    payoffs : mapping of asset to Payoff, or None
        The payoffs of instruments of the kind payoff.
    margin_tiers, margin_scenarios : DataFrame or None
        Tables margin_tiers and margin_scenarios, checked.
    layers : DataFrame or None
        Table layers, checked: who pays what accounts leave unpaid; `cg.waterfall_of` makes a waterfall of it.
    account_margin : Index, length n, or None
        The grid that each account is on, "" for rates and tiers; None: all are on rates and tiers.
    asset_group : Index, length m, or None
        The risk group of each asset, "" for its own; None: each asset is one.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_tables(
    ...     positions={"trader": ["A", "B"], "asset": ["ETH", "ETH"], "quantity": [2.0, 1.0]},
    ...     assets={"asset": ["ETH"], "price": [100.0], "margin_long": [0.1]},
    ...     accounts={"trader": ["A", "B"], "cash": [-150.0, 0.0]},
    ... )
    >>> graph
    <ExposureGraph: 2 traders, 2 accounts, 1 asset, 2 positions, 1 pool; gross value 300, equity 150>
    >>> graph.slack.tolist()
    [30.0, 90.0]
    """

    quantity: sparse.csr_array
    margin_units: sparse.csr_array
    cash: FloatArray
    price: FloatArray
    depth: FloatArray
    margin_long: FloatArray
    margin_short: FloatArray
    sellable: BoolArray
    insurance_fund: FloatArray
    share: FloatArray | None
    account_index: pd.MultiIndex
    assets: "pd.Index[str]"
    pools: "pd.Index[str]"
    records: PositionRecords | None = None
    attributes: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    backing: pd.DataFrame | None = None
    obligation_table: pd.DataFrame | None = None
    instruments: pd.DataFrame | None = None
    payoffs: Mapping[str, Payoff] | None = None
    margin_tiers: pd.DataFrame | None = None
    margin_scenarios: pd.DataFrame | None = None
    layers: pd.DataFrame | None = None
    account_margin: "pd.Index[str] | None" = None
    asset_group: "pd.Index[str] | None" = None

    def __post_init__(self) -> None:
        for array in self._arrays():
            array.flags.writeable = False

    def __getstate__(self) -> dict[str, Any]:
        return self._fields()  # what was computed of them is computed again

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # a pickle forgets that its arrays are read-only

    def _arrays(self) -> list[np.ndarray[Any, Any]]:
        holders: list[Any] = [self.quantity, self.margin_units, self, *([self.records] if self.records else [])]
        return [array for holder in holders for array in vars(holder).values() if isinstance(array, np.ndarray)]

    # --- in -----------------------------------------------------------------------------------------------------------

    @classmethod
    def from_tables(  # noqa: PLR0913 - one argument a table
        cls,
        positions: object,
        assets: object,
        *,
        pools: object = None,
        accounts: object = None,
        backing: object = None,
        obligations: object = None,
        instruments: object = None,
        margin_tiers: object = None,
        margin_scenarios: object = None,
        layers: object = None,
        payoffs: Any = None,
    ) -> "ExposureGraph":
        """Build a graph from tables.

        Parameters
        ----------
        positions, assets, pools, accounts, backing, obligations : table
            A pandas, polars, Arrow or DuckDB table, a mapping of columns, the path of a .csv or .parquet file, or a
            folder of Parquet files, whose rows follow each other in the order of the files' names. Columns and units
            are listed in docs/notation.md. Labels are text; integers are written as their digits. Table positions may
            have no rows where table pools or accounts is given: a venue before its first trade.
        instruments, margin_tiers, margin_scenarios, layers : table
            Likewise: what is priced from what, margins that are no flat rates, and who pays shortfalls.
        payoffs : mapping of asset to Payoff, optional
            What instruments of the kind payoff are worth (docs/adding-a-payoff.md).

        Returns
        -------
        ExposureGraph
            Its accounts are those of table accounts, in order, then the others in order of appearance.

        Raises
        ------
        TableError
            With every fault of every table.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> cg.ExposureGraph.from_tables(
        ...     {"trader": ["A"], "asset": ["ETC"], "quantity": ["two"]}, {"asset": ["ETH"], "price": [0.0]}
        ... )
        Traceback (most recent call last):
        contagion_graph.errors.TableError: 3 faults (rows count from 0):
          1. positions.quantity: not a number in 1 row (row 0: 'two', trader 'A', asset 'ETC'). It must be a finite ...
          2. assets.price: out of range in 1 row (row 0: 0.0, asset 'ETH'). It must be a finite number above 0 ...
          3. positions.asset: unknown label 'ETC' (did you mean 'ETH'?) in 1 row (row 0: trader 'A', ...
        """
        sources = {"positions": positions, "assets": assets, "pools": pools, "accounts": accounts}
        described = pools is not None or accounts is not None  # then a venue may have no positions yet
        sources |= {"backing": backing, "obligations": obligations}
        sources |= {"instruments": instruments, "margin_tiers": margin_tiers, "margin_scenarios": margin_scenarios}
        sources["layers"] = layers
        tables = assemble.read_tables(sources, empty=described)
        return cls(**assemble.graph_arrays(tables, payoffs))

    @classmethod
    def from_arrays(  # noqa: PLR0913 - one argument a vector of the graph
        cls,
        quantity: Any,
        *,
        price: Any,
        depth: Any = None,
        margin_long: Any = 0.0,
        margin_short: Any = 0.0,
        sellable: Any = None,
        cash: Any = None,
        share: Any = None,
        pool: Any = None,
        insurance_fund: Any = None,
        traders: Any = None,
        assets: Any = None,
        instruments: object = None,
        margin_tiers: object = None,
        margin_scenarios: object = None,
        account_margin: Any = None,
        asset_group: Any = None,
        payoffs: Mapping[str, Payoff] | None = None,
    ) -> "ExposureGraph":
        """Build a graph from a matrix and vectors: one account a row, one asset a column.

        Parameters
        ----------
        quantity : sparse or dense matrix or DataFrame, shape (n, m)
            Signed units. Every cell counts as one fully paid position. The rows and columns of a DataFrame are matched
            with `traders` and `assets` by label, or give these; a frame that is only numbered from 0 has no labels.
        price, depth, margin_long, margin_short, sellable : number, array_like, or mapping or Series by asset
            As in table assets; depth None = no impact anywhere. Where an asset is not named, the margin is 0 and
            it is sellable; price and depth name all, but that the price of an instrument may be left out, or NaN.
        cash, share : number, array_like, or mapping or Series by account
            As in table accounts; cash None, and accounts that are not named, = 0. Fold -quantity * entry_price of
            derivatives into cash.
        pool : array_like of labels or integers, shape (n,), or mapping or Series by trader, optional
            The pool of each row; None puts all rows into one pool.
        insurance_fund : number, mapping or Series by pool, optional
            A number holds for each pool.
        traders, assets : array_like of labels, optional
            None takes those of a DataFrame, or numbers them "0", "1", ...
        instruments, margin_tiers, margin_scenarios : table, optional
            As in `from_tables`.
        account_margin : mapping or Series by account, or array_like of labels, optional
            The grid that each account is on; "" and what is not named: rates and tiers.
        asset_group : mapping or Series by asset, or array_like of labels, optional
            The risk group of each asset on grids; "" and what is not named: its own.
        payoffs : mapping of asset to Payoff, optional
            As in `from_tables`.

        Returns
        -------
        ExposureGraph

        Raises
        ------
        TableError
            With every fault of every argument.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> cg.ExposureGraph.from_arrays([[2.0, 0.0], [0.0, -1.0]], price=[100.0, 50.0], cash=[0.0, 80.0])
        <ExposureGraph: 2 traders, 2 accounts, 2 assets, 2 positions, 1 pool; gross value 250, equity 230>
        """
        vectors = {
            "price": price,
            "depth": np.inf if depth is None else depth,
            "margin_long": margin_long,
            "margin_short": margin_short,
            "cash": 0.0 if cash is None else cash,
            "share": share,
            "insurance_fund": 0.0 if insurance_fund is None else insurance_fund,
            "sellable": True if sellable is None else sellable,
        }
        made = arrays.arrays_from_vectors(
            quantity, vectors, pool=pool, traders=traders, assets=assets, unpriced=instrument_labels(instruments)
        )
        given = {"instruments": instruments, "margin_tiers": margin_tiers, "margin_scenarios": margin_scenarios}
        given |= {"account_margin": account_margin, "asset_group": asset_group, "payoffs": payoffs}
        given = {name: value for name, value in given.items() if value is not None}
        return cls(**arrays.with_margins(made, given))

    @classmethod
    def from_networkx(cls, network: Any) -> "ExposureGraph":
        """Build a graph from a networkx graph like the ones that `to_networkx` gives.

        Parameters
        ----------
        network : networkx.Graph
            Every node says its side: ``side="trader"`` or ``side="asset"`` (with `price`), and `label` where it
            differs from the node. Positions are either nodes with ``side="position"`` and edges to one trader and one
            asset, or edges between a trader and an asset with a `quantity`. ``network.graph`` may hold tables "pools",
            "accounts", "backing" and "obligations".

        Returns
        -------
        ExposureGraph

        Examples
        --------
        >>> import networkx as nx
        >>> import contagion_graph as cg
        >>> network = nx.Graph()
        >>> network.add_node("A", side="trader", cash=10.0)
        >>> network.add_node("ETH", side="asset", price=100.0)
        >>> network.add_edge("A", "ETH", quantity=2.0)
        >>> cg.ExposureGraph.from_networkx(network)
        <ExposureGraph: 1 trader, 1 account, 1 asset, 1 position, 1 pool; gross value 200, equity 210>
        """
        return cls.from_tables(**elements.tables_of_networkx(network))

    # --- at initial prices --------------------------------------------------------------------------------------------

    @cached_property
    def _rows(self) -> RowReductions:  # type: ignore[override] # declared by the exports
        return RowReductions.of(self, margins=self._margins, price_map=self._price_map)

    @cached_property
    def _columns(self) -> Columns:
        """What the columns are priced from."""
        return LinearColumns(len(self.assets)) if self._price_map is None else self._price_map

    @cached_property
    def _price_map(self) -> PriceMap | None:
        """How instruments are priced from their underlyings; None: there are none."""
        if self.instruments is None or self.instruments.empty:
            return None
        return price_map(self.instruments, self.assets, self.price, self.payoffs)

    @cached_property
    def _risk_groups(self) -> tuple[Any, "pd.Index[str]"]:
        """The risk group of each column, shape (m,), and the names of the groups."""
        return risk_groups(self.assets, self.asset_group, self._columns)

    @cached_property
    def _margins(self) -> GraphMargins | None:
        """Margins that are no flat rates; None: all are."""
        return margins_of(self)

    def total(self, amount: FloatArray) -> float:
        """Return the sum of an amount over all accounts, in a fixed order.

        A rule that needs a sum over accounts takes it from here: on a graph in parts, it is that over all parts.

        Parameters
        ----------
        amount : ndarray, shape (n,)
            One number an account.

        Returns
        -------
        float

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[1.0], [2.0]], price=[10.0])
        >>> graph.total(graph.gross_value.to_numpy())
        30.0
        """
        return self._rows.total(amount)

    @property
    def equity(self) -> "pd.Series[float]":
        """Equity E_i = cash_i + sum_j quantity_ij price_j of each account [currency]."""
        return pd.Series(self._rows.equity, index=self.account_index, name="equity")

    @property
    def gross_value(self) -> "pd.Series[float]":
        """Gross value sum_j |quantity_ij| price_j of each account [currency]."""
        return pd.Series(self._rows.initial.gross, index=self.account_index, name="gross_value", copy=True)

    @property
    def maintenance(self) -> "pd.Series[float]":
        """Maintenance margin M_i of each account [currency]: sum_j margin_units_ij price_j on flat rates."""
        return pd.Series(self._rows.initial.maintenance, index=self.account_index, name="maintenance", copy=True)

    @property
    def slack(self) -> "pd.Series[float]":
        """Equity less maintenance of each account [currency]; below 0 the account is in breach."""
        return (self.equity - self.maintenance).rename("slack")

    def margin_table(self) -> pd.DataFrame:
        """Return what makes up the maintenance margin of every account at `price`: the piece of each part that binds.

        An account on rates and tiers has a row for each asset that it holds, one on a grid a row for each risk group.

        Returns
        -------
        DataFrame, by account
            margin ("rates", "tiers", or the name of the grid), part (asset, or risk group), piece (the tier or the
            scenario that binds, counted from 0 in the order of its table; -1 where no scenario is a loss), rate (of
            the tier), move and vol_factor (of the scenario; NaN where they differ within the group), contingency and
            cost [currency]. The costs of an account, which include the contingencies, add up to its maintenance.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays(
        ...     [[3.0, 0.0], [1.0, -1.0]], price=[100.0, 50.0], margin_long=0.1, assets=["X", "Y"],
        ...     margin_scenarios={"grid": ["pm"] * 3, "move": [-0.2, 0.0, 0.2]}, account_margin=["", "pm"],
        ... )
        >>> graph.margin_table()[["margin", "part", "piece", "move", "cost"]].reset_index(drop=True)
          margin part  piece  move  cost
        0  rates    X      0   NaN  30.0
        1     pm    X      0  -0.2  20.0
        2     pm    Y      2   0.2  10.0
        """
        margins = self._margins or GraphMargins(None, (), self.assets, self._rows.cells)
        return margins.table(self._rows)

    def greeks(self) -> pd.DataFrame:
        """Return how the value of every account answers to each underlying, at `price`.

        Sums over the positions of an account in an underlying and in all that is priced from it, quantity_ij times the
        sensitivity of one unit; shares and coins have a delta of 1. They are derivatives: a shock revalues whole.

        Returns
        -------
        DataFrame, by account and underlying
            delta [units of the underlying], gamma [units per unit of currency], vega [currency per 1 of vol], theta
            [currency a year]. Pairs without positions are left out. The theta of payoffs of your own is not known: NaN.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays(
        ...     [[0.5, -1.0]], price={"BTC": 100.0}, assets=["BTC", "call"], depth=1e6, traders=["A"],
        ...     instruments={"asset": ["call"], "underlying": ["BTC"], "kind": ["call"], "strike": [100.0],
        ...                  "expiry": [0.25], "vol": [0.8]},
        ... )
        >>> graph.greeks().round(4).iloc[0].to_dict()
        {'delta': -0.0793, 'gamma': -0.0098, 'vega': -19.5521, 'theta': 31.2834}
        """
        return greeks_table(self)

    @cached_property
    def obligations(self) -> ObligationNetwork:
        """What traders owe each other: one node a trader, in the order of `traders`.

        A trader's external assets are the positive equities of its accounts at `price`. Its external liabilities are
        the negative equities of its other accounts, owed to their pools. Without a table of obligations there are none.
        """
        equity = self._rows.equity
        return ObligationNetwork(
            ranks=ranks_of_frame(self.obligation_table, self.traders),
            external_assets=self._rows.per_trader(np.maximum(equity, 0.0)),
            external_liabilities=self._rows.per_trader(np.maximum(-equity, 0.0)),
            nodes=self.traders,
        )

    # --- changed copies -----------------------------------------------------------------------------------------------

    def assign(
        self,
        *,
        backing: object = SAME,
        instruments: object = SAME,
        margin_tiers: object = SAME,
        margin_scenarios: object = SAME,
        payoffs: Mapping[str, Payoff] | None = None,
        **vectors: Any,
    ) -> "ExposureGraph":
        """Return a copy with other vectors, or another table of what assets are made of, or of margins.

        Parameters
        ----------
        backing : table or None
            Table backing in the place of the present one; None: none, so that shocks are taken as they are given. Left
            out: the present one.
        instruments, margin_tiers, margin_scenarios : table or None
            As `backing`; None: all assets have prices of their own, flat rates alone, or no grids.
        payoffs : mapping of asset to Payoff, optional
            Goes with `instruments`, as in `from_tables`.
        **vectors : number, array_like, or mapping or Series by label
            Any of `price`, `depth`, `sellable`, `insurance_fund`, `cash`, `share`, `account_margin`, `asset_group`.
            Labels that a mapping does not name keep their value; prices of instruments follow their underlyings. `cash`
            is that of the graph: it includes -quantity * entry_price of derivatives.

        Returns
        -------
        ExposureGraph

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[1.0, 2.0]], price=[10.0, 5.0], assets=["X", "Y"])
        >>> graph.assign(price={"Y": 6.0}, depth=1e6).equity.tolist()
        [22.0]
        """
        named = {name: vectors.pop(name) for name in arrays.NAMED if name in vectors}
        unknown = sorted(set(vectors) - set(arrays.CHANGEABLE))
        if unknown:
            known = sorted((*arrays.CHANGEABLE, *arrays.NAMED, *arrays.TABLES, "backing"))
            raise ParameterError(f"assign cannot change {unknown}; it changes {known}")
        faults = Faults()
        indexes = {"assets": self.assets, "pools": self.pools, "accounts": self.account_index}
        changed: dict[str, Any] = {
            name: arrays.VECTORS[name].values(value, indexes, faults, base=getattr(self, name))
            for name, value in vectors.items()
        }
        check_sellable(self._fields() | changed, faults)
        faults.raise_if_any()
        if "price" in changed and self._price_map is not None:
            changed["price"] = following(self._price_map, changed["price"], vectors["price"], self.assets)
        assemble.check_size(self._fields() | changed)
        if backing is not SAME:
            changed["backing"] = None if backing is None else assemble.kept_table("backing", backing, self.assets)
            changed |= with_prices(self._fields() | changed) if instruments is SAME else {}
        if "cash" in changed and self.records is not None:
            own_cash = changed["cash"] + self.records.entry_value()
            changed["records"] = replace(self.records, own_cash=own_cash)
        if payoffs is not None and instruments is SAME:
            instruments = self.instruments
        tables = {"instruments": instruments, "margin_tiers": margin_tiers, "margin_scenarios": margin_scenarios}
        of_margins = {name: value for name, value in (tables | named).items() if value is not SAME}
        if of_margins:
            changed = arrays.with_margins(self._fields() | changed, of_margins | {"payoffs": payoffs})
        return replace(self, **changed)

    def subset(
        self,
        *,
        traders: Iterable[object] | None = None,
        assets: Iterable[object] | None = None,
        pools: Iterable[object] | None = None,
    ) -> "ExposureGraph":
        """Return the part of the graph that some traders, assets or pools span, in the same order.

        Parameters
        ----------
        traders, assets, pools : iterable of labels, optional
            What to keep; None keeps all. Positions in an asset that is dropped go, and so does what they cost: a
            derivative's -quantity * entry_price leaves the account's cash.

        Returns
        -------
        ExposureGraph

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[1.0, 2.0], [3.0, 0.0]], price=[10.0, 5.0], traders=["A", "B"])
        >>> graph.subset(traders=["B"])
        <ExposureGraph: 1 trader, 1 account, 2 assets, 1 position, 1 pool; gross value 30, equity 30>
        """
        faults = Faults(ParameterError)
        kept = [
            np.isin(np.arange(len(index)), [row for label in wanted for row in row_of(name, label, index, faults)])
            if wanted is not None
            else np.ones(len(index), dtype=bool)
            for name, wanted, index in (
                ("traders", traders, self.traders),
                ("assets", assets, self.assets),
                ("pools", pools, self.pools),
            )
        ]
        faults.raise_if_any()
        rows = kept[0][self._rows.trader_of] & kept[2][self._rows.pool_of]
        if not rows.any() or not kept[1].any():
            raise ParameterError("the subset is empty; keep at least one account and one asset")
        check_underlyings(self.instruments, self.assets[kept[1]])
        return type(self)(**arrays.subset_arrays(self._fields(), rows, kept[1], kept[2]))

    def _fields(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @property
    def n_positions(self) -> int:
        """The number of single positions."""
        return int(self.quantity.nnz if self.records is None else self.records.quantity.size)

    def __repr__(self) -> str:
        counts = {
            "trader": len(self.traders),
            "account": len(self.account_index),
            "asset": len(self.assets),
            "position": self.n_positions,
            "pool": len(self.pools),
        }
        listed = ", ".join(f"{count:,} {name}{'' if count == 1 else 's'}" for name, count in counts.items())
        gross, equity = self._rows.initial.gross.sum(), self.cash.sum() + self._rows.initial.value.sum()
        return f"<ExposureGraph: {listed}; gross value {gross:,.6g}, equity {equity:,.6g}>"
