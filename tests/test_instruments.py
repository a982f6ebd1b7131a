"""Options, futures and payoffs of one's own: published values, the table through every door, its faults, and greeks."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.solvers import black
from tests.shared_data import case

NAN = np.nan


def tables(**changed: Any) -> dict[str, Any]:
    """Return the tables of a small options venue: a future, a call priced by its vol, and a put by its price."""
    return {
        "positions": {
            "trader": ["A", "A", "B", "B", "C", "C"],
            "asset": ["BTC", "call", "fut", "put", "call", "ETH"],
            "quantity": [2.0, -3.0, 1.0, 4.0, 3.0, 50.0],
        },
        "assets": {
            "asset": ["BTC", "ETH", "fut", "call", "put"],
            "price": [1_000.0, 100.0, 1_010.0, None, 80.0],
            "depth": [1e6, 1e6, None, None, None],
            "margin_long": [0.1] * 5,
            "margin_short": [0.15] * 5,
        },
        "accounts": {"trader": ["A", "B", "C"], "cash": [500.0, 500.0, 500.0]},
        "instruments": {
            "asset": ["fut", "call", "put"],
            "underlying": ["BTC"] * 3,
            "kind": ["linear", "call", "put"],
            "strike": [None, 1_100.0, 900.0],
            "expiry": [None, 0.25, 0.5],
            "vol": [None, 0.6, None],
        },
        **changed,
    }


def venue(**changed: Any) -> cg.ExposureGraph:
    return cg.ExposureGraph.from_tables(**tables(**changed))


def changed(name: str, **columns: Any) -> dict[str, Any]:
    """Return the tables with other columns in one of them; None takes a column away."""
    table = tables()[name] | columns
    return {name: {column: values for column, values in table.items() if values is not None}}


# --- values -----------------------------------------------------------------------------------------------------------


def sign_of(kind: int) -> str:
    return "call" if kind == 1 else "put"


def test_values_of_haug():
    """Values with rates r and yields q are e^(-rT) times those on the forward price."""
    given = case("option_values_haug")
    inputs, tol = given["inputs"], given["tolerance"]
    for (kind, strike, spot, q, r, expiry, vol), expected in zip(
        inputs["values"], given["expected"]["values"], strict=True
    ):
        option = cg.pricing.EuropeanOption(kind=sign_of(kind), strike=strike, expiry=expiry)
        forward, discount = spot * np.exp((r - q) * expiry), np.exp(-r * expiry)
        assert discount * option.price(forward, vol) == pytest.approx(expected, abs=tol)
        assert option.implied_vol(option.price(forward, vol), forward) == pytest.approx(vol, abs=1e-8)


def test_greeks_of_haug():
    given = case("option_values_haug")
    greeks, tol = given["expected"]["greeks"], given["tolerance"]
    for name in ("delta", "gamma", "vega"):
        for (kind, strike, spot, q, r, expiry, vol), expected in zip(
            given["inputs"]["greeks"][name], greeks[name], strict=True
        ):
            option = cg.pricing.EuropeanOption(kind=sign_of(kind), strike=strike, expiry=expiry)
            growth, discount = np.exp((r - q) * expiry), np.exp(-r * expiry)
            scale = {"delta": growth, "gamma": growth**2, "vega": 1.0}[name] * discount
            assert scale * getattr(option, name)(spot * growth, vol) == pytest.approx(expected, abs=tol), name


@pytest.mark.parametrize("kind", ["call", "put"])
def test_greeks_are_derivatives(kind: str):
    rng = np.random.default_rng(3)
    for _ in range(200):
        u, strike, expiry, vol = rng.uniform(20, 200), 100.0, rng.uniform(0.01, 2.0), rng.uniform(0.05, 2.0)
        option, h = cg.pricing.EuropeanOption(kind=kind, strike=strike, expiry=expiry), 1e-5
        later = cg.pricing.EuropeanOption(kind=kind, strike=strike, expiry=expiry * (1.0 - h))
        near = {"rel": 1e-5, "abs": 1e-6}
        step = h * u
        assert (option.price(u + step, vol) - option.price(u - step, vol)) / (2 * step) == pytest.approx(
            option.delta(u, vol), **near
        )
        assert (option.delta(u + step, vol) - option.delta(u - step, vol)) / (2 * step) == pytest.approx(
            option.gamma(u, vol), **near
        )
        assert (option.price(u, vol + h) - option.price(u, vol - h)) / (2 * h) == pytest.approx(
            option.vega(u, vol), **near
        )
        assert (later.price(u, vol) - option.price(u, vol)) / (h * expiry) == pytest.approx(
            option.theta(u, vol), rel=1e-3, abs=1e-4
        )


def test_limits():
    for sign in (1, -1):
        assert (
            black.price(sign, [80.0, 100.0, 130.0], 100.0, 0.5, 0.0).tolist()
            == black.intrinsic(sign, [80.0, 100.0, 130.0], 100.0).tolist()
        )
        assert black.price(sign, 0.0, 100.0, 0.5, 0.8) == (0.0 if sign > 0 else 100.0)
        assert np.isfinite(black.price(sign, [1e-300, 1e300], 1.0, 1e-9, [50.0, 1e-9])).all()
    u = np.geomspace(1e-3, 1e5, 400)
    call, put = black.price(1, u, 100.0, 0.3, 0.9), black.price(-1, u, 100.0, 0.3, 0.9)
    assert call - put == pytest.approx(u - 100.0, rel=1e-12, abs=1e-11), "put-call parity"
    assert (np.diff(call) >= 0.0).all()
    assert (np.diff(put) <= 0.0).all()


def test_implied_vols_in_the_far_wings():
    """The vol comes back wherever the time value has digits; where it has none, the price does."""
    for sign in (1, -1):
        for strike in (1.0, 50.0, 100.0, 150.0, 3_000.0):
            for vol in (0.01, 0.2, 1.0, 5.0):
                value = black.price(sign, 100.0, strike, 0.1, vol)
                found = black.implied_vol(sign, 100.0, strike, 0.1, value)
                assert black.price(sign, 100.0, strike, 0.1, found) == pytest.approx(value, rel=1e-9, abs=1e-12)
                extra = value - black.intrinsic(sign, 100.0, strike)
                if extra > 1e-3:
                    assert found == pytest.approx(vol, rel=1e-9)
    assert np.isnan(black.implied_vol(1, 100.0, 50.0, 0.1, [49.0, 100.0, 101.0])).all()


def test_inverse_perpetuals_are_linear():
    given = case("inverse_perpetual")
    inputs, expected = given["inputs"], given["expected"]
    found = cg.pricing.inverse_perpetual(face=inputs["face"], contracts=inputs["contracts"], entry=inputs["entry"])
    assert found.units.to_numpy() == pytest.approx(expected["equivalent_units"])
    assert found.cash.to_numpy() == pytest.approx(expected["equivalent_cash"])
    mark = np.array(inputs["mark"])
    assert (found.units * mark + found.cash).to_numpy() == pytest.approx(
        expected["pnl_currency"], rel=given["tolerance"]
    )
    graph = cg.ExposureGraph.from_arrays(np.diag(found.units), price=mark, cash=found.cash.to_numpy())
    assert graph.equity.tolist() == pytest.approx(expected["pnl_currency"])
    for wrong in ({"face": 0.0}, {"entry": [0.0, 1.0]}, {"contracts": [NAN, 1.0]}):
        with pytest.raises(cg.ParameterError, match="inverse_perpetual"):
            cg.pricing.inverse_perpetual(**({"face": 1.0, "contracts": [1.0, 1.0], "entry": [1.0, 1.0]} | wrong))


def test_options_of_one_are_refused_where_they_are_none():
    for wrong in ({"kind": "cal"}, {"strike": 0.0}, {"expiry": -1.0}, {"expiry": NAN}):
        with pytest.raises(cg.ParameterError):
            cg.pricing.EuropeanOption(**({"kind": "call", "strike": 1.0, "expiry": 1.0} | wrong))


# --- the table --------------------------------------------------------------------------------------------------------


def test_prices_and_vols_are_filled():
    graph = venue()
    call, put = black.price(1, 1_000.0, 1_100.0, 0.25, 0.6), graph.instruments.set_index("asset").loc["put"]
    assert graph.price.tolist() == [1_000.0, 100.0, 1_010.0, call, 80.0]
    assert black.price(-1, 1_000.0, 900.0, 0.5, put["vol"]) == pytest.approx(80.0, rel=1e-12)
    assert graph.instruments["ratio"].fillna(0.0).tolist() == [1.0, 0.0, 0.0]


def test_a_price_beside_a_vol_leaves_a_rest_that_stays():
    assets = tables()["assets"] | {"price": [1_000.0, 100.0, 1_010.0, 150.0, 80.0]}
    graph = venue(assets=assets)
    call = [black.price(1, u, 1_100.0, 0.25, 0.6).item() for u in (1_000.0, 1_200.0)]
    moved = cg.MarginCascade().run(graph.assign(cash=1e6), {"BTC": 0.2}).assets["price_shocked"]
    assert moved["call"] == pytest.approx(150.0 + call[1] - call[0])
    assert moved["fut"] == pytest.approx(1_210.0), "the basis of a future stays"
    assert cg.MarginCascade().run(graph.assign(cash=1e6)).assets["price_shocked"].tolist() == graph.price.tolist()


DOORS: dict[str, Callable[[cg.ExposureGraph, Path], cg.ExposureGraph]] = {
    "frames": lambda graph, _: cg.ExposureGraph.from_tables(**graph.to_frames()),
    "csv": lambda graph, folder: cg.read_tables(cg.write_tables(graph, folder).paths[0].parent),
    "parquet": lambda graph, folder: cg.read_tables(cg.write_tables(graph, folder, format="parquet").paths[0].parent),
    "networkx": lambda graph, _: cg.ExposureGraph.from_networkx(graph.to_networkx(nodes="positions")),
    "pickle": lambda graph, _: pickle.loads(pickle.dumps(graph)),
    "arrays": lambda graph, _: cg.ExposureGraph.from_arrays(
        graph.quantity, price=[1_000.0, 100.0, 1_010.0, NAN, 80.0], depth=graph.depth, margin_long=0.1,
        margin_short=0.15, cash=graph.cash, assets=graph.assets, traders=["A", "B", "C"],
        instruments=tables()["instruments"],
    ),
    "arrays by label": lambda graph, _: cg.ExposureGraph.from_arrays(
        graph.quantity, price={"BTC": 1_000.0, "ETH": 100.0, "fut": 1_010.0, "put": 80.0}, depth=graph.depth,
        margin_long=0.1, margin_short=0.15, cash=graph.cash, assets=graph.assets, traders=["A", "B", "C"],
        instruments=tables()["instruments"],
    ),
    "assign": lambda graph, _: graph.assign(instruments=None).assign(instruments=graph.instruments),
    "subset": lambda graph, _: graph.subset(traders=["A", "B", "C"]),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_instruments_come_through_every_door(door: str, tmp_path: Path):
    graph = venue()
    other = DOORS[door](graph, tmp_path)
    assert other.fingerprint() == graph.fingerprint()
    pd.testing.assert_frame_equal(other.greeks(), graph.greeks())
    runs = [cg.MarginCascade().run(each, {"BTC": -0.2, "vol:BTC": 0.5}).assets for each in (graph, other)]
    pd.testing.assert_frame_equal(*runs)


def test_the_bipartite_graph_keeps_them_too():
    graph = venue()
    other = cg.ExposureGraph.from_networkx(graph.to_networkx())
    pd.testing.assert_frame_equal(other.greeks(), graph.greeks())


def test_terms_are_attributes_of_nodes(tmp_path: Path):
    graph = venue()
    nodes = pd.read_csv(cg.write_gephi_csv(graph, tmp_path).paths[0])
    call = nodes[nodes["Id"] == "asset:call"].iloc[0]
    assert (call["kind"], call["underlying"], call["strike"], call["expiry"], call["vol"]) == (
        *("call", "BTC", 1_100.0, 0.25, 0.6),
    )
    assert nodes[nodes["Id"] == "asset:BTC"]["kind"].isna().all()
    for write, name in ((cg.write_gexf, "graph.gexf"), (cg.write_graphml, "graph.graphml")):
        write(graph, tmp_path / name)
        assert "strike" in (tmp_path / name).read_text(encoding="utf-8")


def test_a_part_of_a_graph_keeps_underlyings():
    graph = venue()
    part = graph.subset(assets=["BTC", "call"])
    assert part.instruments["asset"].tolist() == ["call"]
    assert graph.subset(assets=["BTC", "ETH"])._price_map is None
    with pytest.raises(cg.ParameterError, match="'call' is priced from 'BTC'; keep 'BTC' too, or neither"):
        graph.subset(assets=["call", "ETH"])


def test_changed_prices_of_underlyings_move_instruments():
    graph = venue()
    moved = graph.assign(price={"BTC": 900.0})
    assert moved.price[2] == pytest.approx(910.0)
    assert moved.price[3] == pytest.approx(black.price(1, 900.0, 1_100.0, 0.25, 0.6).item())
    named = graph.assign(price={"BTC": 900.0, "call": 33.0})
    assert named.price[3] == 33.0
    assert graph.assign(price=graph.price).fingerprint() == graph.fingerprint()
    with pytest.raises(cg.TableError, match="'call' is worth nothing at these prices of its underlying"):
        graph.assign(price={"BTC": 1e-3})


def test_integer_labels_and_numbers_as_text():
    given = tables()["instruments"] | {"strike": ["", "1100", "900"], "vol": ["", "0.6", ""]}
    assert venue(instruments=given).price.tolist() == venue().price.tolist()


# --- faults -----------------------------------------------------------------------------------------------------------

THREE = {"underlying": ["BTC", "fut", "BTC"]}
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown kind": (changed("instruments", kind=["linear", "cal", "put"]), "unknown kind 'cal' (did you mean 'call'"),
    "share": (changed("instruments", kind=["share", "call", "put"]), "kind 'share' in 1 row (row 0: asset 'fut'). A"),
    "blank kind": (changed("instruments", kind=[None, "call", "put"]), "instruments.kind: blank in 1 row"),
    "no kind": (changed("instruments", kind=None), "instruments.kind: the column is missing"),
    "unknown asset": (
        changed("instruments", asset=["fut", "calls", "put"]), "instruments.asset: unknown label 'calls' (did you"
    ),
    "unknown underlying": (
        changed("instruments", underlying=["BTC", "BTC", "BTT"]), "instruments.underlying: unknown label 'BTT'"
    ),
    "on itself": (
        changed("instruments", underlying=["BTC", "BTC", "put"]), "cyclic underlyings: put -> put in 1 row (row 2"
    ),
    "cycle": (
        changed("instruments", underlying=["BTC", "put", "call"]), "cyclic underlyings: call -> put -> call in 1 row"
    ),
    "an option on a future": (changed("instruments", **THREE), "instruments.underlying: is an instrument itself in 1"),
    "an option on an option": (
        changed("instruments", underlying=["BTC", "put", "BTC"]), "is an instrument itself in 1 row (row 1: asset 'call"
    ),
    "twice": (changed("instruments", asset=["fut", "put", "put"]), "instruments.asset: repeated in 1 row"),
    "strike 0": (changed("instruments", strike=[None, 0.0, 900.0]), "instruments.strike: out of range in 1 row (row 1"),
    "strike below 0": (changed("instruments", strike=[None, 1.0, -9.0]), "instruments.strike: out of range"),
    "no strike": (changed("instruments", strike=[None, None, 9.0]), "instruments.strike: blank in 1 row (row 1"),
    "strike of a future": (changed("instruments", strike=[1.0, 2.0, 900.0]), "instruments.strike: given in 1 row (row"),
    "expiry 0": (changed("instruments", expiry=[None, 0.0, 0.5]), "instruments.expiry: out of range in 1 row (row 1"),
    "no expiry": (changed("instruments", expiry=[None, 0.25, None]), "instruments.expiry: blank in 1 row (row 2"),
    "expiry of a future": (changed("instruments", expiry=[1.0, 0.25, 0.5]), "instruments.expiry: given in 1 row"),
    "vol below 0": (changed("instruments", vol=[None, -0.1, 0.5]), "instruments.vol: out of range in 1 row (row 1"),
    "vol of a future": (changed("instruments", vol=[0.1, 0.6, None]), "instruments.vol: given in 1 row (row 0"),
    "neither vol nor price": (
        changed("instruments", vol=[None, None, None]), "instruments.vol: neither a vol nor a price in 1 row (row 1"
    ),
    "ratio of an option": (changed("instruments", ratio=[1.0, 2.0, None]), "instruments.ratio: given in 1 row (row 1"),
    "ratio 0": (changed("instruments", ratio=[0.0, None, None]), "instruments.ratio: out of range in 1 row (row 0"),
    "pass_through": (
        changed("instruments", pass_through=[1.0, 1.2, 1.0]), "instruments.pass_through: out of range in 1 row (row 1"
    ),
    "price below the payoff": (
        changed("instruments", strike=[None, 1_100.0, 1_900.0]),
        "assets.price: a price at which no vol values the option in 1 row (row 2: asset 'put')",
    ),
    "worth nothing": (
        changed("instruments", strike=[None, 1e30, 900.0]), "instruments: worth nothing at its terms in 1 row (row 1",
    ),
    "backing": (
        {"backing": {"asset": ["fut"], "underlying": ["ETH"], "weight": [0.5]}},
        "instruments.asset: 'fut' is in table backing too, as asset",
    ),
    "a payoff without a record": (
        changed("instruments", kind=["payoff", "call", "put"]), "payoffs: asset 'fut' has the kind payoff, and no"
    ),
    "no price and no instrument": (
        changed("assets", price=[1_000.0, None, 1_010.0, None, 80.0]),
        "assets.price: blank or NaN in 1 row (row 1: asset 'ETH')",
    ),
    "kind as a number": (changed("instruments", kind=[0.5, 1.5, 2.5]), "instruments.kind: has type double"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_instruments_are_named(name: str):
    wrong, message = FAULTS[name]
    with pytest.raises(cg.TableError) as caught:
        venue(**wrong)
    assert message in str(caught.value)
    assert len(caught.value.faults) == 1, "one mistake is one fault"


def test_faults_of_assign_are_named():
    for given, message in (
        ({"instruments": {"asset": ["ETH"], "underlying": ["BTC"], "kind": ["cal"]}}, "unknown kind 'cal'"),
        ({"instruments": {"asset": ["X"], "underlying": ["BTC"], "kind": ["linear"]}}, "unknown label 'X'"),
        ({"backing": {"asset": ["fut"], "underlying": ["ETH"], "weight": [0.5]}}, "is in table backing too"),
        ({"payoffs": {"ETH": None}}, "'ETH' is no instrument of the kind payoff"),
        ({"sellable": {"put": False}}, "assets.sellable: false, of an instrument in 1 row"),
    ):
        with pytest.raises(cg.TableError, match=message):
            venue().assign(**given)


# --- payoffs of one's own ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CashOrNothing:
    """Pays 1 where u ends above a strike, smoothed over a width."""

    strike: float
    width: float

    def price(self, u: Any, vol: Any) -> Any:
        """Return the value."""
        return 1.0 / (1.0 + np.exp(-(u - self.strike) / self.width))

    def delta(self, u: Any, vol: Any) -> Any:
        """Return the slope."""
        p = self.price(u, vol)
        return p * (1.0 - p) / self.width

    def delta_bound(self, low: float, high: float) -> float:
        """Return the steepest slope."""
        return 0.25 / self.width


def with_payoff(**given: Any) -> cg.ExposureGraph:
    payoffs = {"digital": CashOrNothing(strike=100.0, width=10.0)}
    return cg.ExposureGraph.from_arrays(
        [[1.0, 100.0], [0.0, -100.0]], price={"BTC": 100.0}, assets=["BTC", "digital"], depth=1e5, margin_long=0.1,
        margin_short=0.1, cash=[-100.0, 200.0], payoffs=payoffs,
        instruments={"asset": ["digital"], "underlying": ["BTC"], "kind": ["payoff"]}, **given,
    )  # fmt: skip


def test_a_payoff_of_ones_own_is_priced():
    graph = with_payoff()
    assert graph.price.tolist() == [100.0, 0.5]
    greeks = graph.greeks()
    assert greeks["delta"].tolist() == pytest.approx([3.5, -2.5])
    assert greeks["vega"].tolist() == [0.0, 0.0]
    assert greeks["theta"].isna().all(), "not known of it"
    other = pickle.loads(pickle.dumps(graph))
    shock = {"BTC": 0.2}
    one, two = (cg.MarginCascade().run(each, shock).assets for each in (graph, other))
    pd.testing.assert_frame_equal(one, two)
    assert one.loc["digital", "price_shocked"] == pytest.approx(1.0 / (1.0 + np.exp(-2.0)))
    assert cg.ExposureGraph.from_tables(**graph.to_frames(), payoffs=graph.payoffs).fingerprint() == graph.fingerprint()
    assert graph.assign(payoffs=graph.payoffs).fingerprint() == graph.fingerprint()


@pytest.mark.parametrize("bound", [0.025, np.inf])
def test_payoffs_without_a_bound_are_revalued_in_every_round(bound: float):
    """On a grid, where nothing bounds the slope, incremental is full revaluation of who holds it."""

    @dataclass(frozen=True)
    class Bounded(CashOrNothing):
        def delta_bound(self, low: float, high: float) -> float:
            """Return the bound, or that nothing is known of it."""
            return bound if high == np.inf else super().delta_bound(low, high)

    rng, n = np.random.default_rng(1), 200
    held = np.column_stack([rng.normal(size=n), 100.0 * rng.normal(size=n)])
    given = {
        "price": {"BTC": 100.0}, "assets": ["BTC", "digital"], "depth": [5e3, np.inf],
        "payoffs": {"digital": Bounded(strike=100.0, width=10.0)},
        "instruments": {"asset": ["digital"], "underlying": ["BTC"], "kind": ["payoff"]},
        "margin_scenarios": {"grid": ["pm"] * 3, "move": [-0.2, 0.0, 0.2]},
        "account_margin": ["pm", ""] * (n // 2), "margin_long": 0.1, "margin_short": 0.1,
    }  # fmt: skip
    graph = cg.ExposureGraph.from_arrays(held, **given)
    room = rng.uniform(1.0, 3.0, n) * graph.maintenance.to_numpy() - graph.equity.to_numpy()
    graph = graph.assign(cash=room + 0.1)
    runs = [
        cg.MarginCascade(cg.TargetMargin()).run(graph, {"BTC": -0.1}, revaluation=each)
        for each in ("incremental", "full")
    ]
    pd.testing.assert_frame_equal(runs[0].accounts, runs[1].accounts, check_exact=True)
    assert len(runs[0].rounds) > 1


def test_a_record_that_is_none_is_named():
    with pytest.raises(cg.TableError, match="the record of 'digital' has no delta, delta_bound"):
        with_payoff().assign(payoffs={"digital": type("P", (), {"price": lambda self, u, vol: u})()})


def test_european_options_are_payoffs_too():
    option = cg.pricing.EuropeanOption(kind="call", strike=110.0, expiry=0.25)
    given = {"quantity": [[1.0, 2.0]], "price": {"X": 100.0}, "assets": ["X", "call"]}
    terms = {"asset": ["call"], "underlying": ["X"], "vol": [0.7]}
    one = cg.ExposureGraph.from_arrays(**given, instruments=terms | {"kind": ["payoff"]}, payoffs={"call": option})
    other = cg.ExposureGraph.from_arrays(
        **given, instruments=terms | {"kind": ["call"], "strike": [110.0], "expiry": [0.25]}
    )
    assert one.price.tolist() == other.price.tolist()
    greeks = [graph.greeks()[["delta", "gamma", "vega"]] for graph in (one, other)]
    pd.testing.assert_frame_equal(*greeks, rtol=1e-6)


# --- greeks of books --------------------------------------------------------------------------------------------------


def test_greeks_of_books_are_derivatives_of_equity():
    graph, h = venue(), 1e-4
    up, down = (graph.assign(price={"BTC": 1_000.0 * (1.0 + each)}).equity for each in (h, -h))
    greeks = graph.greeks().xs("BTC", level="underlying")
    assert ((up - down) / (2_000.0 * h)).to_numpy() == pytest.approx(greeks["delta"].to_numpy(), rel=1e-6)
    middle = graph.equity
    gamma = (up - 2.0 * middle + down) / (1_000.0 * h) ** 2
    assert gamma.to_numpy() == pytest.approx(greeks["gamma"].to_numpy(), abs=1e-6)
    runs = [
        cg.MarginCascade().run(graph.assign(cash=1e6), {"vol:BTC": each}).accounts["direct"].to_numpy()
        for each in (h, -h)
    ]
    vols = graph.instruments.set_index("asset")["vol"]
    vega = [-3.0, 4.0, 3.0] * black.vega(
        1_000.0, [1_100.0, 900.0, 1_100.0], [0.25, 0.5, 0.25], vols[["call", "put", "call"]]
    )
    assert greeks["vega"].to_numpy() == pytest.approx(vega)
    assert (runs[1] - runs[0]) / (2 * h) == pytest.approx(vega * vols[["call", "put", "call"]].to_numpy(), rel=1e-5)


def test_greeks_of_plain_books():
    graph = cg.ExposureGraph.from_arrays([[2.0, -1.0], [0.0, 3.0]], price=[10.0, 5.0], assets=["X", "Y"])
    greeks = graph.greeks()
    assert greeks.index.get_level_values("underlying").tolist() == ["X", "Y", "Y"]
    assert greeks["delta"].tolist() == [2.0, -1.0, 3.0]
    assert (greeks[["gamma", "vega", "theta"]] == 0.0).all(axis=None)


def test_put_call_parity_of_whole_books():
    """A call less a put of one strike and expiry is the underlying less K of cash: greeks, margins and cascades."""
    terms = {"underlying": ["X"] * 2, "strike": [90.0] * 2, "expiry": [0.3] * 2, "vol": [0.8] * 2}
    given = {
        "price": {"X": 100.0}, "assets": ["X", "call", "put"], "depth": [1e4, np.inf, np.inf],
        "instruments": {"asset": ["call", "put"], "kind": ["call", "put"], **terms},
        "margin_scenarios": {"grid": ["pm"] * 6, "move": np.repeat([-0.2, 0.0, 0.2], 2), "vol_factor": [0.7, 1.4] * 3},
        "account_margin": ["pm", "pm"],
    }  # fmt: skip
    options = cg.ExposureGraph.from_arrays([[0.0, 10.0, -10.0], [5.0, 0.0, 0.0]], cash=[120.0, -430.0], **given)
    future = cg.ExposureGraph.from_arrays([[10.0, 0.0, 0.0], [5.0, 0.0, 0.0]], cash=[120.0 - 900.0, -430.0], **given)
    assert options.maintenance.tolist() == pytest.approx(future.maintenance.tolist())
    for graph in (options, future):
        assert graph.greeks().iloc[0].tolist() == pytest.approx([10.0, 0.0, 0.0, 0.0], abs=1e-9)
    runs = [
        cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(graph, {"X": -0.1, "vol:X": 0.3})
        for graph in (options, future)
    ]
    assert runs[0].accounts["closed"].tolist() == runs[1].accounts["closed"].tolist() == [1.0, 1.0]
    for name in ("price_shocked", "price_after"):
        assert runs[0].assets[name].to_numpy() == pytest.approx(runs[1].assets[name].to_numpy())
    columns = ["loss", "direct", "impact", "shortfall"]
    assert runs[0].accounts[columns].to_numpy() == pytest.approx(runs[1].accounts[columns].to_numpy(), abs=1e-9)
    assert runs[0].assets.loc["X", "units_passed_on"] == pytest.approx(10.0)


# --- portfolio margin -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contingency", [0.0, 0.01])
def test_a_small_grid(contingency: float):
    given = case("pm_grid_small")
    inputs, expected = given["inputs"], given["expected"]
    terms, move = inputs["instruments"], np.array(inputs["grid"])
    names, kinds = ["X", "c100", "p100", "c120"], {1: "call", -1: "put"}
    table = {
        "asset": names[1:],
        "underlying": ["X"] * 3,
        "kind": [kinds[each] for each in terms["kind"][1:]],
        "strike": terms["strike"][1:],
        "expiry": terms["years"][1:],
        "vol": terms["vol"][1:],
    }
    scenarios = {
        "grid": ["pm"] * len(move), "move": move[:, 0], "vol_factor": move[:, 1], "weight": move[:, 2],
        "contingency": [contingency] * len(move),
    }  # fmt: skip
    n = len(inputs["portfolios"])
    graph = cg.ExposureGraph.from_arrays(
        inputs["portfolios"], price={"X": inputs["u"]}, assets=names, instruments=table,
        margin_scenarios=scenarios, account_margin=["pm"] * n,
    )  # fmt: skip
    name = "with_contingency" if contingency else "maintenance"
    assert graph.maintenance.to_numpy() == pytest.approx(expected[name], abs=given["tolerance"])
    own = cg.ScenarioMargin(move=move[:, 0], vol_factor=move[:, 1], contingency=contingency).maintenance(graph)
    assert own.to_numpy() == pytest.approx(expected[name], abs=given["tolerance"])
    table = graph.margin_table()
    assert table["part"].unique().tolist() == ["X"]
    assert table["cost"].groupby(level="trader", sort=False).sum().to_numpy() == pytest.approx(expected[name], abs=1e-9)


def test_options_are_in_the_risk_group_of_their_underlying():
    scenarios = {"grid": ["pm"] * 3, "move": [-0.2, 0.0, 0.2]}
    given = changed("accounts", margin=["pm"] * 3) | {"margin_scenarios": scenarios}
    graph = venue(**given)
    assert set(graph.margin_table()["part"]) == {"BTC", "ETH"}
    grouped = graph.assign(asset_group={"BTC": "coins", "ETH": "coins"})
    assert set(grouped.margin_table()["part"]) == {"coins"}
    only = venue(**changed("accounts", margin=["pm"] * 3), margin_scenarios=scenarios | {"underlying": ["BTC"] * 3},
                 positions={name: values[:5] for name, values in tables()["positions"].items()})  # fmt: skip
    assert only.maintenance.tolist() == graph.subset(assets=["BTC", "fut", "call", "put"]).maintenance.tolist(), (
        "the scenarios of the underlying are those of its options"
    )
