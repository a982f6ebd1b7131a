"""Obligations and common assets: one fixed point in payments and prices."""

from typing import Any

import numpy as np
import pytest

import contagion_graph as cg
from tests.reference.dense_common_assets import Banks


def random_banks(seed: int) -> Banks:
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(2, 8)), int(rng.integers(1, 4))
    owed = (rng.random((n, n)) * (rng.random((n, n)) < 0.5)).round(3)
    np.fill_diagonal(owed, 0.0)
    holdings = (2.0 * rng.random((n, m)) * (rng.random((n, m)) < 0.7)).round(3)
    depth = rng.choice([1.0, 3.0, 10.0]) * holdings.sum(axis=0) + 0.1
    ratio = None if seed % 2 else float(rng.choice([0.1, 0.3, 0.6]))
    return Banks(owed, (rng.normal(0.0, 0.6, n)).round(3), holdings, 1.0 + rng.random(m).round(2), depth, ratio)


def graph_of(banks: Banks) -> cg.ExposureGraph:
    names = [f"b{i}" for i in range(len(banks.cash))]
    assets = [f"a{j}" for j in range(len(banks.price))]
    held = [(i, j) for i in range(len(names)) for j in range(len(assets))]
    debts = [(i, j) for i in range(len(names)) for j in range(len(names)) if banks.owed[i, j] > 0]
    return cg.ExposureGraph.from_tables(
        {
            "trader": [names[i] for i, _ in held],
            "asset": [assets[j] for _, j in held],
            "quantity": [banks.holdings[i, j] for i, j in held],
        },
        {"asset": assets, "price": banks.price, "depth": banks.depth},
        accounts={"trader": names, "cash": banks.cash},
        obligations={
            "debtor": [names[i] for i, _ in debts],
            "creditor": [names[j] for _, j in debts],
            "amount": [banks.owed[i, j] for i, j in debts],
        },
    )


@pytest.mark.parametrize("part", range(2))
def test_both_ends_are_those_of_the_oracle(part: int):
    selling = defaults = 0
    for seed in range(part, 120, 2):
        banks = random_banks(seed)
        model, graph = cg.CommonAssetClearing(capital_ratio=banks.ratio), graph_of(banks)
        both = model.equilibria(graph)
        least, greatest = both.least, both.greatest
        for end, from_above in ((least, False), (greatest, True)):
            price, received, share = banks.settle(from_above=from_above)
            np.testing.assert_allclose(end.price, price, rtol=1e-9, err_msg=f"seed {seed}")
            np.testing.assert_allclose(end.banks["received"], received, atol=1e-9, err_msg=f"seed {seed}")
            np.testing.assert_allclose(end.sold_share, share, atol=1e-7, err_msg=f"seed {seed}")
            bound = end.solution.error_bound
            assert bound is None or (np.abs(end.price - price) <= (bound + 1e-12) * banks.price).all()
        assert (greatest.price >= least.price - 1e-9).all()
        assert (greatest.banks["payments"] >= least.banks["payments"] - 1e-9).all()
        selling += (greatest.sold_share > 0).sum()
        defaults += (greatest.clearing.default_round > 0).sum()
    assert selling > 50
    assert defaults > 10


def test_one_bank_that_sells_to_pay_solves_a_quadratic():
    """Sales s q p = due and p = p0 (1 - s q p0 / depth), so p = p0 (1 + sqrt(1 - 4 due / depth)) / 2."""
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=[2.0], depth=[40.0], cash=[-7.0])
    result = cg.CommonAssetClearing(impact=cg.LinearImpact()).run(graph)
    price = 2.0 * (1.0 + np.sqrt(1.0 - 4.0 * 7.0 / 40.0)) / 2.0
    np.testing.assert_allclose(result.price, price, rtol=1e-11)
    np.testing.assert_allclose(result.banks["value_sold"], 7.0, rtol=1e-10)
    np.testing.assert_allclose(result.assets["value_sold"], 7.0, rtol=1e-10)


def test_a_capital_ratio_is_met_by_whoever_sells_in_part():
    seen = 0
    for seed in range(0, 100, 2):
        banks = random_banks(seed)
        assert banks.ratio is not None
        result = cg.CommonAssetClearing(capital_ratio=banks.ratio).run(graph_of(banks))
        table = result.banks
        value = banks.holdings @ result.price
        risky = table["received"] + (1.0 - table["sold_share"]) * value
        part = (table["sold_share"] > 1e-6) & (table["sold_share"] < 1 - 1e-6)
        np.testing.assert_allclose(table["equity"][part], (banks.ratio * risky)[part], atol=1e-8)
        idle = table["sold_share"] == 0.0
        assert (table["equity"] >= banks.ratio * risky - 1e-8)[idle].all()
        seen += int(part.sum())
    assert seen > 3


