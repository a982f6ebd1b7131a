"""The slow oracle of waterfalls by itself: what is always true of it, numbers by hand, and cases of others.

Of the cases of others some parts do not fit, because they measure something else:

* `adl_dydx_a`: two rows, and the two offsets, close accounts with positive equity; they are steps of one function there,
  and of one function here (`deleverage`). A run takes over such accounts, or sells them.
* `ccp_waterfall_vmgh_cover2`: cover-2 is a maximum over scenarios, no waterfall.
* `percolator_crisis`: the equity haircut of the row that draws its fund, which counts the fund twice.
* `flox_liquidation_adl`: a winner there is closed whole and forgoes min(deficit, profit), here as many units as the leg
  has pass at the bankruptcy price: who is taken from agrees, and amounts where one winner holds as much as the leg. The
  ranks "binance" and "position_size" are none of ours: they are given as numbers.
  `tiers` needs tiered margins; rows without deleveraging are liquidations of one leg at a time.
"""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from tests.reference import dense_waterfall as module
from tests.reference.dense_cascade import closed_whole, dense_cascade, look, worth
from tests.reference.dense_fills import deleverage, held
from tests.reference.dense_state import (
    Flags,
    Floats,
    Layer,
    Market,
    Outcome,
    Position,
    Rank,
    Rules,
    VenueMarket,
    Waterfall,
)
from tests.reference.dense_waterfall import DEFAULT, begin, dense_waterfall
from tests.reference.instruments import Instrument, instruments_of
from tests.reference.random_markets import random_case
from tests.reference.random_waterfalls import WaterfallCase, counts, gross_value, random_waterfall
from tests.shared_data import case

CASES = 500
TOLERANCE = 1e-9
AT_LEAST = {
    **dict.fromkeys(("own", "fund", "purse", "members", "gains", "pro_rata"), 80),
    **dict.fromkeys(("rank profit", "rank hyperliquid", "rank pro_rata", "rank random", "rank given"), 50),
    **dict.fromkeys(("trigger equity", "trigger fund", "share value", "share margin", "filled whole"), 150),
    **dict.fromkeys(("take-over", "vault filled", "uncovered", "cap reached", "rounds of fills", "after closing"), 40),
}
MEMBERS = ("members", "gains", "pro_rata")


class Watch:
    """Looks at equity, from all positions, before and after each deleveraging and each settlement of a run."""

    def __init__(self) -> None:
        self.beyond_equity = self.beyond_deficit = self.unfair = self.members_beyond_equity = 0.0

    def deleverage(self, state: Waterfall, equity: Floats, breached: Flags, bankrupt: Flags) -> None:
        """3b, with what it does to equity, and who is who."""
        before, _ = look(state.books, state.out)
        units, first = held(state), len(state.fills)
        deleverage(state, equity, breached, bankrupt)
        after, _ = look(state.books, state.out)
        losers = {fill[1] for fill in state.fills[first:]}
        assert not losers & set(np.flatnonzero(breached | closed_whole(state.out)).tolist())
        assert {fill[0] for fill in state.fills[first:]} <= set(np.flatnonzero(bankrupt).tolist())
        amounts = np.zeros((2, len(before)))
        for i, c, j, filled, _, amount in state.fills[first:]:
            amounts[:, [i, c]] += [[-amount, amount], [filled, filled]]
            assert units[i, j] * units[c, j] < 0 < filled
            assert state.venue.market.pool[i] == state.venue.market.pool[c]
        self.unfair = max(self.unfair, float(np.abs(before - amounts[0] - after).max()))
        self.beyond_equity = max(self.beyond_equity, -after[list(losers)].min(initial=0.0))
        self.beyond_deficit = max(self.beyond_deficit, after[bankrupt].max(initial=0.0))
        np.testing.assert_allclose(equity[bankrupt | (amounts[0] > 0)], after[bankrupt | (amounts[0] > 0)], atol=1e-4)

    def members(self, state: Waterfall, k: int, v: int, due: float) -> tuple[float, float]:
        """Ask a layer of step 8, with what each had before, and what it bore."""
        before, bore = worth(state.books, state.out) - state.out.socialised, state.borne[k].copy()
        found = module_members(state, k, v, due)
        over = state.borne[k] - bore - np.maximum(0, before)
        self.members_beyond_equity = max(self.members_beyond_equity, float(over.max()))
        assert found[0] + found[1] == pytest.approx(due, rel=TOLERANCE)
        return found


