"""Network valuation: the greatest solution, its bound, its special cases, and valuations that cannot work."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import contagion_graph as cg
from contagion_graph.distress.valuation import Debtors
from tests.interbank import network_of, random_losses, random_network
from tests.reference import slow_distress

distress = cg.distress
VALUATIONS = {
    "recovery": distress.RecoveryValue(0.3),
    "eisenberg_noe": distress.EisenbergNoeValue(),
    "pari_passu": distress.EisenbergNoeValue("pari_passu"),
    "rogers_veraart": distress.RogersVeraartValue(alpha=0.8, beta=0.6),
    "debtrank": distress.DebtRankValue(),
    "merton": distress.MertonValue(0.2, recovery=0.7),
    "black_cox": distress.BlackCoxValue(0.1, recovery=0.4),
    "recovery_merton": distress.RecoveryMertonValue(0.3, recovery=0.2),
}


@pytest.mark.parametrize("name", VALUATIONS)
@pytest.mark.parametrize("seed", range(25))
def test_it_is_the_greatest_solution_within_its_bound(seed: int, name: str):
    network = random_network(seed, 10, insolvent=seed % 2 == 1)
    losses, valuation = random_losses(seed, network), VALUATIONS[name]
    debtors = Debtors(network, network.external_assets - losses)
    exact = slow_distress.valued(
        network.obligations.toarray(), network.book_equity - losses, lambda equity: valuation.value(equity, debtors)
    )
    result = cg.NetworkValuation(valuation, tol=1e-8).run(network, losses=losses)
    unit = np.where(network.book_equity > 0, network.book_equity, network.external_assets + network.claims)
    off = np.abs(result.nodes["equity_after"] - exact) / np.where(unit > 0, unit, 1.0)
    assert off.max() <= result.solution.error_bound + 1e-10
    assert result.solution.error_bound <= 1e-8
    assert (result.nodes["marked_down"] >= 0).all()


@pytest.mark.parametrize("seed", range(60))
def test_models_with_a_name_are_valuations(seed: int):
    network = random_network(seed, insolvent=True)
    losses = random_losses(seed, network)
    for model, valuation in (
        (cg.DebtRank(), distress.DebtRankValue()),
        (cg.DebtRank(insolvent="defaulted"), distress.DebtRankValue("defaulted")),
        (cg.Furfine(0.25), distress.RecoveryValue(0.25)),
    ):
        named, valued = model.run(network, losses=losses), cg.NetworkValuation(valuation).run(network, losses=losses)
        np.testing.assert_allclose(valued.loss, named.loss, rtol=1e-7, atol=1e-6)
        np.testing.assert_allclose(valued.nodes["marked_down"], named.nodes["marked_down"], atol=1e-7)


@pytest.mark.parametrize("seed", range(60))
def test_losses_of_debtrank_and_furfine_bound_those_of_clearing(seed: int):
    network = random_network(seed)
    losses = random_losses(seed, network)
    cleared = cg.NetworkValuation(distress.EisenbergNoeValue()).run(network, losses=losses).loss
    costly = cg.NetworkValuation(distress.RogersVeraartValue(alpha=0.7, beta=0.7)).run(network, losses=losses).loss
    for bound in (
        costly,
        cg.Furfine().run(network, losses=losses).loss,
        cg.DebtRank().run(network, losses=losses).loss,
    ):
        assert (bound >= cleared - 1e-7 * (1.0 + cleared)).all()


@pytest.mark.parametrize("seed", range(60))
def test_clearing_is_a_valuation_and_distress_bounds_its_losses(seed: int):
    network = random_network(seed)
    losses = np.minimum(random_losses(seed, network), network.external_assets)
    recovery = cg.EisenbergNoe().run(network, losses=losses).recovery.to_numpy()
    valued = cg.NetworkValuation(distress.EisenbergNoeValue()).run(network, losses=losses)
    np.testing.assert_allclose(1.0 - valued.nodes["marked_down"], recovery, atol=1e-7)
    for model in (cg.DebtRank(), cg.DebtRank("exponential", alpha=3.0), cg.Furfine()):
        result = model.run(network, losses=losses)
        assert (result.nodes["marked_down"] >= 1.0 - recovery - 1e-7).all()


def single(owed: float, assets: float, external: float = 0.0) -> Debtors:
    """Return a debtor with these assets and debts, and its creditor."""
    network = cg.ObligationNetwork.from_arrays(
        [[0.0, owed], [0.0, 0.0]], external_assets=[assets, 1.0], external_liabilities=[external, 0.0]
    )
    return Debtors(network, network.external_assets)


@pytest.mark.parametrize("recovery", [1.0, 0.4])
@pytest.mark.parametrize("equity", [-2.0, -0.4, 0.0, 0.7, 2.0, 4.0])
def test_merton_is_an_integral_over_what_assets_may_be_worth(equity: float, recovery: float):
    sigma, owed, assets = 0.4, 1.5, 3.0

    def paid(z: float) -> float:
        after = equity + assets * (np.exp(sigma * z - sigma**2 / 2.0) - 1.0)
        return norm.pdf(z) * (1.0 if after >= 0.0 else recovery * min(1.0, max(0.0, (after + owed) / owed)))

    gone = max(assets - equity, 1e-300)
    kinks = [np.log(max(k, 1e-300) / assets) / sigma + sigma / 2.0 for k in (gone, gone - owed)]
    expected = quad(paid, -12.0, 12.0, points=[k for k in kinks if abs(k) < 12.0], limit=200)[0]
    found = distress.MertonValue(sigma, recovery=recovery).value(np.array([equity, 1.0]), single(owed, assets))
    assert found[0] == pytest.approx(expected, abs=1e-8)
    assert found[1] == 1.0


def test_black_cox_is_the_share_of_paths_that_never_touch():
    sigma, assets, equity, steps = 0.3, 3.0, 0.8, 4_000
    rng = np.random.default_rng(0)
    move = rng.normal(-(sigma**2) / 2 / steps, sigma / np.sqrt(steps), (4_000, steps)).cumsum(axis=1)
    survived = (assets * np.exp(move.min(axis=1)) > assets - equity).mean()
    found = distress.BlackCoxValue(sigma, recovery=0.0).value(np.array([equity, 1.0]), single(1.0, assets))
    assert found[0] == pytest.approx(survived, abs=0.03)


@pytest.mark.parametrize("name", VALUATIONS)
def test_values_are_shares_that_never_fall_with_equity(name: str):
    equity = np.linspace(-6.0, 6.0, 400)
    debtors = single(2.0, 3.0, 1.0)
    values = np.array([VALUATIONS[name].value(np.array([e, 1.0]), debtors)[0] for e in equity])
    assert ((values >= 0.0) & (values <= 1.0)).all()
    assert (np.diff(values) >= -1e-12).all()
    assert values[-1] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", ["merton", "black_cox", "recovery_merton"])
def test_nodes_without_assets_or_debts_and_tiny_or_huge_volatility(name: str):
    network = network_of([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [1.0, 0.5, -0.5])
    for sigma in (1e-12, 0.2, 50.0):
        model = cg.NetworkValuation(type(VALUATIONS[name])(sigma, recovery=0.5))
        result = model.run(network, losses=network.external_assets * 1.5)
        assert np.isfinite(result.loss).all()
        assert result.nodes["marked_down"].between(0.0, 1.0).all()


def test_a_valuation_before_the_fact_marks_down_without_any_loss_and_totals_deduct_it():
    network = network_of([[0, 6, 0], [0, 0, 8], [0, 0, 0]], [1.0, 2.0, 3.0], ["A", "B", "C"])
    model = cg.NetworkValuation(distress.MertonValue(0.3))
    rest = model.run(network, equity_shock=0)
    assert (rest.loss > 0).tolist() == [False, True, True]
    table = distress.uniform_shocks(network, model, [0.0, 0.5])
    assert table.loc[0.0, ["stress", "loss", "defaults"]].tolist() == [0.0, 0.0, 0.0]
    assert table.loc[0.5, "loss"] == pytest.approx((model.run(network, equity_shock=0.5).loss - rest.loss).sum())


@dataclass(frozen=True)
class Own:
    """A valuation that returns what it is told to."""

    function: object

    def value(self, equity: np.ndarray, debtors: Debtors) -> np.ndarray:
        """Return it."""
        return self.function(equity)


class Nothing:
    """No valuation."""


NETWORK = network_of([[0, 1], [1, 0]], [1.0, 2.0], ["A", "B"])
REFUSED = {
    "class": (lambda: cg.NetworkValuation(distress.RecoveryValue), "that is a class, not a valuation made of it"),
    "nothing": (lambda: cg.NetworkValuation(Nothing()), "it has no value. A valuation of your own has value"),
    "above 1": (lambda: run(Own(lambda e: np.full_like(e, 1.5))), "is 1.5 for 'A'; it must be in"),
    "nan": (lambda: run(Own(lambda e: np.array([1.0, np.nan]))), "is nan for 'B'"),
    "shape": (lambda: run(Own(lambda e: np.ones(3))), r"has shape \(3,\), expected \(2,\)"),
    "falls": (lambda: run(Own(lambda e: np.where(e > 0.4, 0.5, 1.0))), "rises where equity falls"),
    "tol": (lambda: cg.NetworkValuation(distress.RecoveryValue(), tol=2.0), "tol is 2.0"),
    "seniority": (lambda: distress.EisenbergNoeValue("x"), "seniority is 'x'"),
    "alpha": (lambda: distress.RogersVeraartValue(alpha=1.5), "alpha is 1.5"),
    "insolvent": (lambda: distress.DebtRankValue("x"), "insolvent is 'x'"),
    "volatility": (lambda: run(distress.MertonValue(0.0)), "volatility: out of range"),
    "recovery": (lambda: distress.BlackCoxValue(0.1, recovery=2.0), "BlackCoxValue: recovery is 2.0"),
}


def run(valuation: object) -> cg.DistressResult:
    """Run it with a shock."""
    return cg.NetworkValuation(valuation).run(NETWORK, equity_shock=0.1)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_valuation_is_refused_with_advice(name: str):
    call, message = REFUSED[name]
    with pytest.raises((cg.ParameterError, cg.TableError), match=message):
        call()


def test_rounds_that_are_too_few_are_an_error():
    with pytest.raises(cg.ConvergenceError):
        cg.NetworkValuation(distress.DebtRankValue(), max_rounds=2).run(NETWORK, equity_shock=0.1)
