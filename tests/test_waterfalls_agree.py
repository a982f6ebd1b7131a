"""The library agrees with the slow oracle of waterfalls, deleveraging and take-overs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import contagion_graph as cg
from tests.markets import IMPACT, LIQUIDATION, tables_of
from tests.reference.dense_state import Layer, Waterfall
from tests.reference.random_waterfalls import WaterfallCase, random_waterfall

COLUMNS = ("equity_before", "equity_after", "loss", "direct", "impact", "penalty", "socialised", "shortfall")


def graph_of(case: WaterfallCase) -> cg.ExposureGraph:
    """Build the graph of a venue: resources and vaults are columns of accounts and pools."""
    venue, tables = case.venue, tables_of(case.venue.market)
    tables["accounts"] = tables["accounts"].assign(
        initial_margin=venue.initial_margin, fund_contribution=venue.fund_contribution, vault=venue.vault
    )
    tables["pools"] = tables["pools"].assign(takeover_below=venue.takeover_below)
    return cg.ExposureGraph.from_tables(**tables)


def layer_of(layer: Layer, pools: Any, traders: Sequence[str]) -> cg.rules.Layer:
    """Return the layer that an oracle's layer is."""
    kind, *given = layer
    if kind == "purse":
        return cg.Purse("capital", amount=dict(zip(pools, given[0], strict=True)))
    if kind == "members":
        return cg.Members(given[0], cap=given[1], name=f"members of {given[0]}")
    if kind == "pro_rata":
        return cg.ProRata(given[0])
    if kind == "deleverage":
        rank, trigger, share, seed = given
        if not isinstance(rank, str):
            rank = {name: number for name, number in zip(traders, rank, strict=True) if not np.isnan(number)}
        return cg.Deleverage(rank, trigger=trigger, share=share, seed=seed)
    return {"own": cg.OwnContribution, "fund": cg.InsuranceFund, "gains": cg.GainsHaircut}[kind]()


def model_of(case: WaterfallCase, graph: cg.ExposureGraph) -> cg.MarginCascade:
    """Return the cascade of a case."""
    rules, traders = case.rules, [f"t{k}" for k in range(len(case.venue.vault))]
    kind, *parameters = rules.liquidation
    return cg.MarginCascade(
        liquidation=LIQUIDATION[kind](*parameters),
        impact=IMPACT[rules.impact](volume=rules.volume) if isinstance(rules.impact, str) else rules.impact,
        waterfall=tuple(layer_of(layer, graph.pools, traders) for layer in case.layers),
        penalty=rules.penalty,
        penalty_to_fund=rules.penalty_to_fund,
        penalty_cap=rules.penalty_cap,
        trade_price_weight=rules.alpha,
        max_rounds=rules.max_rounds,
    )


def own_first(case: WaterfallCase) -> WaterfallCase:
    """Return the case with own contributions before all other layers, where the library wants them."""
    rest = tuple(layer for layer in case.layers if layer != ("own",))
    return replace(case, layers=(("own",), *rest) if len(rest) < len(case.layers) else rest)


def compare(case: WaterfallCase, oracle: Waterfall) -> cg.CascadeResult:
    """Run a case in the library, compare everything, return the result."""
    graph = graph_of(case)
    model, n = model_of(case, graph), len(case.venue.vault)
    result = model.run(
        graph,
        {f"a{k}": move for k, move in enumerate(case.shock)},
        losses={f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
        defaults=[f"t{k}" for k in np.flatnonzero(case.defaults)],
    )
    accounts = result.accounts.reset_index(["pool", "subaccount"], drop=True).loc[[f"t{k}" for k in range(n)]]
    close = {"rtol": 0, "atol": 1e-9 * graph.gross_value.sum()}
    for name in COLUMNS:
        np.testing.assert_allclose(accounts[name], getattr(oracle.out, name), err_msg=name, **close)
    transfer = accounts.get("transfer", np.zeros(n))
    np.testing.assert_allclose(transfer, oracle.transfer, **close)
    assert abs(transfer.sum()) <= close["atol"]
    np.testing.assert_allclose(accounts.get("own_used", np.zeros(n)), oracle.own_used, **close)
    prices = result.assets["price_after"].loc[[f"a{k}" for k in range(len(case.shock))]]
    np.testing.assert_allclose(prices, oracle.out.price_after, rtol=1e-9)
    used = result.layers["used"].unstack("layer", sort=False)
    for layer, amount in zip(model.waterfall, oracle.used, strict=True):
        if layer.kind != "deleverage":
            pools = [f"p{k}" for k in range(amount.size)]
            np.testing.assert_allclose(used[layer.name].loc[pools], amount, err_msg=layer.name, **close)
    return result


def test_the_library_agrees_with_the_oracle():
    """500 venues: accounts, layers, prices, and every fill."""
    fills = passed = ties = 0
    for seed in range(500):
        case = own_first(random_waterfall(seed))
        oracle = case.run()
        if min(oracle.out.closest, oracle.out.closest_jump, oracle.closest_rank) < 1e-9:  # rounding may decide
            ties += 1
            continue
        result = compare(case, oracle)
        found = result.fills[result.fills["kind"] == "deleverage"]
        parties = [(f"t{fill[0]}", f"t{fill[1]}", f"a{fill[2]}") for fill in oracle.fills]
        assert list(found[["bankrupt", "counterparty", "asset"]].itertuples(index=False, name=None)) == parties, seed
        atol = 1e-9 * result.graph.gross_value.sum()
        for column, place in (("units", 3), ("price", 4), ("amount", 5)):
            expected = np.array([fill[place] for fill in oracle.fills])
            scale = found["mark"].to_numpy() if column == "units" else 1.0  # [currency]
            np.testing.assert_allclose(found[column].abs() * scale, np.abs(expected) * scale, rtol=1e-9, atol=atol)
        fills, passed = fills + len(found), passed + len(result.fills) - len(found)
    assert fills > 4500
    assert passed > 200
    assert ties < 50
