"""The margin cascade by hand, on reference cases, and at its edges."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.shared_data import case


def one_asset(**changed):
    """Ann holds 10 units on thin equity, Bob 10 on thick; price 100, depth 10,000, margin 10 %."""
    arguments = {
        "quantity": [[10.0], [10.0]],
        "price": [100.0],
        "depth": 1e4,
        "margin_long": 0.1,
        "cash": [-850.0, -500.0],
        "traders": ["Ann", "Bob"],
        "assets": ["X"],
    }
    return cg.ExposureGraph.from_arrays(**(arguments | changed))


def test_one_round_by_hand():
    result = cg.MarginCascade(impact=cg.LinearImpact()).run(one_asset(), {"X": -0.1})
    # Ann: E = 900 - 850 = 50 < 90; she sells 1,000 at p0, so x = 0.1, the price goes 90 -> 81, the average is 85.5
    assert result.assets.loc["X", ["price_shocked", "price_after"]].tolist() == pytest.approx([90.0, 81.0])
    assert result.assets.loc["X", ["units_sold", "value_sold"]].tolist() == pytest.approx([10.0, 855.0])
    ann, bob = result.traders.loc["Ann"], result.traders.loc["Bob"]
    assert ann[["direct", "impact", "loss", "equity_after"]].tolist() == pytest.approx([100.0, 45.0, 145.0, 5.0])
    assert bob[["direct", "impact", "loss", "equity_after"]].tolist() == pytest.approx([100.0, 90.0, 190.0, 310.0])
    assert bob[["standalone", "indirect", "closed", "breach_round"]].tolist() == pytest.approx([100.0, 90.0, 0.0, 0.0])
    assert ann[["closed", "breach_round"]].tolist() == [1.0, 1.0]
    assert result.rounds.to_dict("list") == {
        "breached": [1],
        "closed_value": [900.0],
        "largest_move": [pytest.approx(0.1)],
        "shortfall": [0.0],
        "fund_used": [0.0],
        "socialised": [0.0],
        "uncovered": [0.0],
    }
    solution = result.solution
    assert (solution.status, solution.steps, solution.residual) == (cg.Status.CONVERGED, 1, 0.0)
    assert 2 <= solution.revaluations <= 4


def test_the_waterfall_by_hand():
    """A default leaves 100; the fund pays 40, two members share 60 by equity 90 : 30, a third has nothing."""
    graph = cg.ExposureGraph.from_arrays(
        np.zeros((4, 1)), price=1.0, cash=[-100.0, 90.0, 30.0, 0.0], insurance_fund=40.0, traders=["D", "E", "F", "G"]
    )
    result = cg.MarginCascade().run(graph)
    assert result.accounts["socialised"].tolist() == [0.0, 45.0, 15.0, 0.0]
    assert result.accounts["shortfall"].tolist() == [100.0, 0.0, 0.0, 0.0]
    assert result.pools.loc["pool", ["fund_used", "fund_after", "uncovered"]].tolist() == [40.0, 0.0, 0.0]
    assert result.pools.loc["pool", "solvency_before"] == pytest.approx((40 + 20) / 120)
    assert result.pools.loc["pool", "solvency_after"] == 1.0


def test_a_member_pays_at_most_its_equity_and_the_rest_is_uncovered():
    graph = cg.ExposureGraph.from_arrays(
        np.zeros((4, 1)), price=1.0, cash=[-100.0, 10.0, 60.0, 5.0], share=[1.0, 3.0, 1.0, 0.0]
    )
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.ProRata("share"))).run(graph)
    assert result.accounts["socialised"].tolist() == [0.0, 10.0, 60.0, 0.0]
    assert result.pools.loc["pool", "uncovered"] == 30.0
    assert result.pools.loc["pool", "solvency_after"] == pytest.approx((5.0 - 30.0) / 5.0)
    assert result.accounts["closed"].tolist() == [1.0, 0.0, 0.0, 0.0]  # nothing left is not below nothing


def test_without_sharing_creditors_outside_bear_the_rest():
    graph = cg.ExposureGraph.from_arrays(np.zeros((2, 1)), price=1.0, cash=[-100.0, 500.0], insurance_fund=30.0)
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(graph)
    assert result.accounts["socialised"].tolist() == [0.0, 0.0]
    assert result.pools.loc["pool", "uncovered"] == 70.0


def test_pools_do_not_pay_for_each_other():
    graph = cg.ExposureGraph.from_arrays(
        np.zeros((4, 1)),
        price=1.0,
        cash=[-100.0, 500.0, -50.0, 20.0],
        pool=["a", "a", "b", "b"],
        insurance_fund={"a": 10.0, "b": 5.0},
    )
    result = cg.MarginCascade().run(graph)
    assert result.accounts["socialised"].tolist() == [0.0, 90.0, 0.0, 20.0]
    assert result.pools["uncovered"].tolist() == [0.0, 25.0]
    assert result.pools["fund_used"].tolist() == [10.0, 5.0]


def test_a_round_trades_where_the_weight_says():
    for alpha, price in ((0.0, 90.0), (0.5, 85.5), (1.0, 81.0)):
        result = cg.MarginCascade(impact=cg.LinearImpact(), trade_price_weight=alpha).run(one_asset(), {"X": -0.1})
        assert result.assets.loc["X", "price_after"] == pytest.approx(81.0)
        assert result.assets.loc["X", "value_sold"] == pytest.approx(10 * price)
    with pytest.raises(cg.ParameterError, match=r"trade_price_weight is 1\.5; it must be a number from 0 to 1"):
        cg.MarginCascade(trade_price_weight=1.5)


def test_volume_counts_at_the_price_before_the_shock_or_at_the_price_when_sold():
    """Ann sells in the first round, Bob, whom that brings into breach, in the second."""
    graph = one_asset(cash=[-850.0, -760.0])
    for volume, sizes in (("initial", [0.1, 0.2]), ("current", [0.09, 0.09 + 10 * 90 * 0.91 / 1e4])):
        result = cg.MarginCascade(impact=cg.LinearImpact(volume=volume)).run(graph, {"X": -0.1})
        assert result.accounts["breach_round"].tolist() == [1, 2]
        assert result.assets.loc["X", "price_after"] == pytest.approx(90.0 * (1 - sizes[1]))
        prices = 90.0 * (1 - np.array([sizes[0] / 2, sum(sizes) / 2]))
        assert result.assets.loc["X", "value_sold"] == pytest.approx(10 * prices.sum())


def test_a_rule_with_margins_of_its_own_returns_the_graph_that_has_them():
    graph = one_asset()
    full = cg.MarginCascade().run(graph, {"X": -0.1})
    assert full.graph is graph
    result = cg.MarginCascade(liquidation=cg.LeverageTarget(6, target=5)).run(graph, {"X": -0.1})
    assert result.graph.margin_units.data.tolist() == pytest.approx([10 / 6, 10 / 6])
    assert graph.margin_units.data.tolist() == [1.0, 1.0]
    assert result.accounts["breach_round"].tolist()[0] == 1


def test_the_penalty_is_paid_and_its_share_reaches_the_fund_before_it_pays():
    graph = one_asset(cash=[-960.0, -500.0], depth=None)
    model = cg.MarginCascade(penalty=0.1, penalty_to_fund=0.25, penalty_cap=None)
    result = model.run(graph, {"X": -0.05})
    # Ann: 950 - 960 = -10, the penalty of 95 makes it -105; the fund got 23.75 of it, Bob bears 81.25
    assert result.accounts["penalty"].tolist() == pytest.approx([95.0, 0.0])
    assert result.accounts["shortfall"].tolist() == pytest.approx([105.0, 0.0])
    assert result.pools.loc["pool", ["fund_received", "fund_used", "fund_after"]].tolist() == pytest.approx(
        [23.75, 23.75, 0.0]
    )
    assert result.accounts["socialised"].tolist() == pytest.approx([0.0, 81.25])


def test_closed_shorts_buy_back_and_push_the_price_up():
    graph = cg.ExposureGraph.from_arrays(
        [[-10.0], [-5.0]], price=[100.0], depth=1e4, margin_short=0.1, cash=[1150.0, 900.0], assets=["X"]
    )
    result = cg.MarginCascade().run(graph, {"X": 0.1})
    assert result.assets.loc["X", "units_sold"] == -10.0
    assert result.assets.loc["X", "price_after"] == pytest.approx(110.0 * np.exp(0.1))
    assert result.accounts["closed"].tolist() == [1.0, 0.0]
    assert result.accounts["impact"].iloc[1] == pytest.approx(5 * 110 * (np.exp(0.1) - 1))


def test_what_is_not_sellable_is_margined_but_never_sold():
    graph = cg.ExposureGraph.from_arrays(
        [[10.0, 1.0]], price=[100.0, 50.0], depth=1e4, margin_long=0.1, cash=[-940.0], sellable=[True, False]
    )
    result = cg.MarginCascade().run(graph, {"1": -0.5})
    assert result.assets["units_sold"].tolist() == [10.0, 0.0]
    assert result.assets["price_after"].tolist() == pytest.approx([100 * np.exp(-0.1), 25.0])
    assert result.assets["open_interest_after"].tolist() == [0.0, 25.0]
    assert result.accounts["equity_after"].iloc[0] == pytest.approx(1000 * (1 - np.exp(-0.1)) / 0.1 - 940 + 25)


def test_a_given_loss_comes_out_of_cash_and_is_direct():
    result = cg.MarginCascade().run(one_asset(depth=None), losses={"Ann": 60.0})
    assert result.accounts["direct"].tolist() == [60.0, 0.0]
    assert result.accounts["closed"].tolist() == [1.0, 0.0]
    assert result.accounts["equity_after"].tolist() == pytest.approx([90.0, 500.0])


def test_a_traders_loss_falls_on_its_accounts_by_equity():
    accounts = {"trader": ["Ann", "Ann", "Ann"], "subaccount": ["", "a", "b"], "cash": [30.0, 10.0, -5.0]}
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["Bob"], "asset": ["X"], "quantity": [1.0]}, {"asset": ["X"], "price": [1.0]}, accounts=accounts
    )
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    assert model.run(graph, losses={"Ann": 20.0}).arrays.losses.tolist() == [15.0, 5.0, 0.0, 0.0]
    assert model.run(graph, losses={("Ann", "pool", "b"): 20.0}).arrays.losses.tolist() == [0.0, 0.0, 20.0, 0.0]
    poor = graph.assign(cash=[-1.0, -1.0, -1.0, 0.0])
    assert model.run(poor, losses={"Ann": 20.0}).arrays.losses.tolist() == [20.0, 0.0, 0.0, 0.0]


def test_a_given_default_closes_a_healthy_account():
    result = cg.MarginCascade(liquidation=cg.TargetMargin(0.1)).run(one_asset(), defaults=["Bob"])
    assert result.accounts["closed"].iloc[1] == 1.0
    assert result.accounts["breach_round"].iloc[1] == 1


def test_no_shock_and_no_breach_change_nothing():
    rng = np.random.default_rng(3)
    quantity = rng.normal(size=(50, 8))
    sellable = rng.random(8) < 0.5
    graph = cg.ExposureGraph.from_arrays(
        quantity, price=rng.lognormal(size=8), depth=1.0, margin_long=0.1, margin_short=0.1, sellable=sellable, cash=1e3
    )
    for shock in ({}, None, {"0": 0.0}, pd.Series({"3": 0.0})):
        result = cg.MarginCascade().run(graph, shock)
        assert (result.accounts[["loss", "direct", "impact", "indirect", "closed"]] == 0.0).all(axis=None)
        np.testing.assert_array_equal(result.assets["price_after"], graph.price)
        assert result.rounds.empty
        assert result.solution.steps == 0


def test_breach_is_strict():
    at_margin = one_asset(quantity=[[10.0], [0.0]], cash=[-900.0, 0.0])
    assert at_margin.slack.iloc[0] == 0.0
    assert cg.MarginCascade().run(at_margin).summary()["breached"] == 0
    assert cg.MarginCascade().run(at_margin, losses={"Ann": 1e-9}).summary()["breached"] == 1


def test_target_margin_restores_the_margin_and_no_more():
    model = cg.MarginCascade(liquidation=cg.TargetMargin(0.2))
    result = model.run(one_asset(), {"X": -0.1})
    ann = result.accounts.iloc[0]
    left = 1.0 - ann["closed"]
    price = result.assets.loc["X", "price_after"]
    assert 0.0 < left < 1.0
    # it stops somewhere in [maintenance, target]: the impact of the last sale comes after its size was set
    assert 0.1 * 10 * left * price <= ann["equity_after"] <= 1.2 * 0.1 * 10 * left * price * (1 + 1e-9)


def test_close_factor_can_take_many_rounds():
    model = cg.MarginCascade(liquidation=cg.CloseFactor(0.1))
    result = model.run(one_asset(depth=1e6), {"X": -0.1})
    assert len(result.rounds) > 3
    assert result.accounts["closed"].iloc[0] == pytest.approx(1 - 0.9 ** len(result.rounds))


def test_a_step_limit_is_an_error_with_its_solution():
    model = cg.MarginCascade(liquidation=cg.CloseFactor(0.1), max_rounds=2)
    with pytest.raises(cg.ConvergenceError, match=r"2 rounds, still to close.*step limit.*Raise max_rounds") as caught:
        model.run(one_asset(depth=1e6), {"X": -0.1})
    assert caught.value.solution.status is cg.Status.STEP_LIMIT
    assert caught.value.solution.residual > 0.0
    with pytest.warns(cg.ConvergenceWarning, match="step limit"):
        warned = model.run(one_asset(depth=1e6), {"X": -0.1}, on_failure="warn")
    ignored = model.run(one_asset(depth=1e6), {"X": -0.1}, on_failure="ignore")
    assert len(warned.rounds) == len(ignored.rounds) == 2
    assert not ignored.solution.converged


def test_a_price_that_explodes_is_named():
    graph = cg.ExposureGraph.from_arrays(
        [[-1.0], [1.0]], price=[1e10], depth=1.0, margin_short=0.5, cash=[1e10, 0.0], assets=["SQUEEZED"]
    )
    with pytest.raises(cg.ConvergenceError, match=r"price of asset 'SQUEEZED' is inf after round 1") as caught:
        cg.MarginCascade().run(graph, {"SQUEEZED": 0.0})
    assert caught.value.solution.status is cg.Status.NON_FINITE
    huge = graph.assign(price=1e299, cash=1e299)
    with pytest.raises(cg.ConvergenceError, match=r"is inf at the shocked prices"):
        cg.MarginCascade().run(huge, {"SQUEEZED": 1e10})


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_huge_and_tiny_numbers(scale: float):
    graph = one_asset(price=[100.0 * scale], depth=1e4 * scale, cash=[-850.0 * scale, -500.0 * scale])
    expected = cg.MarginCascade().run(one_asset(), {"X": -0.1}).accounts["loss"]
    np.testing.assert_allclose(
        cg.MarginCascade().run(graph, {"X": -0.1}).accounts["loss"], expected * scale, rtol=1e-12
    )


@pytest.mark.parametrize("shock", [-1.0, 0.0, 3.0])
def test_one_account_and_one_asset(shock: float):
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=[1.0], depth=1.0, margin_long=1.0)
    result = cg.MarginCascade().run(graph, {"0": shock})
    assert result.accounts["direct"].iloc[0] == -shock
    assert result.accounts["equity_after"].iloc[0] >= 0.0


def test_an_empty_pool_has_no_solvency():
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["A"], "asset": ["X"], "quantity": [1.0]},
        {"asset": ["X"], "price": [1.0]},
        pools={"pool": ["pool", "empty"], "insurance_fund": [0.0, 3.0]},
    )
    pools = cg.MarginCascade().run(graph).pools
    assert pools.loc["empty", "assets_after"] == 3.0
    assert np.isnan(pools.loc["empty", "solvency_after"])


def test_traders_are_the_sums_of_their_accounts():
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["A", "A", "B"], "subaccount": ["", "iso", ""], "asset": ["X"] * 3, "quantity": [10.0, 30.0, 5.0]},
        {"asset": ["X"], "price": [10.0], "depth": [1e4], "margin_long": [0.1]},
        accounts={
            "trader": ["A", "A", "B", "C"],
            "subaccount": ["", "iso", "", ""],
            "cash": [-85.0, -100.0, 0.0, -1.0],
        },
    )
    result = cg.MarginCascade().run(graph, {"X": -0.06})
    accounts, traders = result.accounts, result.traders
    assert traders.index.tolist() == ["A", "B", "C"]
    np.testing.assert_allclose(traders.loc["A", "loss"], accounts.loc["A", "loss"].sum())
    assert accounts["closed"].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert traders["closed"].tolist() == [0.25, 0.0, 1.0]
    assert traders["breach_round"].tolist() == [1, 0, 1]


def test_the_summary_has_its_documented_keys():
    summary = cg.MarginCascade().run(one_asset(), {"X": -0.1}).summary()
    assert summary.index.tolist() == [
        *("rounds", "traders", "accounts", "breached", "closed", "breached_before", "gross_loss", "gross_indirect"),
        *("net_loss", "direct", "impact", "penalty", "socialised", "shortfall", "standalone", "indirect"),
        *("fund_used", "fund_received", "uncovered", "largest_fall", "bystanders", "bystander_loss"),
    ]
    assert summary["net_loss"] == pytest.approx(summary["standalone"] + summary["indirect"])


def test_the_repr_is_a_sentence_and_its_html_is_escaped():
    result = cg.MarginCascade().run(one_asset(), {"X": -0.1})
    assert repr(result).startswith("<CascadeResult: 1 of 2 accounts breached, 1 closed whole in 1 round; gross loss ")
    html = result._repr_html_()
    assert "CascadeResult: 1 of 2" in html
    assert "<th>breached</th>" in html


def test_the_waves_of_the_toy_market():
    """Six accounts, three assets: the shock takes the fifth, its sales the third, its shortfall the first."""
    reference = case("unified_cascade_toy")
    given = reference["inputs"]
    price = np.array(given["p0"])
    graph = cg.ExposureGraph.from_arrays(
        given["H"],
        price=price,
        depth=price / np.array(given["alpha"]),
        margin_long=given["mm"],
        cash=given["cash"],
        insurance_fund=given["fund"],
        share=given["soc_base"],
    )
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.ProRata("share")), penalty=given["fee"])
    result = model.run(graph, {str(k): -fall for k, fall in enumerate(given["shock"])})
    rounds = result.accounts["breach_round"].to_numpy()
    waves = [np.flatnonzero(rounds == number).tolist() for number in range(1, rounds.max() + 1)]
    assert waves == reference["expected"]["path_waves"]
    victims = reference["expected"]["indirect_only_victims_without_shocked_asset"]
    assert set(map(str, victims)) <= set(result.bystanders().index)


BITS = """
import hashlib, numpy as np, contagion_graph as cg
from scipy import sparse
rng = np.random.default_rng(5)
quantity = sparse.random_array((20_000, 30), density=0.1, rng=rng, format="csr", data_sampler=rng.normal)
graph = cg.ExposureGraph.from_arrays(quantity, price=rng.lognormal(size=30), depth=3e3,
    margin_long=0.1, margin_short=0.1, cash=rng.lognormal(0, 1.5, 20_000), pool=rng.integers(0, 5, 20_000),
    insurance_fund=10.0)
