"""DebtRank, Furfine and threshold cascades: definitions, on random networks, against slow and plain oracles."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import contagion_graph as cg
from contagion_graph.distress.debtrank import propagate
from contagion_graph.distress.extrapolate import least_solution
from contagion_graph.distress.propagate import ROUNDS, spread
from contagion_graph.state import Passing
from tests.interbank import coupling_of, network_of, random_losses, random_network
from tests.reference import slow_distress

distress = cg.distress
LINEAR = Passing(0.0, np.empty(0), once=False)


def stress_of(network: cg.ObligationNetwork, losses: np.ndarray, alpha: float) -> np.ndarray:
    """Return the uncapped stress of a network whose nodes all have equity, by the oracle."""
    given = losses / network.book_equity
    return slow_distress.spread(coupling_of(network), given, lambda h: h * np.exp(alpha * (h - 1.0)))


# --- DebtRank is its definition ---


@pytest.mark.parametrize("seed", range(500))
def test_linear_debtrank_is_its_definition_and_its_bound_holds(seed: int):
    network = random_network(seed, 10)
    losses = random_losses(seed, network)
    exact = stress_of(network, losses, 0.0)
    loose, tight = (cg.DebtRank(tol=tol).run(network, losses=losses) for tol in (1e-4, 1e-12))
    np.testing.assert_allclose(tight.uncapped, exact, rtol=1e-8, atol=1e-8)
    for result, tol in ((loose, 1e-4), (tight, 1e-12)):
        bound = result.solution.error_bound
        assert bound <= tol
        assert np.abs(result.stress - np.minimum(exact, 1.0)).max() <= bound + 2e-12
    level, coupling = tight.uncapped.to_numpy(), coupling_of(network)
    free = level < 1.0 - 1e-9
    source = losses / network.book_equity + coupling[:, ~free].sum(axis=1)
    solved = np.linalg.solve(np.eye(free.sum()) - coupling[np.ix_(free, free)], source[free])
    moved = source[free] > 0.0
    if moved.all():  # else a circle without any loss may be one whose losses would grow
        np.testing.assert_allclose(level[free], solved, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.3, 2.0, 9.0])
@pytest.mark.parametrize("seed", range(60))
def test_exponential_debtrank_is_its_definition_and_its_bound_holds(seed: int, alpha: float):
    network = random_network(seed, 10)
    losses = random_losses(seed, network)
    exact = stress_of(network, losses, alpha)
    for tol in (1e-3, 1e-10):
        result = cg.DebtRank("exponential", alpha=alpha, tol=tol).run(network, losses=losses)
        assert result.solution.error_bound <= tol
        assert np.abs(result.stress - np.minimum(exact, 1.0)).max() <= result.solution.error_bound + 1e-11


@pytest.mark.parametrize("seed", range(100))
def test_linear_debtrank_and_furfine_are_the_ends_of_the_exponential_family(seed: int):
    network = random_network(seed)
    losses = random_losses(seed, network)
    linear, none = cg.DebtRank().run(network, losses=losses), cg.DebtRank("exponential", alpha=0.0)
    pd.testing.assert_frame_equal(none.run(network, losses=losses).nodes, linear.nodes)
    late = cg.DebtRank("exponential", alpha=1e7).run(network, losses=losses)
    furfine = cg.Furfine().run(network, losses=losses)
    near = (furfine.uncapped > 1.0 - 1e-5) & (furfine.uncapped < 1.0)
    assert not near.any()
    np.testing.assert_allclose(late.loss, furfine.loss, rtol=1e-9, atol=1e-12)
    assert late.default_round.tolist() == furfine.default_round.tolist()
    assert (linear.loss >= furfine.loss - 1e-9).all()


@pytest.mark.parametrize("seed", range(100))
def test_single_hit_debtrank_is_its_definition(seed: int):
    network = random_network(seed)
    losses = random_losses(seed, network)
    coupling = coupling_of(network)
    result = cg.DebtRank("single_hit").run(network, losses=losses)
    exact = slow_distress.single_hit(np.minimum(coupling, 1.0), losses / network.book_equity)
    np.testing.assert_allclose(result.uncapped, exact, rtol=1e-12, atol=1e-14)
    uncapped = cg.DebtRank("single_hit", capped=False).run(network, losses=losses)
    exact = slow_distress.single_hit(coupling, losses / network.book_equity)
    np.testing.assert_allclose(uncapped.uncapped, exact, rtol=1e-12, atol=1e-14)
    assert (result.loss <= cg.DebtRank().run(network, losses=losses).loss + 1e-8).all()


def test_a_claim_above_the_equity_of_its_creditor():
    """Battiston et al. (2012): W = min(1, 50 / 10), so a debtor that loses 10 % costs its creditor 10 %, not 50 %."""
    network = cg.ObligationNetwork.from_arrays(
        [[0, 50], [0, 0]], external_assets=[100, 0], external_liabilities=[0, 40], nodes=["d", "c"]
    )
    stress = [
        cg.DebtRank("single_hit", capped=capped).run(network, equity_shock={"d": 0.1}).stress["c"]
        for capped in (True, False)
    ]
    assert stress == pytest.approx([0.1, 0.5])
    with pytest.raises(cg.ParameterError, match="capped is False, but only variant 'single_hit'"):
        cg.DebtRank(capped=False)


@pytest.mark.parametrize("seed", range(150))
def test_failures_are_their_definition_with_recovery_and_thresholds_by_node(seed: int):
    network = random_network(seed, insolvent=True)
    losses, rng, n = random_losses(seed, network), np.random.default_rng(seed), len(network.nodes)
    recovery, threshold = rng.random(n), rng.uniform(0.3, 1.0, n)
    for model, at in (
        (cg.Furfine(recovery), np.ones(n)),
        (cg.ThresholdCascade(recovery, threshold=dict(zip(network.nodes, threshold, strict=True))), threshold),
    ):
        loss, wave = slow_distress.failures(network.obligations.toarray(), network.book_equity, losses, recovery, at)
        result = model.run(network, losses=losses)
        np.testing.assert_allclose(result.loss, loss, rtol=1e-12, atol=1e-12)
        assert result.default_round.tolist() == wave
        assert result.solution.error_bound == 0.0


# --- slow networks ---


def circle(radius: float, n: int = 40, *, seed: int = 0) -> sparse.csr_array:
    """Draw a coupling with this spectral radius, every node on circles."""
    rng = np.random.default_rng(seed)
    matrix = rng.random((n, n)) * (rng.random((n, n)) < 0.2) + np.roll(np.eye(n), 1, axis=0)
    return sparse.csr_array(matrix * radius / np.abs(np.linalg.eigvals(matrix)).max())


@pytest.mark.parametrize("radius", [0.9, 0.9967, 0.9999])
@pytest.mark.parametrize("seed", range(5))
def test_distress_that_dies_out_slowly_is_solved_to_a_true_error_of_1e_10(radius: float, seed: int):
    coupling, given = circle(radius, seed=seed), np.full((1, 40), 1e-3 * (1.0 - radius))
    exact = np.linalg.solve(np.eye(40) - coupling.toarray(), given[0])
    assert exact.max() < 1.0
    end = spread(coupling, LINEAR, given, tol=1e-10)
    assert end.rounds[0] <= ROUNDS
    assert end.bound[0] <= 1e-10
    np.testing.assert_allclose(end.level[0], exact, atol=1e-10)


@pytest.mark.parametrize("radius", [1.0, 1.01, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_distress_that_grows_ends_where_nobody_has_anything_left(radius: float, seed: int):
    coupling, given = circle(radius, seed=seed), np.zeros((1, 40))
    given[0, 0] = 1e-9
    end = spread(coupling, LINEAR, given, tol=1e-10)
    assert end.rounds[0] <= ROUNDS
    assert end.bound[0] <= 1e-10
    residual = given[0] + coupling @ np.minimum(end.level[0], 1.0) - end.level[0]
    np.testing.assert_allclose(residual, 0.0, atol=1e-13)
    assert (end.level[0] >= 1.0).any()


def test_a_circle_that_no_loss_reaches_does_not_lose_however_strong_it_is():
    coupling = sparse.csr_array([[0.0, 5.0, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0], [0, 0, 0, 0.99999], [0, 0, 0.99999, 0]])
    share, bound = least_solution(coupling, 0.0, np.array([0.0, 0.0, 1e-6, 0.0]), np.zeros(4))
    assert share[:2].tolist() == [0.0, 0.0]
    assert share[2] == pytest.approx(1e-6 / (1.0 - 0.99999**2), rel=1e-9)
    assert bound < 1e-9


def test_a_chain_longer_than_the_rounds_is_followed_to_its_end():
    n = 3 * ROUNDS
    coupling = sparse.csr_array(sparse.diags_array(np.full(n - 1, 1.0), offsets=-1))
    end = spread(coupling, LINEAR, np.eye(n)[:1] * 0.5, tol=1e-9)
    np.testing.assert_allclose(end.level[0], 0.5, rtol=1e-12)


def test_what_cannot_be_proven_is_an_error_a_warning_or_silence():
    network = network_of([[0.0, 1.0], [1.0, 0.0]], [1.0001, 1.0001])
    model = cg.DebtRank(tol=1e-15)
    with pytest.raises(cg.ConvergenceError, match=r"DebtRank: after \d+ rounds the stress is not shown") as error:
        model.run(network, equity_shock=1e-5)
    assert not error.value.solution.converged
    with pytest.warns(cg.ConvergenceWarning):
        model.run(network, equity_shock=1e-5, on_failure="warn")
    assert not model.run(network, equity_shock=1e-5, on_failure="ignore").solution.converged
    with pytest.raises(cg.ConvergenceError, match="the case whose largest loss is that of"):
        distress.uniform_shocks(network, model, [1e-5])
    with pytest.warns(cg.ConvergenceWarning, match="raise tol"):
        distress.uniform_shocks(network, model, [1e-5], on_failure="warn")
    assert distress.uniform_shocks(network, model, [1e-5], on_failure="ignore")["error_bound"].iloc[0] > 1e-15


def test_products_alone_lead_to_the_same_end_with_a_true_bound():
    coupling = circle(0.99, seed=3)
    given = np.full(40, 1e-4)
    exact = np.linalg.solve(np.eye(40) - coupling.toarray(), given)
    for tol in (1e-3, 1e-6, 1e-12):
        end = propagate(lambda rise: coupling @ rise, given, tol=tol)
        assert np.abs(end.level - exact).max() <= end.solution.error_bound + 1e-15 <= tol + 1e-15


# --- many cases together ---


@pytest.mark.parametrize(
    "model",
    [
        cg.DebtRank(),
        cg.DebtRank(insolvent="defaulted"),
        cg.DebtRank("single_hit"),
        cg.DebtRank("exponential", alpha=3.0),
        cg.Furfine(0.4),
        cg.ThresholdCascade(0.1, threshold=0.8),
        cg.NetworkValuation(distress.EisenbergNoeValue()),
    ],
    ids=lambda model: type(model).__name__ + str(getattr(model, "variant", "")),
)
@pytest.mark.parametrize("seed", range(12))
def test_many_cases_together_are_each_case_alone_to_the_last_bit(seed: int, model: cg.DebtRank):
    network = random_network(seed, 30, insolvent=True)
    cases = {f"case {k}": random_losses(seed + 100 * k, network) for k in range(10)}  # eight go in step
    table = distress.many_shocks(network, model, losses=cases)
    together = model._follow(network, np.stack(list(cases.values())))
    rest = model.run(network, equity_shock=0)
    for place, (name, losses) in enumerate(cases.items()):
        alone = model.run(network, losses=losses)
        for field in ("loss", "stress", "marked_down", "default_round"):
            np.testing.assert_array_equal(getattr(together, field)[place], getattr(alone.outcomes, field)[0])
        assert table.loc[name, "loss"] == pytest.approx(alone.loss.sum() - rest.loss.sum())
        assert table.loc[name, "defaults"] == (alone.default_round > 0).sum() - (rest.default_round > 0).sum()
        equity = np.maximum(network.book_equity, 0.0)
        expected = (alone.stress.fillna(0.0) - rest.stress.fillna(0.0)) @ equity / equity.sum()
        assert table.loc[name, "stress"] == pytest.approx(expected, abs=1e-12)


def test_blocks_do_not_change_a_bit_and_make_the_impact_matrix(monkeypatch: pytest.MonkeyPatch):
    network = random_network(5, 20, insolvent=True)
    whole = cg.single_defaults(network, cg.DebtRank())
    matrix = pd.concat(distress.stress_blocks(network, cg.DebtRank()))
    monkeypatch.setattr("contagion_graph.distress.batch.NUMBERS", 60)
    pd.testing.assert_frame_equal(cg.single_defaults(network, cg.DebtRank()), whole, check_exact=True)
    blocks = list(distress.stress_blocks(network, cg.DebtRank()))
    assert [len(block) for block in blocks] == [3, 3, 3, 3, 3, 3, 2]
    pd.testing.assert_frame_equal(pd.concat(blocks), matrix, check_exact=True)
    solvent = network.book_equity > 0.0
    assert whole.loc[~solvent].isna().all(axis=None)
    for node in network.nodes[solvent]:
        alone = cg.DebtRank().run(network, equity_shock={node: 1.0})
        np.testing.assert_array_equal(matrix.loc[node], alone.stress)
        assert whole.loc[node, "additional_defaults"] == (alone.default_round > 1).sum()


def test_shocks_come_as_numbers_mappings_series_rows_and_frames():
    network = random_network(1, 6)
    shares = np.random.default_rng(0).random((2, 6))
    frame = pd.DataFrame(shares, ["x", "y"], network.nodes)
    one = distress.many_shocks(network, cg.DebtRank(), equity_shocks=shares)
    two = distress.many_shocks(network, cg.DebtRank(), equity_shocks=frame)
    three = distress.many_shocks(
        network, cg.DebtRank(), equity_shocks={"x": frame.loc["x"].to_dict(), "y": frame.loc["y"]}
    )
    pd.testing.assert_frame_equal(two, three)
    np.testing.assert_array_equal(one, two)
    assert (one.index.tolist(), two.index.tolist()) == ([0, 1], ["x", "y"])
    uniform = distress.uniform_shocks(network, cg.DebtRank(), [0.0, 0.25])
    assert uniform.loc[0.0].drop("error_bound").eq(0.0).all()
    assert uniform.loc[0.25, "given_stress"] == pytest.approx(0.25)
    assert len(distress.many_shocks(network, cg.DebtRank(), equity_shocks=[])) == 0
    assert cg.single_defaults(network, cg.DebtRank(), nodes=["bank 3"]).index.tolist() == ["bank 3"]


# --- equity that is not there, debts that are not there ---


def test_a_node_without_equity_takes_no_part_or_has_defaulted_before():
    network = network_of([[0, 2, 0], [0, 0, 3], [0, 0, 0]], [1.0, 0.0, 6.0], ["A", "B", "C"])
    inert = cg.DebtRank().run(network, equity_shock={"A": 1.0}, losses={"B": 0.5})
    assert inert.stress.fillna(-1.0).to_dict() == {"A": 1.0, "B": -1.0, "C": 0.0}
    assert inert.loss.to_dict() == {"A": 1.0, "B": 2.5, "C": 0.0}
    assert np.isnan(inert.uncapped["B"])
    defaulted = cg.DebtRank(insolvent="defaulted").run(network, equity_shock=0)
    assert defaulted.stress.to_dict() == {"A": 0.0, "B": 1.0, "C": 0.5}
    assert defaulted.loss.to_dict() == {"A": 0.0, "B": 0.0, "C": 3.0}
    assert cg.Furfine(0.5).run(network, equity_shock=0).loss.to_dict() == {"A": 0.0, "B": 0.0, "C": 1.5}
    assert cg.DebtRank().run(network, equity_shock=0).loss.eq(0.0).all()
    below = network_of([[0, 2], [0, 0]], [-1.0, 4.0], ["A", "B"])
    assert cg.Furfine().run(below, equity_shock=0).default_round.to_dict() == {"A": 1, "B": 0}
    assert cg.single_defaults(below, cg.DebtRank()).loc["A"].isna().all()


def test_networks_without_debts_with_one_node_and_with_self_loops():
    alone = cg.ObligationNetwork.from_arrays([[7.0]], external_assets=2.0, nodes=["A"])
    for model in (cg.DebtRank(), cg.DebtRank("single_hit"), cg.Furfine(), cg.ThresholdCascade()):
        result = model.run(alone, losses={"A": 3.0})
        assert (result.loss.tolist(), result.uncapped.tolist(), result.stress.tolist()) == ([3.0], [1.5], [1.0])
        assert result.default_round.tolist() == [1]
    apart = cg.ObligationNetwork.from_arrays(np.zeros((3, 3)), external_assets=1.0)
    assert cg.single_defaults(apart, cg.DebtRank())["loss"].tolist() == [1.0, 1.0, 1.0]
    assert distress.spectral_radius(apart) == 0.0
    penniless = cg.ObligationNetwork.from_arrays(np.zeros((2, 2)), external_assets=0.0)
    assert np.isnan(cg.DebtRank().run(penniless, equity_shock=0.5).summary()["stress"])
    with pytest.raises(ERROR, match="weights: all are 0"):
        cg.single_defaults(penniless, cg.DebtRank())


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_the_currency_does_not_matter(scale: float):
    network = random_network(7)
    scaled = network_of(network.obligations * scale, network.book_equity * scale)
    losses = random_losses(7, network)
    for model in (cg.DebtRank(), cg.Furfine(0.3)):
        one, other = model.run(network, losses=losses), model.run(scaled, losses=losses * scale)
        np.testing.assert_allclose(other.stress, one.stress, rtol=1e-9)
        np.testing.assert_allclose(other.loss / scale, one.loss, rtol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_the_nodes_does_not_matter(seed: int):
    network, rng = random_network(seed), np.random.default_rng(seed)
    order, losses = rng.permutation(len(network.nodes)), random_losses(seed, network)
    moved = network_of(network.obligations[order][:, order], network.book_equity[order], network.nodes[order])
    for model in (cg.DebtRank(), cg.DebtRank("single_hit"), cg.DebtRank("exponential", alpha=2.0), cg.Furfine()):
        one, other = model.run(network, losses=losses), model.run(moved, losses=losses[order])
        np.testing.assert_allclose(other.loss[one.loss.index], one.loss, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("seed", range(30))
def test_the_spectral_radius_is_that_of_the_whole_matrix(seed: int):
    network = random_network(seed, 15, insolvent=seed % 2 == 1)
    exact = np.abs(np.linalg.eigvals(coupling_of(network))).max()
    assert distress.spectral_radius(network) == pytest.approx(exact, abs=1e-6)


def test_the_spectral_radius_of_a_large_component():
    network = random_network(1, 300)
    exact = np.abs(np.linalg.eigvals(coupling_of(network))).max()
    assert distress.spectral_radius(network) == pytest.approx(exact, rel=1e-9)


# --- results and refusals ---


def test_a_result_says_who_lost_what_and_when():
    network = network_of([[0, 6, 2], [0, 0, 4], [0, 0, 0]], [4.0, 4.0, 3.0], ["A", "B", "C"])
    result = cg.DebtRank().run(network, equity_shock={"A": 0.5})
    table = result.nodes
    assert table["loss"].to_dict() == {"A": 2.0, "B": 3.0, "C": 4.0}
    assert (table["given"] + table["passed_on"]).eq(table["loss"]).all()
    assert (table["equity_before"] - table["loss"]).eq(table["equity_after"]).all()
    assert table["marked_down"].to_dict() == {"A": 0.5, "B": 0.75, "C": 1.0}
    assert result.rounds.to_dict("list") == {"defaults": [0, 0, 1], "equity_gone": [0.0, 0.0, 3.0]}
    figures = result.summary()
    assert (figures["loss"], figures["limited_loss"], figures["stress"]) == (9.0, 8.0, 8.0 / 11.0)
    assert repr(result).startswith("<DistressResult: DebtRank, 3 nodes; 1 of 3 defaulted, loss 9 of which 2 given")


NETWORK = network_of([[0, 1], [0, 0]], [1.0, 2.0], ["A", "B"])
ERROR = cg.ParameterError
REFUSED = {
    "neither": (lambda: cg.DebtRank().run(NETWORK), ERROR, "give an equity_shock .* or losses"),
    "no network": (
        lambda: cg.DebtRank().run("x", equity_shock=0.1),
        ERROR,
        "network is a str; give an Obl",
    ),
    "unknown": (
        lambda: cg.DebtRank().run(NETWORK, equity_shock={"C": 1.0}),
        ERROR,
        "equity_shock: unknown label 'C'",
    ),
    "below 0": (lambda: cg.DebtRank().run(NETWORK, losses={"A": -1.0}), ERROR, "losses: out of range"),
    "nan": (lambda: cg.DebtRank().run(NETWORK, losses=[np.nan, 0.0]), ERROR, "losses: NaN in 1 row"),
    "shape": (
        lambda: cg.DebtRank().run(NETWORK, losses=[1.0]),
        ERROR,
        r"has shape \(1,\), expected \(2,\)",
    ),
    "failure": (
        lambda: cg.DebtRank().run(NETWORK, equity_shock=0, on_failure="x"),
        ERROR,
        "on_failure is 'x'",
    ),
    "variant": (lambda: cg.DebtRank("cubic"), ERROR, "variant is 'cubic'"),
    "no alpha": (lambda: cg.DebtRank("exponential"), ERROR, "alpha is None"),
    "alpha": (lambda: cg.DebtRank("exponential", alpha=-1.0), ERROR, "alpha is -1.0"),
    "useless": (lambda: cg.DebtRank("linear", alpha=1.0), ERROR, "only variant 'exponential' uses it"),
    "insolvent": (lambda: cg.DebtRank(insolvent="x"), ERROR, "insolvent is 'x'"),
    "tol": (lambda: cg.DebtRank(tol=0.0), ERROR, "tol is 0.0"),
    "recovery": (lambda: cg.Furfine(1.5), ERROR, "Furfine: recovery is 1.5"),
    "by node": (
        lambda: cg.Furfine({"A": 1.5}).run(NETWORK, equity_shock=0),
        ERROR,
        "recovery: out of range",
    ),
    "threshold": (lambda: cg.ThresholdCascade(threshold=0.0), ERROR, "threshold is 0.0"),
    "at 0": (
        lambda: cg.ThresholdCascade(0, threshold={"A": 0}).run(NETWORK, equity_shock=0),
        ERROR,
        "threshold: out of range",
    ),
    "both": (lambda: distress.many_shocks(NETWORK, cg.DebtRank()), ERROR, "give either equity_shocks"),
    "text": (
        lambda: cg.single_defaults(NETWORK, cg.DebtRank(), nodes="A"),
        ERROR,
        "single_defaults: nodes is 'A'; give a list of labels",
    ),
    "no node": (lambda: cg.single_defaults(NETWORK, cg.DebtRank(), nodes=["a"]), ERROR, "nodes: unknown"),
    "defaults": (lambda: cg.single_defaults(3, cg.DebtRank()), ERROR, "network is a int"),
    "swapped": (lambda: cg.single_defaults(cg.DebtRank(), NETWORK), ERROR, "network is a DebtRank"),
    "no model": (
        lambda: cg.single_defaults(NETWORK, NETWORK),
        ERROR,
        "model is a ObligationNetwork; give a",
    ),
    "many failure": (
        lambda: distress.uniform_shocks(NETWORK, cg.DebtRank(), [0.1], on_failure="x"),
        ERROR,
        "on_failure is 'x'",
    ),
    "blocks": (lambda: list(distress.stress_blocks(3, cg.DebtRank())), ERROR, "network is a int"),
    "radius": (lambda: distress.spectral_radius(3), ERROR, "network is a int"),
    "volatility": (lambda: distress.asset_volatility(3, 0.2), ERROR, "network is a int"),
    "walks": (lambda: distress.impact_fluidity(3), ERROR, "network is a int"),
    "diffusion": (lambda: distress.impact_diffusion(3), ERROR, "network is a int"),
    "rows": (lambda: distress.communicability(3), ERROR, "network is a int"),
    "weights": (
        lambda: cg.single_defaults(NETWORK, cg.DebtRank(), weights=-1),
        ERROR,
        "weights: out of range",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_with_advice(name: str):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()
