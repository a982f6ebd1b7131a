"""Random markets with margin tiers and scenario grids."""

from dataclasses import replace

import numpy as np
import pandas as pd

import contagion_graph as cg
from tests.markets import graph_of
from tests.reference.dense_state import Floats, Ints, Margin
from tests.reference.margins import grid_margin, tier_margin
from tests.reference.random_markets import Case, random_case


def with_margins(case: Case, seed: int) -> tuple[cg.ExposureGraph, Margin]:
    """Draw tiers, grids and groups for a market: its graph with them, and the margin straight from the definition."""
    rng, market = np.random.default_rng([seed, 7]), case.market
    graph = graph_of(market)
    n, m = graph.quantity.shape
    value = graph._rows.initial.gross.mean() + 1.0
    tiers = {}
    for asset in graph.assets[rng.random(m) < 0.5]:
        lower = np.concatenate([[0.0], np.sort(rng.uniform(0.05, 2.0, rng.integers(0, 4)) * value)])
        tiers[asset] = list(zip(lower.tolist(), np.sort(rng.uniform(0.0, 0.5, lower.size)).tolist(), strict=True))
    grids = {
        name: (np.concatenate([[0.0], rng.uniform(-0.3, 0.3, size)]), rng.uniform(0.2, 1.0, size + 1))
        for name, size in (("wide", 6), ("narrow", 2))
    }
    on = rng.choice(["", "wide", "narrow"], n, p=[0.4, 0.35, 0.25])
    groups = rng.choice(["one", "two", ""], m)
    rows = [(asset, *pair) for asset, pairs in tiers.items() for pair in pairs]
    scenarios = [
        (name, "", move, 1.0, weight, 0.0) for name, grid in grids.items() for move, weight in zip(*grid, strict=True)
    ]
    columns = ["grid", "underlying", "move", "vol_factor", "weight", "contingency"]
    flat = graph.margin_units.toarray()
    rate = np.divide(
        flat, np.abs(graph.quantity.toarray()), out=np.zeros_like(flat), where=graph.quantity.toarray() != 0
    )
    assert (flat[graph.quantity.toarray() == 0.0] == 0.0).all()
    graph = replace(
        graph,
        margin_tiers=pd.DataFrame(rows, columns=["asset", "lower", "rate"]),
        margin_scenarios=pd.DataFrame(scenarios, columns=columns),
        account_margin=pd.Index(on.tolist(), dtype="str"),
        asset_group=pd.Index(groups.tolist(), dtype="str"),
    )
    names, listed = list(graph.assets), on.tolist()
    named = [group or asset for group, asset in zip(groups, graph.assets, strict=True)]

    def margin(left: Floats, price: Floats, accounts: Ints) -> Floats:
        found = np.zeros(len(left))
        for k, i in enumerate(accounts):
            if listed[i]:
                moves, weights = grids[listed[i]]
                found[k] = grid_margin(left[k], price[:, None] * moves * weights, named)
            else:
                for j in np.flatnonzero(left[k]):
                    notional, asset = abs(left[k, j]) * price[j], names[j]
                    found[k] += tier_margin(notional, tiers[asset]) if asset in tiers else rate[i, j] * notional
        return found

    return graph, margin


def case_of(seed: int) -> Case:
    """Draw a case whose rule takes any margin: it closes whole, to a target, or a fixed share."""
    case, rng = random_case(seed), np.random.default_rng([seed, 8])
    if case.rules.liquidation[0] in ("leverage", "repay"):
        case = replace(case, rules=replace(case.rules, liquidation=("target", float(rng.uniform(0.0, 0.5)))))
    return case
