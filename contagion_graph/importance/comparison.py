"""Measures of importance side by side, and the stability of a ranking under noise in depth and price."""

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from contagion_graph._result import Result
from contagion_graph._solution import EXACT, Solution
from contagion_graph._typing import Seed
from contagion_graph._validate import check_kind, check_number, generator_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.solvers.arrays import ratio

Measure = Callable[[ExposureGraph], "pd.Series[float]"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Several measures of the same nodes, with their ranks.

    Parameters
    ----------
    table : DataFrame
        For each measure its values, under its name, and its ranks, under its name and "_rank": 1 = the largest, equal
        values share the best of their ranks. One row a node.
    kendall : DataFrame
        Kendall's tau-b of any two measures. A constant measure ranks no node: 0 with any other, 1 with another
        constant.
    """

    table: pd.DataFrame
    _: KW_ONLY
    kendall: pd.DataFrame
    model: None = None
    solution: Solution = EXACT

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            nodes, measures (counts); least_tau, mean_tau (of Kendall's tau-b over pairs of measures; 1 of a single
            measure).
        """
        tau_of_pairs = self.kendall.to_numpy()[np.triu_indices(len(self.kendall), 1)]
        least, mean = (tau_of_pairs.min(), tau_of_pairs.mean()) if tau_of_pairs.size else (1.0, 1.0)
        figures = {"nodes": len(self.table), "measures": len(self.kendall), "least_tau": least, "mean_tau": mean}
        return pd.Series(figures, name="comparison", dtype=np.float64)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"table": self.table, "kendall": self.kendall.rename_axis("measure")}

    def __repr__(self) -> str:
        s = self.summary()
        return f"<Comparison: {s['measures']:.0f} measures of {s['nodes']:,.0f} nodes; tau-b from {s['least_tau']:.4g}>"


