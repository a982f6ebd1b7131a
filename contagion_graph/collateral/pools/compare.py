"""Designs of margining compared: the capital that each needs, and the contagion under each."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import check_choice, check_number
from contagion_graph.collateral.pools.pooling import Design, pooling
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_no_instruments
from contagion_graph.margin.model import MarginCascade, check_run
from contagion_graph.scenarios.estimates import expected_shortfall
from contagion_graph.solvers.iteration import furthest

Risk = Literal["es", "var"]
LARGEST = 50_000_000  # accounts x scenarios whose needs are held at once: 400 MB
SUMS = ("gross_loss", "net_loss", "socialised", "shortfall", "uncovered", "closed")


@dataclass(frozen=True, eq=False, repr=False)
class PoolingComparison(Result):
    """The same positions under several designs of margining.

    Parameters
    ----------
    table : DataFrame
        One row a design: accounts; capital [currency], what all accounts together need; then means over the scenarios:
        closed (accounts); gross_loss (of the traders that lose), net_loss, socialised, shortfall, uncovered [currency].
    traders : DataFrame
        Mean loss of each trader under each design [currency].
    model : MarginCascade
        How accounts were liquidated and losses shared.
    solution : Solution
        How the cascade ended that was furthest from converging.
    """

    table: pd.DataFrame
    _: KW_ONLY
    traders: pd.DataFrame
    model: MarginCascade
    solution: Solution

    def summary(self) -> "pd.Series[float]":
        """Return the main figures of each design.

        Returns
        -------
        Series
            "capital unified", "uncovered unified" and so on [currency].
        """
        figures = self.table[["capital", "uncovered"]].stack()
        return pd.Series(figures.to_numpy(), [f"{name} {design}" for design, name in figures.index])

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"designs": self.table, "traders": self.traders}

    def __repr__(self) -> str:
        capital = ", ".join(f"{design} {value:,.6g}" for design, value in self.table["capital"].items())
        return f"<PoolingComparison: capital {capital}. {self.solution.status.value}>"


def compare_pooling(
    graph: ExposureGraph,
    model: MarginCascade,
    scenarios: Any,
    *,
    designs: Sequence[Design] = get_args(Design),
    risk: Risk = "es",
    level: float = 0.95,
    on_failure: OnFailure = "raise",
) -> PoolingComparison:
    """Compare designs of margining: the capital that they need and the contagion under each.

    Under each design every scenario is run as a cascade. An account needs, before limited liability, what it loses by
    the shock, by impact, by penalties and by sharing:

        capital = sum over accounts of max(0, rho(direct + impact + penalty + socialised))

    with rho the expected shortfall (the mean of the worst 1 - level of the scenarios) or the value at risk. Without
    impact and sharing, expected shortfall is subadditive: margining together never needs more. Value at risk is not,
    and contagion is outside of both.

    Parameters
    ----------
    graph : ExposureGraph
        The positions.
    model : MarginCascade
        How accounts are liquidated and losses shared.
    scenarios : DataFrame
        Scenarios x assets: relative changes; what `scenarios.draw` returns. All have the same weight.
    designs : sequence of {"isolated", "chain", "pool", "unified"}
        As in `pooling`.
    risk : {"es", "var"}
        rho.
    level : float
        Probability, in (0, 1).
    on_failure : {"raise", "warn", "ignore"}
        What to do where a cascade does not converge.

    Returns
    -------
    PoolingComparison
        A row of capital and of mean losses for each design.

    Raises
    ------
    ParameterError
        No scenarios, no designs, an unknown one; more accounts x scenarios than are held at once; a shock to an
        unknown asset, or out of range.
    ConvergenceError
        A cascade did not converge, and `on_failure` is "raise".

    References
    ----------
    Acerbi & Tasche (2002), J. Banking & Finance 26, definition 2.6: expected shortfall, coherent on a finite sample.

    Examples
    --------
    >>> import pandas as pd
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0, -10.0]], price=100.0, margin_long=0.1, margin_short=0.1, cash=[400.0]
    ... )
    >>> scenarios = pd.DataFrame({"0": [-0.2, 0.2], "1": [-0.2, 0.2]})
    >>> designs = ["isolated", "unified"]
    >>> cg.collateral.compare_pooling(graph, cg.MarginCascade(), scenarios, designs=designs).table["capital"]
    design
    isolated    400.0
    unified       0.0
    Name: capital, dtype: float64
    """
    check_run(graph, model, on_failure, any_margin=True)
    check_no_instruments(graph, "compare_pooling")
    check_choice("compare_pooling: risk", risk, get_args(Risk))
    check_number("compare_pooling", "level", level, low=0, high=1, above=True, below=True)
    if not isinstance(scenarios, pd.DataFrame) or scenarios.empty:
        raise ParameterError(
            "compare_pooling: scenarios must be a DataFrame with a row a scenario and a column an asset"
        )
    if not len(designs):
        raise ParameterError(f"compare_pooling: designs is empty; name some of {', '.join(get_args(Design))}")
    rows, traders, solutions = {}, {}, []
    for design in designs:
        need, sums, traders[design], solution = _outcome(pooling(graph, design), model, scenarios, on_failure)
        worst = -np.sort(-need, axis=1)
        rho = expected_shortfall(worst, len(scenarios), level) if risk == "es" else value_at_risk(need, level)
        rows[design] = {"accounts": len(need), "capital": float(np.maximum(rho, 0.0).sum()), **sums}
        solutions.append(solution)
    table = pd.DataFrame(rows).T.rename_axis("design").astype({"accounts": int})
    lost = pd.DataFrame(traders).rename_axis("trader")
    return PoolingComparison(table, traders=lost, model=model, solution=furthest(solutions))


def _outcome(
    graph: ExposureGraph, model: MarginCascade, scenarios: pd.DataFrame, on_failure: OnFailure
) -> tuple[FloatArray, dict[str, float], "pd.Series[float]", Solution]:
    """Return what each account needs in each scenario, means of sums, mean losses of traders, how cascades ended."""
    n, count, solutions = len(graph.account_index), len(scenarios), []
    if n * count > LARGEST:
        raise ParameterError(
            f"compare_pooling: {n:,} accounts x {count:,} scenarios; at most {LARGEST:,} are held at once; "
            "give fewer scenarios, or a subset of the graph"
        )
    need, lost, sums = np.empty((n, count)), np.zeros(len(graph.traders)), dict.fromkeys(SUMS, 0.0)
    for k, (_, change) in enumerate(scenarios.iterrows()):
        result = model.run(graph, change, on_failure=on_failure)
        solutions.append(result.solution)
        accounts, summary = result.accounts, result.summary()
        need[:, k] = accounts["loss"] + accounts["shortfall"]
        lost += result.traders["loss"].to_numpy()
        for name in SUMS:
            sums[name] += float(summary[name]) / count
    return need, sums, pd.Series(lost / count, index=graph.traders), furthest(solutions)


def value_at_risk(losses: FloatArray, level: float) -> FloatArray:
    """Return the least loss that at least `level` of equally likely losses do not exceed, along the last axis.

    Parameters
    ----------
    losses : ndarray
        The last axis runs over scenarios.
    level : float
        Probability, in (0, 1).

    Returns
    -------
    ndarray
        The shape of `losses` without the last axis.

    Examples
    --------
    >>> value_at_risk(np.array([1.0, 2.0, 3.0, 4.0]), 0.5).item()
    2.0
    """
    return np.quantile(losses, level, axis=-1, method="inverted_cdf")
