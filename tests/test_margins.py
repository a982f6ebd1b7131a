"""Margin tiers and scenario grids: published figures, definitions, and what holds of each for every book."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.state import nothing_closed
from tests.reference.margins import black, grid_margin, tier_margin
from tests.shared_data import case

TIERS = [(0.0, 0.02), (1_000.0, 0.05), (5_000.0, 0.05), (20_000.0, 0.5)]
MOVES = [-0.3, -0.1, 0.0, 0.1, 0.3]


def book(quantity: Any, **given: Any) -> cg.ExposureGraph:
    """Return a graph with one account a row."""
    quantity = np.atleast_2d(np.asarray(quantity, dtype=np.float64))
    return cg.ExposureGraph.from_arrays(quantity, **({"price": np.ones(quantity.shape[1])} | given))


# --- published figures ------------------------------------------------------------------------------------------------


def test_brackets_of_binance():
    given = case("tiers_binance_a")
    inputs, expected, tol = given["inputs"], given["expected"], given["tolerance"]
    margin = cg.TieredMargin({"ADA": inputs["ada"], "ZEC": inputs["zec"]})
    notional = np.array(inputs["notional"])
    for name in ("ada", "zec"):
        assert margin.amounts[name.upper()] == pytest.approx(expected[f"{name}_amount"], abs=tol)
        found = margin.of_notional(name.upper(), notional)
        assert found == pytest.approx(expected[f"{name}_maintenance"], abs=tol)
    graph = book(np.column_stack([notional / 2.0, -notional]), price=[2.0, 1.0], assets=["ADA", "ZEC"])
    both = np.add(expected["ada_maintenance"], expected["zec_maintenance"])
    assert margin.maintenance(graph).to_numpy() == pytest.approx(both, abs=tol)


def test_margin_tiers_of_hyperliquid():
    given = case("hyperliquid_margin_tiers")
    inputs, expected = given["inputs"], given["expected"]
    tiers = [(lower, 0.5 / leverage) for lower, leverage in inputs["btc_tiers"]]
    margin, notional = cg.TieredMargin({"BTC": tiers}), inputs["notional"]
    assert margin.of_notional("BTC", notional) == pytest.approx(expected["maintenance_margin"])
    assert margin.amounts["BTC"][1] == pytest.approx(expected["deduction"])
    graph = book([[notional / 1e5]], price=[1e5], assets=["BTC"], margin_tiers=table_of({"BTC": tiers}))
    row = graph.margin_table().iloc[0]
    assert (row["piece"], row["rate"], row["cost"]) == (1, expected["rate"], pytest.approx(3_125_000.0))
    liq = inputs["liq"]
    rate = 0.5 / liq["max_leverage"]
    fall = (liq["account_value"] - rate * liq["price"] * liq["size"]) / (liq["size"] * (1.0 - rate))
    assert liq["price"] - fall == pytest.approx(expected["liq_price"])
    at = book([[liq["size"]]], price=[expected["liq_price"]], cash=[liq["account_value"] - liq["price"] * liq["size"]],
              assets=["BTC"], margin_tiers=table_of({"BTC": [(0.0, rate)]}))  # fmt: skip
    assert at.slack.iloc[0] == pytest.approx(0.0, abs=1e-9)


def test_maintenance_of_dydx_is_a_flat_rate():
    """The published pairs: maintenance is initial x fraction, whatever the open interest."""
    given = case("dydx_open_interest_margin")
    for (initial, share), expected in zip(
        given["inputs"]["maintenance"], given["expected"]["maintenance_ppm"], strict=True
    ):
        assert initial * share / 1e6 == pytest.approx(expected, abs=given["tolerance"])
        rate, notional = expected / 1e6, 1e6
        for open_interest in (notional, 1e12):  # what others hold does not change the margin of an account
            graph = book([[-notional], [open_interest]], margin_short=rate, margin_long=rate)
            assert graph.maintenance.iloc[0] == pytest.approx(initial * share / 1e12 * notional, rel=1e-5)


def test_risk_arrays_of_span():
    given = case("span_arrays_mcmillan")
    inputs, expected = given["inputs"], given["expected"]["scan_risk"]
    graph = book(list(inputs["portfolios"].values()), assets=["future", "call"], asset_group=["S&P", "S&P"])
    margin = cg.ScenarioMargin(arrays={name: inputs[name] for name in ("future", "call")})
    assert margin.maintenance(graph).tolist() == list(expected.values())


def test_a_grid_of_prices_and_volatilities():
    """Futures and options of one underlying under 27 scenarios; the contingency is a group a strike."""
    given = case("pm_grid_small")
    inputs, expected, u = given["inputs"], given["expected"], given["inputs"]["u"]
    columns = list(zip(*(inputs["instruments"][name] for name in ("kind", "strike", "years", "vol")), strict=True))

    def value(column: Any, price: float, vol_factor: float) -> float:
        kind, strike, years, vol = column
        return price if kind == 0 else black(kind, strike, years, price, vol * vol_factor)

    gains = [
        [weight * (value(each, u * (1.0 + move), vol) - value(each, u, 1.0)) for move, vol, weight in inputs["grid"]]
        for each in columns
    ]
    assets = [f"{k}" for k in range(len(columns))]
    book_of = {"price": [value(each, u, 1.0) for each in columns], "assets": assets}
    grid = cg.ScenarioMargin(arrays=dict(zip(assets, gains, strict=True)))
    margin = grid.maintenance(book(inputs["portfolios"], asset_group=["all"] * 4, **book_of)).to_numpy()
    assert margin == pytest.approx(expected["maintenance"], abs=given["tolerance"])
    short = {asset: [0.0 if each[0] == 0 else 0.01 * u, 0.0] for asset, each in zip(assets, columns, strict=True)}
    strikes = book(inputs["portfolios"], asset_group=[str(each[1]) for each in columns], **book_of)
    both = margin + cg.ScenarioMargin(arrays=short).maintenance(strikes).to_numpy()
    assert both == pytest.approx(expected["with_contingency"], abs=given["tolerance"])


class OptionColumns:
    """Columns priced from the first one: futures, calls and puts; what a graph with options tells its grids."""

    def __init__(self, columns: Sequence[Any]) -> None:
        self.columns, m = columns, len(columns)
        self.underlying = np.zeros(m, dtype=np.int64)
        strikes = [each[1] for each in columns]
        self.netting = np.array([-1 if each is None else strikes.index(each) for each in strikes])

    def value(self, column: Any, price: float, vol_factor: float) -> float:  # noqa: D102
        kind, strike, years, vol = column
        return price if kind == 0 else black(kind, strike, years, price, vol * vol_factor)

    def gains(self, price: np.ndarray, move: np.ndarray, vol_factor: np.ndarray) -> np.ndarray:
        """Return the gains of one unit, shape (m, S)."""
        return np.array(
            [
                [
                    self.value(each, price[0] * (1.0 + m), v) - self.value(each, price[0], 1.0)
                    for m, v in zip(*row, strict=True)
                ]
                for each, *row in zip(self.columns, move, vol_factor, strict=True)
            ]
        )


def test_options_in_a_graph_with_a_grid():
    """The same books, as a graph whose columns are options: margins, contingency by strike, and their slopes."""
    given = case("pm_grid_small")
    inputs, expected = given["inputs"], given["expected"]
    columns = OptionColumns(
        list(zip(*(inputs["instruments"][name] for name in ("kind", "strike", "years", "vol")), strict=True))
    )
    price = [columns.value(each, inputs["u"], 1.0) for each in columns.columns]
    move, vol_factor, weight = np.array(inputs["grid"]).T
    for contingency, margins in ((0.0, "maintenance"), (0.01, "with_contingency")):
        graph = book(
            inputs["portfolios"], price=price, account_margin=["pm"] * 9, margin_scenarios={
                "grid": ["pm"] * 27, "move": move, "vol_factor": vol_factor, "weight": weight,
                "contingency": [contingency] * 27,
            },
        )  # fmt: skip
        vars(graph)["_columns"] = columns
        assert graph.maintenance.to_numpy() == pytest.approx(expected[margins], abs=given["tolerance"])
        table = graph.margin_table()
        assert table["contingency"].to_numpy() == pytest.approx(
            np.array(expected[margins]) - np.array(expected["maintenance"]), abs=given["tolerance"]
        )
        assert table["part"].unique().tolist() == ["0"], "one underlying is one risk group"
        grid = graph._margins.grids[0]
        left = nothing_closed(9, graph.price.size)._replace(sellable=np.ones(graph.price.size), next=np.zeros(9))
        found = grid.costs(graph.price, left, np.arange(9), np.array([0, 9]))
        assert found.relief == pytest.approx(found.margin), (
            "the margin of a share of a book is that share of its margin"
        )


def derive_blocks(given: dict[str, Any], common: dict[str, Any]) -> tuple[list[float], list[Any], list[Any]]:
    """Return units, gains of one unit by scenario, and gains of the static margin with its groups.

    A scenario of the margin is one of prices and volatilities with a choice, for each expiry, of whether its value is
    discounted; or, for the basis, of a shift of the forward: the worst choice is what the rules say.
    """
    expiries = sorted({option[2] for option in given["options"]})
    spot, prices = given["spot"], common["price_factors"]

    def years(expiry: str) -> float:
        return common["days"][expiry] / common["year_days"]

    def value(option: Any, factor: float, vols: str) -> float:
        kind, strike, expiry, _ = option
        days = max(common["days"][expiry], 1.0)
        m = (30.0 / days) ** (0.3 if days <= 30.0 else 0.13)
        shift = {"up": 1.0 + 0.45 * m, "same": 1.0, "down": 1.0 - 0.3 * m}[vols]
        vol = given["vol"][f"{expiry}:{strike}"] * shift
        return black(kind, strike, years(expiry), given["forward"][expiry] * factor, vol)

    columns: list[list[float]] = []
    for option in given["options"]:
        place, now, t = expiries.index(option[2]), value(option, 1.0, "same"), years(option[2])
        discount = 0.95 * np.exp(-t * (4.0 * common["rate"] + 0.12))
        row = [
            (discount if choice[place] else 1.0) * value(option, factor, vols) - now
            for factor, vols in product(prices, ("up", "same", "down"))
            for choice in product((0, 1), repeat=len(expiries))
        ]
        shifts = (0.0, value(option, 1.05, "same") - now, value(option, 0.95, "same") - now)
        row += [shifts[choice[place]] * (0.25 + 0.01 * t) for choice in product((0, 1, 2), repeat=len(expiries))]
        columns.append(row)
    tails, repeated = 3 ** len(expiries), 3 * 2 ** len(expiries)
    columns += [
        [price * (factor - 1.0) for factor in prices for _ in range(repeated)] + [0.0] * tails
        for price in (given["perp_price"], spot / given["stable"])
    ]
    static = [[0.01 * spot, 0.0] for _ in given["options"]] + [[0.025 * spot, -0.025 * spot]] * 2
    groups = [f"{option[2]}:{option[1]}" for option in given["options"]] + ["perpetual", "base"]
    units = [option[3] for option in given["options"]] + [sum(each[0] for each in given["perps"]), given["base"]]
    return units, [columns, static], groups


def test_portfolio_margin_of_derive():
    """Slack = value + worst scenario - static margin, in 22 published cases: two grids of given arrays."""
    given = case("pm_derive_v1_a")
    for name, portfolio in given["inputs"]["portfolios"].items():
        units, (gains, static), groups = derive_blocks(portfolio, given["inputs"]["common"])
        assets = [f"{k}" for k in range(len(units))]
        margins = 0.0
        for block, own in ((gains, ["all"] * len(units)), (static, groups)):
            graph = book([units], assets=assets, asset_group=own)
            arrays = dict(zip(assets, block, strict=True))
            margins += cg.ScenarioMargin(arrays=arrays).maintenance(graph).iloc[0]
        equity = value_of(portfolio, given["inputs"]["common"])
        assert equity - margins == pytest.approx(given["expected"][name]["mm"], abs=1e-6), name


def value_of(portfolio: dict[str, Any], common: dict[str, Any]) -> float:
    """Return what a portfolio is worth now."""
    value = portfolio["cash"] + portfolio["base"] * portfolio["spot"] / portfolio["stable"]
    for kind, strike, expiry, units in portfolio["options"]:
        years, forward = common["days"][expiry] / common["year_days"], portfolio["forward"][expiry]
        value += units * black(kind, strike, years, forward, portfolio["vol"][f"{expiry}:{strike}"])
    return value + sum(units * (portfolio["perp_price"] - entry) for units, entry in portfolio["perps"])


def gains_of_derive_2(portfolio: dict[str, Any]) -> list[tuple[list[float], list[float]]]:
    """Return in each scenario of prices and volatilities what a unit of each column gains: discounted, and not.

    A value above 0 is discounted, one below 0 is not: the lower of the two counts.
    """
    shocks, margin = portfolio["parameters"]["VolShock"], portfolio["parameters"]["Margin"]
    seconds, forward, rate, _ = portfolio["feeds"][0] if portfolio["feeds"] else (1.0, 0.0, 0.0, 1.0)
    years, days = seconds / (365 * 86_400), max(seconds / 86_400, shocks["DTE_FLOOR"])
    m = (30.0 / days) ** (shocks["SHORTTERMPOWER"] if days <= 30.0 else shocks["LONGTERMPOWER"])
    long = (1.0 + margin["LONG_RATE_MULTSCALE"]) * rate + margin["LONG_RATE_ADDSCALE"]
    discount = margin["BASE_STATIC_DISCOUNT"] * np.exp(-years * long)
    found = []
    for factor, kind, weight in portfolio["scenarios"]:
        if kind not in ("Up", "None", "Down"):
            continue
        perpetual = weight * portfolio["perp_price"] * (factor - 1.0)
        pair: tuple[list[float], list[float]] = ([perpetual], [perpetual])
        for call, strike, _, _, vol in portfolio["options"]:
            raised = max(vol * (1.0 + shocks["VOLRANGEUP"] * m), shocks["MIN_VOL_EVAL_SHOCKED"])
            shocked = {"Up": raised, "None": vol, "Down": vol * (1.0 - shocks["VOLRANGEDOWN"] * m)}[kind]
            now = black(call, strike, years, forward, vol) * np.exp(-rate * years)
            for choice, share in zip(pair, (discount, 1.0), strict=True):
                choice.append(weight * (share * black(call, strike, years, forward * factor, shocked) - now))
        found.append(pair)
    return found


def test_portfolio_margin_of_derive_with_weights():
    """The later rules: 29 scenarios weighted by distance, each published gain or loss, and the margin, of 8 books."""
    given = case("pm_derive_v2_a")
    for name, portfolio in given["inputs"].items():
        expected, units = given["expected"][name], [portfolio["perp"], *(each[3] for each in portfolio["options"])]
        assets = [f"{k}" for k in range(len(units))]
        graph = book([units], assets=assets, asset_group=["all"] * len(units))
        gains = gains_of_derive_2(portfolio)
        pairs = [dict(zip(assets, zip(*pair, strict=True), strict=True)) for pair in gains]
        losses = [cg.ScenarioMargin(arrays=pair).maintenance(graph).iloc[0] for pair in pairs]
        pnl = np.array(expected["pnl"])
        assert losses == pytest.approx(np.maximum(-pnl[: len(losses)], 0.0), abs=1e-6), name
        # skews and the basis are amounts of a whole book there
        amounts = [*pnl[len(losses) :], expected["forward_contingency"]]
        held = next(k for k, each in enumerate(units) if each)
        block = {
            asset: [0.8 * each for pair in gains for each in (pair[0][k], pair[1][k])]
            + [0.8 * amount / units[k] if k == held else 0.0 for amount in amounts]
            for k, asset in enumerate(assets)
        }
        margin = cg.ScenarioMargin(arrays=block).maintenance(graph).iloc[0]
        other = portfolio["parameters"]["OtherContingency"]
        net = strikes_short(portfolio["options"])
        margin += portfolio["spot"] * (other["MM_PERP_PERCENT"] * abs(units[0]) + other["MM_OPTION_PERCENT"] * net)
        assert expected["mtm"] + portfolio["cash"] - margin == pytest.approx(expected["mm"], abs=1e-6), name


def strikes_short(options: Any) -> float:
    """Return the net short options over all strikes."""
    net: dict[float, float] = {}
    for _, strike, _, units, _ in options:
        net[strike] = net.get(strike, 0.0) + units
    return -sum(min(each, 0.0) for each in net.values())


# --- definitions ------------------------------------------------------------------------------------------------------


def table_of(tiers: dict[str, list[tuple[float, float]]]) -> dict[str, list[Any]]:
    rows = [(asset, *pair) for asset, pairs in tiers.items() for pair in pairs]
    return dict(zip(("asset", "lower", "rate"), map(list, zip(*rows, strict=True)), strict=True))


def market(rng: np.random.Generator, n: int = 40, m: int = 6) -> tuple[cg.ExposureGraph, dict[str, Any]]:
    """Return a graph with accounts on rates, tiers and two grids, and what the oracle needs to know of it."""
    assets = [f"A{j}" for j in range(m)]
    quantity = rng.normal(scale=100.0, size=(n, m)) * (rng.random((n, m)) < 0.6)
    price = rng.uniform(1.0, 50.0, m)
    flat = rng.uniform(0.0, 0.3, m)
    tiers = dict.fromkeys(assets[::2], TIERS)
    groups = rng.choice(["x", "y", ""], m).tolist()
    on = rng.choice(["", "wide", "narrow"], n).tolist()
    grids = {"wide": (np.array(MOVES), rng.uniform(0.1, 1.0, 5)), "narrow": (np.array([0.0, -0.05, 0.07]), np.ones(3))}
    scenarios = {
        "grid": [name for name, (moves, _) in grids.items() for _ in moves],
        "move": np.concatenate([moves for moves, _ in grids.values()]),
        "weight": np.concatenate([weights for _, weights in grids.values()]),
    }
    graph = cg.ExposureGraph.from_arrays(
        quantity, price=price, margin_long=flat, margin_short=flat, assets=assets, margin_tiers=table_of(tiers),
        margin_scenarios=scenarios, account_margin=on, asset_group=groups, cash=1e5,
    )  # fmt: skip
    return graph, {
        "quantity": quantity,
        "price": price,
        "flat": flat,
        "tiers": tiers,
        "groups": groups,
        "on": on,
        "grids": grids,
    }


def by_definition(known: dict[str, Any], assets: Any) -> np.ndarray:
    margins = []
    for units, on in zip(known["quantity"], known["on"], strict=True):
        notional = np.abs(units) * known["price"]
        if on == "":
            margins.append(
                sum(
                    tier_margin(notional[j], known["tiers"][asset])
                    if asset in known["tiers"]
                    else known["flat"][j] * notional[j]
                    for j, asset in enumerate(assets)
                )
            )
        else:
            moves, weights = known["grids"][on]
            gains = known["price"][:, None] * moves * weights
            names = [group or asset for group, asset in zip(known["groups"], assets, strict=True)]
            margins.append(grid_margin(units, gains, names))
    return np.array(margins)


@pytest.mark.parametrize("seed", range(30))
def test_maintenance_is_that_of_the_definition(seed: int):
    graph, known = market(np.random.default_rng(seed))
    expected = by_definition(known, graph.assets)
    assert graph.maintenance.to_numpy() == pytest.approx(expected, rel=1e-12, abs=1e-9)
    table = graph.margin_table()
    sums = (
        table.groupby(level=["trader", "pool", "subaccount"])["cost"].sum().reindex(graph.account_index, fill_value=0.0)
    )
    assert sums.to_numpy() == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert graph.slack.to_numpy() == pytest.approx(graph.equity.to_numpy() - expected)


def test_each_piece_of_the_table_is_the_one_that_binds():
    graph, known = market(np.random.default_rng(7))
    table = graph.margin_table().reset_index()
    for _, row in table[table["margin"] == "tiers"].iterrows():
        units = known["quantity"][int(row["trader"]), int(row["part"][1:])]
        notional = abs(units) * known["price"][int(row["part"][1:])]
        assert TIERS[row["piece"]][0] <= notional
        assert row["rate"] == TIERS[row["piece"]][1]
    wide = table[(table["margin"] == "wide") & (table["piece"] >= 0)]
    assert len(wide) > 5
    assert wide["move"].tolist() == [MOVES[piece] for piece in wide["piece"]]
    assert (table.loc[table["piece"] < 0, "cost"] == 0.0).all()


@pytest.mark.parametrize("name", ["rates", "tiers", "grid", "arrays"])
def test_records_say_what_binds_too(name: str):
    graph = book(books(np.random.default_rng(5), 50), asset_group=["x", "x", "y", ""])
    table = RECORDS[name].margin_table(graph)
    sums = (
        table.groupby(level=["trader", "pool", "subaccount"])["cost"].sum().reindex(graph.account_index, fill_value=0.0)
    )
    assert sums.to_numpy() == pytest.approx(RECORDS[name].maintenance(graph).to_numpy(), rel=1e-12)


def test_the_bits_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(3)
    quantity = rng.normal(size=(40_000, 4)) * (rng.random((40_000, 4)) < 0.7)
    graph = book(quantity, price=[3.0, 5.0, 7.0, 11.0], asset_group=["a", "b", "a", "c"])
    grid, tiers = cg.ScenarioMargin(move=MOVES), cg.TieredMargin({"0": TIERS, "2": TIERS})
    before, found = cg.get_threads(), []
    for count in (1, 3):
        cg.set_threads(count)
        found.append((grid.maintenance(graph).to_numpy().tobytes(), tiers.maintenance(graph).to_numpy().tobytes()))
    cg.set_threads(before)
    assert found[0] == found[1]


# --- what holds of every book -----------------------------------------------------------------------------------------


RECORDS = {
    "rates": cg.TieredMargin({f"{j}": [(0.0, 0.1 + 0.1 * j)] for j in range(4)}),
    "tiers": cg.TieredMargin({f"{j}": TIERS for j in range(4)}),
    "grid": cg.ScenarioMargin(move=MOVES, weight=[0.3, 1.0, 1.0, 1.0, 0.3]),
    "arrays": cg.ScenarioMargin(arrays={f"{j}": np.sin(np.arange(7.0) * (j + 1)) for j in range(4)}),
}


def books(rng: np.random.Generator, n: int = 1_500) -> np.ndarray:
    return rng.normal(scale=10.0 ** rng.uniform(0.0, 4.0, (n, 1)), size=(n, 4)) * (rng.random((n, 4)) < 0.7)


def margin_of(name: str, quantity: np.ndarray, **given: Any) -> np.ndarray:
    return RECORDS[name].maintenance(book(quantity, asset_group=["x", "x", "y", ""], **given)).to_numpy()


@pytest.mark.parametrize("name", RECORDS)
def test_margins_are_convex_and_subadditive(name: str):
    """Half of two books together needs at most half of their margins; without amounts, the sum at most the sum."""
    rng = np.random.default_rng(11)
    one, other = books(rng), books(rng)
    apart = margin_of(name, one) + margin_of(name, other)
    assert (margin_of(name, (one + other) / 2.0) <= apart / 2.0 * (1.0 + 1e-12) + 1e-9).all()
    if name != "tiers":
        assert (margin_of(name, one + other) <= apart * (1.0 + 1e-12) + 1e-9).all()


@pytest.mark.parametrize("name", ["rates", "grid", "arrays"])
@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_rates_and_grids_are_homogeneous(name: str, scale: float):
    quantity = books(np.random.default_rng(12))
    assert margin_of(name, scale * quantity) == pytest.approx(scale * margin_of(name, quantity), rel=1e-12)


@pytest.mark.parametrize("unit", [1e-3, 1_200.0])
def test_margins_scale_with_the_currency(unit: float):
    graph, _ = market(np.random.default_rng(13))
    tiers = graph.margin_tiers.assign(lower=graph.margin_tiers["lower"] * unit)
    scaled = graph.assign(price=graph.price * unit, margin_tiers=tiers)
    assert scaled.maintenance.to_numpy() == pytest.approx(unit * graph.maintenance.to_numpy(), rel=1e-12)


def test_margins_do_not_depend_on_the_order_of_anything():
    graph, _ = market(np.random.default_rng(14))
    rng = np.random.default_rng(0)
    frames = {name: frame.sample(frac=1.0, random_state=rng) for name, frame in graph.to_frames().items()}
    frames["margin_scenarios"] = graph.to_frames()["margin_scenarios"]  # its order numbers the scenarios
    other = cg.ExposureGraph.from_tables(**frames)
    found = other.maintenance.reindex(graph.account_index)
    assert found.to_numpy() == pytest.approx(graph.maintenance.to_numpy(), rel=1e-12)


@pytest.mark.parametrize("name", ["rates", "tiers", "grid"])
def test_slack_of_one_sided_books_never_rises_where_prices_move_against_them(name: str):
    """4,500 random pairs of prices: E - M of longs falls with the prices, of shorts with rising ones."""
    rng = np.random.default_rng(15)
    for side in (1.0, -1.0):
        for _ in range(9):
            quantity = side * np.abs(books(rng, 250))
            low = rng.uniform(0.1, 2.0, 4)
            high = low * (1.0 + rng.uniform(0.0, 1.0, 4))
            slack = [quantity @ price - margin_of(name, quantity, price=price) for price in (low, high)]
            worse, better = slack if side > 0.0 else slack[::-1]
            size = np.abs(quantity) @ high
            assert (worse <= better + 1e-12 * size).all()


# --- what is refused --------------------------------------------------------------------------------------------------

REFUSED = {
    "no tiers": (lambda: cg.TieredMargin({}), "tiers is no mapping"),
    "not pairs": (lambda: cg.TieredMargin({"X": [1, 2, 3]}), "give .lower, rate. pairs"),
    "falling rates": (lambda: cg.TieredMargin({"X": [(0, 0.2), (10, 0.1)]}), "rates of 'X'.*give rates that rise"),
    "not at 0": (lambda: cg.TieredMargin({"X": [(5, 0.2)]}), "begin at 0"),
    "lower falls": (lambda: cg.TieredMargin({"X": [(0, 0.1), (9, 0.2), (9, 0.3)]}), "begin at 0, and rise"),
    "rate above 1": (lambda: cg.TieredMargin({"X": [(0, 1.2)]}), "rate of 'X' is 1.2"),
    "NaN": (lambda: cg.TieredMargin({"X": [(0, np.nan)]}), "rate of 'X' is nan"),
    "asset without tiers": (lambda: RECORDS["tiers"].of_notional("X", 1.0), "asset 'X' has no tiers"),
    "unknown asset": (lambda: cg.TieredMargin({"X": TIERS}).maintenance(book([[1.0]])), "tiers: unknown label 'X'"),
    "both": (lambda: cg.ScenarioMargin(move=[0.0], arrays={"X": [1.0]}), "give move, or arrays"),
    "neither": (cg.ScenarioMargin, "give move, or arrays"),
    "no move 0": (lambda: cg.ScenarioMargin(move=[-0.1, 0.1]), "no move is 0"),
    "move of -1": (lambda: cg.ScenarioMargin(move=[-1.0, 0.0]), "move is -1.0; it must be a number above -1"),
    "weight": (lambda: cg.ScenarioMargin(move=[0.0], weight=1.5), "weight is 1.5"),
    "vol_factor": (lambda: cg.ScenarioMargin(move=[0.0], vol_factor=0.0), "vol_factor is 0.0"),
    "shapes": (lambda: cg.ScenarioMargin(move=[0.0, 1.0], weight=[1.0, 1.0, 1.0]), "do not go together"),
    "contingency": (lambda: cg.ScenarioMargin(move=[0.0], contingency=-1.0), "contingency is -1.0"),
    "sizes": (lambda: cg.ScenarioMargin(arrays={"X": [1.0], "Y": [1.0, 2.0]}), "scenarios; give all assets as many"),
    "not finite": (lambda: cg.ScenarioMargin(arrays={"X": [np.inf]}), "array of 'X' has gains that are not finite"),
    "empty arrays": (lambda: cg.ScenarioMargin(arrays={}), "arrays is no mapping"),
    "arrays of nobody": (
        lambda: cg.ScenarioMargin(arrays={"X": [1.0]}).maintenance(book([[1.0]])),
        "unknown label 'X'",
    ),
    "no graph": (lambda: cg.ScenarioMargin(move=[0.0]).maintenance({}), "graph is a dict"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_margins_that_are_none_are_refused(name: str):
    make, message = REFUSED[name]
    with pytest.raises(cg.ParameterError, match=message):
        make()