@dataclass(frozen=True, eq=False, repr=False)
class Stability(Result):
    """Changes of a ranking under small noise.

    Parameters
    ----------
    nodes : DataFrame
        Columns `value` and `rank` without noise, `mean_change` and `worst_change` of the rank over the draws, and
        `undefined`: the number of draws in which it had no value, as `debtrank` has none without positive equity. Such
        a draw does not count for the node, and ranks the others among themselves.
    kendall : Series
        Kendall's tau-b of the values with and without noise, by draw, as in `Comparison`.
    """

    nodes: pd.DataFrame
    _: KW_ONLY
    kendall: "pd.Series[float]"
    model: None = None
    solution: Solution = EXACT

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            nodes, draws (counts); least_tau, mean_tau (of Kendall's tau-b over draws); worst_change (of a rank).
        """
        tau_of_draws, worst = self.kendall, self.nodes["worst_change"].max()
        figures = {"nodes": len(self.nodes), "draws": len(tau_of_draws), "least_tau": tau_of_draws.min()}
        figures |= {"mean_tau": tau_of_draws.mean(), "worst_change": worst}
        return pd.Series(figures, name="stability", dtype=np.float64)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"nodes": self.nodes, "kendall": self.kendall.to_frame()}

    def __repr__(self) -> str:
        s = self.summary()
        draws = f"{s['nodes']:,.0f} nodes in {s['draws']:,.0f} draws"
        return f"<Stability: {draws}; tau-b from {s['least_tau']:.4g}, a rank moves by up to {s['worst_change']:,.0f}>"


def compare(graph: ExposureGraph, measures: "Iterable[pd.Series[float] | Measure]") -> Comparison:
    """Return measures side by side: values, ranks, and the rank correlation of any two.

    Parameters
    ----------
    graph : ExposureGraph
        The argument of measures that are functions.
    measures : iterable of Series or callable
        Series by label, all of the same nodes, or functions of a graph that return one. Named as the Series is.

    Returns
    -------
    Comparison
        In the label order of the first measure.

    Raises
    ------
    ParameterError
        No measure; a name that repeats or is missing; other nodes than those of the first; NaN.

    References
    ----------
    Kendall (1945), Biometrika 33(3): tau-b.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> comparison = cg.importance.compare(graph, [cg.importance.strength, cg.importance.degree(graph)])
    >>> comparison.table
            strength  strength_rank  degree  degree_rank
    trader
    A            4.0              2     1.0            2
    B            7.0              1     2.0            1
    >>> float(comparison.kendall.loc["strength", "degree"])
    1.0
    """
    check_graph(graph)
    if callable(measures) or isinstance(measures, pd.Series):
        raise ParameterError("compare: measures is one measure; give a list of them")
    check_kind("compare: measures", measures, Iterable, "a list of measures")
    named: dict[str, pd.Series[float]] = {}
    for measure in measures:
        series = _values(measure, graph)
        name = str(series.name)
        if series.name is None or name in named:
            raise ParameterError(f"compare: the name {series.name!r} repeats or is missing; use Series.rename")
        named[name] = _aligned(series, next(iter(named.values()), series))
    if not named:
        raise ParameterError("compare: there is no measure; give at least one")
    values = pd.DataFrame(named)
    ranks = {f"{name}_rank": ranking(series) for name, series in named.items()}
    order = [column for name in named for column in (name, f"{name}_rank")]
    return Comparison(values.assign(**ranks)[order], kendall=values.corr(method=tau))  # type: ignore[arg-type] # the stubs know names only


def stability(
    graph: ExposureGraph, measure: Measure, *, noise: float = 0.01, n_draws: int = 100, rng: Seed | None = None
) -> Stability:
    """Return the changes of the ranking by a measure under small noise in depth and price.

    In each draw every price and every depth is multiplied by exp(noise z), z standard normal, all independent;
    quantities and cash stay.

    Parameters
    ----------
    graph : ExposureGraph
        Without noise.
    measure : callable
        Function of a graph that returns a Series by label.
    noise : float
        From 0 up: standard deviation of the logarithm.
    n_draws : int
        Number of draws; the measure is computed once in each.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed draws the same noise.

    Returns
    -------
    Stability
        Changes of ranks by node, and Kendall's tau-b by draw.

    Raises
    ------
    ParameterError
        A number that cannot be; a measure that returns no Series of the same nodes, or NaN without noise.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.stability(graph, cg.importance.hits, n_draws=10, rng=0).nodes.round(4)
             value  rank  mean_change  worst_change  undefined
    trader
    A       0.6038     2          0.0             0          0
    B       0.7971     1          0.0             0          0
    """
    check_graph(graph)
    check_number("stability", "noise", noise, low=0)
    check_number("stability", "n_draws", n_draws, low=1, whole=True)
    draw = generator_of("stability", rng)
    value = _values(measure, graph)
    size, kendall = len(value), []
    total, worst, known = np.zeros(size), np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for _ in range(n_draws):
        factors = np.exp(noise * draw.standard_normal((2, len(graph.assets))))
        noisy = graph.assign(price=graph.price * factors[0], depth=graph.depth * factors[1])
        moved = _aligned(_values(measure, noisy, gaps=True), value)
        there = moved.notna().to_numpy()
        change = np.abs((ranking(moved[there]) - ranking(value[there])).to_numpy())
        total[there] += change
        worst[there] = np.maximum(worst[there], change)
        known += there
        kendall.append(tau(value[there], moved[there]))
    mean = ratio(total, known, np.nan)
    nodes = pd.DataFrame({"value": value, "rank": ranking(value)})
    nodes = nodes.assign(mean_change=mean, worst_change=worst, undefined=n_draws - known)
    return Stability(nodes, kendall=pd.Series(kendall, index=pd.RangeIndex(n_draws, name="draw"), name="kendall"))


def tau(values: ArrayLike, others: ArrayLike) -> float:
    """Return Kendall's tau-b; constant values rank no node: 1 if both are constant, 0 if one is.

    Examples
    --------
    >>> rising, flat = np.array([1.0, 2.0]), np.ones(2)
    >>> tau(rising, 2.0 * rising), tau(rising, flat), tau(flat, flat)
    (1.0, 0.0, 1.0)
    """
    pair = np.asarray(values), np.asarray(others)
    equal = [bool((each == each[:1]).all()) for each in pair]
    return float(all(equal)) if any(equal) else float(stats.kendalltau(*pair).statistic)


def ranking(values: "pd.Series[float]") -> "pd.Series[int]":
    """Return ranks, 1 = the largest; equal values share the best of their ranks.

    Examples
    --------
    >>> ranking(pd.Series([3.0, 5.0, 3.0])).tolist()
    [2, 1, 2]
    """
    return values.rank(method="min", ascending=False).astype(np.int64)


def _values(measure: "pd.Series[float] | Measure", graph: ExposureGraph, *, gaps: bool = False) -> "pd.Series[float]":
    series = measure(graph) if callable(measure) else measure
    if not isinstance(series, pd.Series) or series.index.has_duplicates:
        raise ParameterError(f"measure {measure!r:.60} is no Series with one value a label, nor a function of one")
    missing = series.index[series.isna()]
    if len(missing) and not gaps:
        raise ParameterError(f"measure {series.name!r} is NaN at {missing[:3].tolist()}; drop or fill these first")
    return series


def _aligned(series: "pd.Series[float]", first: "pd.Series[float]") -> "pd.Series[float]":
    if len(series) != len(first) or not series.index.isin(first.index).all():
        raise ParameterError(
            f"measures {first.name!r} and {series.name!r} are of other nodes; compare traders with traders, "
            "or assets with assets: of="
        )
    return series.reindex(first.index)
