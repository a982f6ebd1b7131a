"""The slow oracle of waterfalls by itself: what is always true of it, on 500 random venues."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from tests.reference import dense_waterfall as module
from tests.reference.dense_cascade import closed_whole, dense_cascade, look, worth
from tests.reference.dense_fills import deleverage, held
from tests.reference.dense_state import Flags, Floats, Outcome, Waterfall
from tests.reference.dense_waterfall import DEFAULT, begin, dense_waterfall
from tests.reference.random_markets import random_case
from tests.reference.random_waterfalls import WaterfallCase, counts, gross_value, random_waterfall
from tests.reference.small_venues import plain

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


def test_margins_and_costs_shrink_and_grow_with_the_positions(runs: list[Run]) -> None:
    for run in runs:
        found, vault = run.found, run.case.venue.vault
        start = begin(run.case.venue, found.rules, found.layers, found.out.price_shocked, run.case.losses)
        passed = np.isin(np.arange(len(vault)), [fill[0] for fill in found.passed])
        for now, then in ((found.books.margin_sell, start.books.margin_sell), (found.cost, start.cost)):
            one, other = now * start.books.sell, then * found.books.sell
            np.testing.assert_allclose(one[~vault & ~passed], other[~vault & ~passed], rtol=TOLERANCE)
            assert not now[passed].any()


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
