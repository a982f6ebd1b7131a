"""Distress reproduces the numbers of papers and of other libraries."""

import numpy as np
import pytest
from scipy import sparse

import contagion_graph as cg
from benchmarks.interbank import network as benchmark_network
from contagion_graph.distress.propagate import spread
from contagion_graph.distress.valuation import Debtors
from contagion_graph.state import Passing
from tests.interbank import network_of
from tests.shared_data import case

distress = cg.distress


def simulated() -> tuple[cg.ObligationNetwork, dict[str, object], dict[str, dict[str, list[float]]]]:
    given = case("nrm_sim125_default")
    inputs, n = given["inputs"], given["inputs"]["n"]
    lender, borrower, amount = np.array(inputs["edges_lender_borrower_amount"]).T
    owed = sparse.csr_array((amount, (borrower.astype(int), lender.astype(int))), shape=(n, n))
    return network_of(owed, inputs["buffer"]), inputs, given["expected"]


MODELS = {
    "debtrank": cg.DebtRank(tol=1e-10),
    "threshold": cg.ThresholdCascade(),
    "singlehit": cg.DebtRank("single_hit", capped=False),  # that library caps no impact
}


@pytest.mark.parametrize("name", MODELS)
def test_all_defaults_of_125_simulated_banks(name: str):
    network, inputs, expected = simulated()
    table = cg.single_defaults(network, MODELS[name], weights=inputs["weights"])
    np.testing.assert_allclose(table["given_stress"], expected[name]["original_stress"], atol=1e-12)
    np.testing.assert_allclose(table["additional_stress"], expected[name]["additional_stress"], atol=1e-6)
    np.testing.assert_allclose(table["given"], expected[name]["original_losses"], atol=1e-9)
    np.testing.assert_allclose(table["loss"] - table["given"], expected[name]["additional_losses"], atol=1e-4)
    assert table["additional_defaults"].tolist() == expected[name]["additional_defaults"]


def test_slow_losses_are_followed_to_the_end_not_until_steps_are_small():
    network, inputs, _ = simulated()
    assert distress.spectral_radius(network) == pytest.approx(0.99669, abs=1e-5)
    table = cg.single_defaults(network, cg.DebtRank(tol=1e-10), weights=inputs["weights"])
    assert table["additional_defaults"].sum() == 194  # stopping at a step of 7e-4 finds 192
    assert table["additional_stress"].sum() == pytest.approx(6.4676, abs=5e-5)
    assert table["error_bound"].max() <= 1e-10
    assert table["rounds"].max() <= 64  # plain rounds need 8,600


def test_all_uniform_shocks_of_125_simulated_banks():
    network, inputs, expected = simulated()
    sizes = np.arange(1, 26) / 100
    table = distress.uniform_shocks(network, cg.DebtRank(tol=1e-10), sizes, weights=inputs["weights"])
    np.testing.assert_allclose(table["given_stress"], expected["uniform"]["original_stress"], atol=1e-12)
    np.testing.assert_allclose(table["additional_stress"], expected["uniform"]["additional_stress"], atol=1e-6)
    np.testing.assert_allclose(table["given"], expected["uniform"]["original_losses"], atol=1e-9)
    losses = table["loss"] - table["given"]
    np.testing.assert_allclose(losses, expected["uniform"]["additional_losses"], atol=1e-4)
    assert table["additional_defaults"].tolist() == expected["uniform"]["additional_defaults"]


THREE = {
    "debtrank_default_of": cg.DebtRank(),
    "threshold_default_of": cg.ThresholdCascade(),
    "single_hit_default_of": cg.DebtRank("single_hit", capped=False),
}


def three() -> tuple[cg.ObligationNetwork, dict[str, object], dict[str, dict[str, object]]]:
    given = case("nrm_3node_debtrank_threshold_communicability")
    inputs = given["inputs"]
    owed = np.array(inputs["assets_matrix_row_lender"]).T
    return network_of(owed, inputs["buffer"], inputs["names"]), inputs, given["expected"]