module_members = module.members


class Run:
    """A case, what the oracle finds, and what was seen on the way."""

    def __init__(self, seed: int) -> None:
        self.case, self.seen = random_waterfall(seed), Watch()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "deleverage", self.seen.deleverage)
            patch.setattr(module, "members", self.seen.members)
            self.found = self.case.run()
        out, market = self.found.out, self.case.venue.market
        cash = np.abs(market.cash).sum() + np.abs(out.proceeds).sum() + np.abs(self.found.transfer).sum()
        self.scale = gross_value(market).sum() + cash  # what a currency figure is compared with


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [Run(seed) for seed in range(CASES)]


def test_every_layer_rank_and_trigger_is_met_often(runs: list[Run]) -> None:
    found = counts([(run.case, run.found) for run in runs])
    assert {name: found[name] for name, least in AT_LEAST.items() if found[name] < least} == {}
    assert sum(len(run.found.fills) for run in runs) > 5_000
    assert sum(len(run.found.passed) for run in runs) > 150
    assert sum(run.found.closest < TOLERANCE for run in runs) < CASES / 4
    assert all(run.found.out.converged for run in runs)


def test_the_same_seed_is_the_same_case() -> None:
    one, other = random_waterfall(7).run(), random_waterfall(7).run()
    assert one.fills == other.fills
    np.testing.assert_array_equal(one.out.loss, other.out.loss)


def test_identity_of_each_account(runs: list[Run]) -> None:
    for run in runs:
        out = run.found.out
        explained = out.direct + out.impact + out.penalty + out.socialised + run.found.transfer - out.shortfall
        np.testing.assert_allclose(out.loss, explained, rtol=0, atol=TOLERANCE * run.scale)


def test_identity_of_the_system(runs: list[Run]) -> None:
    for run in runs:
        out, purses = run.found.out, used_by(run.found, "purse").sum()
        paid = out.loss.sum() + run.found.own_used.sum() + out.fund_used.sum() + purses + out.uncovered.sum()
        cost = out.direct.sum() + out.impact.sum() + out.penalty.sum()
        assert paid == pytest.approx(cost, rel=0, abs=TOLERANCE * run.scale)


def test_identities_of_each_pool(runs: list[Run]) -> None:
    for run in runs:
        out, found, close = run.found.out, run.found, {"rtol": 0, "atol": TOLERANCE * run.scale}
        market = run.case.venue.market
        np.testing.assert_allclose(out.pool_shortfall, found.used.sum(axis=0) + out.uncovered, **close)
        np.testing.assert_allclose(out.fund_after, market.insurance_fund - out.fund_used + out.fund_received, **close)
        np.testing.assert_allclose(out.fund_used, used_by(found, "fund"), **close)
        np.testing.assert_allclose(out.pool_socialised, used_by(found, *MEMBERS), **close)
        own = np.bincount(market.pool, found.own_used, len(out.fund_after))
        np.testing.assert_allclose(own, used_by(found, "own"), **close)
        np.testing.assert_allclose(found.borne.sum(axis=0), out.socialised, **close)
        assert (out.fund_after >= 0).all()
        assert (found.purse_left >= 0).all()
        assert (found.own_left >= 0).all()


def used_by(found: Waterfall, *kinds: str) -> Floats:
    """Return what layers of these kinds paid, by pool."""
    chosen: Floats = found.used[[layer[0] in kinds for layer in found.layers]].sum(axis=0)
    return chosen


def test_transfers_add_up_to_nothing_and_are_those_of_the_fills(runs: list[Run]) -> None:
    for run in runs:
        found = run.found
        assert found.transfer.sum() == pytest.approx(0.0, abs=TOLERANCE * run.scale)
        again = np.zeros_like(found.transfer)
        for i, c, _, _, _, amount in (*found.fills, *found.passed):
            again[[i, c]] += -amount, amount
        np.testing.assert_allclose(found.transfer, again, rtol=0, atol=TOLERANCE * run.scale)


