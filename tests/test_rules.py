"""Liquidation rules and loss sharing against their definitions."""

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.rules.liquidation import BreachedAccounts
from tests.shared_data import case

CAP, TARGET = 20.0, 15.0


def breached(n: int, rng: np.random.Generator, penalty: float) -> BreachedAccounts:
    """Draw accounts with E < M, some of whose margin is on what cannot be sold."""
    gross = rng.lognormal(5, 2, n)
    closable = gross * rng.uniform(0.01, 0.9, n)
    maintenance = closable + rng.choice([0.0, 1.0], n) * rng.lognormal(3, 1, n)
    equity = maintenance * rng.uniform(-0.5, 1.0, n)
    return BreachedAccounts(
        equity=equity,
        maintenance=maintenance,
        closable_maintenance=closable,
        closable_gross=gross,
        debt=gross,
        penalty=penalty,
        closable_long=gross,
    )


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
        closable_long=np.full(4, 100.0),
    )
    np.testing.assert_array_equal(cg.CloseFactor(0.3, full_below=0.9).closed_share(accounts), [0.3, 0.3, 1.0, 1.0])
    np.testing.assert_array_equal(cg.CloseFactor(0.3, full_below=0.95).closed_share(accounts), [0.3, 1.0, 1.0, 1.0])


ROUNDING = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) * 1e-13


def owing(debt: np.ndarray) -> BreachedAccounts:
    """Return accounts of 100 that need 1 more than they have, and owe this."""
    one = np.ones_like(debt)
    return BreachedAccounts(
        equity=50 * one,
        maintenance=51 * one,
        closable_maintenance=51 * one,
        closable_gross=100 * one,
        debt=debt,
        penalty=0.0,
        closable_long=100 * one,
    )


def test_rounding_does_not_decide_where_health_is_just_the_threshold():
    """All that is held long needs its whole value as margin: weighted collateral is 0, and so is health."""
    debt = 30.0
    gap = -debt * (1.0 + ROUNDING)
    accounts = BreachedAccounts(
        equity=100.0 + gap,
        maintenance=np.full(5, 100.0),
        closable_maintenance=np.full(5, 100.0),
        closable_gross=np.full(5, 100.0),
        debt=np.full(5, debt),
        penalty=0.0,
        closable_long=np.full(5, 100.0),
    )
    assert len(np.unique(np.sign(1.0 + gap / debt))) == 3
    assert cg.CloseFactor(0.3).closed_share(accounts).tolist() == [0.3] * 5
    assert cg.RepayAndSeize(0.3).closed_sides(accounts).short.tolist() == [0.3] * 5
    assert cg.CloseFactor(0.3, full_below=1e-8).closed_share(accounts).tolist() == [1.0] * 5


def test_rounding_does_not_decide_where_debt_is_just_nothing():
    accounts = owing(np.maximum(100.0 * ROUNDING, 0.0))
    assert len(np.unique(accounts.debt)) == 3
    for rule in (cg.RepayAndSeize(0.5), cg.RepayAndSeize(0.5, full_below=1.0), cg.CloseFactor(0.5)):
        sides = rule.closed_sides(accounts)
        assert sides.long.tolist() == sides.short.tolist() == [1.0] * 5
    little = cg.RepayAndSeize(0.5, bonus=0.1).closed_sides(owing(np.array([1e-3])))
    assert little.long.tolist() == pytest.approx([1.1e-5])  # health is below 0: all of the debt, and no more


def leveraged(assets: np.ndarray, equity: np.ndarray, closable: np.ndarray, cap: float) -> BreachedAccounts:
    """Return what the cascade shows of accounts with these assets, equity and assets that can be sold."""
    debt = np.maximum(assets - equity, 0.0)
    return BreachedAccounts(
        equity=equity,
        maintenance=assets / cap,
        closable_maintenance=closable / cap,
        closable_gross=closable,
        debt=debt,
        penalty=0.0,
        closable_long=closable,
    )


def test_leverage_target_brings_assets_to_target_times_equity():
    rng = np.random.default_rng(4)
    assets = rng.lognormal(5, 2, 500)
    equity = assets * rng.uniform(-0.01, 1 / CAP, 500)
    closable = assets * rng.uniform(0.2, 1.0, 500)
    share = cg.LeverageTarget(CAP, target=TARGET).closed_share(leveraged(assets, equity, closable, CAP))
    partial = share < 1.0
    assert partial.any()
    assert not partial.all()
    assert (share > 0.0).all()
    assert (share[equity <= 0.0] == 1.0).all()
    left = assets - share * closable
    np.testing.assert_allclose(left[partial], TARGET * equity[partial], rtol=1e-12)
    assert (left[~partial] >= TARGET * equity[~partial] * (1 - 1e-12)).all()
    nothing_to_sell = leveraged(assets, equity, np.zeros(500), CAP)
    assert (cg.LeverageTarget(CAP, target=TARGET).closed_share(nothing_to_sell) == 1.0).all()


