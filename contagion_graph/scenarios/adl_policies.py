"""One market and one shock under several rankings of auto-deleveraging, each with what it does to the cascade."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray, OnFailure
from contagion_graph._validate import check_kind, check_model, check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock, check_graph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.result import CascadeResult
from contagion_graph.rules.layers import Deleverage, Layer

NONE = "none"


@dataclass(frozen=True, eq=False, repr=False)
class AdlComparison(Result):
    """What rankings of auto-deleveraging do on one market after one shock.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shock.
    model : MarginCascade
        The rules beside the rankings.
    results : dict of str to CascadeResult
        One a policy; "none": without deleveraging.
    policies : DataFrame
        One row a policy: `adl_policies` describes the columns.
    taken : DataFrame, trader x policy
        What each trader lost by fills at bankruptcy prices [currency]; those that nobody took from are left out.
    """

    graph: ExposureGraph
    model: MarginCascade
    results: dict[str, CascadeResult]
    policies: pd.DataFrame
    taken: pd.DataFrame

    @property
    def solution(self) -> Solution:  # type: ignore[override] # that of the cascades
        """How the cascade of the last policy ended."""
        return list(self.results.values())[-1].solution

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            policies; traders_taken_from (by any of them); least_shortfall and largest_shortfall (currency, over the
            policies, "none" among them); most_concentrated (the largest share that one trader bears under a policy).
        """
        shortfall, total = self.policies["shortfall"], self.taken.sum()
        figures = {
            "policies": len(self.policies) - 1,
            "traders_taken_from": len(self.taken),
            "least_shortfall": shortfall.min(),
            "largest_shortfall": shortfall.max(),
            "most_concentrated": (self.taken.max() / total.where(total > 0.0)).max(),
        }
        return pd.Series(figures, name="adl_policies", dtype=np.float64)

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {"policies": self.policies, "taken": self.taken}

    def __repr__(self) -> str:
        names = ", ".join(str(name) for name in self.policies.index.drop(NONE))
        least = self.policies["shortfall"].idxmin()
        return f"<AdlComparison: {names}; the least shortfall under {least}; {len(self.taken):,} traders taken from>"


def adl_policies(
    graph: ExposureGraph,
    model: MarginCascade,
    shock: Shock,
    *,
    policies: Iterable[Any] | Mapping[str, Deleverage] = ("profit", "hyperliquid", "pro_rata", "random"),
    top: int = 10,
    on_failure: OnFailure = "raise",
) -> AdlComparison:
    """Run one shock under several rankings of auto-deleveraging, with all that they do to the rest of the cascade.

    A ranking decides who loses positions, so who loses hedges: closures and shortfalls that a ranking itself causes are
    those of its cascade less those of the cascade without deleveraging.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shock.
    model : MarginCascade
        The rules. A layer `Deleverage` of its waterfall says where the rankings stand, with its trigger and share;
        without one they stand after the purses.
    shock : mapping or Series asset -> relative price change
        As in `MarginCascade.run`.
    policies : iterable of rankings, or mapping of name to Deleverage
        Rankings as in `Deleverage(rank)`.
    top : int
        How many traders `top_share` counts, at least 1.
    on_failure : {"raise", "warn", "ignore"}
        What to do when a cascade does not converge.

    Returns
    -------
    AdlComparison
        `policies` has: deleveraged (value at marks that passed; currency), taken (what counterparties lost by prices
        off the mark; currency), overshoot (deleveraged over taken), counterparties (traders taken from), gini (of what
        is taken, over all traders with positions), top_share (of it, what the `top` most taken from bear), regret (the
        share of it that traders bear beyond what they bear under "pro_rata"; NaN without that policy), closed
        (accounts), closed_by_it and spared (accounts closed with it and not without, and the reverse), shortfall,
        socialised and uncovered (currency), shortfall_by_it (less that without).

    Raises
    ------
    ParameterError
        No policy, one that is none, a name twice, or what `MarginCascade.run` refuses.

    References
    ----------
    .. [1] Chitra et al. (2025), Autodeleveraging: impossibilities and optimization, arXiv:2512.01112, which holds the
       market fixed.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [-6.0], [-4.0]], price=100.0, margin_long=0.02, margin_short=0.02, cash=[-840.0, 700.0, 900.0]
    ... )
    >>> found = cg.adl_policies(graph, cg.MarginCascade(), {"0": -0.2}, policies=["profit", "pro_rata"])
    >>> found.taken
    policy   profit  pro_rata
    trader
    1          24.0      24.0
    2          16.0      16.0
    """
    check_graph(graph)
    check_model(model, MarginCascade, "cg.MarginCascade()")
    check_number("adl_policies", "top", top, low=1, whole=True)
    results = {}
    for name, waterfall in _waterfalls(model, policies).items():
        results[name] = replace(model, waterfall=waterfall).run(graph, shock, on_failure=on_failure)
    taken = pd.DataFrame({name: _taken(result) for name, result in results.items() if name != NONE})
    taken.columns.name = "policy"
    fair = taken.get("pro_rata")
    figures = {name: _figures(result, results[NONE], taken.get(name), fair, top) for name, result in results.items()}
    table = pd.DataFrame(figures).T.rename_axis("policy")
    counts = ["counterparties", "closed", "closed_by_it", "spared"]
    return AdlComparison(
        graph, model, results, table.astype(dict.fromkeys(counts, np.int64)), taken[(taken > 0.0).any(axis=1)]
    )


