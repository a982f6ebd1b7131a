"""Absences on margin tiers and scenario grids: each is a run of the market of the others."""

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.test_margins import market

MODELS = {
    "whole": cg.MarginCascade(waterfall=(cg.InsuranceFund(),)),
    "shared": cg.MarginCascade(penalty=0.01),
    "target": cg.MarginCascade(cg.TargetMargin(0.1), penalty=0.01),
}
SHOCK = {"A0": -0.12, "A1": 0.1, "A2": -0.08, "A3": -0.1}
LOSSES = ["loss", "shortfall", "uncovered"]


def graph_of(seed: int, n: int) -> cg.ExposureGraph:
    """Draw accounts on rates, tiers and two grids, near their margins."""
    rng = np.random.default_rng([seed, 23])
    graph, _ = market(rng, n=n)
    above = graph.maintenance.to_numpy() * rng.uniform(-0.02, 0.8, n)
    depth = 4.0 * graph.gross_value.sum()
    return graph.assign(cash=graph.cash - graph.slack.to_numpy() + above, insurance_fund=5.0, depth=depth)


def measured(graph: cg.ExposureGraph, model: Any, traders: Any, shock: Any, measure: str, among: Any) -> float:
    """Return what a shock costs in the market of some traders; of losses, those of some among them."""
    if not len(traders):
        return 0.0
    result = model.run(graph.subset(traders=traders), shock)
    if measure == "loss":
        return float(result.traders["loss"].reindex(among).fillna(0.0).sum())
    return float(result.pools[measure].sum())


def cost(graph: cg.ExposureGraph, model: Any, traders: Any, measure: str, among: Any) -> float:
    runs = (measured(graph, model, traders, shock, measure, among) for shock in (SHOCK, None))
    return next(runs) - next(runs)


@pytest.mark.parametrize("measure", LOSSES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_a_knock_out_is_what_the_others_lose_less(seed: int, name: str, measure: Any):
    graph, model = graph_of(seed, 12), MODELS[name]
    found = cg.importance.knockout(graph, model, SHOCK, measure=measure)
    scale = 1e-9 * graph.gross_value.sum()
    for trader in graph.traders:
        others = [each for each in graph.traders if each != trader]
        expected = cost(graph, model, graph.traders, measure, others) - cost(graph, model, others, measure, others)
        assert found[trader] == pytest.approx(expected, abs=scale)
    if measure == "loss":
        assert (found.abs() > 1e3 * scale).sum() > 1
        first = cg.importance.knockout(graph, model, SHOCK, k=2)
        assert first.tolist() == pytest.approx(found.sort_values(ascending=False).head(2).tolist())
        assert "margins are no flat rates" in first.attrs["method"]


@pytest.mark.parametrize("name", MODELS)
def test_the_shapley_value_is_that_of_all_coalitions(name: str):
    graph, model, n = graph_of(8, 5), MODELS[name], 5
    found = cg.importance.shapley(graph, model, SHOCK, measure="loss", rng=0)["shapley"]
    players = list(graph.traders)
    value = {
        present: cost(graph, model, list(present), "loss", list(present))
        for size in range(n + 1)
        for present in combinations(players, size)
    }
    for player in players:
        rest = [each for each in players if each != player]
        expected = sum(
            (value[tuple(p for p in players if p in (*some, player))] - value[some]) / (n * comb(n - 1, size))
            for size in range(n)
            for some in combinations(rest, size)
        )
        assert found[player] == pytest.approx(expected, abs=1e-9 * graph.gross_value.sum())


def test_parts_of_accounts_on_a_grid_are_those_on_the_flat_rate_that_it_amounts_to():
    rng = np.random.default_rng(3)
    quantity, names = rng.uniform(1.0, 5.0, (6, 2)), ["X", "Y"]
    given: dict[str, Any] = {"price": 100.0, "depth": 2e4, "assets": names, "cash": -176.0 * quantity.sum(axis=1) / 2.0}
    flat = cg.ExposureGraph.from_arrays(quantity, margin_long=0.1, **given)
    grid = cg.ExposureGraph.from_arrays(
        quantity, margin_scenarios={"grid": ["pm"] * 3, "move": [-0.1, 0.0, 0.1]}, account_margin=["pm"] * 6, **given
    )
    shares = [
        cg.importance.aumann_shapley(each, MODELS["shared"], {"X": -0.1}, measure="loss", rng=0)
        for each in (flat, grid)
    ]
    assert shares[0]["aumann_shapley"].abs().sum() > 1.0
    pd.testing.assert_frame_equal(*shares, rtol=1e-9)


def test_parts_of_accounts_on_tiers_have_other_margins():
    with pytest.raises(cg.ParameterError, match=r"aumann_shapley: the graph has margin tiers.*take shapley"):
        cg.importance.aumann_shapley(graph_of(0, 5), MODELS["whole"], SHOCK)
