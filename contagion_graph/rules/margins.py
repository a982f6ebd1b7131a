"""Maintenance margins that are no flat rates: tiers by notional, and scenario grids (portfolio margin)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.margins import GraphMargins, tier_schedule
from contagion_graph.graph.scenario import check_graph
from contagion_graph.graph.scenario_grids import grid_of
from contagion_graph.tables.vectors import rows_of


@dataclass(frozen=True)
class TieredMargin:
    """Margin tiers: the rate rises with the notional of an account's net position in an asset.

    M(n) = max_l (r_l n - d_l), n = |q| p, d_l = d_(l-1) + lower_l (r_l - r_(l-1)): each part of the notional bears the
    rate of its own tier, so the margin is continuous and convex. Assets that are not named keep their flat rates.

    Parameters
    ----------
    tiers : mapping of asset to sequence of (lower, rate)
        The notional from which each tier counts, the first 0 [currency], and its margin rate in [0, 1]; rates rise.

    References
    ----------
    Binance, "Leverage and margin of USD-margined futures": maintenance = notional x rate - amount, brackets as here.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> margin = cg.TieredMargin({"ADA": [(0, 0.025), (100_000, 0.05), (500_000, 0.1)]})
    >>> margin.amounts["ADA"]
    (0.0, 2500.0, 27500.0)
    >>> margin.of_notional("ADA", [50_000, 300_000]).tolist()
    [1250.0, 12500.0]
    """

    tiers: Mapping[str, Sequence[tuple[float, float]]]

    def __post_init__(self) -> None:
        if not isinstance(self.tiers, Mapping) or not self.tiers:
            raise ParameterError("TieredMargin: tiers is no mapping of asset to (lower, rate) pairs, or is empty")
        for asset, tiers in self.tiers.items():
            _check_tiers(str(asset), tiers)

    @property
    def amounts(self) -> dict[str, tuple[float, ...]]:
        """The amount d_l of every tier, by asset: what is taken off r_l n [currency]."""
        return {str(asset): tuple(self._amounts(asset).tolist()) for asset in self.tiers}

    def of_notional(self, asset: str, notional: ArrayLike) -> FloatArray:
        """Return the maintenance margin of positions in one asset.

        Parameters
        ----------
        asset : str
            One of those of `tiers`.
        notional : array_like
            |q| p of each position [currency].

        Returns
        -------
        ndarray
            Currency.

        Raises
        ------
        ParameterError
            An asset without tiers.
        """
        if asset not in self.tiers:
            raise ParameterError(f"TieredMargin: asset {asset!r} has no tiers; it has those of {list(self.tiers)}")
        rate = np.array([each for _, each in self.tiers[asset]])
        pieces: FloatArray = np.multiply.outer(np.asarray(notional, dtype=np.float64), rate) - self._amounts(asset)
        largest: FloatArray = pieces.max(axis=-1)
        return largest

    def maintenance(self, graph: ExposureGraph) -> "pd.Series[float]":
        """Return the maintenance margin that every account of a graph would have on these tiers, at its prices.

        Parameters
        ----------
        graph : ExposureGraph
            The positions.

        Returns
        -------
        Series, by account
            Currency.

        Raises
        ------
        ParameterError
            An asset that the graph does not know.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[10.0], [-40.0]], price=100.0, assets=["ADA"], traders=["A", "B"])
        >>> cg.TieredMargin({"ADA": [(0, 0.02), (1_000, 0.05)]}).maintenance(graph).round(9).tolist()
        [20.0, 170.0]
        """
        return _series(graph, self._margins(graph))

    def margin_table(self, graph: ExposureGraph) -> pd.DataFrame:
        """Return the tier that would bind for each position, and its cost: the table of `ExposureGraph.margin_table`.

        Parameters
        ----------
        graph : ExposureGraph
            The positions.

        Returns
        -------
        DataFrame, by account
            As there.

        Raises
        ------
        ParameterError
            An asset that the graph does not know.
        """
        return self._margins(graph).table(graph._rows)

    def _margins(self, graph: ExposureGraph) -> GraphMargins:
        check_graph(graph)
        sizes = [len(each) for each in self.tiers.values()]
        column = np.repeat(rows_of(list(self.tiers), graph.assets, "tiers"), sizes)
        lower, rate = np.array([pair for each in self.tiers.values() for pair in each], dtype=np.float64).T
        schedule = tier_schedule(column, lower, rate, len(graph.assets))
        return GraphMargins(schedule, (), graph.assets, graph._rows.cells)

    def _amounts(self, asset: str) -> FloatArray:
        lower, rate = np.array(self.tiers[asset], dtype=np.float64).T
        return tier_schedule(np.zeros(lower.size, dtype=np.int64), lower, rate, 1).amount


def _check_tiers(asset: str, tiers: Any) -> None:
    """Refuse tiers that do not begin at 0, do not rise, or whose rates fall."""
    try:
        lower, rate = np.array(tiers, dtype=np.float64).T
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"TieredMargin: the tiers of {asset!r} are {tiers!r:.60}; give (lower, rate) pairs"
        ) from error
    for name, values in (("lower", lower), ("rate", rate)):
        for value in values.tolist():
            check_number("TieredMargin", f"{name} of {asset!r}", value, low=0, high=np.inf if name == "lower" else 1)
    if lower[0] != 0.0 or (np.diff(lower) <= 0.0).any():
        raise ParameterError(f"TieredMargin: the tiers of {asset!r} begin at {lower.tolist()}; begin at 0, and rise")
    if (np.diff(rate) < 0.0).any():
        raise ParameterError(
            f"TieredMargin: the rates of {asset!r} are {rate.tolist()}; a rate that falls with the notional makes no "
            "largest affine piece; give rates that rise"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ScenarioMargin:
    """A scenario grid (portfolio margin): what a book loses in the worst of given moves of prices and volatilities.

    M = sum over risk groups of max(0, max_s -sum_j q_j L_js) + the contingency, with the gains of one unit L_js =
    weight_s (F_j(u (1 + move_s), vol vol_factor_s) - F_j(u, vol)), u the price of its underlying. The contingency is c
    u for every net short option of one underlying, strike and expiry. A risk group is what column `group` of table
    assets says; by default the underlying.

    Parameters
    ----------
    move : array_like, shape (S,), optional
        Relative changes of the underlying's price, above -1; one of them 0.
    vol_factor : number or array_like, shape (S,)
        What volatilities are multiplied by, above 0.
    weight : number or array_like, shape (S,)
        What each gain counts, in [0, 1]: far scenarios are weighted down.
    contingency : number
        c, in [0, 1].
    arrays : mapping of asset to array_like of shape (S,), optional
        L itself, in the place of the moves: what one unit gains in each scenario [currency], as risk arrays of a
        clearing house say; they stay the same at all prices. Assets that are not named gain nothing.

    References
    ----------
    CME Group (2019), CME SPAN methodology: 16 scenarios, scanning risk = the largest loss.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[3.0, 0.0], [1.0, -1.0]], price=[100.0, 50.0], assets=["X", "Y"])
    >>> cg.ScenarioMargin(move=[-0.16, 0.0, 0.16]).maintenance(graph).tolist()
    [48.0, 24.0]
    >>> cg.ScenarioMargin(arrays={"X": [0, 33, -33], "Y": [0, 20, -40]}).maintenance(graph).tolist()
    [99.0, 53.0]
    """

    move: ArrayLike | None = None
    vol_factor: ArrayLike = 1.0
    weight: ArrayLike = 1.0
    contingency: float = 0.0
    arrays: Mapping[str, ArrayLike] | None = None

    def __post_init__(self) -> None:
        check_number("ScenarioMargin", "contingency", self.contingency, low=0, high=1)
        if (self.move is None) == (self.arrays is None):
            raise ParameterError("ScenarioMargin: give move, or arrays, and not both")
        if self.arrays is not None:
            self._check_arrays(self.arrays)
            return
        move, vol_factor, weight = self.scenarios
        for name, values, limits in (
            ("move", move, {"low": -1, "above": True}),
            ("vol_factor", vol_factor, {"low": 0, "above": True}),
            ("weight", weight, {"low": 0, "high": 1}),
        ):
            for value in values.tolist():
                check_number("ScenarioMargin", name, value, **limits)  # type: ignore[arg-type]
        if not (move == 0.0).any():
            raise ParameterError("ScenarioMargin: no move is 0; add the scenario in which the price stays")

    @property
    def scenarios(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Move, vol_factor and weight of every scenario, shape (S,) each."""
        try:
            given = [np.array(each, dtype=np.float64) for each in (self.move, self.vol_factor, self.weight)]
            move, vol_factor, weight = np.broadcast_arrays(*(np.atleast_1d(each) for each in given))
        except (TypeError, ValueError) as error:
            raise ParameterError(f"ScenarioMargin: move, vol_factor and weight do not go together ({error})") from error
        return move, vol_factor, weight

    def _check_arrays(self, arrays: Any) -> None:
        if not isinstance(arrays, Mapping) or not arrays:
            raise ParameterError("ScenarioMargin: arrays is no mapping of asset to gains, or is empty")
        sizes = {len(np.atleast_1d(each)) for each in arrays.values()}
        if len(sizes) > 1:
            raise ParameterError(f"ScenarioMargin: arrays have {sorted(sizes)} scenarios; give all assets as many")
        for asset, gains in arrays.items():
            if not np.isfinite(np.asarray(gains, dtype=np.float64)).all():
                raise ParameterError(f"ScenarioMargin: the array of {asset!r} has gains that are not finite")

    def maintenance(self, graph: ExposureGraph) -> "pd.Series[float]":
        """Return the maintenance margin that every account of a graph would have on this grid, at its prices.

        Parameters
        ----------
        graph : ExposureGraph
            The positions; all its accounts are valued, whatever margin they are on.

        Returns
        -------
        Series, by account
            Currency.

        Raises
        ------
        ParameterError
            Arrays of an asset that the graph does not know.
        """
        return _series(graph, self._margins(graph))

    def margin_table(self, graph: ExposureGraph) -> pd.DataFrame:
        """Return the scenario that would bind in each risk group, and its cost: as `ExposureGraph.margin_table`.

        Parameters
        ----------
        graph : ExposureGraph
            The positions.

        Returns
        -------
        DataFrame, by account
            As there; move and vol_factor are NaN where arrays were given.

        Raises
        ------
        ParameterError
            Arrays of an asset that the graph does not know.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[3.0]], price=[100.0], assets=["X"])
        >>> cg.ScenarioMargin(move=[-0.16, 0.0, 0.16]).margin_table(graph)[["part", "cost"]].values.tolist()
        [['X', 48.0]]
        """
        return self._margins(graph).table(graph._rows)

    def _margins(self, graph: ExposureGraph) -> GraphMargins:
        check_graph(graph)
        m, columns = len(graph.assets), graph._columns
        arrays = None if self.arrays is None else _array_block(self.arrays, graph)
        if arrays is None:
            move, vol_factor, weight = (np.tile(each, (m, 1)) for each in self.scenarios)
        else:
            move = vol_factor = weight = np.full_like(arrays, np.nan)
        grid = grid_of(
            "scenarios", np.arange(len(graph.account_index)), graph.quantity, graph._risk_groups[0], columns, move=move,
            vol_factor=vol_factor, weight=weight, contingency=np.full(m, self.contingency), arrays=arrays,
        )  # fmt: skip
        return GraphMargins(None, (grid,), graph._risk_groups[1], graph._rows.cells)


def _array_block(arrays: Mapping[str, ArrayLike], graph: ExposureGraph) -> FloatArray:
    """Return gains of one unit by column and scenario, shape (m, S)."""
    given = np.array([np.atleast_1d(each) for each in arrays.values()], dtype=np.float64)
    block = np.zeros((len(graph.assets), given.shape[1]))
    block[rows_of(list(arrays), graph.assets, "arrays")] = given
    return block


def _series(graph: ExposureGraph, margins: GraphMargins) -> "pd.Series[float]":
    return pd.Series(margins.of_all(graph._rows), index=graph.account_index, name="maintenance")
