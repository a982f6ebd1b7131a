"""Designs of pools on margin tiers and scenario grids: each account has the margin ratio of its trader."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.reference.margins import grid_margin, tier_margin
from tests.test_pooling import DESIGNS, by_trader, market

TIERS = {"X": [(0.0, 0.05), (300.0, 0.1), (900.0, 0.3)], "Y": [(0.0, 0.1)]}
MOVES = np.array([-0.2, 0.0, 0.1])


def on_margins(graph: cg.ExposureGraph, rng: np.random.Generator) -> tuple[cg.ExposureGraph, dict[str, str]]:
    """Put tiers on two assets, and some traders on a grid, whose first two assets net; no position has its own rate."""
    frames = graph.to_frames()
    frames["positions"] = frames["positions"].assign(margin=np.nan)
    on = {str(trader): str(rng.choice(["", "pm"])) for trader in graph.traders}
    frames["accounts"] = frames["accounts"].assign(margin=frames["accounts"]["trader"].map(on))
    frames["assets"] = frames["assets"].assign(group=["coins", "coins", None])
    tiers = [(asset, *pair) for asset, pairs in TIERS.items() for pair in pairs]
    frames["margin_tiers"] = pd.DataFrame(tiers, columns=["asset", "lower", "rate"])
    frames["margin_scenarios"] = pd.DataFrame({"grid": "pm", "move": MOVES})
    return cg.ExposureGraph.from_tables(**frames), on


def by_definition(graph: cg.ExposureGraph, on: dict[str, str], rates: Any) -> np.ndarray:
    """Return the margin of every account; Z alone has flat rates, for longs and for shorts, by position."""
    found = np.zeros(len(graph.account_index))
    for row, (trader, *_) in enumerate(graph.account_index):
        units = graph.quantity.toarray()[row]
        if on[trader]:
            found[row] = grid_margin(units, graph.price[:, None] * MOVES, ["coins", "coins", "Z"])
            continue
        for asset, held, price in zip(graph.assets, units, graph.price, strict=True):
            if asset in TIERS:
                found[row] += tier_margin(abs(held) * price, TIERS[asset])
        found[row] += rates[row]
    return found


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("seed", range(25))
def test_designs_move_no_money_and_margin_what_they_make(seed: int, design: Any):
    rng = np.random.default_rng(seed)
    graph, on = on_margins(market(rng), rng)
    other = cg.collateral.pooling(graph, design)
    flat = other.margin_units.toarray()[:, list(other.assets).index("Z")] * other.price[list(other.assets).index("Z")]
    scale = 1e-9 * (graph.gross_value.sum() + np.abs(graph.cash).sum())
    margin = by_definition(other, on, flat)
    assert other.maintenance.to_numpy() == pytest.approx(margin, abs=scale)
    assert by_trader(other, other.equity).to_numpy() == pytest.approx(
        by_trader(graph, graph.equity).to_numpy(), abs=scale
    )
    assert other.insurance_fund.sum() == pytest.approx(graph.insurance_fund.sum())
    held = [
        pd.DataFrame(each.to_scipy(weight="quantity").toarray(), each.traders).sort_index() for each in (graph, other)
    ]
    assert held[0].to_numpy() == pytest.approx(held[1].to_numpy())
    whole = by_trader(other, other.equity) / by_trader(other, margin)
    expected = whole.reindex(other.account_index.get_level_values("trader")).to_numpy()
    some = margin > 1e-6
    assert (other.equity.to_numpy() / np.where(some, margin, 1.0))[some] == pytest.approx(expected[some], rel=1e-6)


def test_accounts_on_different_margins_do_not_become_one():
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["A", "A"], "subaccount": ["", "s"], "asset": ["X", "Y"], "quantity": [10.0, -10.0]},
        {"asset": ["X", "Y"], "price": [100.0] * 2, "margin_short": [0.1] * 2, "group": ["g", "g"]},
        accounts={"trader": ["A", "A"], "subaccount": ["", "s"], "cash": [0.0, 3_000.0], "margin": ["pm", ""]},
        margin_scenarios={"grid": ["pm"] * 2, "move": [-0.2, 0.0]},
    )
    assert cg.collateral.pooling(graph, "isolated").maintenance.tolist() == [200.0, 100.0]
    with pytest.raises(cg.ParameterError, match=r"'A / pool / ' would take positions of accounts on different margins"):
        cg.collateral.pooling(graph, "unified")
    one = graph.assign(account_margin=["pm", "pm"])
    unified, isolated = (cg.collateral.pooling(one, design) for design in ("unified", "isolated"))
    assert unified.maintenance.tolist() == [0.0]  # the hedge nets
    assert isolated.maintenance.tolist() == [200.0, 0.0]
    assert isolated.equity.tolist() == pytest.approx([3_000.0, 0.0])


def test_the_comparison_is_that_of_single_runs():
    rng = np.random.default_rng(5)
    graph, _ = on_margins(market(rng), rng)
    scenarios = pd.DataFrame(rng.normal(0.0, 0.15, (6, 3)), columns=["X", "Y", "Z"])
    table = cg.collateral.compare_pooling(graph, cg.MarginCascade(), scenarios, designs=["isolated", "unified"]).table
    for design in table.index:
        made = cg.collateral.pooling(graph, design)
        runs = [cg.MarginCascade().run(made, change) for _, change in scenarios.iterrows()]
        assert table.loc[design, "shortfall"] == pytest.approx(np.mean([run.summary()["shortfall"] for run in runs]))
        assert table.loc[design, "accounts"] == len(made.account_index)