def test_leverage_target_closes_something_in_every_breach_whatever_the_rounding():
    maintenance = np.random.default_rng(6).lognormal(3, 2, 1000)
    equity = np.nextafter(maintenance, 0.0)
    gross = 7 * maintenance
    accounts = BreachedAccounts(
        equity=equity,
        maintenance=maintenance,
        closable_maintenance=maintenance,
        closable_gross=gross,
        debt=maintenance,
        penalty=0.0,
        closable_long=gross,
    )
    share = cg.LeverageTarget(7.3, target=7.3).closed_share(accounts)
    assert ((share > 0.0) & (share < 1e-14)).all()


def test_leverage_target_reproduces_the_rounds_of_cont_and_schaanning():
    reference = case("cont_schaanning_rounds")
    inputs, rounds = reference["inputs"], reference["expected"]["rounds"]
    rule = cg.LeverageTarget(inputs["lambda_max"], target=inputs["lambda_target"])
    lost = np.array(inputs["Theta"]) * inputs["eps"]
    kept = (np.array(inputs["Theta"]) - lost).sum(axis=1)
    sellable, equity = np.array(inputs["Pi0"], dtype=float), np.array(inputs["C0"]) - lost.sum(axis=1)
    for step in rounds:
        assets = sellable + kept
        np.testing.assert_allclose(assets / equity, step["leverage_before"], rtol=reference["tolerance"])
        accounts = leveraged(assets, equity, sellable, rule.cap)
        breach = accounts.equity < accounts.maintenance
        share = np.where(breach, rule.closed_share(accounts), 0.0)
        np.testing.assert_allclose(share, step["gamma"], rtol=reference["tolerance"])
        sellable, equity = np.array(step["Pi"]), np.array(step["C"])


def test_margins_are_those_of_the_graph_but_for_a_leverage_target():
    graph = cg.ExposureGraph.from_arrays(
        [[60.0, 40.0, 0.0], [30.0, 0.0, -10.0]], price=[1.0, 1.0, 1.0], margin_long=0.3, cash=[-96.0, -15.0]
    )
    for rule in (cg.FullLiquidation(), cg.TargetMargin(), cg.CloseFactor(), cg.RepayAndSeize()):
        assert rule.margin_units(graph) is graph.margin_units
    rule = cg.LeverageTarget(CAP, target=TARGET)
    own = rule.margin_units(graph)
    np.testing.assert_array_equal(own.toarray(), [[3.0, 2.0, 0.0], [1.5, 0.0, 0.0]])
    assert own.nnz == graph.quantity.nnz
    result = cg.MarginCascade(liquidation=rule, impact=cg.LinearImpact()).run(graph)
    np.testing.assert_array_equal(result.graph.margin_units.toarray(), own.toarray())
    assert (result.graph.slack < 0.0).tolist() == [True, False]  # leverage 25 and 6
    assert result.accounts["closed"].tolist() == pytest.approx([(100.0 - TARGET * 4.0) / 100.0, 0.0])
    assert result.solution.steps == 1


def lending(n: int, rng: np.random.Generator) -> BreachedAccounts:
    """Draw accounts of a lending market: collateral, debt, and a margin that the rest does not cover."""
    collateral = rng.lognormal(5, 1, n)
    debt = collateral * rng.uniform(0.7, 1.2, n)
    margin = np.maximum(collateral - debt, 0.0) + collateral * rng.uniform(0.01, 0.2, n)
    gross = collateral + debt
    return BreachedAccounts(
        equity=collateral - debt,
        maintenance=margin,
        closable_maintenance=margin,
        closable_gross=gross,
        debt=debt,
        penalty=0.0,
        closable_long=collateral,
    )


