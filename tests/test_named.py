"""The models of the literature: small examples by hand, each paper's own equations as a loop, published numbers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.shared_data import case

named = cg.named


def bank_graph(S: Any, L: Any, equity: Any, depth: Any = None) -> cg.ExposureGraph:
    """Return banks with marketable assets at price 1, and loans that cannot be sold."""
    S = np.asarray(S, dtype=float).reshape(len(L), -1)
    count = S.shape[1]
    return cg.ExposureGraph.from_arrays(
        np.column_stack([S, L]),
        price=1.0,
        depth=None if depth is None else np.append(depth, np.inf),
        sellable=[True] * count + [False],
        cash=np.asarray(equity) - S.sum(axis=1) - L,
        assets=[*map(str, range(count)), "loans"],
    )


def random_banks(seed: int, n: int = 15, m: int = 4, leverage: tuple[float, float] = (8.0, 30.0)) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    S = rng.uniform(1, 100, (n, m)) * (rng.random((n, m)) < 0.7)
    S[:, 0] += 1.0
    L = rng.uniform(1, 200, n)
    return {
        "S": S,
        "L": L,
        "equity": (S.sum(axis=1) + L) / rng.uniform(*leverage, n),
        "depth": rng.uniform(3e3, 2e4, m),
    }


def falls_of(end: cg.CascadeResult) -> np.ndarray:
    return 1.0 - (end.assets["price_after"] / end.assets["price_shocked"]).to_numpy()[:-1]


# --- Cont & Schaanning ------------------------------------------------------------------------------------------------


def cont_schaanning_rounds(given: dict[str, Any], eps: float, cap: float, target: float, b: float, alpha: float) -> Any:
    """Carry out the paper's rounds: Gamma, q, Psi, losses, new holdings and prices; eps is the fall of the loans."""
    holdings, loans = given["S"].copy(), (1 - eps) * given["L"]
    capital, delta = given["equity"] - eps * given["L"], (1 - b) * given["depth"]
    price, dead = np.ones(holdings.shape[1]), np.zeros(len(loans), dtype=bool)
    for _ in range(10_000):
        assets = holdings.sum(axis=1) + loans
        selling = ~dead & (holdings.sum(axis=1) > 0) & (assets > cap * capital)
        share = np.zeros(len(loans))
        share[selling] = np.minimum(1, (assets - target * capital)[selling] / holdings.sum(axis=1)[selling])
        share[selling & (capital <= 0)] = 1.0
        if (share * holdings.sum(axis=1)).sum() <= 1e-12 * given["S"].sum():
            return price, capital
        dead |= share == 1.0
        q = share @ holdings
        psi = (1 - b / price) * (1 - np.exp(-q / delta))
        capital = capital - (1 - (1 - alpha) * share) * (holdings @ psi)
        holdings, price = (1 - share)[:, None] * holdings * (1 - psi), price * (1 - psi)
    raise RuntimeError("no rest")


def test_cont_schaanning_by_hand():
    """Leverage 100/4 against 20: 100 - 19 * 4 = 24 of the 60 that can be sold go, 0.4; the price falls to 0.9."""
    x = -0.5 * np.log(0.8)  # 0.5 + 0.5 exp(-2 x) = 0.9
    graph = bank_graph([[60.0]], [40.0], [4.0], depth=[24.0 / x])
    result = named.cont_schaanning(20).run(graph)
    first = 60 * 0.1 * (1 - 0.5 * 0.4)
    assert result.rounds["closed_value"].iloc[0] == pytest.approx(24.0)
    assert first > 4.0  # it is below zero, and sells the rest
    assert result.rounds["closed_value"].iloc[1] == pytest.approx(36 * 0.9)
    assert result.accounts["closed"].tolist() == [1.0]