def test_units_are_conserved(runs: list[Run]) -> None:
    for run in runs:
        first, found = run.found.first, run.found
        start = first.sell + first.keep
        units = np.abs(start).sum()
        left = found.quantity.sum(axis=0) + found.out.units_sold
        np.testing.assert_allclose(left, start.sum(axis=0), rtol=0, atol=TOLERANCE * units)
        again = start * np.where(start < 0, 1 - found.out.closed_short[:, None], 1 - found.out.closed_long[:, None])
        untouched = np.ones_like(start, dtype=bool)
        for i, c, *_ in (*found.fills, *found.passed):
            untouched[[i, c]] = False
        untouched &= run.case.venue.market.sellable
        np.testing.assert_allclose(found.quantity[untouched], again[untouched], rtol=0, atol=TOLERANCE * units)


def test_who_is_filled_whole_or_taken_over_ends_at_nothing(runs: list[Run]) -> None:
    for run in runs:
        found, out = run.found, run.found.out
        gross = gross_value(run.case.venue.market)
        passed = np.isin(np.arange(len(gross)), [fill[0] for fill in found.passed])
        ends = worth(found.books, out) - out.socialised
        assert (np.abs(ends) <= TOLERANCE * (gross + np.abs(out.proceeds)))[found.filled_whole | passed].all()
        assert not out.shortfall[found.filled_whole | passed].any()
        assert closed_whole(out)[found.filled_whole | passed].all()
        assert not found.quantity[passed].any()


def test_no_fill_takes_more_than_the_deficit_or_the_equity(runs: list[Run]) -> None:
    for run in runs:
        seen = run.seen
        assert max(seen.beyond_equity, seen.beyond_deficit, seen.unfair) <= TOLERANCE * run.scale


def test_members_pay_at_most_their_cap_and_their_equity(runs: list[Run]) -> None:
    for run in runs:
        found = run.found
        assert run.seen.members_beyond_equity <= TOLERANCE * run.scale
        for k, layer in enumerate(found.layers):
            if layer[0] in MEMBERS:
                pool = run.case.venue.market.pool
                most = np.where(found.base[k] > 0, found.level[k][pool] * found.base[k], 0.0)
                assert (found.level[k] <= found.cap[k] * (1 + TOLERANCE)).all()
                assert (found.borne[k] <= most + TOLERANCE * run.scale).all()
                assert (found.borne[k] >= 0).all()


def test_a_layer_pays_only_when_the_one_before_is_empty(runs: list[Run]) -> None:
    for run in runs:
        found = run.found
        for k, layer in enumerate(found.layers):
            beyond = found.used[k + 1 :].sum(axis=0) + found.out.uncovered > TOLERANCE * run.scale
            if layer[0] == "purse":
                assert (found.purse_left[k][beyond] == 0).all()
            elif layer[0] == "fund" and not found.out.fund_received.any():
                assert (found.out.fund_after[beyond] == 0).all()
            elif np.isfinite(found.cap[k]) and layer[0] in MEMBERS:
                assert (found.level[k][beyond] == found.cap[k]).all()


def test_it_ends_where_nobody_is_in_breach_and_vaults_never_are(runs: list[Run]) -> None:
    """Rules that close a part can end in breach, where what cannot be sold needs a margin."""
    for run in runs:
        found, vault = run.found, run.case.venue.vault
        assert not found.out.breach_round[vault].any()
        assert not found.out.closed[vault].any()
        if run.case.rules.liquidation == ("full",):
            equity, maintenance = look(found.books, found.out)
            slack = (equity - maintenance)[~closed_whole(found.out) & ~vault]
            assert slack.min(initial=0.0) >= 0


def test_relabelling_accounts_permutes_the_result(runs: list[Run]) -> None:
    for seed, run in enumerate(runs[:150]):
        if run.found.closest < TOLERANCE or any(
            layer[0] == "deleverage" and layer[1] == "random" for layer in run.found.layers
        ):
            continue
        order = np.random.default_rng(seed).permutation(len(run.case.losses))
        again = relabelled(run.case, order).run()
        np.testing.assert_allclose(again.out.loss, run.found.out.loss[order], rtol=0, atol=TOLERANCE * run.scale)
        np.testing.assert_allclose(again.transfer, run.found.transfer[order], rtol=0, atol=TOLERANCE * run.scale)


