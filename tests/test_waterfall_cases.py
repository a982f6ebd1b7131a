"""Waterfalls, take-overs and deleveraging by the slow oracle: numbers by hand, and cases of others.

Of the cases of others some parts do not fit, because they measure something else:

* `adl_dydx_a`: rows 1 and 3 close accounts with positive equity. They are steps of one function there, and of one
  function here (`deleverage`); a run takes over such accounts, or sells their positions.
* `ccp_waterfall_vmgh_cover2`: cover-2 is a maximum over scenarios, no waterfall.
* `percolator_crisis`: the equity haircut of the row that draws its fund, which counts the fund twice.
* `flox_liquidation_adl`: a winner there is closed whole and forgoes min(deficit, profit), here as many units as the leg
  has pass at the bankruptcy price: who is taken from agrees, and amounts where one winner holds as much as the leg. The
  ranks "binance" and "position_size" are none of ours: they are given as numbers.
  `tiers` needs tiered margins; rows without deleveraging are liquidations of one leg at a time.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.reference.dense_cascade import look
from tests.reference.dense_fills import deleverage, held, scores
from tests.reference.dense_state import Layer, Position, Rank, Rules, VenueMarket
from tests.reference.dense_waterfall import DEFAULT, begin, dense_waterfall
from tests.reference.instruments import Instrument, instruments_of
from tests.reference.small_venues import adl, one_pool, run_one
from tests.shared_data import case

TOLERANCE = 1e-9


def test_a_vault_takes_over_at_the_price_that_leaves_nothing() -> None:
    """E = 10, M = 16, 2/3 M = 10.67: both legs pass, 8 of the equity with the long of 800, 2 with the short of 200."""
    positions: list[Position] = [(0, 0, 10.0, 100.0, 0.015), (0, 1, -2.0, 100.0, 0.02), (1, 0, 1.0, 100.0, 0.5)]
    venue = one_pool(positions, [210.0, 1000.0], [100.0, 100.0])
    venue = replace(venue, vault=np.array([False, True]), takeover_below=np.array([2 / 3]))
    found = run_one(venue, DEFAULT, [-0.2, 0.0])
    assert [fill[:3] for fill in found.passed] == [(0, 1, 0), (0, 1, 1)]
    np.testing.assert_allclose([fill[3:] for fill in found.passed], [(10, 79.2, -8), (2, 101, -2)])
    np.testing.assert_allclose(found.transfer, [10, -10])
    np.testing.assert_allclose(found.out.equity_after, [0, 990], atol=1e-12)
    np.testing.assert_allclose(found.quantity, [[0, 0], [11, -2]])
    np.testing.assert_allclose(found.cost, [[0, 0], [892, -202]])
    assert found.out.breach_round.tolist() == [1, 0]
    assert not found.out.units_sold.any()


def test_a_vault_leaves_those_above_its_threshold_to_the_market() -> None:
    positions: list[Position] = [(0, 0, 10.0, 100.0, 0.0175), (1, 0, 1.0, 100.0, 0.5)]
    venue = one_pool(positions, [210.0, 1000.0], [100.0])
    venue = replace(venue, vault=np.array([False, True]), takeover_below=np.array([2 / 3]))
    assert not run_one(venue, DEFAULT, [-0.2]).passed  # E = 10, M = 14, 2/3 M = 9.33


@pytest.mark.parametrize("why", ["the vault has nothing", "a given default"])
def test_who_is_not_taken_over(why: str) -> None:
    positions: list[Position] = [(0, 0, 10.0, 100.0, 0.05), (1, 0, 1.0, 100.0, 0.5)]
    given = why == "a given default"
    venue = one_pool(positions, [210.0, 1000.0 if given else 20.0], [100.0])
    venue = replace(venue, vault=np.array([False, True]), takeover_below=np.array([2 / 3]))
    found = dense_waterfall(venue, Rules(), DEFAULT, np.array([-0.2]), np.zeros(2), np.array([given, False]))
    assert not found.passed
    assert found.out.units_sold.tolist() == [10.0]


def test_what_cannot_be_sold_passes_to_the_vault_and_stays_unsellable() -> None:
    positions: list[Position] = [(0, 0, 10.0, 100.0, 0.05), (0, 1, 1.0, None, 0.0), (1, 0, -1.0, 100.0, 0.5)]
    venue = one_pool(positions, [110.0, 1000.0], [100.0, 100.0])
    venue = replace(venue, market=replace(venue.market, sellable=np.array([True, False])))
    venue = replace(venue, vault=np.array([False, True]), takeover_below=np.array([2 / 3]))
    found = run_one(venue, DEFAULT, [-0.2, 0.0])
    np.testing.assert_allclose(
        [fill[3:] for fill in found.passed], [(10, 80 - 8 / 9, -80 / 9), (1, 100 - 10 / 9, -10 / 9)]
    )
    np.testing.assert_allclose(found.books.sell, [[0, 0], [9, 0]])
    np.testing.assert_allclose(found.books.keep, [[0, 0], [0, 1]])


def test_given_defaults_are_deleveraged_where_they_have_no_equity() -> None:
    positions: list[Position] = [(0, 0, 5.0, 100.0, 0.0), (1, 0, 5.0, 100.0, 0.0), (2, 0, -10.0, 100.0, 0.02)]
    venue, given = one_pool(positions, [90.0, 110.0, 500.0], [100.0]), np.array([True, True, False])
    found = dense_waterfall(venue, Rules(), (adl("profit"),), np.array([-0.2]), np.zeros(3), given)
    assert [fill[:4] for fill in found.fills] == [(0, 2, 0, 5.0)]  # the other has 10, and is sold
    assert found.out.units_sold.tolist() == [5.0]


def test_the_worst_comes_first() -> None:
    """Deficits of 10 and 30 on 5 units each; the only counterparty has 5 units."""
    positions: list[Position] = [(0, 0, 5.0, 100.0, 0.02), (1, 0, 5.0, 100.0, 0.02), (2, 0, -5.0, 100.0, 0.02)]
    found = run_one(one_pool(positions, [90.0, 70.0, 500.0], [100.0]), (adl("profit"),), [-0.2])
    assert [fill[:5] for fill in found.fills] == [(1, 2, 0, 5.0, 86.0)]


def test_losers_come_last_and_the_less_levered_of_them_last_of_all() -> None:
    """PnL% of -1/3 with L of 4 and of 1: -1/12 and -1/3."""
    positions: list[Position] = [(0, 0, 7.0, 100.0, 0.02), (1, 0, -5.0, 60.0, 0.0), (2, 0, -5.0, 60.0, 0.0)]
    found = run_one(one_pool(positions, [0.0, 500.0, 200.0], [100.0]), (adl("profit"),), [-0.2])
    assert [fill[1] for fill in found.fills] == [2, 1]  # 20 a unit: 5 units are all that account 2 can bear


def test_scores_are_of_what_closing_has_left() -> None:
    """Half of everything is closed: PnL% stays, leverage halves at the same equity."""
    positions: list[Position] = [(0, 0, -6.0, 100.0, 0.02), (1, 0, -4.0, 60.0, 0.02)]
    venue = one_pool(positions, [0.0, 0.0], [80.0])
    state = begin(venue, Rules(), (), venue.market.price, np.zeros(2))
    equity = np.array([100.0, 80.0])
    np.testing.assert_allclose(scores(state, equity, "profit", 0)[:, 0], [0.2 * 4.8, -1 / 3 / 4])
    np.testing.assert_allclose(scores(state, equity, "hyperliquid", 0)[:, 0], [1.25 * 4.8, 0.75 * 4])
    state.out.closed_long[:] = state.out.closed_short[:] = 0.5
    np.testing.assert_allclose(scores(state, equity, "profit", 0)[:, 0], [0.2 * 2.4, -1 / 3 / 2])
    np.testing.assert_allclose(scores(state, equity, "hyperliquid", 0)[:, 0], [1.25 * 2.4, 0.75 * 2])


RANKED: list[tuple[Rank, list[int], list[float]]] = [
    ("profit", [2, 1], [4, 4]),
    ("hyperliquid", [1, 2], [6, 2]),
    ("pro_rata", [1, 2, 3], [3, 2, 3]),
    ((0.5, 2.0, np.nan, 1.0), [3, 1], [6, 2]),
]


@pytest.mark.parametrize(("rank", "who", "units"), RANKED)
def test_ranks_by_hand(rank: Rank, who: list[int], units: list[float]) -> None:
    """A long of 8 at 80, E = -16 (p^b = 82); shorts of 6, 4 and 6 with entries 100, 120 and 70, equity 100, 300, 600.

    PnL% is 0.2, 1/3, -1/7; L 4.8, 1.067, 0.8; so profit 0.96, 0.356, ...; hyperliquid (e/p) L 6, 1.6, 0.7.
    """
    positions: list[Position] = [
        (0, 0, 8.0, 100.0, 0.02),
        (1, 0, -6.0, 100.0, 0.02),
        (2, 0, -4.0, 120.0, 0.02),
        (3, 0, -6.0, 70.0, 0.02),
    ]
    equity = [-16.0, 100.0, 300.0, 600.0]
    if rank == "profit":  # leverages that turn the order: 4.8 x 0.2 against 16 x 1/3
        equity[2] = 20.0
    cash = [e - q * (80.0 - (entry or 0.0)) for e, (_, _, q, entry, _) in zip(equity, positions, strict=True)]
    found = run_one(one_pool(positions, cash, [100.0]), (adl(rank),), [-0.2])
    assert [fill[1] for fill in found.fills] == who
    np.testing.assert_allclose([fill[3:] for fill in found.fills], [(u, 82.0, 2 * u) for u in units])
    assert found.filled_whole.tolist() == [True, False, False, False]
    np.testing.assert_allclose(found.quantity[0], 0)


def test_random_ranks_are_a_permutation() -> None:
    positions: list[Position] = [(0, 0, 5.0, 100.0, 0.02)]
    positions += [(i, 0, -1.0, 100.0, 0.02) for i in range(1, 8)]
    found = run_one(one_pool(positions, [60.0] + [50.0] * 7, [100.0]), (adl("random"),), [-0.2])
    place = np.random.default_rng(0).permutation(8)
    assert [fill[1] for fill in found.fills] == sorted(range(1, 8), key=lambda i: place[i])[:5]


def test_a_counterparty_loses_at_most_its_equity() -> None:
    """E = -100 on 10 units: 10 a unit. The first has 15: 1.5 of its 5 units; the other takes 2; 6.5 are sold at 80."""
    positions: list[Position] = [(0, 0, 10.0, 100.0, 0.02), (1, 0, -5.0, 80.0, 0.0), (2, 0, -2.0, 80.0, 0.02)]
    venue = one_pool(positions, [100.0, 15.0, 500.0], [100.0])
    found = run_one(venue, (adl((0.0, 1.0, 2.0)), ("fund",)), [-0.2])
    np.testing.assert_allclose([fill[3:] for fill in found.fills], [(1.5, 90, 15), (2, 90, 20)])
    assert found.out.uncovered.tolist() == pytest.approx([65])
    assert found.out.units_sold.tolist() == pytest.approx([6.5])


@pytest.mark.parametrize(
    ("fund", "own", "filled"), [(0.0, 0.0, True), (99.0, 0.0, True), (101.0, 0.0, False), (60.0, 41.0, False)]
)
def test_the_trigger_fund_counts_all_that_stands_before(fund: float, own: float, filled: bool) -> None:
    positions: list[Position] = [(0, 0, 10.0, 100.0, 0.02), (1, 0, -10.0, 100.0, 0.02)]
    venue = one_pool(positions, [100.0, 500.0], [100.0], fund=fund / 2)
    venue = replace(venue, initial_margin=np.array([own, 0.0]))
    layers: tuple[Layer, ...] = (("own",), ("fund",), ("purse", (fund / 2,)), adl("profit", "fund"))
    assert bool(run_one(venue, layers, [-0.2]).fills) is filled


def test_the_trigger_fund_does_not_count_what_stands_after() -> None:
    positions: list[Position] = [(0, 0, 10.0, 100.0, 0.02), (1, 0, -10.0, 100.0, 0.02)]
    venue = one_pool(positions, [100.0, 500.0], [100.0], fund=500.0)
    venue = replace(venue, initial_margin=np.array([500.0, 0.0]))
    layers: tuple[Layer, ...] = (("purse", (99.0,)), adl("profit", "fund"), ("own",), ("fund",))
    assert run_one(venue, layers, [-0.2]).fills


def test_gains_are_net_of_losses_and_do_not_count_what_was_gained_before() -> None:
    """A loss of 30; account 1 gains 40 and loses 30, account 2 gains 5 on a spot holding: 15 in all, cut whole."""
    positions: list[Position] = [
        (0, 0, -3.0, 100.0, 0.0),
        (1, 0, 4.0, 20.0, 0.0),
        (1, 1, 3.0, 100.0, 0.0),
        (2, 0, 0.5, None, 0.0),
    ]
    found = run_one(one_pool(positions, [0.0, 100.0, 0.0], [100.0, 100.0]), (("gains",),), [0.1, -0.1])
    np.testing.assert_allclose(found.borne[0], [0, 10, 5])
    assert found.out.uncovered.tolist() == pytest.approx([15])


def test_the_share_by_margin_puts_the_deficit_where_the_margin_is() -> None:
    """E = -30; margins 10 % of 800 and 20 % of 200: two thirds and one third of the deficit, 20 and 10."""
    positions: list[Position] = [
        (0, 0, 10.0, 100.0, 0.1),
        (0, 1, -2.0, 100.0, 0.2),
        (1, 0, -10.0, 100.0, 0.0),
        (1, 1, 2.0, 100.0, 0.0),
    ]
    found = run_one(one_pool(positions, [170.0, 500.0], [100.0, 100.0]), (adl("profit", share="margin"),), [-0.2, 0.0])
    np.testing.assert_allclose([fill[3:] for fill in found.fills], [(10, 82, 20), (2, 95, 10)])


def test_a_level_never_exceeds_its_cap_over_rounds() -> None:
    """Two accounts fail one after the other, each with a deficit of 15; two members of base 10 pay 20 in all."""
    positions: list[Position] = [(0, 0, 10.0, 100.0, 0.02), (1, 0, 10.0, 100.0, 0.02)]
    venue = one_pool(positions, [185.0, 185.0, 100.0, 100.0], [100.0])
    venue = replace(venue, fund_contribution=np.array([0.0, 0.0, 10.0, 10.0]))
    found = run_one(venue, (("members", "fund_contribution", 1.0), ("pro_rata", "share")), [-0.2])
    assert found.level[0].tolist() == [1.0]
    np.testing.assert_allclose(found.borne[:, 2:], [[10, 10], [5, 5]])


def test_deleveraging_takes_one_leg_of_a_hedge_away() -> None:
    reference = case("adl_dehedging_by_hand")
    given, expected = reference["inputs"], reference["expected"]
    quantity, price = np.array(given["quantity"], dtype=float), given["price"]
    rates = np.where(quantity > 0, given["margin_long"], given["margin_short"])
    positions: list[Position] = [
        (int(i), int(j), quantity[i, j], None, rates[i, j]) for i, j in np.argwhere(quantity != 0)
    ]
    depth = np.array([given["depth"], np.inf])
    venue = one_pool(positions, given["cash"], [price, price], fund=given["fund"])
    venue = replace(venue, market=replace(venue.market, depth=depth))
    perpetual = instruments_of([Instrument(1, 0, 0, 1.0, np.nan, np.nan, np.nan, 1.0)], venue.market.price)
    ways: list[tuple[tuple[Layer, ...], dict[str, Any]]] = [
        ((adl("profit"), ("fund",)), expected["with_adl"]),
        ((("fund",),), expected["without"]),
    ]
    for layers, answer in ways:
        found = run_one(venue, layers, [given["shock"], 0.0], instruments=perpetual)
        assert found.out.price_after == pytest.approx([answer["price_after"]] * 2)
        assert len(found.out.rounds) == answer["rounds"]
        assert found.out.fund_used.sum() == pytest.approx(answer["fund_used"])
        np.testing.assert_allclose(found.out.shortfall, answer["shortfall"], atol=TOLERANCE)
        np.testing.assert_allclose(found.out.equity_after, answer["equity_after"], atol=TOLERANCE)
        assert found.out.uncovered.sum() == pytest.approx(answer.get("uncovered", 0.0))
        if "fill" in answer:
            np.testing.assert_allclose([fill[:5] for fill in found.fills], [answer["fill"]])
            np.testing.assert_allclose(found.transfer, answer["transfer"])


@pytest.mark.parametrize("row", range(4))
def test_offsets_of_dydx(row: int) -> None:
    reference = case("adl_dydx_a")
    given, expected = reference["inputs"][row], reference["expected"][row]
    bitcoin, dollars = given["bankrupt_btc_usd"]
    positions: list[Position] = [(0, 0, bitcoin, None, 1.0)]
    if "bankrupt_eth" in given:
        positions.append((0, 1, given["bankrupt_eth"], None, 1.0))
    positions += [(i, 0, units, None, 0.0) for i, (units, _) in enumerate(given["others_btc_usd"], start=1)]
    cash = [dollars, *(usd for _, usd in given["others_btc_usd"])]
    venue = one_pool(positions, cash, [50_000.0, 3_000.0])
    order = (np.nan, *(float(given["order"].index(k)) for k in range(len(given["order"]))))
    n = len(cash)
    state = begin(venue, Rules(), (adl(order, share="margin"),), venue.market.price, np.zeros(n))
    bankrupt = np.arange(n) == 0
    deleverage(state, look(state.books, state.out)[0], bankrupt, bankrupt)
    after = state.books.cash + state.out.proceeds
    assert [fill[3] for fill in state.fills] == pytest.approx(expected["fills"])
    assert after[1:].tolist() == pytest.approx(expected["usd_after"])
    assert held(state)[0, 0] == expected["btc_left"]
    if "bankrupt_eth" in given:
        assert after[0] == pytest.approx(expected["bankrupt_usd_after"])
        assert held(state)[0, 1] == expected["bankrupt_eth_after"]


def a_failure(loss: float, cash: Any, fund: float = 0.0, gains: Any = None) -> VenueMarket:
    """Return a venue in which account 0 loses `loss` as a price doubles, the others gain, and nothing moves prices."""
    gains = np.zeros(len(cash)) if gains is None else np.array(gains, dtype=float)
    positions: list[Position] = [(0, 0, -loss, 1.0, 0.0)]
    positions += [(i, 0, float(gain), 1.0, 0.0) for i, gain in enumerate(gains, start=1) if gain]
    return one_pool(positions, [0.0, *cash], [1.0], fund=fund)


def test_layers_of_a_clearing_house() -> None:
    """What the case lists in two layers, margin and contribution of the defaulter, is one: 2,480 in all."""
    reference = case("ccp_waterfall_teaching")
    amounts, used = dict(reference["inputs"]["layers"]), reference["expected"]["used"]
    venue = a_failure(reference["inputs"]["loss"], [5000.0] * 2)
    mutual = amounts["mutual default fund"] / 2
    contributions = np.array([amounts["defaulter fund contribution"], mutual, mutual])
    margins = np.array([amounts["defaulter initial margin"], 0.0, 0.0])
    venue = replace(venue, initial_margin=margins, fund_contribution=contributions)
    purse: Layer = ("purse", (amounts["skin in the game"],))
    found = run_one(venue, (("own",), purse, ("members", "fund_contribution", 1.0)), [1.0])
    assert found.used[:, 0].tolist() == pytest.approx([used[0] + used[1], used[2], used[3]])
    assert found.own_used.tolist() == pytest.approx([used[0] + used[1], 0, 0])
    assert found.out.uncovered.sum() == pytest.approx(reference["expected"]["remaining"])


def test_the_default_at_nasdaq_clearing() -> None:
    reference = case("nasdaq_clearing_2018_waterfall")
    amounts, expected = dict(reference["inputs"]["layers"]), reference["expected"]
    venue = a_failure(reference["inputs"]["loss_beyond_defaulter_resources"], [100.0] * 4)
    fund = amounts["member_default_fund"]
    venue = replace(venue, fund_contribution=np.array([0.0, 0.1, 0.2, 0.3, 0.4]) * fund)
    layers: tuple[Layer, ...] = (
        ("purse", (amounts["skin_in_the_game_junior"],)),
        ("members", "fund_contribution", 1.0),
    )
    found = run_one(venue, layers, [1.0])
    assert found.used[:, 0].tolist() == pytest.approx([amount for _, amount in expected["use"]])
    assert found.level[1, 0] == pytest.approx(expected["default_fund_fraction"])
    np.testing.assert_allclose(found.borne[1], venue.fund_contribution * expected["default_fund_fraction"])
    assert found.out.uncovered.sum() == pytest.approx(expected["remaining"])


def test_gains_are_cut_after_the_mutual_fund() -> None:
    reference = case("ccp_waterfall_vmgh_cover2")
    given, expected = reference["inputs"], reference["expected"]
    moved, amounts = np.array(given["vm"]), dict(given["layers"])
    failed = np.arange(len(moved)) == given["defaulter"]
    positions: list[Position] = [(i, 0, float(units), 1.0, 0.0) for i, units in enumerate(moved)]
    mutual = np.where(failed, 0.0, amounts["mutual_df"] / (~failed).sum())
    venue = replace(
        one_pool(positions, mutual, [1.0]),
        initial_margin=np.where(failed, given["im"], 0.0),
        fund_contribution=np.where(failed, given["own_df"], mutual),
    )
    layers: tuple[Layer, ...] = (
        ("own",),
        ("purse", (amounts["sitg"],)),
        ("members", "fund_contribution", 1.0),
        ("gains",),
        ("pro_rata", "equity"),
    )
    found = run_one(venue, layers, [1.0])
    use = [amount for _, amount in expected["use"]]
    assert found.out.shortfall.sum() - found.own_used.sum() == pytest.approx(expected["loss_after_own"])
    assert found.used[1:, 0].tolist() == pytest.approx([*use, expected["residual"], 0.0])
    assert found.level[3, 0] == pytest.approx(expected["vmgh_haircut"], rel=reference["tolerance"])
    np.testing.assert_allclose(np.maximum(0, moved) - found.borne[3], expected["vm_paid"], rtol=reference["tolerance"])


def test_a_bankruptcy_at_drift_is_shared_by_open_interest() -> None:
    reference = case("drift_bankruptcy_a")
    given, expected = reference["inputs"]["perp"], reference["expected"]["perp"]
    users = given["users"]
    positions: list[Position] = [(i, 0, units, None, 0.0) for i, (units, _) in enumerate(users)]
    own = 1000.0  # members have collateral of their own
    cash = [quote + own for _, quote in users]
    venue = one_pool(positions, [*cash, -given["loss"]], [100.0])
    found = run_one(venue, (("fund",), ("pro_rata", "open_interest")), [0.0])
    assert found.level[1, 0] * 100.0 == pytest.approx(expected["loss_per_unit"])
    after = found.books.cash + found.out.proceeds - found.out.socialised - own
    np.testing.assert_allclose(after[:2], expected["quote_after"])


def test_a_partial_liquidation_at_drift() -> None:
    reference = case("drift_bankruptcy_a")
    given, expected = reference["inputs"]["partial"], reference["expected"]["partial"]
    positions: list[Position] = [(0, 0, given["base"], None, given["maintenance"])]
    venue = one_pool(positions, [given["quote"] + given["collateral"]], [given["price"]])
    fee = given["liquidator_fee"] + given["fund_fee"]
    buffer = given["buffer"] / given["maintenance"]
    rules = Rules(liquidation=("target", buffer), penalty=fee, penalty_to_fund=given["fund_fee"] / fee)
    found = run_one(venue, DEFAULT, [0.0], rules)
    assert found.out.closed[0] == pytest.approx(expected["theta"])
    assert found.quantity[0, 0] == pytest.approx(expected["base_left"])
    quote = found.books.cash[0] + found.out.proceeds[0] - found.out.penalty[0] - given["collateral"]
    assert quote == pytest.approx(expected["quote_left"])
    assert found.out.fund_received[0] == pytest.approx(expected["fund_fee"])
    ratio = look(found.books, found.out)[0][0] / (found.quantity[0, 0] * given["price"])
    assert ratio == pytest.approx(expected["margin_ratio_after"])


@pytest.mark.parametrize("row", range(4))
def test_gains_burn_before_the_fund(row: int) -> None:
    """Profit that is not vested burns first, then the fund pays, then all equity is cut in one ratio.

    The source counts its fund among the assets, and once more as drawn: its last cut is larger by twice the fund.
    """
    reference = case("percolator_crisis")
    given, expected = reference["inputs"][row], reference["expected"][row]
    fund, equity = given["fund"], given["principal"] + given["realised"]
    deficit = max(0.0, equity + given["warming"] - given["collateral"] - fund)
    venue = a_failure(deficit, [0.4 * equity, 0.6 * equity, 0.0], fund, [0, 0, given["warming"]])
    found = run_one(venue, (("gains",), ("fund",), ("pro_rata", "equity")), [1.0])
    burned, drawn, cut = found.used[:, 0]
    assert [burned, drawn] == pytest.approx([expected["burned"], expected["fund_draw"]])
    twice = 2 * fund if drawn else 0.0
    assert cut + twice == pytest.approx(expected["equity_haircut"] * equity)


FLOX: list[tuple[str, Rank]] = [
    ("adl_pnl_ratio", "profit"),
    ("adl_tie_lower_id", "profit"),
    ("adl_rank_pnl_ratio", "profit"),
    ("adl_rank_binance", (0.0, 2.0, 1.0)),
    ("adl_rank_size", (0.0, 2.0, 1.0)),
]


@pytest.mark.parametrize(("name", "rank"), FLOX)
def test_who_is_deleveraged_at_flox(name: str, rank: Rank) -> None:
    reference = case("flox_liquidation_adl")
    given = reference["inputs"]["isolated_positions"][name]
    expected = reference["expected"]["isolated_positions"][name]
    rows = sorted(given["pos"])
    positions: list[Position] = [(i, 0, units, entry, 0.005) for i, (_, units, entry, _) in enumerate(rows)]
    price = given["mark"]
    found = run_one(one_pool(positions, [row[3] for row in rows], [price]), (adl(rank), ("fund",)), [0.0])
    closed = [rows[i][0] for i in np.flatnonzero(found.out.breach_round)]
    assert closed == expected["liquidated"]
    assert [rows[fill[1]][0] for fill in found.fills] == expected["adl_closed"]
    assert found.out.fund_used.sum() == -expected["insurance_fund_delta"] == found.out.uncovered.sum()


def test_what_is_confiscated_at_flox() -> None:
    reference = case("flox_liquidation_adl")
    given = reference["inputs"]["cross_margin_accounts"]["adl_confiscates_only_deficit"]
    expected = reference["expected"]["cross_margin_accounts"]["adl_confiscates_only_deficit"]
    positions: list[Position] = [
        (i, 0, units, entry, 0.005) for i, (_, _, legs) in enumerate(given["accts"]) for _, units, entry in legs
    ]
    cash = [equity for _, equity, _ in given["accts"]]
    found = run_one(one_pool(positions, cash, [given["marks"][0][1]]), (adl("profit"), ("fund",)), [0.0])
    assert [given["accts"][fill[1]][0] for fill in found.fills] == expected["adl_closed"]
    np.testing.assert_allclose(found.out.equity_after, expected["equity"], atol=TOLERANCE)
    assert (found.quantity != 0).sum(axis=1).tolist() == expected["positions_left"]


@pytest.mark.parametrize("name", ["underwater_long", "healthy", "fund_absorbs_550"])
def test_isolated_positions_at_flox_without_deleveraging(name: str) -> None:
    reference = case("flox_liquidation_adl")
    given = reference["inputs"]["isolated_positions"][name]
    expected = reference["expected"]["isolated_positions"][name]
    positions: list[Position] = [(i, 0, units, entry, 0.005) for i, (_, units, entry, _) in enumerate(given["pos"])]
    venue = one_pool(positions, [row[3] for row in given["pos"]], [given["mark"]], fund=given.get("fund", 0.0))
    found = run_one(venue, (("fund",),), [0.0])
    assert [given["pos"][i][0] for i in np.flatnonzero(found.out.breach_round)] == expected["liquidated"]
    assert found.out.fund_used.sum() == pytest.approx(-expected["insurance_fund_delta"])
    assert found.out.fund_after.sum() == pytest.approx(expected["fund_balance"])
