"""Banks that keep a capital ratio: the published simulations to all digits, and a loop over banks as the oracle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.margin.literature.named import CapitalRatio, RegulatedBanks, farmer
from contagion_graph.rules.liquidation import BreachedAccounts
from tests.reference.regulated_banks import Bank, simulate
from tests.shared_data import case


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
        self.cash = 0.05 * assets
        self.bonds = np.column_stack([securities - gov, gov])
        self.other = assets - securities - self.cash

    def graph(self, depth: np.ndarray) -> cg.ExposureGraph:
        """Bonds can be sold; loans and cash cannot."""
        quantity = np.column_stack([self.bonds, self.other, self.cash])
        return cg.ExposureGraph.from_arrays(
            quantity,
            price=1.0,
            depth=[*depth, np.inf, np.inf],
            sellable=[True, True, False, False],
            cash=self.equity - quantity.sum(axis=1),
            assets=["corp", "gov", "other", "cash"],
        )

    def depth(self, price_impact: float) -> np.ndarray:
        """Selling 5 % of a class lowers its price by this share."""
        total = self.bonds.sum(axis=0)
        return total * 0.05 / -np.log1p(-price_impact) if price_impact else np.full(2, np.inf)

    def run(self, price_impact: float, fall: float, buffer: float) -> RegulatedBanks:
        """Run the simulation: six looks, five rounds of sales; half of the debt is a loan that can be repaid."""
        ratio = CapitalRatio(self.given["leverage_min"], buffer=buffer, target=self.given["leverage_target"])
        graph = self.graph(self.depth(price_impact))
        rounds = self.given["rounds"] - 1
        return farmer(graph, ratio, {"gov": -fall}, cash="cash", repayable=0.5, max_rounds=rounds, on_failure="ignore")

    def share(self, units: np.ndarray) -> float:
        """Return the share of the bonds that these units are."""
        return float(units[:2].sum() / self.bonds.sum())


@pytest.fixture(scope="module")
def eba() -> EbaBanks:
    return EbaBanks()


@pytest.mark.parametrize("name", ["exp1_price_impact", "exp2_shock", "exp3_leverage_targeting"])
def test_the_three_experiments_with_48_banks(eba: EbaBanks, name: str):
    """The share of bonds sold to 1e-9, and the share of banks that fail exactly; below 5 % it counts as none there."""
    expected, buffer = eba.expected[name], eba.given["leverage_buffer"]
    for x, sold, failed in zip(expected["x"], expected["sold"], expected["eose"], strict=True):
        given = {
            "exp1_price_impact": (x, 0.2, buffer),
            "exp2_shock": (0.01, x, buffer),
            "exp3_leverage_targeting": (0.01, x, 1.0),
        }
        result = eba.run(*given[name])
        assert eba.share(result.assets["units_sold"].to_numpy()) == pytest.approx(sold, rel=eba.tolerance)
        share = (result.banks["default_round"] > 0).mean()
        assert (share if share >= 0.05 else 0.0) == failed


def test_48_banks_with_risk_weighted_capital(eba: EbaBanks):
    """Below the buffer corporate bonds alone are sold; prices fall by 0.05 times the share sold, from 1 and 0.6."""
    reference = case("ox_resilience_cont_schaanning_linear")
    fall = reference["inputs"]["initial_shock"]
    buffer = 0.045 + 0.5 * 0.039375
    ratio = CapitalRatio(
        0.045, buffer=buffer, target=buffer + 0.01, weights={"corp": 1.0, "gov": 0.0, "other": 0.01}, order=[["corp"]]
    )
    graph = eba.graph(eba.bonds.sum(axis=0) * np.array([1.0, 1.0 - fall]) / 0.05)
    result = farmer(graph, ratio, {"gov": -fall}, impact=cg.LinearImpact(), cash="cash", max_rounds=5)
    # a simulation starts with a round without sales; once at rest, ours has no more rows
    expected = reference["expected"]
    failed = [0, *result.rounds["failed"]]
    assert failed + [0] * (7 - len(failed)) == expected["defaults_per_round"]
    sold = np.cumsum([0.0, *map(eba.share, result.units_sold.to_numpy())])
    assert np.pad(sold, (0, 6 - len(sold)), mode="edge") == pytest.approx(
        expected["cumulative_fraction_sold"], rel=reference["tolerance"]
    )
    assert result.solution.converged


def test_one_bank_under_each_constraint():
    """A bank with cash, four classes of securities and deposits, after a shock to what it owes."""
    reference = case("ox_resilience_bank_constraints")
    given, expected, tolerance = reference["inputs"], reference["expected"], reference["tolerance"]
    held = given["tradables"] | {"other": given["other_asset"], "cash": given["cash"]}
    weights = {name: given["rwa_weights"][name] for name in held if name != "cash"}

    def run(ratio: CapitalRatio, deposit: float, rounds: int) -> RegulatedBanks:
        graph = cg.ExposureGraph.from_arrays(
            [list(map(float, held.values()))],
            price=1.0,
            cash=[-deposit],
            sellable=[name not in ("other", "cash") for name in held],
            assets=list(held),
        )
        return farmer(graph, ratio, cash="cash", max_rounds=rounds, on_failure="ignore")

    def at_rest(ratio: CapitalRatio, deposit: float) -> float:
        return run(ratio, deposit, 0).banks["ratio_before"].iloc[0]

    leverage = CapitalRatio(0.0, buffer=0.05, target=given["leverage"]["target"])
    weighted = CapitalRatio(
        0.045,
        buffer=0.1,
        target=expected["rwa_after_acting_target"],
        weights=weights,
        order=[["corp"], ["other_tradable"], ["equity"]],
    )
    before, after, hit = given["deposit"], 10.5, expected["after_shock"]
    assert at_rest(leverage, before) == pytest.approx(expected["leverage"], rel=tolerance)
    assert at_rest(weighted, before) == pytest.approx(expected["rwa_ratio"], rel=tolerance)
    assert at_rest(leverage, after) == pytest.approx(hit["leverage"], rel=tolerance)
    assert at_rest(weighted, after) == pytest.approx(hit["rwa_ratio"], rel=tolerance)
    repaid = run(leverage, after, 0).banks
    assert repaid["ratio_after"].iloc[0] == pytest.approx(expected["leverage_after_acting"], rel=tolerance)
    sold = run(weighted, after, 1)
    assert sold.banks["ratio_after"].iloc[0] == pytest.approx(expected["rwa_after_acting_target"], rel=tolerance)
    # all corporate bonds, then some of the next class, no equities, and no government bonds, which weigh nothing
    assert sold.units_sold.loc[1, ["corp", "gov", "equity"]].tolist() == [2.0, 0.0, 0.0]
    assert 0.0 < sold.units_sold.loc[1, "other_tradable"] < 2.0


@dataclass(frozen=True)
class LeverageOrDefault(cg.LeverageTarget):
    """A leverage target; who falls below `least` equity over assets fails, and sells everything."""

    least: float = 0.03

    def closed_share(self, accounts: BreachedAccounts) -> np.ndarray:
        """Return 1 for who fails."""
        assets = self.cap * accounts.maintenance
        return np.where(accounts.equity < self.least * assets, 1.0, super().closed_share(accounts))


@pytest.mark.parametrize("impact", [0.0, 0.01, 0.05])
def test_the_margin_cascade_sells_the_same_where_cash_plays_no_part(eba: EbaBanks, impact: float):
    """Banks without cash that always go back to their target: two models, one answer."""
    bare = EbaBanks()
    bare.other, bare.cash = eba.other + eba.cash, np.zeros(len(eba.cash))
    model = cg.MarginCascade(
        LeverageOrDefault(20.0, target=20.0), waterfall=(cg.InsuranceFund(),), trade_price_weight=0.5, max_rounds=5
    )
    for fall in (0.05, 0.1, 0.2):
        cascade = model.run(bare.graph(eba.depth(impact)), {"gov": -fall}, on_failure="ignore")
        result = bare.run(impact, fall, 1.0)
        np.testing.assert_allclose(result.assets["units_sold"], cascade.assets["units_sold"], rtol=1e-9)
        np.testing.assert_allclose(result.assets["price_after"], cascade.assets["price_after"], rtol=1e-9)
        # what an account falls below zero is a shortfall there
        own = np.maximum(result.banks["equity_after"], 0.0)
        np.testing.assert_allclose(own, cascade.accounts["equity_after"], rtol=1e-7, atol=1e-6)


def random_case(seed: int) -> tuple[cg.ExposureGraph, dict[str, float], CapitalRatio, dict[str, Any]]:
    """Draw a few banks, some without debt, cash or an asset, and a ratio of either kind."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 8)), int(rng.integers(1, 6))
    names = [f"a{j}" for j in range(m)]
    quantity = rng.gamma(0.7, 10.0, (n, m + 1)) * (rng.random((n, m + 1)) < 0.7)
    price = np.append(rng.uniform(0.5, 3.0, m), 1.0)
    assets = quantity @ price
    graph = cg.ExposureGraph.from_arrays(
        quantity,
        price=price,
        depth=[*(assets.sum() * rng.uniform(0.2, 5.0, m) + 1.0), np.inf],
        sellable=[*(rng.random(m) < 0.8), False],
        cash=-assets * rng.uniform(0.85, 0.98, n),
        assets=[*names, "cash"],
    )
    weights = dict(zip(names, rng.choice([0.0, 0.3, 0.75, 1.0], m), strict=True)) if rng.random() < 0.5 else None
    counted = [name for name in names if weights is None or weights[name] > 0.0]
    rng.shuffle(counted)
    cut = int(rng.integers(0, len(counted) + 1))
    order = [place for place in (counted[:cut], counted[cut:]) if place] if rng.random() < 0.6 else None
    minimum = rng.uniform(0.01, 0.05)
    ratio = CapitalRatio(
        minimum,
        buffer=minimum + rng.uniform(0.0, 0.2),
        target=minimum + rng.uniform(0.0, 0.08),
        weights=weights,
        order=order or None,
    )
    shock = {name: float(rng.uniform(-0.15, 0.02)) for name in names}
    impact = (cg.LinearImpact(), cg.ExponentialImpact(), cg.FloorExponentialImpact(0.4))[seed % 3]
    options = {
        "impact": impact,
        "repayable": float(rng.choice([0.0, 0.4, 1.0, 1.0])),
        "max_rounds": int(rng.integers(0, 12)),
    }
    return graph, shock, ratio, options