@pytest.mark.parametrize("seniority", ["external_first", "pari_passu"])
def test_without_impact_it_is_eisenberg_noe(seniority: Any):
    for seed in range(40):
        banks = random_banks(seed)
        graph = graph_of(banks).assign(depth=np.inf)
        result = cg.CommonAssetClearing(seniority=seniority).run(graph)
        np.testing.assert_array_equal(result.price, graph.price)
        network = cg.ObligationNetwork.from_arrays(
            banks.owed,
            external_assets=np.maximum(banks.cash, 0.0) + banks.holdings @ banks.price,
            external_liabilities=np.maximum(-banks.cash, 0.0),
        )
        plain = cg.EisenbergNoe(seniority=seniority).run(network)
        np.testing.assert_allclose(result.banks["payments"], plain.payments, atol=1e-12)


def test_a_deeper_shock_a_loss_and_a_thinner_market_never_help():
    for seed in range(20):
        graph = graph_of(random_banks(seed))
        model = cg.CommonAssetClearing()
        calm = model.run(graph)
        for worse in (
            model.run(graph, dict.fromkeys(graph.assets, -0.2)),
            model.run(graph, losses={"b0": 0.3}),
            model.run(graph.assign(depth=graph.depth * 0.8)),
        ):
            assert (worse.price <= calm.price + 1e-9).all()
            assert (worse.banks["payments"] <= calm.banks["payments"] + 1e-9).all()


def test_what_cannot_be_sold_counts_and_stays():
    graph = cg.ExposureGraph.from_arrays([[4.0, 4.0]], price=1.0, depth=10.0, cash=[-3.0], sellable=[True, False])
    result = cg.CommonAssetClearing().run(graph)
    assert result.assets["units_sold"].tolist()[1] == 0.0
    assert result.price[1] == 1.0
    assert result.banks["equity"].iloc[0] == pytest.approx(4.0 * result.price[0] + 4.0 - 3.0)


def test_two_equilibria_of_one_market():
    """Who expects that all is sold sells all: both ends are fixed points, and far apart."""
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=[1.0], depth=[4.0], cash=[-1.2])
    both = cg.CommonAssetClearing(impact=cg.ExponentialImpact()).equilibria(graph)
    least, greatest = both.least, both.greatest
    assert greatest.price[0] > 0.5 > least.price[0] + 0.2
    assert "1 of 1 banks sell" in repr(greatest)
    assert not both.unique
    assert both.price_gap == greatest.price[0] - least.price[0]
    assert repr(both) == (
        "<ClearingEquilibria: 0 to 1 of 1 nodes default; clearing vectors differ by up to 0.37915 of payments, prices "
        "by up to 0.5309>"
    )


def test_one_equilibrium_is_unique_and_a_result_has_its_tables():
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=[2.0], depth=[40.0], cash=[-7.0])
    both = cg.CommonAssetClearing(impact=cg.LinearImpact()).equilibria(graph)
    assert both.unique
    assert repr(both) == "<ClearingEquilibria: 0 to 0 of 1 nodes default; one clearing vector>"
    assert list(both.least.to_frames()) == ["summary", "banks", "assets"]
    assert both.least.summary()["sellers"] == 1.0


def test_an_asset_that_is_worth_nothing_after_the_shock_stays_so():
    graph = cg.ExposureGraph.from_arrays([[10.0, 3.0]], price=[2.0, 1.0], depth=40.0, cash=-7.0, assets=["X", "Y"])
    result = cg.CommonAssetClearing(impact=cg.LinearImpact()).run(graph, {"Y": -1.0})
    np.testing.assert_allclose(result.price, [1.0 + np.sqrt(1.0 - 4.0 * 7.0 / 40.0), 0.0], rtol=1e-11)
    assert result.price_share[1] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capital_ratio": 0.0}, "CommonAssetClearing: capital_ratio is 0.0"),
        ({"capital_ratio": 1.5}, "CommonAssetClearing: capital_ratio is 1.5"),
        ({"seniority": "none"}, "CommonAssetClearing: seniority is 'none'"),
        ({"impact": cg.ExponentialImpact(volume="current")}, "give one with volume='initial'"),
        ({"tol": -1.0}, "CommonAssetClearing: tol is -1.0"),
    ],
)
def test_a_bad_parameter_is_named(options: Any, message: str):
    with pytest.raises(cg.ParameterError, match=message):
        cg.CommonAssetClearing(**options)


def test_short_positions_are_refused_and_a_step_limit_is_reported():
    with pytest.raises(cg.ParameterError, match="asset 'X' is held short"):
        cg.CommonAssetClearing().run(cg.ExposureGraph.from_arrays([[-1.0]], price=1.0, assets=["X"]))
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=[2.0], depth=[40.0], cash=[-7.0])
    with pytest.raises(cg.ConvergenceError, match="after 2 steps the error of prices is not proven") as caught:
        cg.CommonAssetClearing(max_iter=2).run(graph)
    assert caught.value.solution.steps == 2
    with pytest.warns(cg.ConvergenceWarning, match="Raise max_iter or tol"):
        cg.CommonAssetClearing(max_iter=2).run(graph, on_failure="warn")
    both = cg.CommonAssetClearing(max_iter=2).equilibria(graph, on_failure="ignore")
    assert not both.least.solution.converged
    assert not both.greatest.solution.converged