@pytest.mark.parametrize("bonus", [0.0, 0.08])
@pytest.mark.parametrize("close_factor", [0.5, 1.0])
def test_repay_and_seize_moves_debt_and_collateral_as_a_lending_protocol(bonus: float, close_factor: float):
    accounts = lending(500, np.random.default_rng(8))
    collateral, debt = accounts.closable_long, accounts.debt
    long, short, repaid = cg.RepayAndSeize(close_factor, bonus=bonus, full_below=0.9).closed_sides(accounts)
    assert ((long > 0.0) & (long <= 1.0) & (short > 0.0) & (short <= 1.0)).all()
    enough = long < 1.0
    assert 50 < enough.sum() < 450
    health = (collateral - accounts.maintenance) / debt
    expected = np.where(health >= 0.9, close_factor, 1.0)
    np.testing.assert_allclose(short[enough], expected[enough])
    np.testing.assert_allclose(repaid[enough], (expected * debt)[enough])
    np.testing.assert_allclose((long * collateral)[enough], ((1 + bonus) * repaid)[enough])
    assert (short[~enough] == 1.0).all()
    # equity falls by the bonus alone; what an account without enough collateral is left with is its bad debt
    worth = collateral - debt - bonus * repaid
    np.testing.assert_allclose(worth[~enough], (collateral / (1 + bonus) - debt)[~enough], rtol=1e-9, atol=1e-9)


def test_repay_and_seize_makes_an_account_worse_above_the_toxic_loan_to_value():
    """Warmuz, Chaudhary & Pinna (2022): a liquidation lowers debt over collateral only below 1 / (1 + bonus)."""
    accounts = lending(500, np.random.default_rng(9))
    collateral, debt = accounts.closable_long, accounts.debt
    sides = cg.RepayAndSeize(0.25, bonus=0.1).closed_sides(accounts)
    partial = sides.long < 1.0
    before = (debt / collateral)[partial]
    after = (debt - sides.repaid)[partial] / (collateral * (1 - sides.long))[partial]
    toxic = before > 1 / 1.1
    assert toxic.any()
    np.testing.assert_array_equal(after > before, toxic)


def test_repay_and_seize_closes_whole_without_debt_or_collateral():
    zero, one = np.zeros(1), np.ones(1)
    rule = cg.RepayAndSeize()
    for debt, collateral in ((zero, one), (one, zero), (zero, zero)):
        sides = rule.closed_sides(
            BreachedAccounts(
                equity=zero,
                maintenance=one,
                closable_maintenance=one,
                closable_gross=one,
                debt=debt,
                penalty=0.0,
                closable_long=collateral,
            )
        )
        assert (sides.long[0], sides.short[0], sides.repaid[0]) == (1.0, 1.0, 0.0)


def borrower() -> cg.ExposureGraph:
    """Collateral 100 C against a debt of 80 D, prices 1; equity 20 below a margin of 25."""
    return cg.ExposureGraph.from_arrays([[100.0, -80.0]], price=1.0, margin_long=0.25, assets=["C", "D"])


def test_debt_is_repaid_and_collateral_worth_more_is_seized():
    result = cg.MarginCascade(liquidation=cg.RepayAndSeize(0.5, bonus=0.1)).run(borrower())
    account = result.accounts.iloc[0]
    assert result.assets["units_sold"].tolist() == pytest.approx([44.0, -40.0])
    assert account["penalty"] == pytest.approx(4.0)
    assert account["equity_after"] == pytest.approx(16.0)
    assert (result.arrays.closed[0], result.arrays.closed_short[0]) == pytest.approx((0.44, 0.5))
    assert account["closed"] == result.traders["closed"].iloc[0] == pytest.approx((44.0 + 40.0) / 180.0)
    assert result.assets["open_interest_after"].tolist() == pytest.approx([56.0, 40.0])
    assert (result.summary()["closed"], len(result.rounds)) == (0, 1)
    assert result.rounds["closed_value"].iloc[0] == pytest.approx(84.0)


def test_the_bonus_goes_to_the_liquidators_and_the_penalty_to_the_fund():
    model = cg.MarginCascade(
        liquidation=cg.RepayAndSeize(0.5, bonus=0.1), penalty=0.01, penalty_to_fund=1.0, max_rounds=1
    )
    result = model.run(borrower(), on_failure="ignore")
    assert result.pools["fund_received"].iloc[0] == pytest.approx(0.84)
    assert result.accounts["penalty"].iloc[0] == pytest.approx(4.84)


def test_bad_debt_is_what_collateral_cannot_repay():
    """The debt grows to 96; collateral of 100 repays 100 / 1.1 of it, and the liquidators keep a tenth of that."""
    result = cg.MarginCascade(liquidation=cg.RepayAndSeize(1.0, bonus=0.1), waterfall=(cg.InsuranceFund(),)).run(
        borrower(), {"D": 0.2}
    )
    account = result.accounts.iloc[0]
    assert account["closed"] == 1.0
    assert account["penalty"] == pytest.approx(0.1 * 100 / 1.1)
    assert account["shortfall"] == pytest.approx(96.0 - 100 / 1.1)


