"""Numbers of the literature, and closed forms, that the rounds of the margin cascade reproduce."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import contagion_graph as cg
from tests.shared_data import case


def after(model: dict[str, Any], rounds: int, graph: cg.ExposureGraph, shock: dict[str, float]) -> cg.CascadeResult:
    """Run so many rounds."""
    return cg.MarginCascade(**model, max_rounds=rounds).run(graph, shock, on_failure="ignore")


def test_the_rounds_of_cont_and_schaanning():
    """Two banks share one asset that can be sold and hold loans that cannot; unit tests of their published model."""
    reference = case("cont_schaanning_rounds")
    given, expected, tolerance = reference["inputs"], reference["expected"], reference["tolerance"]
    holdings = np.column_stack([given["Pi0"], given["Theta"]]).astype(float)
    depth = given["c"] * given["ADV"] / given["sigma"] * np.sqrt(given["tau"])
    assert (1 - given["B"] / given["S0"]) * depth == pytest.approx(expected["delta"], rel=tolerance)
    graph = cg.ExposureGraph.from_arrays(
        holdings,
        price=[given["S0"], 1.0, 1.0],
        depth=depth,
        sellable=[True, False, False],
        cash=np.array(given["C0"]) - holdings.sum(axis=1),
    )
    model = {
        "liquidation": cg.LeverageTarget(given["lambda_max"], target=given["lambda_target"]),
        "impact": cg.FloorExponentialImpact(given["B"] / given["S0"], volume="current"),
        "trade_price_weight": given["alpha"],
        "waterfall": (cg.InsuranceFund(),),
    }
    shock = {str(k + 1): -loss for k, loss in enumerate(given["eps"])}
    closed = np.zeros(2)
    for number, step in enumerate(expected["rounds"][:-1], start=1):
        result = after(model, number, graph, shock)
        price, share = result.assets["price_after"].iloc[0], result.arrays.closed
        np.testing.assert_allclose((share - closed) / (1 - closed), step["gamma"], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(result.accounts["equity_after"], step["C"], rtol=tolerance)
        np.testing.assert_allclose(holdings[:, 0] * (1 - share) * price, step["Pi"], rtol=tolerance)
        assert price == pytest.approx(step["S"], rel=tolerance)
        last = result.rounds.iloc[-1]
        assert [last["closed_value"], last["largest_move"]] == pytest.approx([step["q"], step["psi"]], rel=tolerance)
        closed = share
    at_rest = cg.MarginCascade(**model).run(graph, shock)
    assert at_rest.solution.converged
    assert at_rest.solution.steps == expected["terminates_after_round"]


def test_leverage_targets_spiral_as_in_the_closed_form():
    """Everybody sells back to the leverage of the start: r = r0 / (1 - (leverage - 1) P / D), to first order in r."""
    reference = case("leverage_spiral_closed_form")
    given, expected = reference["inputs"], reference["expected"]
    small = 1e-7
    size, leverage = given["position"], given["leverage"]
    graph = cg.ExposureGraph.from_arrays(
        [[size]], price=1.0, depth=given["depth"], cash=[size / leverage - size], assets=["X"]
    )
    model = cg.MarginCascade(cg.LeverageTarget(leverage, target=leverage), impact=cg.LinearImpact(), tol=1e-16)
    result = model.run(graph, {"X": small * given["r0"]})
    total = result.assets["price_after"].iloc[0] - 1.0
    assert total / small == pytest.approx(expected["total_return"], rel=1e-5)
    assert total / (small * given["r0"]) == pytest.approx(expected["multiplier"], rel=1e-5)
    for depth, spirals in ((1.01 * expected["critical_depth"], False), (0.99 * expected["critical_depth"], True)):
        end = replace(model, tol=1e-12).run(graph.assign(depth=depth), {"X": small * given["r0"]})
        assert (end.accounts["closed"].iloc[0] > 1e3 * small) == spirals


def test_cross_margined_accounts_spiral_as_in_the_closed_form():
    """A perpetual closed back to its margin: q = s0 / ((m - f) - (1 - m) Q / D), to first order in the price move."""
    reference = case("cross_margin_spiral_closed_form")
    given, expected = reference["inputs"], reference["expected"]
    small = 1e-7
    margin, size = given["mm"], given["breached_notional"]

    def run(notional: float) -> cg.CascadeResult:
        shortage = small * given["initial_shortage"]
        graph = cg.ExposureGraph.from_arrays(
            [[notional]],
            price=1.0,
            depth=given["depth"],
            margin_long=margin,
            cash=[margin * notional - shortage - notional],
        )
        rules = {"liquidation": cg.TargetMargin(), "impact": cg.LinearImpact()}
        return cg.MarginCascade(**rules, penalty=given["fee"], waterfall=(cg.InsuranceFund(),), tol=1e-16).run(graph)

    result = run(size)
    sold = result.assets["units_sold"].iloc[0] / small
    assert result.rounds["closed_value"].iloc[0] / small == pytest.approx(expected["first_round"], rel=1e-6)
    assert sold == pytest.approx(expected["total_liquidated"], rel=1e-5)
    assert sold / expected["first_round"] == pytest.approx(expected["multiplier"], rel=1e-5)
    critical = expected["critical_notional"]
    assert [run(share * critical).accounts["closed"].iloc[0] > 1e3 * small for share in (0.99, 1.01)] == [False, True]


@pytest.mark.parametrize("subcritical", [True, False])
def test_the_mean_field_fire_sale(subcritical: bool):
    """Many equal accounts with capital spread evenly: the share that sells solves chi = (ell + k chi) / cbar."""
    reference = case("mean_field_firesale")
    given, expected = reference["inputs"], reference["expected"]
    k = given["k"] if subcritical else 1.0001 * expected["critical_k"]
    n = given["N"]
    capital = (np.arange(n) + 0.5) / n * given["cbar"]
    # each holds one unit; when the share chi has sold, the price is 1 - ell - k chi
    graph = cg.ExposureGraph.from_arrays(
        np.ones((n, 1)), price=1.0, depth=n * (1.0 - given["ell"]) / k, cash=capital - 1.0, assets=["X"]
    )
    result = cg.MarginCascade(impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(),)).run(
        graph, {"X": -given["ell"]}
    )
    chi = expected["chi"] if subcritical else expected["chi_if_k_ge_critical"]
    assert (result.accounts["closed"] == 1.0).mean() == pytest.approx(chi, abs=reference["tolerance"])


def test_what_is_sold_into_a_constant_product_pool_pays_what_the_pool_pays():
    """Three accounts sell one after the other; the pool of 1,000 X and 100,000 pays Y d / (X + d) for all of it."""
    reserve, units = 1_000.0, np.array([200.0, 100.0, 50.0])
    graph = cg.ExposureGraph.from_arrays(
        units[:, None], price=100.0, depth=reserve * 100.0 / 2, cash=-units * [99.0, 70.0, 60.0], assets=["X"]
    )
    result = cg.MarginCascade(impact=cg.ConstantProductImpact(), waterfall=(cg.InsuranceFund(),)).run(
        graph, {"X": 0.0}, defaults=["0"]
    )
    assert result.accounts["breach_round"].tolist() == [1, 2, 3]
    sold = units.sum()
    assert result.assets["value_sold"].iloc[0] == pytest.approx(reserve * 100.0 * sold / (reserve + sold), rel=1e-12)
    assert result.assets["price_after"].iloc[0] == pytest.approx(100.0 * (reserve / (reserve + sold)) ** 2, rel=1e-12)


@pytest.mark.parametrize("policy", ["pro_rata", "water_filling"])
def test_a_deficit_is_shared_as_exchanges_share_it(policy: str):
    """Auto-deleveraging as a haircut of profits: pro rata of them, or the same for all, up to each profit."""
    reference = case("adl_policies_toy")
    profit, deficit = reference["inputs"]["pnl"], reference["inputs"]["deficit"]
    members = np.append(np.zeros(len(profit)), 1.0)
    graph = cg.ExposureGraph.from_arrays(
        members[:, None],
        price=deficit,
        margin_long=0.5,
        cash=[*profit, -deficit],
        share=1.0,
        traders=[*"ABCD", "bankrupt"],
    )
    sharing = cg.ProRata("equity" if policy == "pro_rata" else "share")  # the profits are all the equity there is
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(), sharing)).run(graph, {"0": -1.0})
    paid = result.traders["socialised"].loc[list("ABCD")].to_numpy()
    assert paid == pytest.approx(reference["expected"][policy], abs=reference["tolerance"])
    assert result.pools["uncovered"].sum() == 0.0