def oracle(
    graph: cg.ExposureGraph, shock: dict[str, float], ratio: CapitalRatio, options: dict[str, Any]
) -> tuple[list[Bank], dict[str, float], dict[str, float], list[dict[str, float]]]:
    """Run the loop over banks on the same case."""
    assets = graph.assets.tolist()
    weights = None if ratio.weights is None else dict(ratio.weights.items)
    banks = []
    for row, held in enumerate(graph.quantity.toarray()):
        units = dict(zip(assets, held, strict=True))
        debt = -float(graph.cash[row])
        banks.append(Bank(cash=units.pop("cash"), units=units, debt=debt, loan=debt * options["repayable"]))
    factor = options["impact"].price_factor
    return simulate(
        banks,
        price0=dict(zip(assets[:-1], graph.price, strict=False)),
        depth=dict(zip(assets[:-1], graph.depth, strict=False)),
        sellable={asset for asset, can in zip(assets, graph.sellable, strict=True) if can},
        shock=shock,
        limits=(ratio.minimum, ratio.buffer, ratio.target),
        weights=weights,
        order=ratio.order,
        factor=lambda x: float(factor(np.array([x]))[0]),
        rounds=options["max_rounds"],
    )


def test_200_random_cases_agree_with_a_loop_over_banks():
    seen = {"failed": 0, "acted": 0, "repaid": 0, "weighted": 0, "two places": 0}
    for seed in range(200):
        graph, shock, ratio, options = random_case(seed)
        result = farmer(graph, ratio, shock, cash="cash", on_failure="ignore", **options)
        banks, price, sold, looks = oracle(graph, shock, ratio, options)
        same = {"rtol": 1e-9, "atol": 1e-9, "err_msg": f"seed {seed}"}
        np.testing.assert_allclose(result.assets["price_after"].iloc[:-1], list(price.values()), **same)
        np.testing.assert_allclose(result.assets["units_sold"].iloc[:-1], list(sold.values()), **same)
        np.testing.assert_allclose(result.banks["equity_after"], [bank.equity(price) for bank in banks], **same)
        np.testing.assert_allclose(result.banks["repaid"], [bank.repaid for bank in banks], **same)
        assert result.banks["default_round"].tolist() == [bank.failed_in for bank in banks]
        rows = result.rounds.to_dict("records")
        assert [row["acted"] for row in rows] == [look["acted"] for look in looks]
        seen["failed"] += bool((result.banks["default_round"] > 0).any())
        seen["acted"] += bool(result.rounds["acted"].any())
        seen["repaid"] += bool((result.banks["repaid"] > 0).any())
        seen["weighted"] += ratio.weights is not None
        seen["two places"] += ratio.order is not None and len(ratio.order) == 2
    assert min(seen.values()) > 35, seen


