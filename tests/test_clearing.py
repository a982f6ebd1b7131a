"""Clearing: definitions on random networks, the oracle, the linear programme, the literature's numbers, failures."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog

import contagion_graph as cg
from benchmarks.interbank import network as interbank
from contagion_graph.clearing.model import ClearingModel
from tests.reference.dense_clearing import Debts
from tests.reference.random_debts import network_of, random_debts
from tests.shared_data import case

SENIORITIES = ("external_first", "pari_passu")
SEEDS = range(500)
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def model_of(seed: int) -> ClearingModel:
    """Return a model: every other one has costs of default, every other two pay outside first."""
    seniority: Any = SENIORITIES[seed // 2 % 2]
    alpha, beta = np.random.default_rng(seed).random(2).round(2).tolist()
    if seed % 2:
        return cg.RogersVeraart(alpha=alpha, beta=beta, seniority=seniority)
    return cg.EisenbergNoe(seniority=seniority)


def debts_of(seed: int) -> Debts:
    """Return random debts: plain ones, some with ranks, some with holdings of equity."""
    return random_debts(seed, ranks=1 + (seed % 5 == 3) + (seed % 7 == 3), held=seed % 3 == 1)


def with_model(debts: Debts, model: ClearingModel) -> Debts:
    alpha, beta = model.remains
    return replace(debts, external_first=model.seniority == "external_first", alpha=alpha, beta=beta)


@cache
def both_of(seed: int) -> cg.ClearingEquilibria[cg.ClearingResult]:
    return model_of(seed).equilibria(network_of(debts_of(seed)))


@cache
def oracle_of(seed: int) -> tuple[np.ndarray, np.ndarray]:
    oracle = with_model(debts_of(seed), model_of(seed))
    return oracle.greatest(), oracle.least()


# --- definitions ---


@pytest.mark.parametrize("part", range(5))
def test_both_ends_are_those_of_the_oracle(part: int):
    for seed in SEEDS[part::5]:
        oracle, both = with_model(debts_of(seed), model_of(seed)), both_of(seed)
        for end, assets in zip((both.greatest, both.least), oracle_of(seed), strict=True):
            np.testing.assert_allclose(end.assets, assets, **CLOSE, err_msg=f"seed {seed}")
            np.testing.assert_allclose(end.by_rank, oracle.payments(assets), **CLOSE, err_msg=f"seed {seed}")


def test_bounds_hold():
    proven = 0
    for seed in SEEDS:
        both = both_of(seed)
        for end, exact in zip((both.greatest, both.least), oracle_of(seed), strict=True):
            assert end.solution.residual <= 1e-12
            bound = end.solution.error_bound
            if bound is not None:
                proven += 1
                assert (np.abs(end.assets - exact) <= (bound + 1e-12) * end.system.scale).all()
    assert proven > 900  # of 1000


def test_liability_is_limited_priority_absolute_and_payment_proportional():
    for seed in SEEDS:
        result = both_of(seed).greatest
        network, nodes, flows = result.network, result.nodes, result.flows()
        paid = (nodes["payments"] + nodes["payments_outside"]).to_numpy()
        near = 1e-9 * (1.0 + network.external_assets.sum() + network.obligations.sum())
        available = result.assets - nodes["default_costs"].to_numpy()
        due = nodes["due"].to_numpy()
        assert (paid <= available + near).all()  # limited liability
        assert (np.abs(paid - np.minimum(due, available)) <= near).all()  # all that is due, or all that there is
        assert ((nodes["value"] <= near) | (nodes["shortfall"] <= near)).all()  # owners come last
        np.testing.assert_array_equal(nodes["default_round"] > 0, nodes["equity"] < -near * 1e-3)
        np.testing.assert_allclose(flows.sum(axis=1), nodes["payments"], **CLOSE)
        held = 0.0 if network.equity_holdings is None else network.equity_holdings.T @ nodes["value"].to_numpy()
        np.testing.assert_allclose(flows.sum(axis=0) + held, nodes["received"], **CLOSE)
        if len(network.ranks) == 1:
            expected = network.obligations.toarray() * result.recovery.to_numpy()[:, None]
            np.testing.assert_allclose(flows.toarray(), expected, **CLOSE)  # proportional


def test_a_rank_is_paid_when_those_before_it_are():
    seen = 0
    for seed in SEEDS:
        network, paid = network_of(debts_of(seed)), both_of(seed).greatest.by_rank
        for rank in range(len(network.ranks) - 1):
            short = paid[rank] < network.ranks[rank].sum(axis=1) * (1 - 1e-9)
            assert (paid[rank + 1][short] <= 1e-9).all()
            seen += int(short.sum())
    assert seen > 100


def test_the_greatest_pays_no_less_than_the_least():
    apart = 0
    for seed in SEEDS:
        both = both_of(seed)
        assert (both.gap >= -1e-9).all()
        assert both.unique == (both.gap.abs() <= 1e-9 * both.greatest.system.total).all()
        assert ((both.least.default_round > 0) >= (both.greatest.default_round > 0)).all()
        apart += not both.unique
    assert apart > 10  # the test sees both kinds


@pytest.mark.parametrize("part", range(5))
def test_fictitious_default_equals_monotone_iteration(part: int):
    for seed in SEEDS[part::5]:
        model = replace(model_of(seed), method="iteration")
        one, other = both_of(seed), model.equilibria(network_of(debts_of(seed)))
        for mine, its in ((one.least, other.least), (one.greatest, other.greatest)):
            np.testing.assert_allclose(mine.assets, its.assets, rtol=1e-10, atol=1e-10, err_msg=f"{seed} {model}")


def test_the_first_wave_defaults_when_all_others_pay():
    later = 0
    for seed in SEEDS[::4]:
        debts = random_debts(seed)
        result = cg.EisenbergNoe().run(network_of(debts))
        paid_in_full = debts.external + debts.ranks[0].sum(axis=0)
        owed = np.array([debts.owed(i) for i in range(len(debts.external))])
        np.testing.assert_array_equal(result.default_round == 1, paid_in_full < owed * (1 - 1e-13))
        later += (result.default_round > 1).sum()
    assert later > 25


def test_eisenberg_noe_is_the_optimum_of_the_linear_programme():
    """Maximise the sum of payments: p <= what there is, 0 <= p <= due (Eisenberg & Noe 2001, lemma 4)."""
    for seed in SEEDS:
        debts, seniority = random_debts(seed), SENIORITIES[seed % 2]
        owed, outside, n = debts.ranks[0], debts.outside, len(debts.external)
        first = seniority == "external_first"
        if first:  # the programme needs payments that are feasible: nobody may be short outside
            debts = replace(debts, external=debts.external + outside)
        due = owed.sum(axis=1) + (0.0 if first else outside)
        share = np.divide(owed, due[:, None], out=np.zeros_like(owed), where=due[:, None] > 0)
        have = debts.external - (outside if first else 0.0)
        limits = np.column_stack([np.zeros(n), due])
        solved = linprog(-np.ones(n), A_ub=np.eye(n) - share.T, b_ub=have, bounds=limits, method="highs")
        nodes = cg.EisenbergNoe(seniority=seniority).run(network_of(debts)).nodes
        paid = nodes["payments"] + (0.0 if first else nodes["payments_outside"])
        np.testing.assert_allclose(paid, solved.x, rtol=1e-6, atol=1e-6, err_msg=f"seed {seed}")
        np.testing.assert_allclose(paid.sum(), -solved.fun, rtol=1e-9, atol=1e-9)


def test_rogers_veraart_without_costs_is_eisenberg_noe():
    for seed in SEEDS[::10]:
        free = cg.RogersVeraart(alpha=1.0, beta=1.0, seniority=model_of(seed).seniority)
        both, plain = free.equilibria(network_of(debts_of(seed))), both_of(seed)
        np.testing.assert_array_equal(both.least.assets, plain.least.assets)
        np.testing.assert_array_equal(both.greatest.assets, plain.greatest.assets)


def test_costs_of_default_never_help_anybody():
    for seed in SEEDS[::20]:
        network = network_of(debts_of(seed))
        values = [
            cg.RogersVeraart(alpha=share, beta=share).run(network).nodes[["payments", "payments_outside", "value"]]
            for share in (1.0, 0.7, 0.2)
        ]
        for better, worse in pairwise(values):
            assert (worse <= better + 1e-9).all(axis=None)


def test_who_pays_outside_first_pays_less_inside():
    for seed in SEEDS[::5]:
        network = network_of(random_debts(seed))
        first, beside = (cg.EisenbergNoe(seniority=rule).run(network).nodes for rule in SENIORITIES)
        assert (first["payments"] <= beside["payments"] + 1e-9).all()


def test_without_external_liabilities_seniority_makes_no_difference():
    for seed in SEEDS[::20]:
        debts = random_debts(seed)
        network = network_of(replace(debts, outside=np.zeros_like(debts.outside)))
        first, beside = (cg.EisenbergNoe(seniority=rule).run(network) for rule in SENIORITIES)
        np.testing.assert_array_equal(first.assets, beside.assets)


def test_more_losses_never_raise_a_payment():
    for seed in SEEDS[::5]:
        before = both_of(seed).greatest
        losses = np.random.default_rng(seed).random(len(before.assets)) * before.network.external_assets
        after = model_of(seed).run(before.network, losses=losses)
        assert (after.nodes["payments"] <= before.nodes["payments"] + 1e-9).all()


# --- odd networks ---


def test_a_loss_takes_no_more_than_there_is():
    network = cg.ObligationNetwork.from_arrays([[0, 5], [0, 0]], external_assets=[4.0, 1.0], nodes=["A", "B"])
    result = cg.EisenbergNoe().run(network, losses={"A": 7.0})
    assert result.nodes.loc["A", "external_assets"] == 0.0
    assert result.payments.to_dict() == {"A": 0.0, "B": 0.0}
    assert result.equity.to_dict() == {"A": -5.0, "B": 1.0}


def test_nodes_without_debts_or_anything_at_all():
    network = cg.ObligationNetwork.from_arrays(
        np.zeros((2, 2)), external_assets=[0.0, 3.0], external_liabilities=[1.0, 3.0]
    )
    for seniority in SENIORITIES:
        nodes = cg.EisenbergNoe(seniority=seniority).run(network).nodes
        assert nodes["default_round"].tolist() == [1, 0]  # equity of exactly 0 is no default
        assert nodes["payments_outside"].tolist() == [0.0, 3.0]
        assert nodes["recovery"].tolist() == [1.0, 1.0]  # of no debts in the network, nothing is unpaid


def test_what_a_node_owes_itself_changes_nothing():
    owed = np.array([[0.0, 20.0, 10.0], [5.0, 0.0, 24.0], [10.0, 0.0, 0.0]])
    plain, looped = (
        cg.EisenbergNoe().run(cg.ObligationNetwork.from_arrays(matrix, external_assets=10.0))
        for matrix in (owed, owed + 7.0 * np.eye(3))
    )
    np.testing.assert_array_equal(plain.assets, looped.assets)


def test_a_ring_without_anything_from_outside():
    """Debts around a ring can all be paid or none; a debt outside, paid first, drains it."""
    ring = sparse.csr_array(np.roll(np.eye(5), 1, axis=1) * 0.1)
    both = cg.EisenbergNoe().equilibria(cg.ObligationNetwork.from_arrays(ring, external_assets=0.0))
    np.testing.assert_allclose(both.greatest.payments, 0.1)
    np.testing.assert_array_equal(both.least.payments, 0.0)
    assert both.gap.sum() == pytest.approx(0.5)
    drained = cg.ObligationNetwork.from_arrays(ring, external_assets=0.0, external_liabilities=[1e-6, 0, 0, 0, 0])
    both = cg.EisenbergNoe().equilibria(drained)  # iteration would need a hundred thousand rounds
    np.testing.assert_allclose(both.greatest.payments, 0.0, atol=1e-12)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_the_currency_does_not_matter(factor: float):
    for seed in SEEDS[::10]:
        debts = debts_of(seed)
        scaled = Debts(
            [rank * factor for rank in debts.ranks], debts.external * factor, debts.outside * factor, debts.held
        )
        one, other = both_of(seed).greatest, model_of(seed).run(network_of(scaled))
        np.testing.assert_allclose(other.assets, one.assets * factor, rtol=1e-9, atol=1e-9 * factor)


def test_labels_permute_the_result():
    for seed in SEEDS[::10]:
        debts = debts_of(seed)
        order = np.random.default_rng(seed).permutation(len(debts.external))
        turned = Debts(
            [rank[order][:, order] for rank in debts.ranks],
            debts.external[order],
            debts.outside[order],
            debts.held[order][:, order],
        )
        other = model_of(seed).run(network_of(turned))
        np.testing.assert_allclose(other.assets, both_of(seed).greatest.assets[order], **CLOSE)


# --- how certain ---


def slow(n: int, radius: float) -> cg.ObligationNetwork:
    """Return a random network in which all default and relative liabilities have this spectral radius."""
    rng = np.random.default_rng(7)
    owed = rng.random((n, n)) * (rng.random((n, n)) < 8.0 / n)
    np.fill_diagonal(owed, 0.0)
    owed += np.roll(np.eye(n), 1, axis=1)
    outside = owed.sum(axis=1) * (1.0 / radius - 1.0)  # the same share of every payment leaves
    return cg.ObligationNetwork.from_arrays(owed, external_assets=1e-3 * rng.random(n), external_liabilities=outside)


@pytest.mark.parametrize("n", [60, 1200])  # a factorisation; Krylov
@pytest.mark.parametrize("method", ["fictitious_default", "iteration"])
def test_a_spectral_radius_near_one_is_solved_to_its_true_error(n: int, method: Any):
    network = slow(n, 0.9967)
    result = cg.EisenbergNoe(seniority="pari_passu", method=method, tol=1e-11).run(network)
    assert (result.default_round > 0).all()
    due = network.owed + network.external_liabilities
    share = network.obligations.toarray() / due[:, None]
    assert np.abs(np.linalg.eigvals(share)).max() == pytest.approx(0.9967, abs=1e-6) if n < 100 else True
    truth = np.linalg.solve(np.eye(n) - share.T, network.external_assets)
    assert np.abs(result.nodes["payments"] + result.nodes["payments_outside"] - truth).max() <= 1e-10 * truth.max()
    bound = result.solution.error_bound
    assert bound is not None
    assert bound <= 1e-10
    assert np.max(np.abs(result.assets - truth) / result.system.scale) <= bound


def test_the_generator_of_the_benchmarks_and_its_check_figures():
    network, losses = interbank(1000)
    assert network.obligations.nnz == 9950
    assert network.obligations.sum() == pytest.approx(16624.217262, abs=1e-6)
    assert (losses > 0).sum() == 45
    nodes = cg.EisenbergNoe(seniority="pari_passu").run(network, losses=losses).nodes
    assert (nodes["payments"] + nodes["payments_outside"]).sum() == pytest.approx(100587.119700, abs=1e-6)
    # one bank loses more than it has outside, and can pay out of what others owe it
    assert (nodes["default_round"] > 0).sum() == 44


# --- the literature's numbers ---


def test_siebenbrunner_three_nodes():
    given = case("en_siebenbrunner_3node")
    inputs, expected = given["inputs"], given["expected"]
    network = cg.ObligationNetwork.from_arrays(
        inputs["liabilities_row_owes_col"], external_assets=inputs["external_assets"]
    )
    result = cg.EisenbergNoe().run(network)
    np.testing.assert_allclose(network.equity, expected["equity_before"], atol=given["tolerance"])
    np.testing.assert_allclose(result.payments, expected["clearing_vector"], atol=given["tolerance"])
    np.testing.assert_allclose(result.equity, expected["equity_after"], atol=given["tolerance"])
    np.testing.assert_array_equal(result.default_round > 0, np.array(expected["default"], dtype=bool))


@pytest.mark.parametrize("number", range(4))
def test_toy_systems_of_debtrank_globe(number: int):
    given = case("en_toy_debtrank_globe")
    inputs, expected = given["inputs"][number], given["expected"][number]
    result = cg.EisenbergNoe().run(
        cg.ObligationNetwork.from_arrays(inputs["liabilities"], external_assets=inputs["external_assets"])
    )
    np.testing.assert_allclose(result.payments, expected["clearing_vector"], atol=given["tolerance"])
    if "shortfall" in expected:
        np.testing.assert_allclose(result.nodes["shortfall"], expected["shortfall"], atol=given["tolerance"])


@pytest.mark.parametrize("number", range(2))
def test_three_nodes_of_finnetvalu(number: int):
    given = case("eisenberg_noe_3node")
    network = cg.ObligationNetwork.from_arrays(given["inputs"]["L"], external_assets=given["inputs"]["a_cases"][number])
    np.testing.assert_allclose(
        cg.EisenbergNoe().run(network).payments, given["expected"]["p"][number], atol=given["tolerance"]
    )


def test_three_nodes_with_costs_of_default():
    given = case("rogers_veraart_3node")
    inputs = given["inputs"]
    network = cg.ObligationNetwork.from_arrays(inputs["L"], external_assets=inputs["a"])
    result = cg.RogersVeraart(alpha=inputs["alpha"], beta=inputs["beta"]).run(network)
    np.testing.assert_allclose(result.payments, given["expected"]["p"], atol=given["tolerance"])


def test_seniority_and_cross_holdings_of_siebenbrunner():
    given = case("elsinger_siebenbrunner_seniority")
    inputs, expected = given["inputs"], given["expected"]
    network = cg.ObligationNetwork.from_arrays(
        inputs["liabilities_layer1_row_owes_col"],
        external_assets=inputs["external_assets"],
        junior=[inputs["liabilities_layer2"]],
        equity_holdings=inputs["equity_holdings_theta"],
    )
    result = cg.EisenbergNoe().run(network)
    np.testing.assert_allclose(result.by_rank, expected["payments_per_layer"], atol=given["tolerance"])
    np.testing.assert_allclose(result.equity, expected["equity"], atol=given["tolerance"])
    np.testing.assert_array_equal(result.default_round > 0, np.array(expected["default"], dtype=bool))


# --- results and failures ---


def test_a_result_is_labelled_and_says_what_happened():
    network = cg.ObligationNetwork.from_arrays(
        [[0.0, 20.0, 10.0], [5.0, 0.0, 24.0], [10.0, 0.0, 0.0]], external_assets=10.0, nodes=["A", "B", "C"]
    )
    result = cg.EisenbergNoe().run(network)
    for series in (result.payments, result.recovery, result.equity, result.default_round):
        assert series.index.tolist() == ["A", "B", "C"]
    assert repr(result) == (
        "<ClearingResult: 2 of 3 nodes default in 2 rounds, 1 of them in the first; of 69 due, 8.09091 is not paid. "
        "Converged.>"
    )
    assert "<table" in result._repr_html_()
    assert result.to_frames()["nodes"]["node"].tolist() == ["A", "B", "C"]
    assert result.summary()["fundamental"] == 1
    both = cg.EisenbergNoe().equilibria(network)
    assert repr(both) == "<ClearingEquilibria: 2 to 2 of 3 nodes default; one clearing vector>"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cg.EisenbergNoe(seniority="junior"), "EisenbergNoe: seniority is 'junior'; it must be one of"),
        (lambda: cg.EisenbergNoe(method="magic"), "EisenbergNoe: method is 'magic'"),
        (lambda: cg.EisenbergNoe(tol=0.0), "EisenbergNoe: tol is 0.0"),
        (lambda: cg.RogersVeraart(alpha=1.5, beta=0.5), "RogersVeraart: alpha is 1.5"),
        (lambda: cg.RogersVeraart(alpha=0.5, beta=float("nan")), "RogersVeraart: beta is nan"),
        (lambda: cg.EisenbergNoe().equilibria(cg.DebtRank()), "network is a DebtRank; give an ObligationNetwork"),  # type: ignore[arg-type]
        (lambda: cg.EisenbergNoe().run("network"), "network is a str; give an ObligationNetwork, or graph.obligations"),
    ],
)
def test_a_bad_parameter_is_named(make: Any, message: str):
    with pytest.raises(cg.ParameterError, match=message):
        make()


def test_bad_losses_are_named():
    network = cg.ObligationNetwork.from_arrays([[0, 1], [0, 0]], external_assets=1.0)
    with pytest.raises(cg.ParameterError, match="losses: unknown label '7'"):
        cg.EisenbergNoe().run(network, losses={"7": 1.0})
    with pytest.raises(cg.ParameterError, match="losses: NaN in 1 row"):
        cg.EisenbergNoe().run(network, losses=[np.nan, 0.0])


def test_nodes_that_own_each_other_wholly_are_refused():
    network = cg.ObligationNetwork.from_arrays(
        np.zeros((2, 2)), external_assets=1.0, equity_holdings=[[0.0, 1.0], [1.0, 0.0]]
    )
    with pytest.raises(cg.ParameterError, match="some nodes own each other wholly"):
        cg.EisenbergNoe().run(network)


def test_an_iteration_that_does_not_end_carries_its_report():
    network = slow(60, 0.9967)
    with pytest.raises(cg.ConvergenceError, match="after 10 steps the error is not proven") as caught:
        cg.EisenbergNoe(seniority="pari_passu", method="iteration", max_iter=10).run(network)
    assert caught.value.solution.steps == 10
    model = cg.EisenbergNoe(seniority="pari_passu", method="iteration", max_iter=10)
    with pytest.warns(cg.ConvergenceWarning, match="Raise max_iter or tol, or use method='fictitious_default'"):
        model.run(network, on_failure="warn")
    assert not model.equilibria(network, on_failure="ignore").least.solution.converged
    with pytest.raises(cg.ParameterError, match="on_failure is 'x'"):
        model.run(network, on_failure="x")  # type: ignore[arg-type]
