"""What it costs to margin positions apart, and what it risks to margin them together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number
from contagion_graph.collateral.pools.pooling import Design, pooling
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.scenarios.estimates import expected_shortfall

Risk = Literal["es", "var"]
LARGEST = 50_000_000  # accounts x scenarios whose needs are held at once: 400 MB
SUMS = ("loss", "socialised", "shortfall", "uncovered", "closed")


@dataclass(frozen=True, eq=False)
class PoolingComparison:
    """The same positions under several designs of margining.

    Parameters
    ----------
    table : DataFrame
        One row a design: accounts; capital [currency], what all accounts together need; then means over the scenarios:
        closed (accounts), loss, socialised, shortfall, uncovered [currency, over all accounts].
    traders : DataFrame
        Mean loss of each trader under each design [currency]: who gains by a design and who pays.
    """

    table: pd.DataFrame
    traders: pd.DataFrame


def compare_pooling(
    graph: ExposureGraph,
    model: MarginCascade,
    scenarios: Any,
    designs: Sequence[Design] = get_args(Design),
    *,
    risk: Risk = "es",
    level: float = 0.95,
) -> PoolingComparison:
    """Compare designs of margining: the capital that they need against the contagion that they carry.

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
        Scenarios x assets: relative changes; what `scenarios.draw` returns. All count alike.
    designs : sequence of {"isolated", "chain", "pool", "unified"}
        As in `pooling`.
    risk : {"es", "var"}
        rho.
    level : float
        In (0, 1).

    Returns
    -------
    PoolingComparison

    Raises
    ------
    ParameterError
        No scenarios, no designs, an unknown one; more accounts x scenarios than are held at once.
    TableError
        A shock to an unknown asset, or out of range.

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
    >>> cg.collateral.compare_pooling(graph, cg.MarginCascade(), scenarios, ["isolated", "unified"]).table["capital"]
    design
    isolated    400.0
    unified       0.0
    Name: capital, dtype: float64
    """
    check_choice("compare_pooling: risk", risk, get_args(Risk))
    check_number("compare_pooling", "level", level, low=0, high=1, above=True, below=True)
    if not isinstance(scenarios, pd.DataFrame) or scenarios.empty:
        raise ParameterError(
            "compare_pooling: scenarios must be a DataFrame with a row a scenario and a column an asset"
        )
    if not len(designs):
        raise ParameterError(f"compare_pooling: designs is empty; name some of {', '.join(get_args(Design))}")
    rows, traders = {}, {}
    for design in designs:
        rows[design], traders[design] = _outcome(pooling(graph, design), model, scenarios, risk, level)
    table = pd.DataFrame(rows).T.rename_axis("design").astype({"accounts": int})
    return PoolingComparison(table, pd.DataFrame(traders).rename_axis("trader"))


def _outcome(
    graph: ExposureGraph, model: MarginCascade, scenarios: pd.DataFrame, risk: Risk, level: float
) -> tuple[dict[str, float], "pd.Series[float]"]:
    """Return what a design comes to, and the mean loss of each trader."""
    n = len(graph.accounts)
    if n * len(scenarios) > LARGEST:
        raise ParameterError(
            f"compare_pooling: {n:,} accounts x {len(scenarios):,} scenarios; at most {LARGEST:,} are held at once; "
            "give fewer scenarios, or a subset of the graph"
        )
    need, lost, sums = np.empty((n, len(scenarios))), np.zeros(len(graph.traders)), dict.fromkeys(SUMS, 0.0)
    for k, (_, change) in enumerate(scenarios.iterrows()):
        result = model.run(graph, change)
        accounts, pools = result.accounts, result.pools
        need[:, k] = accounts["loss"] + accounts["shortfall"]
        lost += graph.per_trader(accounts["loss"])
        figures = [accounts["loss"], accounts["socialised"], accounts["shortfall"], pools["uncovered"]]
        for name, value in zip(SUMS, [*figures, pd.Series(result.arrays.closed_whole)], strict=True):
            sums[name] += float(value.sum()) / len(scenarios)
    worst = -np.sort(-need, axis=1)
    rho = expected_shortfall(worst, len(scenarios), level) if risk == "es" else value_at_risk(need, level)
    capital = float(np.maximum(rho, 0.0).sum())
    means = pd.Series(lost / len(scenarios), index=graph.traders)
    return {"accounts": n, "capital": capital, **sums}, means


def value_at_risk(losses: FloatArray, level: float) -> FloatArray:
    """Return the least loss that at least `level` of equally likely losses do not exceed, along the last axis.

    Examples
    --------
    >>> value_at_risk(np.array([1.0, 2.0, 3.0, 4.0]), 0.5).item()
    2.0
    """
    return np.quantile(losses, level, axis=-1, method="inverted_cdf")
