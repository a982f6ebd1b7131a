"""Equilibria under waterfalls of several layers, against a dense map written from docs/who-pays.md."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import contagion_graph as cg
from tests.markets import graph_of, model_of
from tests.reference.dense_cascade import make_books, mean_price_factor, price_factor
from tests.reference.random_markets import Case
from tests.reference.small_markets import small_market

LAYERS = ("own", "capital", "fund", "contributions", "gains", "equity")


def dense_map(case: Case, share: np.ndarray, extra: dict[str, np.ndarray], layers: tuple[str, ...]) -> np.ndarray:
    """Return who closes whole where `share` (0 or 1) is closed: prices, shortfalls, layers in order, equity, breach."""
    market, rules = case.market, case.rules
    p_bar = market.price * (1 + case.shock)
    books = make_books(market, replace(rules, sharing="equity"), p_bar, case.losses)
    held = books.sell + books.keep
    x = (share @ books.sell) * market.price / market.depth
    price, average = p_bar * price_factor(rules.impact, x), p_bar * mean_price_factor(rules.impact, 0 * x, x)
    fee = rules.penalty * (np.abs(books.sell) @ average)
    value = books.cash + books.sell @ average + books.keep @ price
    if rules.penalty_cap == "equity":
        fee = np.minimum(fee, np.maximum(0, value))
    short = share * np.maximum(0, -(value - fee))
    borne = np.zeros(len(share))
    gain = np.maximum(0, held @ (p_bar - market.price))
    weight = {"contributions": extra["contribution"], "gains": gain, "equity": books.base}
    cap = {"contributions": 1.0, "gains": 1.0, "equity": np.inf}
    for k in range(len(market.insurance_fund)):
        mine = market.pool == k
        due = float(np.maximum(0, short - (extra["own"] if "own" in layers else 0.0))[mine].sum())
        for layer in layers:
            if layer in ("capital", "fund"):
                due = max(0.0, due - (extra["capital"] if layer == "capital" else market.insurance_fund)[k])
            elif layer != "own" and due > 0:
                base = weight[layer] * mine * (1 - share)
                level = min(due / base.sum() if base.sum() > 0 else np.inf, cap[layer])
                with np.errstate(invalid="ignore"):
                    borne += np.where(weight[layer] * mine > 0, level * weight[layer], 0.0)
                due = (
                    max(0.0, due - level * base.sum())
                    if level == cap[layer] and base.sum() > 0
                    else due * (base.sum() == 0)
                )
    equity = books.cash + held @ price - borne
    maintenance = (books.margin_sell + books.margin_keep) @ price
    return np.where(case.defaults, 1.0, np.where(equity < maintenance, 1.0, 0.0))


def drawn(seed: int) -> tuple[Case, cg.ExposureGraph, cg.MarginCascade, dict[str, np.ndarray], tuple[str, ...]]:
    """Return a one-sided market of up to eight accounts with layers, in the library and for the dense map."""
    rng = np.random.default_rng([seed, 9])
    case = small_market(rng, one_sided=True)
    case = replace(case, rules=replace(case.rules, liquidation=("full",), sharing=None))
    graph, v = graph_of(case.market), len(case.market.insurance_fund)
    n, size = len(graph.cash), float(graph.gross_value.mean()) + 1.0
    extra = {"contribution": rng.exponential(0.03 * size, n), "capital": rng.exponential(0.02 * size, v)}
    margin = np.where(rng.random(n) < 0.5, 0.0, rng.exponential(0.03 * size, n))
    extra["own"] = extra["contribution"] + margin
    layers = tuple(name for name in LAYERS if rng.random() < 0.75)
    frames = graph.to_frames()
    frames["accounts"] = frames["accounts"].assign(initial_margin=margin, fund_contribution=extra["contribution"])
    frames["pools"] = frames["pools"].assign(capital=extra["capital"])
    made = {
        "own": cg.OwnContribution(), "capital": cg.Purse("capital"), "fund": cg.InsuranceFund(),
        "contributions": cg.Members(), "gains": cg.GainsHaircut(), "equity": cg.ProRata("equity"),
    }  # fmt: skip
    model = replace(model_of(case.rules), waterfall=tuple(made[name] for name in layers))
    return case, cg.ExposureGraph.from_tables(**frames), model, extra, layers


def scenario_of(case: Case) -> dict[str, object]:
    return {
        "shock": {f"a{k}": float(move) for k, move in enumerate(case.shock)},
        "losses": {f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
        "defaults": [f"t{k}" for k in np.flatnonzero(case.defaults)],
    }


def test_both_ends_against_every_closed_set():
    """Least and greatest are fixed points of the dense map, and all others lie between them."""
    asked = several = apart = 0
    for seed in range(900):
        case, graph, model, extra, layers = drawn(seed)
        n = len(case.market.cash)
        if n > 7 or not layers:
            continue
        both = model.equilibria(graph, **scenario_of(case))
        if not both.one_sided:
            continue
        order = [int(name[1:]) for name in graph.traders]
        low, high = (np.empty(n), np.empty(n))
        low[order], high[order] = both.least.arrays.closed, both.greatest.arrays.closed
        points = [
            np.array(share)
            for share in itertools.product([0.0, 1.0], repeat=n)
            if (dense_map(case, np.array(share), extra, layers) == share).all()
        ]
        assert any((low == point).all() for point in points), seed
        assert any((high == point).all() for point in points), seed
        assert all((low <= point).all() and (point <= high).all() for point in points), seed
        asked, several, apart = asked + 1, several + (len(points) > 1), apart + len(model.members) // 2
    assert asked > 300
    assert min(several, apart) > 10


def test_layers_with_caps_are_isotone():
    """Of two sets of closed accounts, the larger closes no less, on 4,500 random pairs."""
    rng, pairs, seed = np.random.default_rng(0), 0, 0
    while pairs < 4_500:
        case, graph, model, extra, layers = drawn(seed)
        seed += 1
        if not layers or not model.equilibria(graph, **scenario_of(case)).one_sided:
            continue
        for _ in range(25):
            fewer = (rng.random(len(case.market.cash)) < rng.random()).astype(float)
            more = np.maximum(fewer, rng.random(fewer.size) < 0.3)
            assert (dense_map(case, fewer, extra, layers) <= dense_map(case, more, extra, layers)).all(), seed
            pairs += 1


def test_the_tables_of_an_end_add_up():
    """Layers use what pools lack, members what their layers use; the path ends no lower than the least."""
    for seed in range(120):
        case, graph, model, _, layers = drawn(seed)
        if not layers:
            continue
        both = model.equilibria(graph, **scenario_of(case))
        size = graph.gross_value.sum() + 1.0
        for end in (both.least, both.greatest):
            used = end.layers["used"].groupby(level="pool", sort=False).sum()
            np.testing.assert_allclose(end.pools["shortfall"], used + end.pools["uncovered"], atol=1e-9 * size)
            names = [layer.name for layer in model.members]
            members = end.layers["used"].unstack("layer")[names].to_numpy().sum() if names else 0.0
            assert end.accounts["socialised"].sum() == pytest.approx(members, abs=1e-9 * size)


def test_what_an_equilibrium_cannot_know_is_refused():
    graph = cg.ExposureGraph.from_arrays([[1.0], [1.0]], price=10.0)
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.Deleverage()))
    with pytest.raises(cg.ParameterError, match="take Deleverage out of the waterfall"):
        model.equilibria(graph)