def test_what_is_sold_is_what_is_paid_and_equity_falls_by_price_moves_alone():
    for seed in range(50):
        graph, shock, ratio, options = random_case(seed)
        result = farmer(graph, ratio, shock, cash="cash", on_failure="ignore", **options)
        banks, assets = result.banks, result.assets
        assert banks["proceeds"].sum() == pytest.approx(assets["value_sold"].sum(), rel=1e-12, abs=1e-9)
        kept = (graph.quantity.sum(axis=0) - assets["units_sold"]) @ assets["price_after"]
        held = graph.quantity.sum(axis=0) @ graph.price
        change = kept + assets["value_sold"].sum() - held
        assert (banks["equity_after"] - banks["equity_before"]).sum() == pytest.approx(change, rel=1e-9, abs=1e-9)


def test_no_shock_and_enough_capital_change_nothing():
    graph = cg.ExposureGraph.from_arrays([[10.0, 5.0]], price=1.0, depth=10.0, cash=[-10.0], assets=["X", "Y"])
    result = farmer(graph, CapitalRatio(0.03, buffer=0.04, target=0.05))
    assert result.solution.converged
    assert result.solution.steps == 0
    assert result.units_sold.empty
    assert result.banks["ratio_after"].tolist() == pytest.approx([1 / 3])


