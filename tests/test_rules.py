"""Impacts and liquidation rules against their definitions."""

import numpy as np
import pytest
from scipy.integrate import quad

import contagion_graph as cg
from contagion_graph.rules.liquidation import BreachedAccounts
from tests.shared_data import case

IMPACTS = [cg.LinearImpact(), cg.ExponentialImpact()]
SMALL = 1e-7


@pytest.mark.parametrize("impact", IMPACTS)
def test_an_impact_starts_at_one_with_slope_minus_one_and_never_rises(impact):
    x = np.linspace(-2.0, 4.0, 601)
    f = impact.price_factor(x)
    assert impact.price_factor(np.zeros(1))[0] == 1.0
    assert (impact.price_factor(np.array([SMALL]))[0] - 1.0) / SMALL == pytest.approx(-1.0, rel=1e-6)
    assert (np.diff(f) <= 0.0).all()
    assert (f >= 0.0).all()


@pytest.mark.parametrize("impact", IMPACTS)
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (0.3, 0.1), (0.5, 2.0), (1.5, 3.0), (-1.0, 1.5), (0.2, -0.7)])
def test_the_average_is_the_mean_over_the_interval(impact, start: float, end: float):
    points = [1.0] if min(start, end) < 1.0 < max(start, end) else None
    area, _ = quad(lambda x: impact.price_factor(np.array([x]))[0], start, end, points=points, epsabs=1e-13)
    average = impact.average_factor(np.array([start]), np.array([end]))[0]
    assert average == pytest.approx(area / (end - start), rel=1e-10)


@pytest.mark.parametrize("impact", IMPACTS)
@pytest.mark.parametrize("width", [0.0, 1e-300, 1e-18, 1e-12, 1e-9])
def test_the_average_of_a_tiny_interval_is_the_price(impact, width: float):
    for start in (0.0, 0.4, -0.3):
        average = impact.average_factor(np.array([start]), np.array([start + width]))[0]
        assert average == pytest.approx(impact.price_factor(np.array([start]))[0], rel=1e-9)


def test_exponential_impact_reproduces_the_published_closed_forms():
    """Cifuentes, Ferrucci & Shin (2005): p = p0 exp(-a q), revenue p0 (1 - exp(-a q)) / a."""
    reference = case("price_impact_closed_forms")
    p0, a, q = (reference["inputs"]["exp"][name] for name in ("p0", "a", "q"))
    expected, tolerance = reference["expected"]["exp"], reference["tolerance"]
    x = np.array([a * q])
    impact = cg.ExponentialImpact()
    assert p0 * impact.price_factor(x)[0] == pytest.approx(expected["price"], rel=tolerance)
    average = p0 * impact.average_factor(np.zeros(1), x)[0]
    assert average == pytest.approx(expected["vwap"], rel=tolerance)
    assert average * q == pytest.approx(expected["revenue"], rel=tolerance)


def breached(n: int, rng: np.random.Generator, penalty: float) -> BreachedAccounts:
    """Draw accounts with E < M, some of whose margin is on what cannot be sold."""
    gross = rng.lognormal(5, 2, n)
    closable = gross * rng.uniform(0.01, 0.9, n)
    maintenance = closable + rng.choice([0.0, 1.0], n) * rng.lognormal(3, 1, n)
    return BreachedAccounts(maintenance * rng.uniform(-0.5, 1.0, n), maintenance, closable, gross, gross, penalty)


@pytest.mark.parametrize("penalty", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("buffer", [0.0, 0.25])
def test_target_margin_is_the_least_share_that_reaches_its_target(penalty: float, buffer: float):
    accounts = breached(500, np.random.default_rng(1), penalty)
    share = cg.TargetMargin(buffer).closed_share(accounts)
    assert ((share > 0.0) & (share <= 1.0)).all()

    def excess(theta):
        equity = accounts.equity - penalty * theta * accounts.closable_gross
        return equity - (1 + buffer) * (accounts.maintenance - theta * accounts.closable_maintenance)

    scale = accounts.closable_gross + accounts.maintenance
    partial = share < 1.0
    assert partial.any()
    np.testing.assert_allclose(excess(share)[partial] / scale[partial], 0.0, atol=1e-12)
    assert (excess(share - 1e-6)[partial] < 0.0).all()
    assert (excess(share)[~partial] <= 1e-12 * scale[~partial]).all()


def test_close_factor_closes_all_below_its_health_and_without_debt():
    accounts = BreachedAccounts(
        equity=np.array([9.9, 9.0, 1.0, 9.9]),
        maintenance=np.full(4, 10.0),
        closable_maintenance=np.full(4, 10.0),
        closable_gross=np.full(4, 100.0),
        debt=np.array([10.0, 10.0, 10.0, 0.0]),
        penalty=0.0,
    )
    np.testing.assert_array_equal(cg.CloseFactor(0.3, full_below=0.9).closed_share(accounts), [0.3, 0.3, 1.0, 1.0])
    np.testing.assert_array_equal(cg.CloseFactor(0.3, full_below=0.95).closed_share(accounts), [0.3, 1.0, 1.0, 1.0])


def test_rules_are_values():
    assert cg.TargetMargin(0.1) == cg.TargetMargin(0.1) != cg.TargetMargin(0.2)
    assert cg.MarginCascade() == cg.MarginCascade(liquidation=cg.FullLiquidation())
    assert hash(cg.MarginCascade()) == hash(cg.MarginCascade())


# Ann: deposit 2 X, long 3 Y from 4. Bob: debt 1 X, deposit 1 Y, short 2 Y from 7. X costs 10, Y 5, then 4.
BASES = {
    "equity": [20 + 1 + 3, 0],
    "deposits": [20 + 1, 5 + 0],
    "profit": [0.0, 6.0],
    "open_interest": [20 + 15, 10 + 5],
    "share": [0.25, 4.0],
}


@pytest.mark.parametrize("base", BASES)
def test_the_bases_of_loss_sharing(base):
    graph = cg.ExposureGraph.from_tables(
        {
            "trader": ["Ann", "Ann", "Bob", "Bob", "Bob"],
            "asset": ["X", "Y", "X", "Y", "Y"],
            "quantity": [2.0, 3.0, -1.0, 1.0, -2.0],
            "entry_price": [None, 4.0, None, None, 7.0],
        },
        {"asset": ["X", "Y"], "price": [10.0, 5.0]},
        accounts={"trader": ["Ann", "Bob"], "cash": [1.0, -3.0], "share": [0.25, 4.0]},
    )
    weights = cg.ProRata(base).weights(graph, np.array([10.0, 4.0]))
    np.testing.assert_allclose(weights, BASES[base])
