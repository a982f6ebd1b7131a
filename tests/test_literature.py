"""Numbers of the literature, and closed forms, that the rounds of the margin cascade reproduce."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.rules.liquidation import BreachedAccounts, LiquidationRule
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
        "liquidation": cg.LeverageTarget(given["lambda_max"], given["lambda_target"]),
        "impact": cg.FloorExponentialImpact(given["B"] / given["S0"], volume="current"),
        "alpha": given["alpha"],
        "sharing": None,
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
    model = cg.MarginCascade(cg.LeverageTarget(leverage, leverage), cg.LinearImpact(), tol=1e-16)
    result = model.run(graph, {"X": small * given["r0"]})
    total = result.assets["price_after"].iloc[0] - 1.0
    assert total / small == pytest.approx(expected["total_return"], rel=1e-5)
    assert total / (small * given["r0"]) == pytest.approx(expected["multiplier"], rel=1e-5)
    for depth, spirals in ((1.01 * expected["critical_depth"], False), (0.99 * expected["critical_depth"], True)):
        end = replace(model, tol=1e-12).run(graph.with_(depth=depth), {"X": small * given["r0"]})
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
        rules = cg.TargetMargin(), cg.LinearImpact()
        return cg.MarginCascade(*rules, penalty=given["fee"], sharing=None, tol=1e-16).run(graph)

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
    result = cg.MarginCascade(impact=cg.LinearImpact(), sharing=None).run(graph, {"X": -given["ell"]})
    chi = expected["chi"] if subcritical else expected["chi_if_k_ge_critical"]
    assert (result.accounts["closed"] == 1.0).mean() == pytest.approx(chi, abs=reference["tolerance"])


def test_what_is_sold_into_a_constant_product_pool_pays_what_the_pool_pays():
    """Three accounts sell one after the other; the pool of 1,000 X and 100,000 pays Y d / (X + d) for all of it."""
    reserve, units = 1_000.0, np.array([200.0, 100.0, 50.0])
    graph = cg.ExposureGraph.from_arrays(
        units[:, None], price=100.0, depth=reserve * 100.0 / 2, cash=-units * [99.0, 70.0, 60.0], assets=["X"]
    )
    result = cg.MarginCascade(impact=cg.ConstantProductImpact(), sharing=None).run(graph, {"X": 0.0}, defaults=["0"])
    assert result.accounts["breach_round"].tolist() == [1, 2, 3]
    sold = units.sum()
    assert result.assets["value_sold"].iloc[0] == pytest.approx(reserve * 100.0 * sold / (reserve + sold), rel=1e-12)
    assert result.assets["price_after"].iloc[0] == pytest.approx(100.0 * (reserve / (reserve + sold)) ** 2, rel=1e-12)


@dataclass(frozen=True)
class LeverageOrDefault(cg.LeverageTarget):
    """A leverage target; who falls below `least` equity over assets defaults, and sells everything."""

    least: float = 0.03

    def closed_share(self, accounts: BreachedAccounts) -> np.ndarray:
        """Return 1 for who defaults."""
        assets = self.cap * accounts.maintenance
        return np.where(accounts.equity < self.least * assets, 1.0, super().closed_share(accounts))


class EbaBanks:
    """The 48 banks of the EBA's stress test of 2018 as the simulation of Oxford's INET sets them up."""

    def __init__(self) -> None:
        reference = case("firesale_eba2018_ox")
        banks, self.given = reference["inputs"]["banks"], reference["inputs"]["params"]
        self.expected = reference["expected"]
        self.tolerance = reference["tolerance"]["sold"]
        self.equity, leverage, securities, gov = (
            np.array([bank[name] for bank in banks])
            for name in ("CET1E", "leverage_pct", "debt_securities", "gov_bonds")
        )
        assets = self.equity / (leverage / 100)
        self.cash, self.liabilities = 0.05 * assets, assets - self.equity
        self.bonds = np.column_stack([securities - gov, gov])
        self.other = assets - securities - self.cash

    def graph(self, depth: np.ndarray, *, cash_is_an_asset: bool) -> cg.ExposureGraph:
        """Bonds can be sold; loans, and cash where it counts as an asset, cannot."""
        columns = [self.bonds, self.other, *([self.cash] if cash_is_an_asset else [])]
        quantity = np.column_stack(columns)
        kept = quantity.shape[1] - 2
        return cg.ExposureGraph.from_arrays(
            quantity,
            price=1.0,
            depth=[*depth, *[np.inf] * kept],
            sellable=[True, True] + [False] * kept,
            cash=self.equity - quantity.sum(axis=1),
            assets=["corp", "gov", "other", "cash"][: quantity.shape[1]],
        )

    def depth(self, price_impact: float) -> np.ndarray:
        """Selling 5 % of a class lowers its price by this share."""
        total = self.bonds.sum(axis=0)
        return total * 0.05 / -np.log1p(-price_impact) if price_impact else np.full(2, np.inf)

    def model(self, leverage_buffer: float) -> dict[str, Any]:
        """Exponential impact, settled half way between the prices before and after the round."""
        target = self.given["leverage_target"]
        cap = 1.0 / min(leverage_buffer, target)
        return {
            "liquidation": LeverageOrDefault(cap, 1.0 / target, self.given["leverage_min"]),
            "impact": cg.ExponentialImpact(),
            "alpha": 0.5,
            "sharing": None,
        }

    def sold(self, result: cg.CascadeResult) -> float:
        """Share of the bonds that was sold."""
        return float(result.assets["units_sold"].iloc[:2].sum() / self.bonds.sum())


@pytest.fixture(scope="module")
def eba() -> EbaBanks:
    return EbaBanks()


def leverages(eba: EbaBanks, graph: cg.ExposureGraph, shock: dict[str, float], rounds: int) -> list[np.ndarray]:
    """Return equity over assets of the banks in every round, with the cash that they hold counted as an asset.

    A bank pays debt with its cash at once; what a sale brings stays with it as cash until the next round. The cascade
    does not keep the two apart, for neither changes what is sold.
    """
    model, target = eba.model(1.0), eba.given["leverage_target"]
    cash, loan, earlier, found = eba.cash.copy(), eba.liabilities / 2, np.zeros(len(eba.cash)), []
    for number in range(rounds + 1):
        if number == 0:
            price, left, proceeds = np.array([1.0, 1.0 + shock["gov"]]), 1.0, earlier
        else:
            arrays = after(model, number, graph, shock).arrays
            price, left, proceeds = arrays.price_after[:2], 1.0 - arrays.closed, arrays.proceeds
        held = (eba.bonds @ price) * left + eba.other
        cash, earlier = cash + proceeds - earlier, proceeds
        equity = held + cash - loan - eba.liabilities / 2
        found.append(equity / (held + cash))
        paid = np.clip(np.minimum(held + cash - equity / target, loan), 0.0, cash)
        cash, loan = cash - paid, loan - paid
    return found


def test_leverage_targeting_of_48_banks(eba: EbaBanks):
    """Experiment 3 of the simulation: every bank goes back to its leverage target in each of five rounds."""
    expected = eba.expected["exp3_leverage_targeting"]
    graph = eba.graph(eba.depth(0.01), cash_is_an_asset=False)
    for fall, sold, defaults in zip(expected["x"], expected["sold"], expected["eose"], strict=True):
        shock = {"gov": -fall}
        assert eba.sold(after(eba.model(1.0), 5, graph, shock)) == pytest.approx(sold, rel=eba.tolerance)
        below = np.any(np.array(leverages(eba, graph, shock, 5)) < eba.given["leverage_min"], axis=0).mean()
        assert (below if below >= 0.05 else 0.0) == defaults


def test_48_banks_under_ever_stronger_price_impact(eba: EbaBanks):
    """Experiment 1: who falls below the buffer sells everything, whether or not its cash counts as an asset."""
    expected = eba.expected["exp1_price_impact"]
    for impact, sold in zip(expected["x"], expected["sold"], strict=True):
        graph = eba.graph(eba.depth(impact), cash_is_an_asset=True)
        result = after(eba.model(eba.given["leverage_buffer"]), 5, graph, {"gov": -0.2})
        assert eba.sold(result) == pytest.approx(sold, rel=eba.tolerance)


def test_48_banks_with_a_leverage_buffer_come_near(eba: EbaBanks):
    """Experiment 2 cannot be expressed to the last digit.

    A bank there counts its cash in the leverage that must not fall below the buffer, and pays debt with it before it
    sells anything; the proceeds of a sale count as cash until the next round. Here cash is an asset always, or never.
    """
    expected = eba.expected["exp2_shock"]
    graph, model = eba.graph(eba.depth(0.01), cash_is_an_asset=True), eba.model(eba.given["leverage_buffer"])
    found = [eba.sold(after(model, 5, graph, {"gov": -fall})) for fall in expected["x"]]
    deviation = np.abs(np.array(found) - expected["sold"])
    assert deviation.max() < 0.005
    assert (deviation < eba.tolerance).sum() >= 13


@dataclass(frozen=True)
class RiskWeights(LiquidationRule):
    """Capital over risk-weighted assets: default below `least`, back to `target` where it is below the buffer."""

    buffer: float
    target: float
    least: float

    def closed_share(self, accounts: BreachedAccounts) -> np.ndarray:
        """Return the share that brings capital to its target."""
        weighted, closable = accounts.maintenance / self.buffer, accounts.closable_maintenance / self.buffer
        share = np.minimum((weighted - accounts.equity / self.target) / closable, 1.0)
        return np.where(accounts.equity < self.least * weighted, 1.0, share)


def test_48_banks_with_risk_weighted_capital_default_as_in_the_linear_example(eba: EbaBanks):
    """The margin rates are the risk weights times the buffer; prices fall by 0.05 times the share sold.

    The share sold is not reproduced: a bank below its buffer there sells corporate bonds only. A liquidation rule here
    closes the same share of everything that is held on a side.
    """
    reference = case("ox_resilience_cont_schaanning_linear")
    buffer = 0.045 + 0.5 * 0.039375
    fall = reference["inputs"]["initial_shock"]
    price = np.array([1.0, 1.0 - fall])
    graph = eba.graph(eba.bonds.sum(axis=0) * price / 0.05, cash_is_an_asset=False)
    rates = buffer * np.array([1.0, 0.0, 0.01])
    graph = cg.ExposureGraph.from_arrays(
        graph.quantity,
        price=graph.price,
        depth=graph.depth,
        sellable=graph.sellable,
        cash=graph.cash,
        margin_long=rates,
        assets=graph.assets,
    )
    model = {
        "liquidation": RiskWeights(buffer, buffer + 0.01, 0.045),
        "impact": cg.LinearImpact(),
        "sharing": None,
    }
    closed = [after(model, number, graph, {"gov": -fall}).summary()["closed"] for number in range(1, 6)]
    assert np.diff([0, 0, *closed]).tolist() == reference["expected"]["defaults_per_round"][:6]