@pytest.mark.parametrize("name", THREE)
def test_three_banks(name: str):
    network, inputs, expected = three()
    table = cg.single_defaults(network, THREE[name], weights=inputs["weights"])
    for node, figures in expected[name].items():
        result = THREE[name].run(network, equity_shock={node: 1.0})
        np.testing.assert_allclose(result.uncapped, figures["stress_uncapped"], atol=1e-9)
        np.testing.assert_allclose(result.stress, np.minimum(figures["stress_uncapped"], 1.0), atol=1e-9)
        assert table.loc[node, "additional_stress"] == pytest.approx(figures["additional_stress"], abs=1e-9)
        assert table.loc[node, "additional_defaults"] == figures.get(
            "additional_defaults", table.loc[node, "additional_defaults"]
        )
    if name == "threshold_default_of":
        furfine = cg.single_defaults(network, cg.Furfine(), weights=inputs["weights"])
        np.testing.assert_array_equal(furfine, table)


@pytest.mark.parametrize(
    ("name", "model"), [("debtrank", cg.DebtRank()), ("single_hit", cg.DebtRank("single_hit", capped=False))]
)
def test_three_banks_that_all_lose_a_tenth(name: str, model: cg.DebtRank):
    network, inputs, expected = three()
    figures = expected["uniform_10pct"][name]
    result = model.run(network, equity_shock=0.1)
    np.testing.assert_allclose(result.uncapped, figures["stress_uncapped"], atol=1e-9)
    table = distress.uniform_shocks(network, model, [0.1], weights=inputs["weights"])
    assert table.loc[0.1, "additional_stress"] == pytest.approx(figures["additional_stress"], abs=1e-9)


def test_linear_debtrank_of_the_paper():
    given = case("debtrank_linear")
    coupling = np.array(given["inputs"]["Lambda"])
    end = spread(
        sparse.csr_array(coupling), Passing(0.0, np.empty(0), False), np.array([given["inputs"]["h0"]]), tol=1e-13
    )
    np.testing.assert_allclose(end.level[0], given["expected"]["h"], atol=given["tolerance"])
    network = network_of(coupling.T, np.ones(3))
    result = cg.DebtRank(tol=1e-13).run(network, equity_shock=given["inputs"]["h0"])
    np.testing.assert_allclose(result.stress, given["expected"]["h"], atol=given["tolerance"])
    assert distress.spectral_radius(network) == pytest.approx(given["expected"]["spectral_radius"], abs=1e-12)


def test_single_hit_toys():
    given = case("debtrank_single_hit_toy_globe")
    for inputs, expected in zip(given["inputs"], given["expected"], strict=True):
        network = network_of(np.array(inputs["exposure"]).T, inputs["equity"])
        result = cg.DebtRank("single_hit").run(network, equity_shock=inputs["shock"])
        np.testing.assert_allclose(result.stress, expected["distress"], atol=given["tolerance"])
        if "debtrank_equity_weighted" in expected:
            table = distress.many_shocks(network, cg.DebtRank("single_hit"), equity_shocks=[inputs["shock"]])
            assert table.loc[0, "additional_stress"] == pytest.approx(expected["debtrank_equity_weighted"], abs=1e-9)


@pytest.mark.parametrize(("n", "figure"), [(1000, 7436.515981), (5000, 36337.588671)])
def test_the_networks_on_which_libraries_are_compared(n: int, figure: float):
    network, losses = benchmark_network(n)  # the figures are those of two other libraries
    result = cg.DebtRank(tol=1e-10).run(network, losses=losses)
    equity = network.book_equity
    assert (result.stress * equity).sum() == pytest.approx(figure, abs=5e-7)
    assert (result.default_round > 0).sum() == {1000: 830, 5000: 4038}[n]
    some = cg.single_defaults(network, cg.DebtRank(), nodes=network.nodes[:3])
    alone = cg.DebtRank().run(network, equity_shock={network.nodes[0]: 1.0})
    assert some["loss"].iloc[0] == alone.loss.sum()


# --- impacts by ways ---


