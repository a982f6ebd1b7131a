"""Cascades with options: by hand, identities, revaluation of some or of all, and what refuses instruments by name."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.collateral.monitoring import runway
from contagion_graph.solvers import black
from tests.option_books import OptionMarket, option_market
from tests.public import FUNCTIONS
from tests.test_margin_tables import FLAT_ALONE
from tests.together import parts_of, together

TABLES = ("accounts", "assets", "rounds", "pools")


def same(one: cg.CascadeResult, other: cg.CascadeResult) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)


# --- by hand ----------------------------------------------------------------------------------------------------------


def short_call(pass_through: float = 1.0, **given: Any) -> cg.ExposureGraph:
    """Ann is short 10 calls at 110, and has 60 of cash; depth 10,000."""
    return cg.ExposureGraph.from_arrays(
        [[0.0, -10.0]], price={"X": 100.0}, assets=["X", "call"], traders=["Ann"], cash=[60.0],
        **({"depth": [1e4, np.inf], "margin_short": [0.0, 0.5]} | given),
        instruments={"asset": ["call"], "underlying": ["X"], "kind": ["call"], "strike": [110.0], "expiry": [0.1],
                     "vol": [0.6], "pass_through": [pass_through]},
    )  # fmt: skip


def value(u: float) -> float:
    return float(black.price(1, u, 110.0, 0.1, 0.6))


def test_a_short_call_is_bought_back_by_hand():
    """She buys back 10 calls; who sells them hedges: buys 10 deltas at the price of the shock."""
    result = cg.MarginCascade(cg.FullLiquidation(), waterfall=(cg.InsuranceFund(),)).run(short_call(), {"X": 0.08})
    delta = float(black.delta(1, 108.0, 110.0, 0.1, 0.6))
    x = 10.0 * delta * 100.0 / 1e4  # value bought over depth
    after, average = 108.0 * np.exp(x), 108.0 * (np.exp(x) - 1.0) / x
    assets, row = result.assets, result.accounts.iloc[0]
    assert assets["price_shocked"].tolist() == pytest.approx([108.0, value(108.0)])
    assert assets["price_after"].tolist() == pytest.approx([after, value(after)])
    assert assets["units_sold"].tolist() == [0.0, -10.0]
    assert assets["units_passed_on"].tolist() == pytest.approx([-10.0 * delta, 0.0])
    assert assets.loc["call", "value_sold"] == pytest.approx(-10.0 * value(average))
    assert row["direct"] == pytest.approx(10.0 * (value(108.0) - value(100.0)))
    assert row["impact"] == pytest.approx(10.0 * (value(average) - value(108.0)))
    assert row["shortfall"] == pytest.approx(10.0 * value(average) - 60.0)


def test_deltas_reach_the_book_in_part():
    half = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(short_call(pass_through=0.5), {"X": 0.08})
    none = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(short_call(pass_through=0.0), {"X": 0.08})
    delta = float(black.delta(1, 108.0, 110.0, 0.1, 0.6))
    assert half.assets.loc["X", "units_passed_on"] == pytest.approx(-5.0 * delta)
    assert none.assets["price_after"].tolist() == none.assets["price_shocked"].tolist()


def test_an_option_with_a_depth_moves_its_own_price_too():
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(short_call(depth=[1e4, 500.0]), {"X": 0.08})
    x = 10.0 * value(100.0) / 500.0
    after = result.assets["price_after"]
    assert after["call"] == pytest.approx(value(after["X"]) * np.exp(x))


def test_a_shock_of_the_option_itself_stays_on_top():
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(short_call(), {"X": 0.08, "call": 0.1})
    after = result.assets["price_after"]
    assert result.assets.loc["call", "price_shocked"] == pytest.approx(1.1 * value(108.0))
    assert after["call"] == pytest.approx(1.1 * value(after["X"]))


def test_vols_are_shocked_once():
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(short_call(), {"vol:X": 0.5})
    after = result.assets["price_after"]
    assert result.assets.loc["call", "price_shocked"] == pytest.approx(black.price(1, 100.0, 110.0, 0.1, 0.9).item())
    assert after["X"] > 100.0
    assert after["call"] == pytest.approx(black.price(1, after["X"], 110.0, 0.1, 0.9).item())


@pytest.mark.parametrize(
    ("shock", "message"),
    [
        ({"vol:Y": 0.1}, r"no option has 'vol:Y' \(did you mean 'vol:X'\?\). Vols are \['vol:X'\]"),
        ({"vol:X": -1.5}, "'vol:X' changes by -1.5. Give a finite relative change"),
        ({"vol:X": np.nan}, "'vol:X' changes by nan"),
        ({"Y": 0.1}, "unknown asset 'Y'"),
    ],
)
def test_shocks_of_vols_are_checked(shock: dict[str, float], message: str):
    with pytest.raises(cg.ParameterError, match=message):
        cg.MarginCascade().run(short_call(), shock)
    with pytest.raises(cg.ParameterError, match="unknown asset 'vol:X'"):
        cg.MarginCascade().run(short_call().assign(instruments=None), {"vol:X": 0.1})


def test_a_future_is_the_underlying_times_its_ratio():
    """Closing a future of ratio 2 sells two of the underlying, at twice its price."""
    given = {"price": {"X": 100.0}, "assets": ["X", "fut"], "depth": [1e4, np.inf], "margin_long": 0.1}
    terms = {"asset": ["fut"], "underlying": ["X"], "kind": ["linear"], "ratio": [2.0]}
    future, plain = (
        cg.ExposureGraph.from_arrays([q], cash=[-1_750.0], instruments=terms, **given)
        for q in ([0.0, 10.0], [20.0, 0.0])
    )
    runs = [cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(graph, {"X": -0.1}) for graph in (future, plain)]
    assert runs[0].accounts.to_numpy() == pytest.approx(runs[1].accounts.to_numpy())
    assert runs[0].assets["price_after"].to_numpy() == pytest.approx(runs[1].assets["price_after"].to_numpy())


# --- random markets ---------------------------------------------------------------------------------------------------

SEEDS = range(500)


@pytest.mark.parametrize("seed", SEEDS)
def test_revaluing_some_gives_the_bits_of_revaluing_all(seed: int):
    market = option_market(seed, n=20)
    some = market.model.run(market.graph, market.shock)
    every = market.model.run(market.graph, market.shock, revaluation="full")
    same(some, every)
    assert some.solution.revaluations <= every.solution.revaluations


@pytest.mark.parametrize("seed", range(150))
def test_identities(seed: int):
    market = option_market(seed)
    result = market.model.run(market.graph, market.shock)
    accounts, graph = result.accounts, market.graph
    scale = 1e-9 * (graph.gross_value.sum() + 1.0)
    columns = ["direct", "impact", "penalty", "socialised"]
    assert (accounts["loss"] - accounts[columns].sum(axis=1) + accounts["shortfall"]).abs().max() < scale
    after = accounts["equity_before"] - accounts["loss"]
    assert (after - accounts["equity_after"]).abs().max() < scale
    end = result.arrays
    paid = accounts["loss"].sum() + end.fund_used.sum() + end.uncovered.sum()
    assert paid == pytest.approx(accounts[["direct", "impact", "penalty"]].to_numpy().sum(), abs=scale)
    closed_short = end.closed if end.closed_short is None else end.closed_short
    q = graph.quantity.toarray()
    sold = (np.maximum(q, 0.0).T @ end.closed) - (np.maximum(-q, 0.0).T @ closed_short)
    assert end.sold == pytest.approx(sold, abs=1e-9 * (1.0 + np.abs(q).sum()))
    own = end.columns.instruments
    assert (end.passed_on[own] == 0.0).all(), "only underlyings are sold besides"
    if not np.isfinite(graph.depth[own]).any():
        change = np.array([1.0 + market.shock.get(name, 0.0) for name in graph.assets[own]])
        assert end.price_after[own] == pytest.approx(end.columns.prices(end.price_after)[own] * change)


@pytest.mark.parametrize("seed", range(60))
def test_the_path_of_a_dense_market(seed: int):
    """Whole liquidation and no sharing, round by round from the equations of docs/instruments.md."""
    market = option_market(seed)
    model = replace(market.model, liquidation=cg.FullLiquidation(), waterfall=(cg.InsuranceFund(),), penalty=0.0)
    result = model.run(market.graph, market.shock)
    price, closed, rounds = dense_path(market, model)
    assert result.arrays.price_after == pytest.approx(price, rel=1e-9, abs=1e-9)
    assert result.accounts["closed"].tolist() == closed.tolist()
    assert len(result.rounds) == rounds


def dense_path(  # noqa: C901, PLR0915 - one function, from top to bottom as the equations
    market: OptionMarket, model: cg.MarginCascade
) -> tuple[Any, Any, int]:
    """Return the last prices, which accounts closed, and how many rounds that took."""
    graph, shock = market.graph, market.shock
    q, table, p0 = graph.quantity.toarray(), graph.instruments.set_index("asset"), graph.price
    names, impact = list(graph.assets), model.impact
    vol = {a: table.loc[a, "vol"] * (1.0 + shock.get("vol:" + table.loc[a, "underlying"], 0.0)) for a in table.index}

    def model_value(asset: str, u: float, v: float) -> float:
        row = table.loc[asset]
        if row["kind"] == "linear":
            return float(row["ratio"] * u)
        return float(black.price(1 if row["kind"] == "call" else -1, u, row["strike"], row["expiry"], v))

    def delta(asset: str, u: float) -> float:
        row = table.loc[asset]
        if row["kind"] == "linear":
            return float(row["ratio"])
        return float(black.delta(1 if row["kind"] == "call" else -1, u, row["strike"], row["expiry"], vol[asset]))

    def prices(u: dict[str, float], factor: Any) -> Any:
        out = np.zeros(len(names))
        for j, asset in enumerate(names):
            if asset not in table.index:
                out[j] = u[asset]
                continue
            on = table.loc[asset, "underlying"]
            rest = p0[j] - model_value(asset, p0[names.index(on)], table.loc[asset, "vol"])
            worth = max(model_value(asset, u[on], vol[asset]) + rest, 0.0)
            out[j] = worth * (1.0 + shock.get(asset, 0.0)) * factor[j]
        return out

    def margins(p: Any, left: Any) -> Any:
        u = dict(zip(names, p, strict=True))
        rate = np.where(q > 0.0, market.given["margin_long"], market.given["margin_short"])
        flat = (np.abs(left) * rate * p).sum(axis=1)
        grid, out = market.given["margin_scenarios"], flat.copy()
        for i in np.flatnonzero(np.array(market.given["account_margin"]) == "pm"):
            out[i] = 0.0
            for coin in ("BTC", "ETH"):
                own = [a for a in names if a == coin or (a in table.index and table.loc[a, "underlying"] == coin)]
                worst, short = 0.0, {}
                for move, factor, weight in zip(grid["move"], grid["vol_factor"], grid["weight"], strict=True):
                    gain = 0.0
                    for a in own:
                        j = names.index(a)
                        if a == coin:
                            gain += left[i, j] * weight * u[coin] * move
                        else:
                            moved = model_value(a, u[coin] * (1.0 + move), vol[a] * factor)
                            gain += left[i, j] * weight * (moved - model_value(a, u[coin], vol[a]))
                    worst = max(worst, -gain)
                for a in own:
                    if a in table.index and table.loc[a, "kind"] != "linear":
                        key = tuple(table.loc[a, ["strike", "expiry"]])
                        short[key] = short.get(key, 0.0) + left[i, names.index(a)]
                out[i] += worst + 0.01 * u[coin] * sum(max(-each, 0.0) for each in short.values())
        return out

    ones = np.ones(len(names))
    u = {coin: p0[names.index(coin)] * (1.0 + shock.get(coin, 0.0)) for coin in ("BTC", "ETH")}
    p = shocked = prices(u, ones)
    cash, closed, x, flow, factor = graph.cash.copy(), np.zeros(len(q)), 0.0 * ones, 0.0 * ones, ones
    for step in range(100):
        left = q * (1.0 - closed[:, None])
        breached = (cash + left @ p < margins(p, left)) & (closed == 0.0)
        if not breached.any():
            return p, closed, step
        units = left[breached].sum(axis=0)
        book = units.copy()
        for a in table.index:
            on = names.index(table.loc[a, "underlying"])
            book[on] += table.loc[a, "pass_through"] * delta(a, p[on]) * units[names.index(a)]
        flow = flow + book
        start, x, before_factor = x, flow * p0 / graph.depth, factor
        factor = impact.for_assets(graph.assets).price_factor(x)
        after_u = {c: shocked[names.index(c)] * factor[names.index(c)] for c in u}
        if model.trade_price_weight is None:
            mean = impact.for_assets(graph.assets).average_factor(start, x)
            average = prices({c: shocked[names.index(c)] * mean[names.index(c)] for c in u}, mean)
        else:
            a = model.trade_price_weight
            mid = {c: p[names.index(c)] + a * (after_u[c] - p[names.index(c)]) for c in u}
            average = prices(mid, before_factor + a * (factor - before_factor))
        p = prices(after_u, factor)
        cash[breached] += left[breached] @ average
        closed[breached] = 1.0
    raise AssertionError("too many rounds")


IMPACTS = [
    cg.ExponentialImpact(),
    cg.ExponentialImpact(volume="current"),
    cg.LinearImpact(),
    cg.SquareRootImpact(coefficient=0.3),
    cg.FloorExponentialImpact(floor=0.5),
]
RULES = [cg.LeverageTarget(20.0, target=15.0), cg.RepayAndSeize(0.5, bonus=0.05), cg.TargetMargin(0.1)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("impact", range(len(IMPACTS)))
@pytest.mark.parametrize("seed", range(6))
def test_every_rule_and_impact_takes_them(rule: Any, impact: int, seed: int):
    """Also defaults, given losses, and accounts that close one at a time."""
    graph, shock = (market := option_market(seed)).graph, market.shock
    if isinstance(rule, cg.RepayAndSeize):  # of flat rates alone
        graph = graph.assign(account_margin=None)
    model = cg.MarginCascade(rule, impact=IMPACTS[impact])
    given: dict[str, Any] = {"losses": {graph.traders[1]: 50.0}, "on_failure": "ignore"}
    given |= {"defaults": [graph.traders[0]]} if seed % 2 else {"order": list(graph.traders[::-1])}
    some, every = (model.run(graph, shock, revaluation=each, **given) for each in ("incremental", "full"))
    same(some, every)
    accounts = some.accounts
    parts = accounts[["direct", "impact", "penalty", "socialised"]].sum(axis=1) - accounts["shortfall"]
    assert (accounts["loss"] - parts).abs().max() < 1e-9 * (1.0 + graph.gross_value.sum())


def rebuilt(market: OptionMarket, **changed: Any) -> cg.ExposureGraph:
    return cg.ExposureGraph.from_arrays(**(market.given | changed))


@pytest.mark.parametrize("seed", range(40))
def test_the_order_of_accounts_and_assets_decides_nothing(seed: int):
    market, rng = option_market(seed), np.random.default_rng(seed)
    n, m = market.graph.quantity.shape
    rows, columns = rng.permutation(n), rng.permutation(m)
    by_row, by_column = ("pool", "cash", "account_margin"), ("assets", "depth", "price", "margin_long", "margin_short")
    given = {name: np.asarray(market.given[name])[rows].tolist() for name in by_row}
    given |= {name: np.asarray(market.given[name])[columns].tolist() for name in by_column}
    given["quantity"] = market.given["quantity"][rows][:, columns]
    other = market.model.run(rebuilt(market, **given, traders=rows), market.shock).accounts
    one = market.model.run(rebuilt(market, traders=np.arange(n)), market.shock).accounts
    other = other.droplevel([1, 2]).loc[one.index.get_level_values(0)]
    assert other.to_numpy() == pytest.approx(one.to_numpy(), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("seed", range(40))
def test_units_of_currency_decide_nothing(seed: int):
    market, k = option_market(seed), 1_024.0
    table = market.given["instruments"]
    changed = {name: np.asarray(market.given[name]) * k for name in ("price", "depth", "cash", "insurance_fund")}
    changed["insurance_fund"] = float(changed["insurance_fund"])
    terms = table | {"strike": [None if each is None else each * k for each in table["strike"]]}
    runs = [
        market.model.run(each, market.shock).accounts
        for each in (market.graph, rebuilt(market, **changed, instruments=terms))
    ]
    shares = ["closed", "breach_round"]
    assert runs[0][shares].to_numpy() == pytest.approx(runs[1][shares].to_numpy(), rel=1e-9)
    assert k * runs[0]["loss"].to_numpy() == pytest.approx(runs[1]["loss"].to_numpy(), rel=1e-7, abs=1e-4)


def test_the_same_bits_on_any_number_of_threads():
    market, runs, threads = option_market(5, n=3_000), [], cg.get_threads()
    try:
        for count in (1, 2):
            cg.set_threads(count)
            runs.append(market.model.run(market.graph, market.shock))
    finally:
        cg.set_threads(threads)
    same(*runs)


def test_few_accounts_are_revalued():
    """One option far out of the money that triples makes no other account a candidate."""
    rng, n = np.random.default_rng(0), 4_000
    held = np.column_stack([rng.uniform(1.0, 2.0, n), np.zeros(n)])
    held[0] = 0.0, -300.0
    cash = -0.5 * held[:, 0] * 100.0
    cash[0] = 2.0
    graph = cg.ExposureGraph.from_arrays(
        held, price={"X": 100.0}, assets=["X", "wing"], depth=[1e6, np.inf], margin_long=0.1, cash=cash,
        instruments={"asset": ["wing"], "underlying": ["X"], "kind": ["call"], "strike": [200.0], "expiry": [0.1],
                     "vol": [0.6]},
    )  # fmt: skip
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(graph, {"X": 0.3})
    assert result.assets["price_shocked"]["wing"] > 3.0 * graph.price[1]
    assert result.accounts["closed"].sum() == 1.0
    assert result.solution.revaluations < 1.01 * n


def test_a_graph_without_instruments_gives_what_it_gave():
    graph = cg.generate.perpetuals(500, 5, rng=0)
    assert graph._rows.unit is graph.price
    same(
        cg.MarginCascade().run(graph, {"ETH": -0.3}),
        cg.MarginCascade().run(graph.assign(instruments=None), {"ETH": -0.3}),
    )


# --- what runs cascades takes them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_sweeps_run_the_same_cascades(seed: int):
    market = option_market(seed)
    rng, names = np.random.default_rng(seed), ["BTC", "ETH"]
    shocks = pd.DataFrame(rng.uniform(-0.2, 0.2, (6, 2)), columns=names)
    if "vol:BTC" in market.shock:
        shocks["vol:BTC"] = rng.uniform(-0.4, 0.8, 6)
    swept = cg.sweep(market.graph, market.model, shocks, keep="traders")
    losses = []
    for number, shock in shocks.iterrows():
        result = market.model.run(market.graph, shock)
        losses.append(result.traders["loss"])
        row = swept.scenarios.loc[number]
        assert row["rounds"] == len(result.rounds)
        assert row["gross_loss"] == pytest.approx(result.summary()["gross_loss"])
        after = result.arrays.price_after / market.graph.price - 1.0
        assert swept.price_changes.loc[number].to_numpy() == pytest.approx(after)
    mean = pd.concat(losses, axis=1).mean(axis=1)
    assert swept.traders["expected_loss"].to_numpy() == pytest.approx(mean.to_numpy(), abs=1e-6)
    worst = swept.worst(1)
    assert worst.columns.tolist()[:2] == names
    assert ("vol:BTC" in worst) == ("vol:BTC" in shocks)


def test_vols_of_scenarios_are_checked():
    graph, shocks = short_call(), pd.DataFrame({"X": [0.1], "vol:Y": [0.2]})
    with pytest.raises(cg.ParameterError, match=r"no option has 'vol:Y' \(did you mean 'vol:X'\?\)"):
        cg.sweep(graph, MODEL, shocks)
    with pytest.raises(cg.ParameterError, match="asset 'vol:X' changes by -2"):
        cg.sweep(graph, MODEL, shocks.set_axis(["X", "vol:X"], axis=1) * [1.0, -10.0])
    with pytest.raises(cg.ParameterError, match="unknown asset 'vol:X'"):
        cg.sweep(graph.assign(instruments=None), MODEL, pd.DataFrame({"vol:X": [0.2]}))


@pytest.mark.parametrize("seed", range(40))
def test_blame_falls_on_who_sold_the_underlying(seed: int):
    market = option_market(seed, own_depth=False)
    result = market.model.run(market.graph, market.shock)
    for by in ("trader", "asset", "pool", "round", "victim"):
        blamed = cg.blame(result, by=by)
        assert blamed["total"].sum() == pytest.approx(result.accounts["indirect"].sum(), abs=1e-6)
    whole = option_market(seed)
    if np.isfinite(whole.graph.depth[2:]).any() and len(whole.model.run(whole.graph, whole.shock).rounds):
        with pytest.raises(cg.ParameterError, match="an instrument has a depth of its own"):
            cg.blame(whole.model.run(whole.graph, whole.shock))


@pytest.mark.parametrize("seed", range(12))
def test_exposures_are_those_of_the_runs(seed: int):
    market = option_market(seed)
    graph, model, k = market.graph, replace(market.model, waterfall=(cg.InsuranceFund(), cg.ProRata())), 2
    exposure = cg.indirect_exposure(graph, model, -0.1)
    assert exposure.to_pandas().columns.tolist() == ["BTC", "ETH"], "by underlying"
    quiet = model.run(graph).traders
    for coin in ("BTC", "ETH"):
        moved = model.run(graph, {coin: -0.1}).traders
        expected = moved["indirect"] - quiet["indirect"]
        assert exposure.to_pandas()[coin].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)
        curve = cg.exposure_curve(graph, model, coin, sizes=[-0.1])
        loss = moved["loss"] - quiet["loss"]
        assert curve["loss"].iloc[0].to_numpy() == pytest.approx(loss.to_numpy(), abs=1e-6)
        alone = loss - curve["indirect"].iloc[0].to_numpy()
        assert alone.to_numpy() == pytest.approx(moved["standalone"].to_numpy(), abs=1e-6)
    own = graph.assets[-1]
    of_one = cg.indirect_exposure(graph, model, -0.1, assets=[own]).to_pandas()[own]
    moved = model.run(graph, {own: -0.1}).traders
    assert of_one.to_numpy() == pytest.approx((moved["indirect"] - quiet["indirect"]).to_numpy(), abs=1e-6)
    pairs = cg.exposure_to_traders(graph, model, k=k)
    assert len(pairs) <= k


def test_who_holds_an_option_holds_its_underlying():
    graph = cg.ExposureGraph.from_arrays(
        [[0.0, 10.0], [5.0, 0.0], [0.0, 0.0]], price={"X": 100.0}, assets=["X", "call"], cash=[-20.0, -460.0, 1_000.0],
        depth=[1e3, np.inf], margin_long=0.1, traders=["A", "B", "C"],
        instruments={"asset": ["call"], "underlying": ["X"], "kind": ["call"], "strike": [110.0], "expiry": [0.1],
                     "vol": [0.6]},
    )  # fmt: skip
    exposure = cg.indirect_exposure(graph, cg.MarginCascade(), -0.1)
    assert not {"A", "B"} & set(exposure.top(3, not_held=True)["trader"])


def test_backed_underlyings_pass_shocks_on_to_instruments():
    """A fall of what X is made of reaches its call; only changes that were given count as direct in exposures."""
    graph = cg.ExposureGraph.from_tables(
        positions={"trader": ["A", "B"], "asset": ["call", "X"], "quantity": [10.0, 5.0]},
        assets={"asset": ["Y", "X", "call"], "price": [50.0, 100.0, None], "depth": [1e4, 1e4, None],
                "margin_long": [0.1] * 3},
        accounts={"trader": ["A", "B"], "cash": [100.0, -400.0]},
        backing={"asset": ["X"], "underlying": ["Y"], "weight": [0.5]},
        instruments={"asset": ["call"], "underlying": ["X"], "kind": ["call"], "strike": [100.0], "expiry": [0.1],
                     "vol": [0.6]},
    )  # fmt: skip
    result = cg.MarginCascade().run(graph, {"Y": -0.2})
    assets = result.assets
    assert assets.loc["X", "price_shocked"] == pytest.approx(90.0)
    assert assets.loc["call", "price_shocked"] == pytest.approx(black.price(1, 90.0, 100.0, 0.1, 0.6).item())
    assert assets["price_given"].tolist() == pytest.approx([40.0, 100.0, graph.price[2]])
    exposure = cg.indirect_exposure(graph, cg.MarginCascade(), -0.2).to_pandas()
    assert exposure.loc["A", "Y"] == pytest.approx(result.traders.loc["A", "loss"])
    own = cg.MarginCascade().run(graph, {"X": -0.2}).assets
    assert own.loc["call", "price_given"] == own.loc["call", "price_shocked"]


@pytest.mark.parametrize("seed", range(20))
def test_monitors_move_instruments_with_their_underlyings(seed: int):
    """Accounts and breaches are those of the graph at the same prices, after ticks of coins and of options."""
    market, rng = option_market(seed, grids=False, rest=False), np.random.default_rng(seed)
    graph, monitor = market.graph, cg.SolvencyMonitor(market.graph)
    before = monitor.breached
    for _ in range(12):
        factor = float(np.exp(rng.normal(0.0, 0.04)))
        asset = str(rng.choice([*["BTC", "ETH"] * 4, *graph.assets[2:]]))
        ticks = {asset: float(graph.price[graph.assets.get_loc(asset)]) * factor}
        verdict = monitor.prices(ticks)
        graph = graph.assign(price=ticks)
        accounts = monitor.accounts
        assert accounts["equity"].to_numpy() == pytest.approx(graph.equity.to_numpy(), rel=1e-9, abs=1e-6)
        assert accounts["maintenance"].to_numpy() == pytest.approx(graph.maintenance.to_numpy(), rel=1e-9, abs=1e-6)
        breached = list(graph.account_index[(graph.slack < 0.0).to_numpy()])
        assert monitor.breached == breached
        assert set(verdict.breached) == set(breached) - set(before)
        before = breached
    assert monitor.snapshot().price == pytest.approx(graph.price)
    with pytest.raises(cg.ParameterError, match="breach_price: instruments are priced from"):
        monitor.breach_price(graph.traders[0], graph.instruments["underlying"].iloc[0])
    assert monitor.breach_price(graph.traders[0], graph.assets[-1]) != 0.0
    monitor.list_asset("SOL", 5.0)
    monitor.price("SOL", 6.0)
    assert monitor.snapshot().price[-1] == 6.0
    with pytest.raises(cg.ParameterError, match="runway: the graph has"):
        monitor.runway()


def test_a_price_at_its_floor_comes_back_in_a_monitor():
    """A quote of half the value: at a lower price of X nothing is left of it; what it is above the value stays."""
    quoted = value(100.0) / 2.0
    graph = short_call().assign(price={"call": quoted})
    monitor = cg.SolvencyMonitor(graph)
    monitor.price("X", 50.0)
    assert monitor.snapshot().price[1] < 1e-300
    monitor.price("X", 120.0)
    assert monitor.snapshot().price[1] == pytest.approx(value(120.0) - quoted)
    monitor.price("call", value(120.0))
    monitor.price("X", 100.0)
    assert monitor.snapshot().price[1] == pytest.approx(value(100.0))


def test_searches_take_them():
    market = option_market(3)
    graph = market.graph
    point = cg.tipping_point(graph, market.model, {"BTC": -0.5}, event=cg.scenarios.ShareClosed(0.5))
    assert point is not None
    table = cg.scenarios.ladder(graph, market.model, [-0.2, 0.2], assets=["BTC", "ETH"])
    assert table.notna().all(axis=None)


def test_files_with_rounds_take_them(tmp_path: Path):
    market = option_market(4)
    result = market.model.run(market.graph, market.shock)
    cg.write_gexf(result, tmp_path / "rounds.gexf")
    cg.write_report(result, tmp_path / "report.html")
    assert "strike" in (tmp_path / "rounds.gexf").read_text(encoding="utf-8")


# --- what takes every price to move by itself -------------------------------------------------------------------------

MODEL = cg.MarginCascade()
FALL = {"BTC": -0.1}
COVARIANCE = pd.DataFrame(np.eye(3) * 0.01, index=["BTC", "ETH", "SOL"], columns=["BTC", "ETH", "SOL"])
REFUSED: dict[str, Callable[[cg.ExposureGraph], Any]] = {
    **FLAT_ALONE,
    "collateral.compare_pooling": lambda graph: cg.collateral.compare_pooling(graph, MODEL, pd.DataFrame([FALL])),
    "collateral.deleverage": cg.collateral.deleverage,
    "collateral.pooling": lambda graph: cg.collateral.pooling(graph, "isolated"),
    "collateral.stabilise": lambda graph: cg.collateral.stabilise(graph, MODEL, FALL),
    "collateral.top_up": lambda graph: cg.collateral.top_up(graph, {"asset": [""]}),
    "collateral.transfer": lambda graph: cg.collateral.transfer(graph, {"from_pool": ["pool"], "to_pool": ["pool"]}),
    "importance.aumann_shapley": lambda graph: cg.importance.aumann_shapley(graph, MODEL, FALL),
    "importance.knockout": lambda graph: cg.importance.knockout(graph, MODEL, FALL),
    "importance.shapley": lambda graph: cg.importance.shapley(graph, MODEL, FALL, rng=0),
    "fund_runway": lambda graph: runway.fund_runway(graph, MODEL, FALL),
    "runway": runway.runway,
    "runway_along": lambda graph: runway.runway_along(graph, FALL),
    "CommonAssetClearing.equilibria": lambda graph: cg.CommonAssetClearing().equilibria(graph),
    "CommonAssetClearing.run": lambda graph: cg.CommonAssetClearing().run(graph),
    "paths": lambda graph: cg.paths(MODEL.run(graph), "A"),
    "collateral.Backing.from_graph": cg.collateral.Backing.from_graph,
    "named.caccioli_stability": cg.named.caccioli_stability,
    "named.farmer": lambda graph: cg.named.farmer(graph, FALL, 0.05),
    "named.greenwood_landier_thesmar": lambda graph: cg.named.greenwood_landier_thesmar(graph, FALL),
    **{
        f"importance.{name}": lambda graph, name=name: getattr(cg.importance, name)(graph)
        for name in ("debtrank_impact", "endogenous_risk_index", "indirect_contagion_index")
    },
    **{
        f"importance.{name}": lambda graph, name=name: getattr(cg.importance, name)(graph, FALL)
        for name in ("debtrank", "indirect_vulnerability", "systemicness")
    },
}
TAKEN = {  # functions that run cascades alone, or ask for values at the prices of the graph
    *("backbone", "direct_exposure", "named.with_market_depth", "named.without_margins", "waterfall_of"),
    *(
        "adl_policies",
        "exposure_curve",
        "exposure_to_traders",
        "indirect_exposure",
        "plot.greeks",
        "plot.margin_scenarios",
        "reverse_stress",
        "scenarios.ladder",
        "sweep",
        "tipping_point",
    ),
    *(
        f"importance.{name}"
        for name in (
            *("betweenness", "birank", "closeness", "cohits", "compare", "concentration", "coreness", "degree"),
            *("eigenvector", "fitness_complexity", "hits", "katz", "overlap", "overlap_pairs", "pagerank"),
            *("sinkrank", "stability", "strength"),
        )
    ),
}


def small_venue() -> cg.ExposureGraph:
    return cg.ExposureGraph.from_arrays(
        [[2.0, 5.0, 0.0, 1.0], [1.0, 0.0, 5.0, 2.0], [0.0, 1.0, 1.0, 0.0]],
        price={"BTC": 100.0, "ETH": 10.0, "SOL": 1.0},
        assets=["BTC", "ETH", "SOL", "call"], depth=1e5, margin_long=0.1, traders=["A", "B", "C"],
        instruments={"asset": ["call"], "underlying": ["BTC"], "kind": ["call"], "strike": [110.0], "expiry": [0.3],
                     "vol": [0.5]},
    )  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_takes_every_price_to_move_by_itself_refuses_instruments(name: str):
    with pytest.raises(cg.ParameterError, match=r"the graph has 1 instrument that is priced from another asset"):
        REFUSED[name](small_venue())


def test_every_function_of_a_graph_is_judged():
    found = {name for name, each in FUNCTIONS.items() if next(iter(inspect.signature(each).parameters), "") == "graph"}
    assert found - REFUSED.keys() == TAKEN


@pytest.mark.parametrize("seed", range(6))
def test_parts_of_a_graph_give_the_bits_of_the_whole(seed: int, tmp_path: Path):
    market = option_market(seed, grids=False, n=2_500)
    tables = market.graph.to_frames()
    cg.distributed.partition(tables, tmp_path / "parts", n_parts=3)
    graph = cg.ExposureGraph.from_tables(**tables)
    whole = market.model.run(graph, market.shock)
    parts = parts_of(tmp_path / "parts")
    assert len(parts) == 3
    results, _ = together(parts, lambda part: market.model.run(part, market.shock))
    found = pd.concat([result.accounts for result in results])
    np.testing.assert_array_equal(found.to_numpy(), whole.accounts.to_numpy())
    for result in results:
        np.testing.assert_array_equal(result.arrays.price_after, whole.arrays.price_after)
        np.testing.assert_array_equal(result.arrays.passed_on, whole.arrays.passed_on)


def test_instruments_of_graphs_in_parts_are_checked(tmp_path: Path):
    tables = small_venue().to_frames()
    tables["instruments"] = tables["instruments"].assign(kind="put", vol=np.nan, strike=200.0)
    with pytest.raises(cg.TableError, match="a price at which no vol values the option"):
        cg.distributed.partition(tables, tmp_path / "parts", n_parts=2)
    payoff = tables["instruments"].assign(kind="payoff")
    with pytest.raises(cg.TableError, match="has the kind payoff, and no record"):
        cg.distributed.partition(tables | {"instruments": payoff}, tmp_path / "parts", n_parts=2)


def test_a_loss_of_traders_by_direct_exposure_is_the_value_at_the_prices():
    graph = small_venue()
    assert cg.direct_exposure(graph).trader("B")["call"] == pytest.approx(2.0 * graph.price[3])
