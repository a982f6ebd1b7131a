"""Generated venues: what is exact about them, and the statistics that they are meant to have."""

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.synthetic import account_sizes, venues

THRESHOLDS = {  # Aave v3 Ethereum, base mode, 2023-11-08; source in venues.py
    **{"WETH": 83, "wstETH": 81, "WBTC": 78, "USDC": 80, "DAI": 80, "USDT": 76, "cbETH": 77, "rETH": 77, "AAVE": 73},
    **{"LINK": 68, "UNI": 77, "MKR": 70, "SNX": 65, "LDO": 50, "CRV": 41, "ENS": 49, "BAL": 62},
}
BONUSES = {
    **{"WETH": 5, "wstETH": 6, "WBTC": 5, "USDC": 4.5, "DAI": 5, "USDT": 4.5, "cbETH": 7.5, "rETH": 7.5, "AAVE": 7.5},
    **{"LINK": 7, "UNI": 10, "MKR": 8.5, "SNX": 8.5, "LDO": 9, "CRV": 8.3, "ENS": 8, "BAL": 8.3},
}
STABLE = ["USDC", "USDT", "DAI"]
STAKED = ["WETH", "wstETH", "cbETH", "rETH"]
VENUES = [venues.perpetuals, venues.lending]
SIZES = [(2, 2), (2, 9), (3, 2), (7, 50), (300, 3)]


@pytest.fixture(scope="module")
def exchange() -> cg.ExposureGraph:
    return venues.perpetuals(20_000, 40, rng=0)


@pytest.fixture(scope="module")
def protocol() -> cg.ExposureGraph:
    return venues.lending(20_000, 17, rng=0)


def sides(graph: cg.ExposureGraph) -> tuple[np.ndarray, np.ndarray]:
    """Return the value of longs or deposits, and of shorts or debts, of each asset."""
    value = graph.to_scipy()
    return np.asarray(value.maximum(0).sum(axis=0)), np.asarray((-value).maximum(0).sum(axis=0))


def leverage_at_entry(graph: cg.ExposureGraph) -> np.ndarray:
    """Return gross value at entry over deposit."""
    records = graph.records
    return records.account_sums(np.abs(records.quantity) * records.entry_price) / records.own_cash