def test_an_account_below_zero_closes_whole_and_liquidators_repay_until_the_collateral_is_gone():
    """A debt of 120 and collateral of 100: 100 / 1.1 is repaid, whatever the close factor."""
    result = cg.MarginCascade(liquidation=cg.RepayAndSeize(0.5, bonus=0.1), waterfall=(cg.InsuranceFund(),)).run(
        borrower(), {"D": 0.5}
    )
    account = result.accounts.iloc[0]
    assert account["closed"] == 1.0
    assert account["penalty"] == pytest.approx(0.1 * 100 / 1.1)
    assert account["shortfall"] == pytest.approx(120.0 - 100 / 1.1)


@pytest.mark.parametrize(
    ("collateral", "bonus", "bad_debt"),
    [(98.0, 0.1, 10.909), (99.9, 0.1, 9.182), (100.1, 0.1, 9.0), (95.0, 0.08, 12.037)],
)
def test_bad_debt_falls_with_collateral(collateral: float, bonus: float, bad_debt: float):
    """At unchanged prices liquidators repay C / (1 + b) of a debt of 100 by hand; the rest is bad debt."""
    graph = cg.ExposureGraph.from_arrays([[collateral, -100.0]], price=1.0, margin_long=[0.2, 0.0])
    result = cg.MarginCascade(cg.RepayAndSeize(0.5, bonus=bonus), waterfall=(cg.InsuranceFund(),)).run(graph)
    assert result.summary()["uncovered"] == pytest.approx(bad_debt, abs=5e-4)
    given = cg.MarginCascade(cg.RepayAndSeize(0.5, bonus=bonus), waterfall=(cg.InsuranceFund(),)).run(
        graph, defaults=["0"]
    )
    assert given.summary()["uncovered"] == pytest.approx(100.0 - collateral / (1.0 + bonus))


def test_a_given_default_is_repaid_whole_and_pays_the_bonus_on_all_of_its_debt():
    result = cg.MarginCascade(cg.RepayAndSeize(0.5, bonus=0.1), waterfall=(cg.InsuranceFund(),)).run(
        borrower(), defaults=["0"]
    )
    assert result.accounts["penalty"].tolist() == pytest.approx([8.0])
    assert result.summary()["uncovered"] == 0.0


REFUSED = {
    "cap below target": (
        lambda: cg.LeverageTarget(10, target=12),
        "LeverageTarget: cap is 10; it must be a number from 12 up",
    ),
    "target 1": (lambda: cg.LeverageTarget(10, target=1), "LeverageTarget: target is 1; it must be a number above 1$"),
    "cap infinite": (lambda: cg.LeverageTarget(np.inf, target=5), "LeverageTarget: cap is inf"),
    "factor 0": (lambda: cg.CloseFactor(0.0), "CloseFactor: factor is 0.0; it must be a number above 0 up to 1$"),
    "close_factor 0": (
        lambda: cg.RepayAndSeize(0.0),
        "RepayAndSeize: close_factor is 0.0; it must be a number above 0",
    ),
    "close_factor NaN": (lambda: cg.RepayAndSeize(np.nan), "RepayAndSeize: close_factor is nan"),
    "bonus": (lambda: cg.RepayAndSeize(0.5, bonus=-0.1), "RepayAndSeize: bonus is -0.1; it must be a number from 0 up"),
    "full_below": (
        lambda: cg.RepayAndSeize(full_below=1.1),
        "RepayAndSeize: full_below is 1.1; it must be a number from 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nonsense_is_refused_when_a_rule_is_built(name: str):
    build, message = REFUSED[name]
    with pytest.raises(cg.ParameterError, match=message):
        build()


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


class OwnMargins(cg.LeverageTarget):
    """A rule that its owner may change: no frozen record."""

    __dataclass_params__ = None
    scale = 1.0

    def margin_units(self, graph: cg.ExposureGraph):
        """Return those of the rule, scaled."""
        return self.scale * super().margin_units(graph)


def test_a_graph_keeps_the_margins_of_the_last_rule_that_cannot_change():
    graph = cg.ExposureGraph.from_arrays([[40.0, 10.0]], price=1.0, cash=[-45.0])
    runs = [cg.MarginCascade(cg.LeverageTarget(cap, target=5)).run(graph).graph for cap in (20, 20, 10, 20)]
    assert runs[0] is runs[1]
    assert [run.maintenance.iloc[0] for run in runs] == [2.5, 2.5, 5.0, 2.5]
    assert cg.MarginCascade().run(graph).graph is graph
    own = OwnMargins(20, target=5)
    before = cg.MarginCascade(own).run(graph).graph.maintenance.iloc[0]
    OwnMargins.scale = 2.0
    assert cg.MarginCascade(own).run(graph).graph.maintenance.iloc[0] == 2 * before == 5.0