def test_impacts_of_the_cases():
    for given in (case("networkriskmeasures_impact"), case("nrm_3node_debtrank_threshold_communicability")):
        inputs, expected = given["inputs"], given["expected"]
        owed = np.array(inputs.get("assets", inputs.get("assets_matrix_row_lender"))).T
        network = network_of(owed, inputs["buffer"])
        found = distress.impact_susceptibility(network)
        np.testing.assert_allclose(found, expected["impact_susceptibility"], atol=1e-9)
        assert distress.impact_fluidity(network) == pytest.approx(expected["impact_fluidity"], abs=1e-9)
        table = distress.impact_diffusion(network)
        for column, figures in expected["impact_diffusion"].items():
            np.testing.assert_allclose(table[column], figures, atol=1e-9)
    network, _, expected = simulated()
    np.testing.assert_allclose(distress.impact_susceptibility(network), expected["impact_susceptibility"], atol=1e-9)


def test_the_communicability_of_the_case():
    given = case("communicability_matrix")
    network = network_of(given["inputs"]["V_binary"], np.ones(6))
    np.testing.assert_allclose(distress.communicability(network), given["expected"]["expm"], atol=given["tolerance"])
    rows = distress.communicability(network, ["5", "1"])
    np.testing.assert_allclose(rows, np.array(given["expected"]["expm"])[[5, 1]], atol=given["tolerance"])


# --- valuation functions ---

VALUES = {
    "eisenberg_noe_pbar2": (distress.EisenbergNoeValue(), 1.0),
    "furfine": (distress.RecoveryValue(), 1.0),
    "roukny_battiston_rho0_4": (distress.RecoveryValue(0.4), 1.0),
    "lin_dr_E0_2_5": (distress.DebtRankValue(), 1.0),
    "merton_A1_p2_rho1_s1": (distress.MertonValue(1.0), 1.0),
    "blackcox_A4_rho0_6_s0_2": (distress.BlackCoxValue(0.2, recovery=0.6), 4.0),
    "rogers_veraart_A1_p2_a0_6_b0_8": (distress.RogersVeraartValue(alpha=0.6, beta=0.8), 1.0),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_claims(name: str):
    given, (valuation, assets) = case("neva_valuation_functions"), VALUES[name]
    equity = np.array(given["inputs"]["E"], dtype=float)
    owed = np.zeros((equity.size + 1, equity.size + 1))
    owed[:-1, -1] = 2.0  # everybody owes 2 to a node that owes nothing
    network = network_of(owed, np.full(equity.size + 1, 2.5))
    outside = np.full(equity.size + 1, assets)
    network = cg.ObligationNetwork.from_arrays(owed, external_assets=network.external_assets.max(), nodes=network.nodes)
    found = valuation.value(np.append(equity, 1.0), Debtors(network, outside))
    expected = np.array([row[name] for row in given["expected"]])
    if name.startswith("rogers"):  # NEVA's shares fall below 0 where claims would have to be worth less than nothing
        assert (expected < 0.0).sum() == 2
        expected = np.maximum(expected, 0.0)
    np.testing.assert_allclose(found[:-1], expected, atol=given["tolerance"])


METHODS = {
    "exante_en_blackcox_gbm": lambda sigma: distress.BlackCoxValue(sigma, recovery=0.6),
    "exante_en_merton_gbm": lambda sigma: distress.MertonValue(sigma, recovery=0.6, seniority="pari_passu"),
    "exante_furfine_merton_gbm": lambda sigma: distress.RecoveryMertonValue(sigma, recovery=0.6),
}


@pytest.mark.parametrize("number", range(9))
def test_network_valuation_before_the_fact(number: int):
    given = case("neva_readme_exante")
    inputs, expected = given["inputs"], given["expected"][number]
    network = cg.ObligationNetwork.from_arrays(
        np.array(inputs["exposure_lender_row_borrower_col"]).T,
        external_assets=inputs["external_assets"],
        external_liabilities=inputs["external_liabilities"],
    )
    np.testing.assert_allclose(network.equity, expected["equity_start"], atol=1e-12)
    sigma = distress.asset_volatility(network, inputs["sigma_equity"])
    np.testing.assert_allclose(sigma, expected["sigma_asset"], rtol=1e-12)
    model = cg.NetworkValuation(METHODS[expected["method"]](sigma), tol=1e-10)
    result = model.run(network, equity_shock=expected["equity_shock_fraction"])
    np.testing.assert_allclose(result.nodes["equity_after"], expected["equity_final"], atol=given["tolerance"])
    assert result.solution.error_bound <= 1e-10