digest = hashlib.sha256()
for rule in (cg.FullLiquidation(), cg.TargetMargin(0.1)):
    result = cg.MarginCascade(liquidation=rule, penalty=0.01).run(graph, {str(k): -0.2 for k in range(10)})
    assert len(result.rounds) > 2 and result.arrays.socialised.any()
    for frame in (result.accounts, result.traders, result.assets, result.pools, result.rounds):
        digest.update(np.ascontiguousarray(frame.to_numpy(dtype=float)).tobytes())
print(digest.hexdigest())
"""


def test_the_same_bits_on_any_number_of_threads():
    """One, two and five threads, each in a process of its own."""
    digests = {
        subprocess.check_output(
            [sys.executable, "-c", BITS], env={**os.environ, "CONTAGION_GRAPH_THREADS": str(threads)}
        )
        for threads in (1, 2, 5)
    }
    assert len(digests) == 1


def test_rounding_makes_no_bystander():
    graph = cg.ExposureGraph.from_arrays(
        [[1.9960463201930951, 5.171880145940222, -1.9364843771442029]],
        price=[0.27167270392911347, 2.472811757789748, 1.5626366774393448],
        margin_long=0.3,
        margin_short=0.3,
        cash=[-9.274802240449025],
    )
    result = cg.MarginCascade(liquidation=cg.CloseFactor(0.5), waterfall=(cg.InsuranceFund(),)).run(graph)
    assert 0.0 < abs(result.traders["loss"].iloc[0]) < 1e-14
    assert result.bystanders().empty
