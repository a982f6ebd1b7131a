"""Slices of accounts that pass to an outside buyer: by hand, the definition, and what holds of the cascade."""

from dataclasses import replace

import numpy as np
import pytest

import contagion_graph as cg
from tests.margin_books import case_of, with_margins
from tests.option_markets import option_case
from tests.reference.random_markets import Case


def test_by_hand():
    """E = 6, M = 10: 5/11 passes, and 0.8 of 6 x 5/11 is paid for it; E' = 6 (1 - 0.2 x 5/11) = M' = 10 x 6/11."""
    graph = cg.ExposureGraph.from_arrays([[100.0]], price=1.0, depth=50.0, margin_long=0.1, cash=[-94.0])
    result = cg.MarginCascade(cg.TransferSlice(0.2)).run(graph)
    row = result.accounts.iloc[0]
    assert (row["closed"], row["penalty"], row["equity_after"]) == pytest.approx((5 / 11, 0.2 * 6 * 5 / 11, 60 / 11))
    assert result.assets["price_after"].tolist() == [1.0], "no price moves, however thin the book"
    assert result.assets["value_sold"].tolist() == pytest.approx([100 * 5 / 11])
    assert len(result.rounds) == 1


def test_an_account_without_equity_passes_whole():
    graph = cg.ExposureGraph.from_arrays(
        [[100.0], [1.0]], price=1.0, margin_long=0.1, cash=[-104.0, 10.0], insurance_fund=1.0
    )
    result = cg.MarginCascade(cg.TransferSlice(0.2)).run(graph)
    assert result.accounts["closed"].tolist() == [1.0, 0.0]
    assert result.accounts["shortfall"].tolist() == [4.0, 0.0]
    assert result.accounts["socialised"].tolist() == [0.0, 3.0]
    assert result.accounts["penalty"].tolist() == [0.0, 0.0]


def test_a_given_default_with_equity_passes_at_the_discount():
    graph = cg.ExposureGraph.from_arrays([[100.0]], price=1.0, margin_long=0.1, cash=[-50.0], traders=["A"])
    row = cg.MarginCascade(cg.TransferSlice(0.2)).run(graph, defaults=["A"]).accounts.iloc[0]
    assert (row["closed"], row["penalty"], row["equity_after"]) == (1.0, 10.0, 40.0)


def cascade(case: Case, graph: cg.ExposureGraph, shock: dict[str, float]) -> tuple[cg.CascadeResult, cg.TransferSlice]:
    """Run a market's cascade with slices in the place of its liquidation rule."""
    rng = np.random.default_rng(len(case.losses))
    rule = cg.TransferSlice(float(rng.uniform(0.0, 0.5)), buffer=float(rng.choice([0.0, 0.2])))
    model = cg.MarginCascade(rule, waterfall=(cg.InsuranceFund(),), penalty=case.rules.penalty)
    return model.run(graph, shock, on_failure="ignore"), rule


@pytest.mark.parametrize("instruments", [False, True])
def test_what_holds_on_random_markets(instruments):
    """Tiers, grids and options: a slice ends the breach and no more, prices stay, losses add up, on any candidates."""
    ended = 0
    for seed in range(150):
        case = case_of(seed)
        graph, shock = with_margins(case, seed)[0], None
        if instruments:
            drawn = option_case(seed)
            case, graph, shock = drawn.case, drawn.graph, drawn.shock
        shock = dict(zip(graph.assets, case.shock, strict=True)) if shock is None else shock
        result, rule = cascade(case, graph, shock)
        end, table = result.arrays, result.accounts
        assert end.price_after.tobytes() == end.price_shocked.tobytes()
        scale = graph.gross_value.sum() + np.abs(graph.cash).sum()
        parts = table["direct"] + table["impact"] + table["penalty"] - table["shortfall"]
        assert table["loss"].to_numpy() == pytest.approx(parts.to_numpy(), abs=1e-9 * scale)
        full = replace(result.model).run(graph, shock, revaluation="full", on_failure="ignore")
        assert full.arrays.closed.tobytes() == end.closed.tobytes()
        part = np.flatnonzero((end.closed > 0.0) & (end.closed < 1.0))
        kept = 1.0 - end.closed[:, None] * graph.sellable
        held = graph.quantity.toarray() * kept
        left = cg.ExposureGraph.from_arrays(
            held[part], price=np.where(end.price_shocked > 0.0, end.price_shocked, 1e-300),
            assets=graph.assets, margin_tiers=graph.margin_tiers, margin_scenarios=graph.margin_scenarios,
            account_margin=graph.account_margin[part], asset_group=graph.asset_group,
        ) if part.size and not instruments else None  # fmt: skip
        if left is None:
            continue
        ended += part.size
        flat = (graph.margin_units.toarray() * kept)[part]
        rates = (
            np.where(np.isin(graph.assets, graph.margin_tiers["asset"]), 0.0, 1.0)
            * (graph.account_margin[part] == "")[:, None]
        )
        margin = left.maintenance.to_numpy() + (flat * rates) @ end.price_shocked
        after = table["equity_after"].to_numpy()[part]
        assert after == pytest.approx((1.0 + rule.buffer) * margin, rel=1e-6, abs=1e-9 * scale)
    assert instruments or ended > 50


def test_wrong_arguments_are_named():
    for given, message in (((1.0,), "discount is 1.0; it must be a number"), ((-0.1,), "discount is -0.1")):
        with pytest.raises(cg.ParameterError, match=f"TransferSlice: {message}"):
            cg.TransferSlice(*given)
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=1.0)
    with pytest.raises(cg.ParameterError, match="equilibria are known to exist for liquidation rules that declare"):
        cg.MarginCascade(cg.TransferSlice(0.1)).equilibria(graph)