# --- counts, labels, seeds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(("n_accounts", "n_assets"), SIZES)
def test_counts_are_exact_from_the_fewest_positions_to_all(venue, n_accounts: int, n_assets: int):
    full = 2 if venue is venues.perpetuals else 1
    fewest, room = n_accounts + full * (n_assets - 1), n_accounts * n_assets
    for n_positions in (fewest, (fewest + room) // 2, room):
        graph = venue(n_accounts, n_assets, n_positions=n_positions, rng=3)
        assert graph.quantity.shape == (n_accounts, n_assets)
        assert graph.n_positions == graph.quantity.nnz == n_positions
        assert (np.diff(graph.quantity.indptr) >= 1).all()
        assert (graph.quantity.data != 0.0).all()
        assert (graph.slack > 0.0).all()
    assert venue(n_accounts, n_assets).n_positions == min(3 * n_accounts + 2 * n_assets, room)


def test_one_asset_is_enough_for_an_exchange():
    graph = venues.perpetuals(2, 1, rng=0)
    assert graph.quantity.sum() == 0.0
    assert graph.n_positions == 2


@pytest.mark.parametrize("venue", VENUES)
def test_a_seed_draws_the_same_venue_again_and_another_seed_another(venue):
    first, again, other = (venue(200, 5, rng=seed) for seed in (7, np.random.default_rng(7), 8))
    for name, frame in first.to_frames().items():
        assert again.to_frames()[name] is None if frame is None else frame.equals(again.to_frames()[name])
    assert not np.array_equal(first.cash + first._rows.initial.value, other.cash + other._rows.initial.value)


@pytest.mark.parametrize("venue", VENUES)
def test_a_generator_moves_on_and_no_seed_is_fresh(venue):
    rng = np.random.default_rng(7)
    equities = [venue(50, 3, rng=seed).equity.sum() for seed in (rng, rng, None, None, [1, 2], np.int64(4))]
    assert len(set(equities)) == len(equities)


def test_labels_are_tickers_then_ranks():
    exchange, protocol = venues.perpetuals(3, 38, rng=0), venues.lending(3, 18, rng=0)
    assert exchange.assets[:3].tolist() == ["BTC", "ETH", "SOL"]
    assert exchange.assets[-2:].tolist() == ["A37", "A38"]
    assert protocol.assets[-1] == "A18"
    assert exchange.traders.tolist() == ["T000001", "T000002", "T000003"]
    assert exchange.pools.tolist() == ["P1"]


@pytest.mark.parametrize("venue", VENUES)
def test_pools_are_dealt_out_evenly_and_carry_their_part_of_the_fund(venue):
    graph = venue(101, 4, n_pools=4, fund_share=0.02, rng=0)
    assert sorted(np.bincount(graph._rows.pool_of)) == [25, 25, 25, 26]
    values = graph.to_scipy(rows="accounts")
    insured = abs(values) / 2 if venue is venues.perpetuals else (-values).maximum(0)
    expected = 0.02 * (graph._rows.membership.T @ np.asarray(insured.sum(axis=1)))
    np.testing.assert_allclose(graph.insurance_fund, expected, rtol=1e-12)


# --- account sizes, popularity, depth ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_account_sizes_have_a_heavy_tail(seed: int):
    def share_of_the_largest(tail: float) -> float:
        deposit = np.sort(venues.perpetuals(20_000, 5, tail=tail, rng=seed).records.own_cash)
        return deposit[-200:].sum() / deposit.sum()

    assert 0.3 < share_of_the_largest(1.1) < 0.6
    assert share_of_the_largest(0.9) > share_of_the_largest(1.1) > share_of_the_largest(1.5)


def test_the_exponent_of_account_sizes_is_the_tail():
    """Ten times the size, 10^-1.1 times the accounts: between the bounds the law is Pareto's."""
    deposit = venues.perpetuals(50_000, 2, tail=1.1, rng=0).records.own_cash
    above = [(deposit > size).mean() for size in (1e4, 1e5)]
    assert np.log10(above[0] / above[1]) == pytest.approx(1.1, abs=0.1)
    assert deposit.min() >= account_sizes.SMALLEST
    assert deposit.max() <= account_sizes.LARGEST


def test_popularity_and_open_interest_fall_with_rank(exchange: cg.ExposureGraph):
    holders = np.bincount(exchange.quantity.indices)
    assert (np.diff(holders[:10]) < 0).all()
    assert holders[0] > 30 * holders[-1]
    open_interest = sides(exchange)[0]
    slope = np.polyfit(np.log(np.arange(1, 41)), np.log(open_interest), 1)[0]
    assert -1.5 < slope < -1.1
    assert 0.25 < open_interest[0] / open_interest.sum() < 0.40


def test_larger_accounts_hold_more_assets(exchange: cg.ExposureGraph):
    held = np.diff(exchange.quantity.indptr)
    order = np.argsort(exchange.records.own_cash)
    assert held[order[-200:]].mean() > 1.5 * held[order[:10_000]].mean()


def test_depth_follows_from_volume_and_volatility(exchange: cg.ExposureGraph, protocol: cg.ExposureGraph):
    """Cont & Schaanning (2017): 0.4 ADV / sigma sqrt(tau), an hour; ADV is open interest or deposits over 1.5."""
    for graph in (exchange, protocol):
        attributes = graph.attributes["assets"]
        np.testing.assert_allclose(attributes["daily_volume"], sides(graph)[0] / 1.5, rtol=1e-9)
        depth = 0.4 * attributes["daily_volume"] / attributes["volatility"] / np.sqrt(24)
        np.testing.assert_allclose(graph.depth, depth, rtol=1e-12)
    volatility = exchange.attributes["assets"]["volatility"].to_numpy()
    assert volatility[0] == 0.03
    assert (np.diff(volatility) >= 0.0).all()
    assert volatility.max() <= 0.08


# --- perpetuals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_accounts", "n_assets"), SIZES)
@pytest.mark.parametrize("n_pools", [1, 2])
def test_every_asset_nets_to_zero(n_accounts: int, n_assets: int, n_pools: int):
    quantity = venues.perpetuals(n_accounts, n_assets, n_pools=n_pools, rng=5).quantity
    gross = np.asarray(abs(quantity).sum(axis=0))
    assert (gross > 0.0).all()
    assert (np.abs(np.asarray(quantity.sum(axis=0))) <= 1e-12 * gross).all()


@pytest.mark.parametrize("leverage", [0.5, 3.7, 100])
@pytest.mark.parametrize("seed", range(3))
def test_leverage_at_entry_is_within_the_maximum_and_nobody_is_in_breach(leverage: float, seed: int):
    graph = venues.perpetuals(2_000, 30, leverage=leverage, rng=seed)
    records = graph.records
    rate = 1.0 / graph.attributes["assets"]["max_leverage"].to_numpy()
    used = records.account_sums(np.abs(records.quantity) * records.entry_price * rate[records.asset])
    assert (used <= records.own_cash * (1.0 + 1e-12)).all()
    assert (graph.slack > 0.0).all()


def test_few_accounts_are_close_to_breach_at_rest(exchange: cg.ExposureGraph):
    """Under 1 % of accounts have equity below 1.25 times maintenance; 1 to 5 % below twice maintenance."""
    assert (exchange.equity < 1.25 * exchange.maintenance).mean() < 0.01
    assert 0.01 < (exchange.equity < 2.0 * exchange.maintenance).mean() < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_leverage_is_distributed_like_that_of_hyperliquid(seed: int):
    """Late in 2025: 36 % of open interest at 0-3x, 48 % at 3-7x."""
    graph = venues.perpetuals(20_000, 40, rng=seed)
    weight = graph._rows.initial.gross / graph._rows.initial.gross.sum()
    leverage = leverage_at_entry(graph)
    assert weight[leverage < 3].sum() == pytest.approx(0.36, abs=0.07)
    assert weight[(leverage >= 3) & (leverage < 7)].sum() == pytest.approx(0.48, abs=0.07)


def test_the_two_largest_accounts_make_the_market(exchange: cg.ExposureGraph):
    makers = np.argsort(exchange.records.own_cash)[-2:]
    one, other = exchange.quantity[makers].toarray()
    assert (one * other < 0.0).all()
    assert 5 < (one > 0).sum() < 35


def test_accounts_lean_to_one_side(exchange: cg.ExposureGraph):
    """Two positions of an account agree where both or neither follow its lean: 0.85^2 + 0.15^2."""
    start = exchange.quantity.indptr[:-1][np.diff(exchange.quantity.indptr) > 1]
    agree = exchange.quantity.data[start] * exchange.quantity.data[start + 1] > 0.0
    assert agree.mean() == pytest.approx(0.745, abs=0.02)


def test_margin_rates_are_those_of_the_first_tiers(exchange: cg.ExposureGraph):
    expected = {"BTC": 40, "ETH": 25, "SOL": 20, "XRP": 20, "DOGE": 10, "DOT": 10, "A37": 5}
    for asset, leverage in expected.items():
        column = exchange.assets.get_loc(asset)
        assert exchange.margin_long[column] == exchange.margin_short[column] == 0.5 / leverage
        assert exchange.attributes["assets"]["max_leverage"].iloc[column] == leverage
    assert venues.perpetuals(2, 101, rng=0).margin_long[-1] == 0.5 / 3


def test_entry_prices_spread_around_present_prices(exchange: cg.ExposureGraph):
    records = exchange.records
    move = exchange.price[records.asset] / records.entry_price - 1.0
    assert np.abs(np.median(move)) < 0.005
    assert 0.05 < move[records.asset == 0].std() < 0.07
    assert exchange.to_frames()["positions"]["kind"].isin(["long", "short"]).all()


# --- lending ----------------------------------------------------------------------------------------------------------


def test_thresholds_and_bonuses_are_those_of_the_table(protocol: cg.ExposureGraph):
    assert set(protocol.assets) == set(THRESHOLDS)
    threshold = dict(zip(protocol.assets, 100.0 * (1.0 - protocol.margin_long), strict=True))
    assert threshold == pytest.approx(THRESHOLDS, rel=1e-12)
    bonus = dict(zip(protocol.assets, 100.0 * protocol.attributes["assets"]["liquidation_bonus"], strict=True))
    assert bonus == pytest.approx(BONUSES, rel=1e-12)
    assert (protocol.margin_short == 0.0).all()
    assert dict(zip(protocol.assets, protocol.price, strict=True))["WETH"] == 1816.85


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("health", [1.01, 1.5, 3.0])
def test_debt_is_at_most_nine_tenths_of_deposits_in_every_asset(seed: int, health: float):
    graph = venues.lending(1_000, 17, health=health, rng=seed)
    deposits, debts = sides(graph)
    assert (deposits > 0.0).all()
    assert (debts <= 0.9 * deposits * (1.0 + 1e-12)).all()
    assert (graph.slack > 0.0).all()
    assert (graph.cash == 0.0).all()


def test_health_factors_are_above_one_and_spread_widely(protocol: cg.ExposureGraph):
    debt = np.asarray((-protocol.to_scipy()).maximum(0).sum(axis=1))
    borrower = debt > 0.0
    health = 1.0 + protocol.slack.to_numpy()[borrower] / debt[borrower]
    assert 0.4 < borrower.mean() < 0.7
    assert health.min() > 1.0
    assert 1.4 < np.median(health) < 1.8
    assert 0.05 < (health < 1.1).mean() < 0.15
    assert np.quantile(health, 0.95) > 4.0


def test_stablecoins_are_borrowed_and_the_rest_is_deposited(protocol: cg.ExposureGraph):
    deposits, debts = sides(protocol)
    stable = protocol.assets.isin(STABLE)
    assert debts[stable].sum() > 2.0 * debts[~stable].sum()
    assert deposits[stable].sum() < 0.5 * deposits[~stable].sum()


# --- what they are for ------------------------------------------------------------------------------------------------


def test_a_shock_to_one_asset_spreads_through_the_exchange_but_not_to_all(exchange: cg.ExposureGraph):
    summary = cg.MarginCascade().run(exchange, {"ETH": -0.30}).summary()
    assert summary["rounds"] > 5
    assert 0.03 < summary["closed"] / 20_000 < 0.25
    assert summary["fund_used"] == pytest.approx(exchange.insurance_fund.sum())
    assert summary["socialised"] > 0.0
    assert summary["uncovered"] == 0.0
    assert summary["bystanders"] > 1_000


def test_a_shock_to_staked_ether_spreads_through_the_protocol_but_not_to_all(protocol: cg.ExposureGraph):
    summary = cg.MarginCascade().run(protocol, dict.fromkeys(STAKED, -0.30)).summary()
    assert summary["rounds"] > 4
    assert 0.03 < summary["closed"] / 20_000 < 0.25
    assert summary["fund_used"] == pytest.approx(protocol.insurance_fund.sum())
    assert summary["socialised"] > 0.0
    assert summary["bystanders"] > 1_000


@pytest.mark.parametrize("venue", VENUES)
def test_without_a_shock_nothing_happens(venue):
    assert cg.MarginCascade().run(venue(500, 10, rng=0)).summary()["gross_loss"] == 0.0


# --- misuse -----------------------------------------------------------------------------------------------------------

MISUSE = [
    ("n_accounts", {"n_accounts": 1}),
    ("n_accounts", {"n_accounts": 10.0}),
    ("n_accounts", {"n_accounts": True}),
    ("n_assets", {"n_assets": 0}),
    ("n_assets", {"n_assets": "five"}),
    ("n_positions", {"n_positions": 12}),
    ("n_positions", {"n_positions": 51}),
    ("n_positions", {"n_positions": 20.5}),
    ("n_pools", {"n_pools": 0}),
    ("n_pools", {"n_pools": 11}),
    ("tail", {"tail": 0.0}),
    ("tail", {"tail": np.nan}),
    ("fund_share", {"fund_share": -0.01}),
    ("fund_share", {"fund_share": 1.5}),
    ("rng", {"rng": "seed"}),
    ("rng", {"rng": -1}),
    ("rng", {"rng": 0.5}),
]


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(("name", "wrong"), MISUSE)
def test_misuse_is_refused_by_name(venue, name: str, wrong: dict):
    with pytest.raises(cg.ParameterError, match=rf"^{venue.__name__}: {name} is "):
        venue(**({"n_accounts": 10, "n_assets": 5} | wrong))


@pytest.mark.parametrize(
    ("venue", "name", "value"),
    [
        (venues.perpetuals, "leverage", 0.0),
        (venues.perpetuals, "leverage", np.inf),
        (venues.lending, "health", 1.0),
        (venues.lending, "n_assets", 1),
    ],
)
def test_misuse_of_one_venue_is_refused_by_name(venue, name: str, value: float):
    with pytest.raises(cg.ParameterError, match=f"{venue.__name__}: {name} is "):
        venue(**({"n_accounts": 10, "n_assets": 5} | {name: value}))


def test_a_refusal_says_what_would_do():
    with pytest.raises(cg.ParameterError, match="n_positions is 12; it must be a whole number from 18 to 50"):
        venues.perpetuals(10, 5, n_positions=12)


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def option_venue() -> cg.ExposureGraph:
    return venues.options(2_000, 3, rng=0)


def roles(graph: cg.ExposureGraph) -> np.ndarray:
    """Return the role of each account."""
    return graph.traders.str.extract(r"([a-z]+)", expand=False).to_numpy()


def test_every_option_nets_to_zero_and_no_account_is_in_breach(option_venue: cg.ExposureGraph):
    for graph in (option_venue, venues.options(10, 1, n_expiries=1, n_strikes=3, rng=1)):
        own = graph._price_map.instruments
        net = np.asarray(graph.quantity.sum(axis=0))[own]
        gross = np.asarray(abs(graph.quantity).sum(axis=0))[own]
        assert (np.abs(net) <= 1e-9 * gross).all()
        assert (graph.slack > 0.0).all()
        assert set(graph.account_margin) == {"pm"}


def test_roles_hold_what_their_names_say(option_venue: cg.ExposureGraph):
    role, k = roles(option_venue), 3
    held = option_venue.quantity.toarray()
    coins, options = held[:, :k], held[:, k:]
    assert set(role) == {"maker", "covered", "naked", "buyer"}
    assert (options[role == "buyer"] >= 0.0).all()
    assert (options[np.isin(role, ["naked", "covered"])] <= 0.0).all()
    covered = role == "covered"
    assert (coins[covered].sum(axis=1) >= -options[covered].sum(axis=1)).all()
    greeks = option_venue.greeks()
    makers = np.array([name.startswith("maker") for name in greeks.index.get_level_values("trader")])
    assert greeks["delta"][makers].abs().max() < 1e-6 * np.abs(held).sum()
    assert (greeks["gamma"][makers].groupby("underlying").sum() < 0.0).all(), "makers are short what clients buy"


def test_strikes_and_expiries_are_listed_as_venues_list_them(option_venue: cg.ExposureGraph):
    table = option_venue.instruments
    assert (table.groupby(["underlying", "strike", "expiry"]).size() == 2).all(), "a call and a put"
    for (_, expiry), each in table.groupby(["underlying", "expiry"]):
        steps = np.unique(np.diff(np.unique(each["strike"])).round(9))
        assert len(steps) == 1
        lead = steps[0] / 10.0 ** np.floor(np.log10(steps[0]) + 1e-9)
        assert lead == pytest.approx(1.0) or lead in (2.0, 2.5, 5.0)
        assert expiry * 365.0 == pytest.approx(round(expiry * 365.0))
    assert table["asset"].str.fullmatch(r"[A-Z]+-\d+D-[\d.]+-[CP]").all()


def test_options_are_drawn_from_the_seed():
    one, other, third = (venues.options(50, 1, rng=seed).fingerprint() for seed in (0, 0, 1))
    assert one == other != third


@pytest.mark.parametrize(
    "wrong", [{"n_accounts": 9}, {"n_underlyings": 0}, {"n_expiries": 9}, {"n_strikes": 2}, {"tail": 0}, {"room": 0}]
)
def test_arguments_of_options_are_checked(wrong: dict[str, int]):
    with pytest.raises(cg.ParameterError, match=f"options: {next(iter(wrong))} is"):
        venues.options(**({"n_accounts": 20} | wrong))