def relabelled(one: WaterfallCase, order: Any) -> WaterfallCase:
    """Put account order[k] in row k."""
    venue, market, row = one.venue, one.venue.market, np.argsort(order)
    market = replace(
        market,
        positions=[(int(row[position[0]]), *position[1:]) for position in market.positions],
        **{name: getattr(market, name)[order] for name in ("cash", "pool", "share")},
    )
    names = ("initial_margin", "fund_contribution", "vault")
    venue = replace(venue, market=market, **{name: getattr(venue, name)[order] for name in names})
    layers: list[Any] = list(one.layers)
    for k, layer in enumerate(layers):
        if layer[0] == "deleverage" and not isinstance(layer[1], str):
            layers[k] = (layer[0], tuple(np.array(layer[1])[order].tolist()), *layer[2:])
    return replace(one, venue=venue, layers=tuple(layers), losses=one.losses[order], defaults=one.defaults[order])


def test_with_the_default_layers_it_is_the_cascade_to_the_last_bit() -> None:
    compared = 0
    for seed in range(300):
        drawn = random_case(seed)
        if drawn.rules.liquidation[0] in ("leverage", "repay"):
            continue
        rules = replace(drawn.rules, sharing="equity")
        expected = dense_cascade(drawn.market, rules, drawn.shock, drawn.losses, drawn.defaults)
        found = dense_waterfall(plain(drawn.market), rules, DEFAULT, drawn.shock, drawn.losses, drawn.defaults)
        assert_same(found.out, expected)
        compared += 1
    assert compared > 150


def assert_same(found: Outcome, expected: Outcome) -> None:
    """Assert that all fields are equal, and that nothing was filled or taken over."""
    for field in fields(Outcome):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if field.name == "rounds":
            other = [row | {"taken_over": 0.0, "deleveraged": 0.0} for row in other]
            assert one == other
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)


def plain(market: Market) -> VenueMarket:
    """Return a venue without segregated resources and vaults."""
    n, none = len(market.cash), np.full(len(market.insurance_fund), np.nan)
    return VenueMarket(market, np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool), none)


def one_pool(positions: list[Position], cash: Any, price: Any, fund: float = 0.0, depth: float = np.inf) -> VenueMarket:
    """Return a venue of one pool."""
    price = np.array(price, dtype=float)
    cash, n = np.array(cash, dtype=float), len(cash)
    wide, yes = np.full(len(price), depth), np.ones(len(price), dtype=bool)
    pool = np.zeros(n, dtype=np.int64)
    return plain(Market(positions, cash, price, wide, yes, pool, np.array([float(fund)]), np.ones(n)))


def run_one(
    venue: VenueMarket, layers: tuple[Layer, ...], shock: Any, rules: Rules | None = None, **options: Any
) -> Waterfall:
    """Run without given losses and defaults."""
    n = len(venue.market.cash)
    rules = Rules(impact="linear") if rules is None else rules
    return dense_waterfall(venue, rules, layers, np.array(shock), np.zeros(n), np.zeros(n, dtype=bool), **options)


def adl(rank: Rank, trigger: Any = "equity", share: Any = "value") -> Layer:
    """Return a layer that deleverages."""
    return ("deleverage", rank, trigger, share, 0)


# ------------------------------------------------------------------ by hand


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
    assert found.out.breach_round.tolist() == [1, 0]
    assert not found.out.units_sold.any()


def test_a_vault_leaves_those_above_its_threshold_to_the_market() -> None:
    positions: list[Position] = [(0, 0, 10.0, 100.0, 0.0175), (1, 0, 1.0, 100.0, 0.5)]
    venue = one_pool(positions, [210.0, 1000.0], [100.0])
    venue = replace(venue, vault=np.array([False, True]), takeover_below=np.array([2 / 3]))
    assert not run_one(venue, DEFAULT, [-0.2]).passed  # E = 10, M = 14, 2/3 M = 9.33


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


# ------------------------------------------------------------------ cases of others


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