def _waterfalls(model: MarginCascade, policies: Any) -> dict[str, tuple[Layer, ...]]:
    """Return the waterfall of each policy, that without deleveraging first."""
    check_kind("adl_policies: policies", policies, Iterable, "rankings, such as ['profit', 'pro_rata']")
    kinds = [layer.kind for layer in model.waterfall]
    rest = [layer for layer in model.waterfall if layer.kind != "deleverage"]
    place = kinds.index("deleverage") if "deleverage" in kinds else sum(k in ("own", "fund", "purse") for k in kinds)
    first = next((layer for layer in model.waterfall if isinstance(layer, Deleverage)), Deleverage())
    named = [*policies.items()] if isinstance(policies, Mapping) else [(str(rank), rank) for rank in policies]
    names = [name for name, _ in named]
    if not named or NONE in names or len(set(names)) < len(names):
        raise ParameterError(f"adl_policies: policies are {names}; give some, each once, and none called {NONE!r}")
    found: dict[str, tuple[Layer, ...]] = {NONE: tuple(rest)}
    for name, policy in named:
        layer = policy if isinstance(policy, Deleverage) else replace(first, rank=policy)
        found[name] = (*rest[:place], layer, *rest[place:])
    return found


def _taken(result: CascadeResult) -> "pd.Series[float]":
    """Return what each trader lost by fills of others, at bankruptcy prices [currency]."""
    fills = result.fills[result.fills["kind"] == "deleverage"]
    return fills.groupby("counterparty")["amount"].sum().reindex(result.graph.traders, fill_value=0.0).rename("taken")


def _figures(result: CascadeResult, without: CascadeResult, taken: Any, fair: Any, top: int) -> dict[str, float]:
    fills, summary = result.fills[result.fills["kind"] == "deleverage"], result.summary()
    closed, before = result.arrays.closed_whole, without.arrays.closed_whole
    amounts = np.zeros(0) if taken is None else np.sort(np.maximum(taken.to_numpy(), 0.0))
    total, value = float(amounts.sum()), float((fills["units"].abs() * fills["mark"]).sum())
    holding = np.bincount(result.graph._rows.trader_of, np.diff(result.graph.quantity.indptr)) > 0
    return {
        "deleveraged": value,
        "taken": total,
        "overshoot": value / total if total else np.nan,
        "counterparties": fills["counterparty"].nunique(),
        "gini": gini(amounts[amounts.size - int(holding.sum()) :]),
        "top_share": float(amounts[-top:].sum()) / total if total else np.nan,
        "regret": float((taken - fair).clip(lower=0.0).sum()) / total if total and fair is not None else np.nan,
        "closed": int(np.count_nonzero(closed)),
        "closed_by_it": int(np.count_nonzero(closed & ~before)),
        "spared": int(np.count_nonzero(before & ~closed)),
        **{name: float(summary[name]) for name in ("shortfall", "socialised", "uncovered")},
        "shortfall_by_it": float(summary["shortfall"] - without.summary()["shortfall"]),
    }


def gini(amounts: FloatArray) -> float:
    """Return the Gini coefficient of amounts from 0 up, ascending: 0 where all are equal; NaN where all are 0.

    G = sum_i (2 i - n - 1) x_i / (n sum_i x_i)

    Examples
    --------
    >>> import numpy as np
    >>> gini(np.array([1.0, 1.0])), gini(np.array([0.0, 0.0, 0.0, 5.0]))
    (0.0, 0.75)
    """
    n, total = amounts.size, float(amounts.sum())
    return float((2.0 * np.arange(1, n + 1) - n - 1) @ amounts) / (n * total) if total else np.nan
