"""The result of a sweep: how losses are distributed, over the pool and over its traders."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, cast, get_args

import numpy as np
import pandas as pd

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray, IntArray
from contagion_graph._validate import check_choice, check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.backing import passed_down_note
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.prepare import breached_before
from contagion_graph.margin.result import CascadeResult
from contagion_graph.rules.layers import Purse, Resource
from contagion_graph.scenarios.estimates import (
    mean_interval,
    quantile_places,
    share_interval,
    tail_count,
    tail_estimates,
)
from contagion_graph.scenarios.figures import COLUMNS, REACHED
from contagion_graph.scenarios.frame import rows_of_scenarios
from contagion_graph.scenarios.run_tasks import rerun
from contagion_graph.scenarios.tasks import Part, Setting
from contagion_graph.state import Tally

Of = Literal["traders", "assets"]
ROUNDING = 1e-12
SHOWN = ("gross_loss", "shortfall", "socialised", "uncovered")  # columns in the table of distributions
HEADLINES, ESTIMATES = SHOWN[:2], {"mean": "mean", "value_at_risk": "VaR", "expected_shortfall": "ES"}


@dataclass(frozen=True, eq=False, repr=False)
class SweepResult(Result):
    """Many scenarios of one graph: the figures of each, and what each trader loses over all of them.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the scenarios.
    model : MarginCascade
        The model that was run.
    changes : DataFrame, scenario x asset
        The scenarios: relative price changes, as given: before they are passed down where the graph has a backing.
    level : float
        Of value at risk and expected shortfall.
    part : Part
        Numbers in label order.
    solution : Solution
        How the scenarios ended: the most rounds of any, and as residual the share that did not converge.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-850.0], assets=["ETH"])
    >>> shocks = cg.scenarios.draw.single_asset(["ETH"], [-0.01, -0.06, -0.20])
    >>> result = cg.sweep(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), shocks, level=0.5)
    >>> result
    <SweepResult: 3 scenarios of 1 trader, at 50 %: gross loss mean 73.3333, VaR 60, ES 120; shortfall mean 16.6667, ...
    >>> result.traders[["expected_loss", "closed_share", "expected_shortfall"]].round(4)
            expected_loss  closed_share  expected_shortfall
    trader
    0             73.3333        0.6667               120.0
    """

    graph: ExposureGraph
    model: MarginCascade
    changes: pd.DataFrame
    level: float
    part: Part
    solution: Solution

    @cached_property
    def scenarios(self) -> pd.DataFrame:
        """One row a scenario.

        gross_loss (of the traders that lose), net_loss (less what the others gain) [currency], closed, breached
        (accounts; closed = wholly), shortfall, fund_used, socialised, uncovered [currency], cover_1 and cover_2 (what
        the one, and the two traders leave to others that leave most: shortfalls less own contributions) [currency],
        largest_move (relative change of a price between the shock and the end), rounds, converged, layer_reached (the
        last layer of the waterfall that pays something, "uncovered", or "": none).
        """
        frame = pd.DataFrame(self.part.figures, index=self.changes.index, columns=list(COLUMNS))
        names = np.array([*(layer.name for layer in self.model.waterfall), "uncovered", ""], dtype=object)
        return frame.assign(**{REACHED: pd.Series(names[self.part.figures[REACHED]], frame.index, dtype="str")})

    @cached_property
    def price_changes(self) -> pd.DataFrame:
        """Relative price changes in the end, cascade included: scenario x asset."""
        changes = self.part.price / self.graph.price - 1.0
        return pd.DataFrame(changes, index=self.changes.index, columns=self.graph.assets.rename("asset"))

    @cached_property
    def traders(self) -> pd.DataFrame:
        """One row a trader; every estimate with the ends `_low` and `_high` of its 95 % confidence interval.

        expected_loss, value_at_risk and expected_shortfall at `level` [currency], closed_share (share of the scenarios
        in which an account of it is closed whole), indirect_share (share of the expected loss that is there only
        because of the cascade; NaN without a loss).
        """
        tally, count = self._tally(), len(self.changes)
        columns = _interval("expected_loss", *mean_interval(tally.loss, tally.square, count))
        columns |= _interval("closed_share", *share_interval(tally.closed, count))
        columns |= tail_estimates(self._largest[0], count, self.level)
        lost = tally.loss > 0.0
        share = np.divide(tally.loss - tally.standalone, tally.loss, out=np.full(lost.size, np.nan), where=lost)
        return pd.DataFrame(columns | {"indirect_share": share}, index=self.graph.traders.rename("trader"))

    @cached_property
    def baseline(self) -> CascadeResult:
        """The cascade of no shock, run when first asked for: what it closes and loses is no effect of a scenario."""
        return self.model.run(self.graph, on_failure="ignore")

    def distribution(self, column: str = "gross_loss") -> "pd.Series[float]":
        """Return mean, value at risk and expected shortfall of a column of `scenarios`, with 95 % intervals.

        Parameters
        ----------
        column : str
            A column of `scenarios`.

        Returns
        -------
        Series
            mean, value_at_risk and expected_shortfall at `level`, each with `_low` and `_high`.

        Raises
        ------
        ParameterError
            A column that `scenarios` does not have.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], assets=["ETH"])
        >>> shocks = cg.scenarios.draw.single_asset(["ETH"], [-0.1, -0.2, -0.3, -0.4])
        >>> result = cg.sweep(graph, cg.MarginCascade(), shocks, level=0.75)
        >>> result.distribution()[["mean", "value_at_risk", "expected_shortfall"]].round(6).to_dict()
        {'mean': 250.0, 'value_at_risk': 400.0, 'expected_shortfall': 400.0}
        """
        values = self._values("distribution", "column", column)
        largest = np.sort(values)[::-1][None]
        mean = mean_interval(np.array([values.sum()]), np.array([(values**2).sum()]), values.size)
        estimates = _interval("mean", *mean) | tail_estimates(largest, values.size, self.level)
        return pd.Series({name: float(each[0]) for name, each in estimates.items()}, name=column)

    def systemic(self, against: str = "gross_loss", *, of: Of = "traders") -> pd.DataFrame:
        """Return measures of systemic risk of traders or assets: their joint tails with the pool.

        With k = N (1 - level), rounded up, X the losses of one of them (of an asset: the relative fall of its price)
        and Y a column of `scenarios`: mes = mean of X over the k scenarios with the largest Y; covar = value at risk of
        Y over the k scenarios with the largest X; delta_covar = covar less the value at risk of Y over all. covar is
        NaN where the k worst scenarios are not unique (the next one is as bad), as for a trader that loses nothing.
        `mes` of traders runs the k scenarios again.

        Parameters
        ----------
        against : str
            Y: a column of `scenarios`, as gross_loss, shortfall, uncovered.
        of : {"traders", "assets"}
            Whose X.

        Returns
        -------
        DataFrame, one row a trader or an asset
            mes [currency; of assets a relative fall], covar and delta_covar, in the unit of Y.

        Raises
        ------
        ParameterError
            A column that `scenarios` does not have; a sweep with keep="scenarios", for traders.

        References
        ----------
        Acharya, Pedersen, Philippon & Richardson (2017), Review of Financial Studies 30(1): MES. Adrian & Brunnermeier
        (2016), American Economic Review 106(7): CoVaR, conditional on a loss at the value at risk; here on a loss of at
        least that, as in Girardi & Ergün (2013), J. Banking & Finance 37(8), less the unconditional value at risk.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[9.0], [-5.0]], price=[10.0], cash=[0.0, 80.0], assets=["ETH"])
        >>> shocks = cg.scenarios.draw.single_asset(["ETH"], [-0.1, 0.0, 0.1, 0.2])
        >>> cg.sweep(graph, cg.MarginCascade(), shocks, level=0.75).systemic().round(6)
                mes  covar  delta_covar
        trader
        0     -18.0    9.0         -1.0
        1      10.0   10.0          0.0
        """
        check_choice("systemic: of", of, get_args(Of))
        pool = self._values("systemic", "against", against)
        k, order = tail_count(len(pool), self.level), np.argsort(-pool, kind="stable")
        if of == "assets":
            falls = -self.price_changes.to_numpy()
            mes, index = falls[order[:k]].mean(axis=0), self.graph.assets.rename("asset")
            which = np.argsort(-falls, axis=0, kind="stable").T[:, : k + 1].astype(np.int32)
            largest = np.take_along_axis(falls.T, which, axis=1)
        else:
            mes, index = self._losses_in(np.sort(order[:k])) / k, self.graph.traders.rename("trader")
            largest, which = self._largest
        covar = _conditional(pool, largest, which, k, self.level)
        columns = {"mes": mes, "covar": covar, "delta_covar": covar - pool[order[k - 1]]}
        return pd.DataFrame(columns, index=index)

    @cached_property
    def fund_needed(self) -> pd.DataFrame:
        """The insurance fund of each pool that suffices in each scenario: scenario x pool [currency].

        The largest excess, over the rounds, of shortfalls over penalties received, where every fund pays all. With
        less, something is socialised or uncovered; with as much, the cascade is that in which the fund pays all.
        """
        return self._needed("insurance_fund")

    def _needed(self, name: str) -> pd.DataFrame:
        """Return what a purse has to hold in each scenario: scenario x pool [currency]."""
        waterfall, v = self.model.waterfall, len(self.graph.pools)
        purses = [layer.name for layer in waterfall if layer.kind in ("fund", "purse")]
        if name not in purses:
            raise ParameterError(f"fund_for: layer is {name!r}; the waterfall has the purses {purses}")
        place = [layer.name for layer in waterfall].index(name)
        of_layer, figures = slice(place * v, (place + 1) * v), self.part.figures
        needed, layer = self.part.needed[:, of_layer].copy(), cast(Resource, waterfall[place])
        missing = (needed > layer._amounts(self.graph._rows)).any(axis=1)
        short = np.flatnonzero(missing | (figures["socialised"] + figures["uncovered"] > 0.0))
        if short.size:
            setting = Setting(self.graph, self.model, None, np.full(v, np.inf))
            if layer.kind == "purse":
                ample = replace(cast(Purse, layer), amount=np.finfo(np.float64).max)
                larger = replace(self.model, waterfall=(*waterfall[:place], ample, *waterfall[place + 1 :]))
                setting = Setting(self.graph, larger, None)
            needed[short] = rerun(setting, self._price(short)).needed[:, of_layer]
        return pd.DataFrame(needed, index=self.changes.index, columns=self.graph.pools.rename("pool"))

    def fund_for(self, level: float, *, layer: str = "insurance_fund") -> pd.DataFrame:
        """Return the least insurance fund of each pool that suffices at a level of confidence, contagion included.

        A larger fund also prevents losses, because less is socialised and fewer members breach. Scenarios in which a
        fund does not suffice are run again with one that does: what it pays then is what is needed, and any fund of
        that size gives the same cascade. The interval is of order statistics, as that of a value at risk; where there
        are too few scenarios its upper end is the largest fund that any of them needs.

        Parameters
        ----------
        level : float
            The share of the scenarios in which the fund suffices, in (0, 1].
        layer : str
            The name of the fund, or of another purse of the waterfall: then the amount of that purse.

        Returns
        -------
        DataFrame, one row a pool
            insurance_fund, with the ends insurance_fund_low and insurance_fund_high of its 95 % interval [currency];
            or under the name of another purse.

        Raises
        ------
        ParameterError
            A level outside of (0, 1], or a layer that is no purse of the waterfall.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[10.0], [1.0]], price=[100.0], margin_long=0.1, cash=[-850.0, 0.0])
        >>> shocks = cg.scenarios.draw.single_asset(graph.assets, [-0.1, -0.2, -0.3, -0.4])
        >>> result = cg.sweep(graph, cg.MarginCascade(), shocks)
        >>> result.fund_for(0.75).round(6)
              insurance_fund  insurance_fund_low  insurance_fund_high
        pool
        pool           150.0                 0.0                250.0
        """
        check_number("fund_for", "level", level, low=0, above=True, high=1)
        needed = self.fund_needed if layer == "insurance_fund" else self._needed(layer)
        falling = np.sort(needed.to_numpy(), axis=0)[::-1]
        place = len(falling) - max(math.ceil(level * len(falling) - 1e-9), 1) + 1
        places = (place, *quantile_places(place, len(falling), level))
        funds = (falling[k - 1] * (1.0 + ROUNDING) for k in places)  # rounding of its sums shall leave nothing to share
        return pd.DataFrame(_interval(layer, *funds), index=self.graph.pools.rename("pool"))

    def worst(self, k: int = 1, *, by: str = "gross_loss") -> pd.DataFrame:
        """Return the worst scenarios, the worst first: `model.run(graph, result.worst(3).iloc[0])` runs one in full.

        Parameters
        ----------
        k : int
            How many.
        by : str
            A column of `scenarios`: the largest values are the worst.

        Returns
        -------
        DataFrame, scenario x asset
            Relative price changes.

        Raises
        ------
        ParameterError
            A column that `scenarios` does not have.

        Examples
        --------
        >>> import contagion_graph as cg
        >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], assets=["ETH"])
        >>> shocks = cg.scenarios.draw.single_asset(["ETH"], [-0.1, -0.3, -0.2])
        >>> cg.sweep(graph, cg.MarginCascade(), shocks).worst(2)
        asset     ETH
        scenario
        1        -0.3
        2        -0.2
        """
        check_number("worst", "k", k, low=1, whole=True)
        return self.changes.iloc[np.argsort(-self._values("worst", "by", by), kind="stable")[:k]]

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            scenarios (how many); mean, value_at_risk and expected_shortfall of gross_loss and of shortfall, as
            gross_loss_mean [currency]; with_liquidations, with_shared_loss (scenarios in which something is socialised
            or uncovered), not_converged; breached_before (accounts in breach before any shock).
        """
        figures = self.part.figures
        counts = {
            "with_liquidations": (figures["closed"] > 0).sum(),
            "with_shared_loss": (figures["socialised"] + figures["uncovered"] > 0.0).sum(),
            "not_converged": (~figures["converged"]).sum(),
            "breached_before": breached_before(self.graph, self.model),
        }
        shown = {name: self.distribution(name)[list(ESTIMATES)] for name in HEADLINES}
        losses = {f"{name}_{which}": amount for name, each in shown.items() for which, amount in each.items()}
        return pd.Series({"scenarios": len(self.changes), **losses, **counts}, name="summary", dtype=float)

    def _tables(self) -> dict[str, pd.DataFrame]:
        distribution = pd.DataFrame([self.distribution(name) for name in SHOWN]).rename_axis("figure")
        shocks = self.changes.rename_axis(columns=None)
        tables = {"scenarios": self.scenarios, "shocks": shocks, "distribution": distribution}
        return tables | ({} if self.part.tally is None else {"traders": self.traders})

    def _values(self, method: str, argument: str, name: str) -> FloatArray:
        check_choice(f"{method}: {argument}", name, COLUMNS)
        return np.asarray(self.part.figures[name], dtype=np.float64)

    def _price(self, numbers: Any) -> FloatArray:
        return rows_of_scenarios(self.graph, self.changes.iloc[numbers])

    def _tally(self) -> Tally:
        if self.part.tally is None:
            raise ParameterError("this sweep kept nothing of traders; run it with keep='traders'")
        return self.part.tally

    def _losses_in(self, numbers: Any) -> FloatArray:
        """Return the sum of each trader's losses over some scenarios, which are run again."""
        self._tally()
        tally = rerun(Setting(self.graph, self.model, 0), self._price(numbers)).tally
        assert tally is not None
        return tally.loss

    @cached_property
    def _largest(self) -> tuple[FloatArray, IntArray]:
        """The losses kept of each trader, the largest first, and their scenarios, shape (t, K)."""
        tally = self._tally()
        return tally.tail[:, ::-1], tally.which[:, ::-1]

    def __repr__(self) -> str:
        s, traders = self.summary(), len(self.graph.traders)
        figures = (
            f"{name.replace('_', ' ')} "
            + ", ".join(f"{words} {s[f'{name}_{which}']:,.6g}" for which, words in ESTIMATES.items())
            for name in HEADLINES
        )
        before = f"; {s['breached_before']:,.0f} in breach before any shock" if s["breached_before"] else ""
        return (
            f"<SweepResult: {len(self.changes):,} scenarios of {traders:,} trader{'' if traders == 1 else 's'}, at "
            f"{100 * self.level:g} %: {'; '.join(figures)}; {s['with_liquidations']:,.0f} scenarios with "
            f"liquidations{before}{passed_down_note(self.graph)}>"
        )


def _interval(name: str, value: FloatArray, low: FloatArray, high: FloatArray) -> dict[str, FloatArray]:
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _conditional(pool: FloatArray, largest: FloatArray, which: IntArray, k: int, level: float) -> FloatArray:
    """Return the value at risk of Y over the k worst scenarios of each X; NaN where these are not k."""
    place = k - tail_count(k, level)
    found: FloatArray = np.partition(pool[which[:, :k]], place, axis=1)[:, place]
    if largest.shape[1] > k:
        found[largest[:, k - 1] == largest[:, k]] = np.nan
    return found