def test_cont_schaanning_reproduces_the_case():
    given = case("cont_schaanning_rounds")
    inputs, rounds = given["inputs"], given["expected"]["rounds"]
    depth = inputs["c"] * inputs["ADV"] / inputs["sigma"] * np.sqrt(inputs["tau"])
    assert (1 - inputs["B"] / inputs["S0"]) * depth == pytest.approx(given["expected"]["delta"])
    held = np.column_stack([inputs["Pi0"], inputs["Theta"]]).astype(float)
    graph = cg.ExposureGraph.from_arrays(
        held,
        price=1.0,
        depth=[depth, np.inf, np.inf],
        sellable=[True, False, False],
        cash=np.array(inputs["C0"]) - held.sum(axis=1),
    )
    model = named.cont_schaanning(inputs["lambda_max"], floor=inputs["B"], alpha=inputs["alpha"])
    assert model.liquidation.target == pytest.approx(inputs["lambda_target"], rel=1e-15)
    result = model.run(graph, {"1": -inputs["eps"][0], "2": -inputs["eps"][1]})
    assert len(result.rounds) == given["expected"]["terminates_after_round"]
    assert result.rounds["closed_value"].tolist() == pytest.approx([step["q"] for step in rounds[:-1]], rel=1e-9)
    assert result.assets["price_after"].iloc[0] == pytest.approx(rounds[-1]["S"], rel=1e-9)
    assert result.accounts["equity_after"].tolist() == pytest.approx(rounds[-1]["C"], rel=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_cont_schaanning_is_the_papers_rounds(seed: int):
    given = random_banks(seed)
    price, capital = cont_schaanning_rounds(given, 0.02, 20.0, 19.0, 0.5, 0.5)
    result = named.cont_schaanning(20.0).run(bank_graph(**given), {"loans": -0.02})
    assert result.assets["price_after"].to_numpy()[:-1] == pytest.approx(price, rel=1e-9)
    gone = result.accounts["closed"] == 1.0
    assert result.accounts["equity_after"][~gone].to_numpy() == pytest.approx(capital[~gone.to_numpy()], rel=1e-8)
    assert gone.any()
    assert not gone.all()


# --- Breuer, Summer & Urosevic ----------------------------------------------------------------------------------------


def breuer_fixed_point(given: dict[str, Any], cap: float, c: Any, *, greatest: bool) -> tuple[np.ndarray, np.ndarray]:
    """Iterate delta = c sqrt(S' theta(delta) / V), from no sale or from the sale of everything."""
    S, L, e, V = given["S"], given["L"], given["equity"], given["depth"]
    theta = np.full(len(L), 1.0 if greatest else 0.0)
    for _ in range(10_000):
        before, delta = theta, np.minimum(1.0, c * np.sqrt(S.T @ theta / V))
        worth, left = e - S @ delta, S @ (1 - delta)
        theta = np.where(worth <= 0, 1.0, np.clip(1 - (cap * worth - L) / left, 0, 1))
        if np.abs(theta - before).max() < 1e-15:
            break
    return delta, theta


def test_breuer_summer_urosevic_by_hand():
    """Leverage 100/4 against 20, no impact to speak of: 20 of 50 are sold, 0.4."""
    graph = bank_graph([[50.0]], [50.0], [4.0], depth=[20.0])
    both = named.breuer_summer_urosevic(20.0, coefficient=1e-12).equilibria(graph)
    assert both.least.accounts["closed"].tolist() == pytest.approx([0.4])
    one = named.breuer_summer_urosevic(20.0, coefficient=0.01).equilibria(graph).least
    share, fall = one.accounts["closed"].iloc[0], falls_of(one)[0]
    assert fall == pytest.approx(0.01 * np.sqrt(50 * share / 20))
    assert (1 - share) * 50 * (1 - fall) + 50 == pytest.approx(20 * (4 - 50 * fall))  # the cap is met


def test_multiple_equilibria_reproduce_the_case():
    given = case("firesale_multiple_equilibria")
    inputs, expected, tolerance = given["inputs"], given["expected"], given["tolerance"]
    graph = bank_graph(inputs["S"], inputs["L"], inputs["e"], depth=[1 / inputs["c"]])
    both = named.breuer_summer_urosevic(inputs["leverage_cap"], coefficient=1.0).equilibria(graph, two_sided="auto")
    for name, end in (("least", both.least), ("greatest", both.greatest)):
        assert falls_of(end)[0] == pytest.approx(expected[f"delta_{name}"], rel=0, abs=tolerance)
        assert end.accounts["closed"].tolist() == pytest.approx(expected[f"theta_{name}"], rel=0, abs=tolerance)
        assert end.assets["units_sold"].iloc[0] == pytest.approx(expected[f"sold_{name}"])


@pytest.mark.parametrize("variant", ["as_published", "corrected"])
def test_eba_2016_to_every_printed_digit(variant: str):
    """The stored figures come from an iteration that stops at 1e-9, from below and from above."""
    given = case("eba2016_firesale_sqrt")
    inputs, expected = given["inputs"], given["expected"]
    stored = expected[f"full_precision_{variant}"]
    graph = bank_graph(inputs["S"], inputs["L_total"], inputs["e"], depth=inputs[f"ADV_{variant}"])
    coefficient = inputs["kappa"] * np.array([*inputs[f"sigma_{variant}"], 1.0])
    model = named.breuer_summer_urosevic(inputs["leverage_cap"], coefficient=pd.Series(coefficient, graph.assets))
    both = model.equilibria(graph, two_sided="auto")
    least, greatest = falls_of(both.least), falls_of(both.greatest)
    assert least == pytest.approx(greatest, rel=0, abs=1e-11)
    for fall, name in ((least, "delta_lower"), (greatest, "delta_upper")):
        assert fall == pytest.approx(stored[name], rel=0, abs=1e-9)
        if variant == "as_published":
            assert [f"{each:.3g}" for each in fall] == [f"{each:.3g}" for each in expected["published_table"][name]]
            share = both.least.accounts["closed"]
            assert ((share > 0).sum(), (share == 1).sum()) == (expected["n_selling_banks"], expected["n_full_sale"])
    S, most = np.array(inputs["S"]).sum(axis=0), coefficient[:-1]
    largest = most * np.sqrt(S / inputs[f"ADV_{variant}"])
    assert largest == pytest.approx(stored["delta_max"], rel=1e-12)
    assert (greatest <= largest).all()


@pytest.mark.parametrize("seed", range(10))
def test_breuer_summer_urosevic_is_the_papers_equations(seed: int):
    given, c = random_banks(seed, leverage=(8.0, 22.0)), np.random.default_rng(seed).uniform(0.01, 0.08, 4)
    model = named.breuer_summer_urosevic(20.0, coefficient=dict(zip([*"0123", "loans"], [*c, 1.0], strict=True)))
    both = model.equilibria(bank_graph(**given))
    for end, greatest in ((both.least, False), (both.greatest, True)):
        delta, theta = breuer_fixed_point(given, 20.0, c, greatest=greatest)
        assert falls_of(end) == pytest.approx(delta, rel=0, abs=1e-8)
        assert end.accounts["closed"].to_numpy() == pytest.approx(theta, rel=0, abs=1e-7)


# --- Caccioli et al., Huang et al. ------------------------------------------------------------------------------------


def failures(held: Any, debt: Any, alpha: float, f: Any, shock: Any, first: int | None = None) -> Any:
    """Let banks fail whose assets are worth less than their debt; prices answer to the share that failed banks held."""
    failed = np.zeros(len(held), dtype=bool)
    if first is not None:
        failed[first] = True
    start = 1 + shock
    while True:
        price = start * f(alpha * held[failed].sum(axis=0) / held.sum(axis=0))
        now = failed | (held @ price < debt)
        if (now == failed).all():
            return price, failed
        failed = now


MODELS = {
    "caccioli": (named.caccioli(), lambda x: np.exp(-x)),
    "huang": (named.huang(), lambda x: np.maximum(0, 1 - x)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", range(15))
def test_failures_are_those_of_the_papers(name: str, seed: int):
    model, f = MODELS[name]
    rng = np.random.default_rng(seed)
    held = rng.uniform(0, 10, (20, 6)) * (rng.random((20, 6)) < 0.5)
    held[:, 0] += 0.1
    debt, alpha = held.sum(axis=1) * rng.uniform(0.8, 0.99, 20), float(rng.uniform(0.1, 1.2))
    base = cg.ExposureGraph.from_arrays(held, price=1.0, margin_long=0.05, cash=-debt)
    graph = named.with_market_depth(named.without_margins(base), alpha)
    price, failed = failures(held, debt, alpha, f, np.zeros(6), first=3)
    result = model.run(graph, defaults=["3"])
    assert result.assets["price_after"].to_numpy() == pytest.approx(price)
    assert (result.accounts["closed"] == 1.0).tolist() == failed.tolist()
    shock = np.array([-0.1, -0.05, 0, 0, 0, 0])
    price, failed = failures(held, debt, alpha, f, shock)
    result = model.run(graph, {"0": -0.1, "1": -0.05})
    assert result.assets["price_after"].to_numpy() == pytest.approx(price)
    assert (result.accounts["closed"] == 1.0).tolist() == failed.tolist()


def test_caccioli_calibration():
    expected = case("price_impact_closed_forms")["expected"]["caccioli_alpha"]
    graph = cg.ExposureGraph.from_arrays([[1.0], [9.0]], price=[7.0], cash=[-8.0, 0.0])
    result = named.caccioli().run(named.with_market_depth(graph, expected))
    assert result.assets["price_after"].tolist() == pytest.approx([0.9 * 7.0], rel=1e-12)


def test_huang_by_hand():
    """The first two fail at -10 %; they held a half, so that the price falls by another 0.4 * 0.5."""
    graph = cg.ExposureGraph.from_arrays([[3.0], [2.0], [5.0]], price=1.0, cash=[-2.8, -1.9, -3.0])
    result = named.huang().run(named.with_market_depth(graph, 0.4), {"0": -0.1})
    assert result.accounts["breach_round"].tolist() == [1, 1, 0]
    assert result.assets["price_after"].tolist() == pytest.approx([0.9 * 0.8])


# --- helpers ----------------------------------------------------------------------------------------------------------


def test_market_depth_counts_longs_at_their_price():
    graph = cg.ExposureGraph.from_arrays([[2.0, 0.0, -1.0], [3.0, -1.0, 4.0]], price=[10.0, 5.0, 2.0])
    assert named.with_market_depth(graph, 2.0).depth.tolist() == [25.0, np.inf, 4.0]
    for wrong in (0.0, -1.0, np.inf):
        with pytest.raises(cg.ParameterError, match="alpha"):
            named.with_market_depth(graph, wrong)


def test_without_margins_keeps_everything_else():
    graph = cg.ExposureGraph.from_tables(
        {
            "trader": ["A", "A"],
            "asset": ["X", "Y"],
            "quantity": [2.0, -1.0],
            "margin": [0.5, None],
            "entry_price": [None, 9],
        },
        {"asset": ["X", "Y"], "price": [10.0, 8.0], "margin_long": [0.1, 0.1], "margin_short": [0.2, 0.2]},
        accounts={"trader": ["A"], "cash": [5.0]},
    )
    bare = named.without_margins(graph)
    assert graph.maintenance.tolist() == [11.6]
    assert bare.maintenance.tolist() == [0.0]
    assert bare.equity.tolist() == graph.equity.tolist()
    again = cg.ExposureGraph.from_tables(**bare.to_frames())
    assert again.maintenance.tolist() == [0.0]
    assert again.equity.tolist() == graph.equity.tolist()


def test_names_are_the_documented_ones():
    for name in named.__all__:
        assert getattr(named, name).__doc__
