"""Assets that are made of other assets: staked, bridged and pooled tokens, and what a shock to one does to the rest."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import linalg

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import ROUNDING, check_number
from contagion_graph.collateral.backing.failures import FailureCost, failure_rounds
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.exposure.inputs import traders_of
from contagion_graph.exposure.matrix import ExposureMatrix
from contagion_graph.graph.backing import solver, system_of, weights_of
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock, check_graph, check_no_instruments
from contagion_graph.solvers.iteration import check_on_failure, conclude
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import vector

CHANGE = Number("relative change: -0.3 = falls by 30 %", low=-1)
UNITS = Number("units of each asset in the pool")
LISTED = 1e-9  # a listed price may be rounded by this share


@dataclass(frozen=True, eq=False, repr=False)
class Backing:
    """What m assets are made of: D units of each other, and worth r of their own.

    A unit of asset k is backed by D_ku units of each underlying u, and has own worth r_k, so that

        v = D v + r,    v = (I - D)^-1 r    [currency per unit]

    A change s_k of an asset itself, such as the failure of its bridge or its issuer, comes on top of what it is made
    of: v = (1 + s) (D v + r). Cycles, two pools that hold each other's shares, are solved where they have a solution.

    Parameters
    ----------
    assets : Index
        The labels.
    units : csr_array, shape (m, m)
        D.
    own : ndarray, shape (m,)
        r [currency per unit].

    References
    ----------
    Elliott, Golub & Jackson (2014), American Economic Review 104(10), section I: values of cross-held assets.

    Examples
    --------
    A staked token is backed by ETH for 90 % of its value, a bridged one by the staked one for 95 %.

    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_tables(
    ...     positions={"trader": ["A"], "asset": ["bridged"], "quantity": [10.0]},
    ...     assets={"asset": ["ETH", "staked", "bridged"], "price": [3000.0, 3300.0, 3300.0]},
    ...     backing={"asset": ["staked", "bridged"], "underlying": ["ETH", "staked"], "weight": [0.90, 0.95]},
    ... )
    >>> backing = cg.collateral.Backing.from_graph(graph)
    >>> backing.pass_down({"ETH": -0.2}).shock.round(4).to_dict()
    {'ETH': -0.2, 'staked': -0.18, 'bridged': -0.171}
    >>> backing.effective_holdings(graph).trader("A").round(3).to_dict()
    {'ETH': 9.405, 'staked': 9.5, 'bridged': 10.0}
    """

    assets: "pd.Index[str]"
    _: KW_ONLY
    units: sparse.csr_array
    own: FloatArray

    def __post_init__(self) -> None:
        m = len(self.assets)
        if self.units.shape != (m, m) or self.own.shape != (m,):
            raise ParameterError(
                f"Backing: units has shape {self.units.shape} and own {self.own.shape}; for {m} assets they must be "
                f"({m}, {m}) and ({m},)"
            )
        wrong = np.flatnonzero(~(self.price > 0.0))
        if wrong.size:
            raise ParameterError(
                f"Backing: asset {self.assets[wrong[0]]!r} has the value {self.price[wrong[0]]:g}; it must be above 0"
            )

    @classmethod
    def from_graph(cls, graph: ExposureGraph) -> "Backing":
        """Read the table backing of a graph: asset, underlying, weight (share of the value that is the underlying's).

        Parameters
        ----------
        graph : ExposureGraph
            Its prices are the initial values; an asset that the table does not name is worth what it is of its own.

        Returns
        -------
        Backing

        Raises
        ------
        TableError
            The weights of an asset sum to more than 1.
        ParameterError
            A cycle that has no worth of its own, by name.
        """
        check_graph(graph)
        check_no_instruments(graph, "Backing")
        weight = weights_of(graph)
        share = np.asarray(weight.sum(axis=1)).ravel()
        units = sparse.diags_array(graph.price) @ weight @ sparse.diags_array(1.0 / graph.price)
        own = graph.price * np.maximum(1.0 - share, 0.0)
        return cls(graph.assets, units=sparse.csr_array(units), own=own)

    def with_share(self, token: str, holdings: Mapping[str, float] | pd.Series, *, supply: float) -> "Backing":
        """Return a backing in which a token is a share of a pool: a vault, an LP position, a debt pool.

        It is worth the net asset value of a share, v = sum_k holdings_k v_k / supply. An account that is short
        the shares of a debt pool owes that part of the assets that all members hold.

        Parameters
        ----------
        token : str
            The asset that stands for one share.
        holdings : mapping or Series asset -> units
            What the pool holds; below 0: what it owes.
        supply : float
            Shares outstanding, above 0.

        Returns
        -------
        Backing
            With the pool's assets behind the token, in place of its own worth.

        Raises
        ------
        ParameterError
            The token's price is not the net asset value a share.

        Examples
        --------
        Ann and Bob owe half of a debt pool each; Bob holds dollars alone, and is short of Ann's BTC through the pool.

        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays(
        ...     [[100.0, 0.0, -0.5], [0.0, 100.0, -0.5]], price=[1.0, 1.0, 200.0], traders=["Ann", "Bob"],
        ...     assets=["BTC", "USD", "DEBT"],
        ... )
        >>> backing = cg.collateral.Backing.from_graph(graph)
        >>> backing = backing.with_share("DEBT", {"BTC": 100.0, "USD": 100.0}, supply=1.0)
        >>> after = backing.pass_down({"BTC": 1.0}).shock
        >>> (graph.quantity @ (graph.price * (1 + after.to_numpy()))).tolist()
        [50.0, -50.0]
        >>> backing.effective_holdings(graph).trader("Bob").to_dict()
        {'BTC': -50.0, 'USD': 50.0, 'DEBT': -0.5}
        """
        check_number("with_share", "supply", supply, low=0)
        faults = Faults(ParameterError)
        in_pool = vector("holdings", holdings, self.assets, UNITS, faults, base=0.0)
        row = vector("token", {token: 1.0}, self.assets, UNITS, faults, base=0.0) > 0.0
        faults.raise_if_any()
        if not supply or in_pool[row].any():
            raise ParameterError(f"with_share: supply must be above 0, and a pool cannot hold its own {token!r}")
        value = float(in_pool @ self.price) / supply
        listed = float(self.price[row][0])
        if abs(value - listed) > LISTED * max(abs(value), listed):
            raise ParameterError(
                f"with_share: the pool's net asset value a share is {value:.6g}, and asset {token!r} has price "
                f"{listed:.6g}; give the graph that price, or all holdings and the supply"
            )
        keep = sparse.diags_array((~row).astype(np.float64))
        filled = sparse.csr_array(np.outer(row, in_pool / supply))
        units = sparse.csr_array(keep @ self.units + filled)
        return Backing(self.assets, units=units, own=np.where(row, 0.0, self.own))

    @cached_property
    def price(self) -> FloatArray:
        """The initial values, shape (m,) [currency per unit]."""
        return solver(self.assets, self.units, np.zeros(len(self.assets)), least=0.0)(self.own)

    def pass_down(
        self,
        shock: Shock | None = None,
        *,
        failure: FailureCost | None = None,
        max_rounds: int | None = None,
        on_failure: OnFailure = "raise",
    ) -> "BackedPrices":
        """Pass a shock down from assets to all that is made of them.

        v = (1 + s) (D v + r - b),  b_k = cost v_k(initial) for the assets that have failed, at most r_k; the failed
        assets are found in rounds that start without any, which leads to the equilibrium with the fewest failures where
        D >= 0.

        Parameters
        ----------
        shock : mapping or Series asset -> relative change
            What happens to the asset itself: -0.3 = falls by 30 %, -1 = the bridge or the issuer fails.
        failure : FailureCost, optional
            None: nothing fails.
        max_rounds : int, optional
            Rounds of failure after which to stop; None: as many as there are assets, in which all can fail.
        on_failure : {"raise", "warn", "ignore"}
            What to do where further assets would fail after `max_rounds`.

        Returns
        -------
        BackedPrices
            The price of each asset after the shock, and the rounds of failure.

        Raises
        ------
        ParameterError
            An unknown asset, a change below -1; a cycle that has no solution after the shock, by name; a `max_rounds`
            below 1.
        ConvergenceError
            Further assets would fail after `max_rounds`, and `on_failure` is "raise".
        """
        check_on_failure(on_failure)
        if max_rounds is not None:
            check_number("pass_down", "max_rounds", max_rounds, low=1, whole=True)
        faults = Faults(ParameterError)
        change = vector("shock", {} if shock is None else shock, self.assets, CHANGE, faults, base=0.0)
        faults.raise_if_any()
        threshold, cost = (0.0, 0.0) if failure is None else (failure.threshold, failure.cost)
        made_of = (abs(self.units) @ self.price + np.abs(self.own)) / self.price
        least = threshold - 1.0 - ROUNDING * made_of  # a tie is no failure
        passed, failed_in, solution = failure_rounds(
            self._changes_after(change), self.own, least, cost * self.price, max_rounds
        )
        conclude(solution, on_failure, "pass_down", "Raise max_rounds.")
        columns = {"price_before": self.price, "price_after": self.price * (1.0 + passed), "change": passed}
        table = pd.DataFrame({**columns, "failure_round": failed_in}, index=self.assets.rename("asset"))
        return BackedPrices(table, model=self, solution=solution)

    def effective_holdings(self, graph: ExposureGraph) -> ExposureMatrix:
        """Return what each trader holds of each asset once derived assets are taken apart, in units of the asset.

        Q (I - D)^-1: the units of asset u that move the trader's equity when the own worth of u moves; the path through
        every token that contains it is counted.

        Parameters
        ----------
        graph : ExposureGraph
            With the same assets.

        Returns
        -------
        ExposureMatrix
            Traders x assets [units].
        """
        check_graph(graph)
        check_no_instruments(graph, "Backing")
        if not graph.assets.equals(self.assets):
            raise ParameterError("effective_holdings: the graph has other assets than the backing")
        every = traders_of(graph, None)
        held = every.add(graph.quantity)
        m = len(self.assets)
        paths = linalg.spsolve(system_of(self.units, np.zeros(m)), sparse.eye_array(m).tocsc())
        right = paths.toarray() if sparse.issparse(paths) else np.reshape(paths, self.units.shape)
        empty = sparse.csr_array(held.shape)
        return ExposureMatrix(every.labels, graph.assets, ((held, right),), empty, held, "effective holdings [units]")

    def _changes_after(self, change: FloatArray) -> Callable[[FloatArray], FloatArray]:
        """Return the map from own worth to relative changes: exactly 0 for what neither shock nor failure reaches."""
        weights = sparse.csr_array(sparse.diags_array(1.0 / self.price) @ self.units @ sparse.diags_array(self.price))
        solve = solver(self.assets, weights, change, least=-1.0)
        return lambda own: solve(change - (1.0 + change) * (self.own - own) / self.price)

    def __repr__(self) -> str:
        derived = np.count_nonzero(np.diff(self.units.indptr))
        return f"<Backing: {len(self.assets)} assets, {derived} of them made of others>"


@dataclass(frozen=True, eq=False, repr=False)
class BackedPrices(Result):
    """The prices of assets after a shock was passed down to all that is made of them.

    Parameters
    ----------
    table : DataFrame
        One row an asset: price_before, price_after [currency per unit], change (relative), failure_round (the round in
        which the asset failed; 0 = it did not).
    model : Backing
        What the assets are made of.
    solution : Solution
        How the rounds of failure ended.
    """

    table: pd.DataFrame
    _: KW_ONLY
    model: Backing
    solution: Solution

    @property
    def shock(self) -> "pd.Series[float]":
        """The relative change of each asset, for the graph without its table: `graph.assign(backing=None)`."""
        return self.table["change"].rename("shock")

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            assets, changed, failed (numbers of assets), rounds (of failure), largest_fall (relative).
        """
        change, failed = self.table["change"], self.table["failure_round"]
        figures = {
            "assets": len(change),
            "changed": np.count_nonzero(change),
            "failed": np.count_nonzero(failed),
            "rounds": failed.max(),
            "largest_fall": max(0.0, -change.min()),
        }
        return pd.Series(figures, dtype=float)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"assets": self.table}

    def __repr__(self) -> str:
        s = self.summary()
        return (
            f"<BackedPrices: {s['changed']:.0f} of {s['assets']:.0f} assets changed, {s['failed']:.0f} failed; largest "
            f"fall {s['largest_fall']:.4g}. {self.solution.status.value}>"
        )