def test_rounds_that_are_too_few_are_reported_and_a_result_has_its_tables():
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=1.0, depth=10.0, cash=[-9.7], assets=["X"])
    ratio = CapitalRatio(0.02, buffer=0.04, target=0.05)
    with pytest.raises(cg.ConvergenceError, match=r"farmer: after 0 rounds banks still offer .* Raise max_rounds"):
        farmer(graph, ratio, max_rounds=0)
    with pytest.raises(cg.ParameterError, match="ratio is a dict; give a CapitalRatio"):
        farmer(graph, {"X": -0.1}, ratio)  # type: ignore[arg-type]
    result = farmer(graph, ratio, max_rounds=1, on_failure="ignore")
    assert list(result.to_frames()) == ["summary", "banks", "assets", "rounds", "units_sold"]
    assert result.model is ratio
    assert result.summary()[["banks", "rounds", "failed"]].tolist() == [1.0, 1.0, 1.0]
    assert repr(result).startswith("<RegulatedBanks: 1 of 1 banks fail in 1 rounds of sales; ")


def test_a_bank_with_nothing_has_no_ratio_and_sells_nothing():
    graph = cg.ExposureGraph.from_arrays([[0.0], [1.0]], price=1.0, cash=[-5.0, 0.0], assets=["X"])
    result = farmer(graph, CapitalRatio(0.03, buffer=0.04, target=0.05), {"X": -1.0})
    assert result.banks["default_round"].tolist() == [1, 0]
    assert result.banks["ratio_after"].isna().all()
    assert result.rounds["offered"].tolist() == [0.0]


SMALL = {"quantity": [[10.0, 5.0]], "price": 1.0, "cash": [-14.9], "assets": ["X", "Y"]}


@pytest.mark.parametrize(
    ("graph", "options", "message"),
    [
        (SMALL | {"quantity": [[10.0, -5.0]]}, {}, "account '0 / pool / ' is short of asset 'Y'"),
        (SMALL, {"cash": "Z"}, "cash is 'Z', which the graph does not have"),
        (
            SMALL,
            {"impact": cg.ExponentialImpact(volume="current")},
            "what is sold counts at the price before the shock",
        ),
        (SMALL, {"max_rounds": -1}, "max_rounds is -1"),
        (SMALL, {"repayable": 1.5}, "repayable: out of range"),
        (
            SMALL,
            {"ratio": CapitalRatio(0.1, buffer=0.1, target=0.1, weights={"X": 1.0})},
            "weights has nothing for asset 'Y'",
        ),
        (
            SMALL,
            {"ratio": CapitalRatio(0.1, buffer=0.1, target=0.1, order=[["Z"]])},
            "order names asset 'Z', which the graph does",
        ),
    ],
)
def test_what_the_model_does_not_know_is_refused(graph: dict[str, Any], options: dict[str, Any], message: str):
    options = {"ratio": CapitalRatio(0.03, buffer=0.04, target=0.05)} | options
    with pytest.raises(cg.ContagionError, match=message):
        farmer(cg.ExposureGraph.from_arrays(**graph), shock={"X": -0.01}, **options)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"minimum": -0.1}, "minimum is -0.1"),
        ({"buffer": 0.02}, "buffer is 0.02; it must be a number from 0.03 up"),
        ({"target": 0.01}, "target is 0.01; it must be a number from 0.03 up"),
        ({"minimum": 0.0, "target": 0.0}, "target is 0.0; it must be a number above 0"),
        ({"weights": 1.0}, "give a mapping of asset to weight"),
        ({"weights": {"X": -1.0}}, "weights of asset 'X' is -1.0"),
        ({"weights": {"X": float("nan")}}, "weights of asset 'X' is nan"),
        ({"order": "X"}, "give a list of lists of assets"),
        ({"order": ["X"]}, "give a list of lists of assets"),
        ({"order": []}, "give a list of lists of assets"),
        ({"order": [["X"], ["X"]]}, "order names asset 'X' twice"),
        ({"order": [["X"]], "weights": {"X": 0.0}}, "whose weight is 0: selling it frees no capital"),
    ],
)
def test_a_ratio_that_makes_no_sense_is_refused(parameters: dict[str, Any], message: str):
    with pytest.raises(cg.ParameterError, match=message):
        CapitalRatio(**({"minimum": 0.03, "buffer": 0.04, "target": 0.05} | parameters))
