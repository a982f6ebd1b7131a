"""The monitor on margin tiers and scenario grids: after each event, the venue counted anew."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.collateral.monitoring.ledger import Ledger
from tests.option_books import option_market
from tests.reference.dense_state import Floats
from tests.reference.margins import grid_margin, tier_margin
from tests.reference.venue import Venue
from tests.test_monitor import Stream, assert_equal, random_graph, venue_of

GRIDS = {
    "wide": (np.array([0.0, -0.2, -0.1, 0.1, 0.2]), np.array([1.0, 0.7, 1.0, 1.0, 0.6])),
    "narrow": (np.array([0.0, -0.05, 0.07]), np.ones(3)),
}


@dataclass
class MarginVenue(Venue):
    """A venue with tiers by asset, a grid by account ("": none), and risk groups by asset."""

    tiers: dict[str, list[tuple[float, float]]]
    on: list[str]
    groups: list[str]

    @property
    def maintenance(self) -> Floats:
        """The margin of every account, from the definitions."""
        groups = [*self.groups, *self.assets[len(self.groups) :]]
        found = np.zeros(len(self.accounts))
        for i, units in enumerate(self.units):
            if i < len(self.on) and self.on[i]:
                moves, weights = GRIDS[self.on[i]]
                found[i] = grid_margin(units, self.price[:, None] * moves * weights, groups)
                continue
            for j in np.flatnonzero(units):
                if self.assets[j] in self.tiers:
                    found[i] += tier_margin(abs(units[j]) * self.price[j], self.tiers[self.assets[j]])
                else:
                    found[i] += self.margin_units[i, j] * self.price[j]
        return found


class MarginStream(Stream):
    """Random events; a trade has no rate of its own where tiers or a grid say the margin."""

    def _takes_a_rate(self, row: int, other: int, column: int) -> bool:
        on, assets = self.venue.on, self.venue.assets
        on_grid = any(k < len(on) and on[k] for k in (row, other))
        return not on_grid and assets[column] not in self.venue.tiers


def with_margins(graph: cg.ExposureGraph, rng: np.random.Generator) -> tuple[cg.ExposureGraph, MarginVenue]:
    """Draw tiers of half of the assets, and two grids for half of the accounts."""
    tiers = {}
    for asset in graph.assets[rng.random(len(graph.assets)) < 0.6]:
        lower = np.append(0.0, np.sort(rng.uniform(5.0, 200.0, rng.integers(0, 4))))
        tiers[str(asset)] = list(zip(lower.tolist(), np.sort(rng.uniform(0.0, 0.5, lower.size)).tolist(), strict=True))
    rows = [(asset, *pair) for asset, pairs in tiers.items() for pair in pairs]
    scenarios = [(name, move, weight) for name, grid in GRIDS.items() for move, weight in zip(*grid, strict=True)]
    on = rng.choice(["", "wide", "narrow"], len(graph.account_index), p=[0.5, 0.3, 0.2]).tolist()
    groups = rng.choice(["one", "two", ""], len(graph.assets)).tolist()
    graph = graph.assign(
        margin_tiers=pd.DataFrame(rows, columns=["asset", "lower", "rate"]),
        margin_scenarios=pd.DataFrame(scenarios, columns=["grid", "move", "weight"]),
        account_margin=on,
        asset_group=groups,
    )
    names = [group or str(asset) for group, asset in zip(groups, graph.assets, strict=True)]
    return graph, MarginVenue(**vars(venue_of(graph)), tiers=tiers, on=on, groups=names)


@pytest.mark.parametrize("seed", range(20))
def test_after_each_event_the_monitor_is_the_venue_counted_anew(seed: int):
    rng = np.random.default_rng([seed, 19])
    graph, venue = with_margins(random_graph(rng), rng)
    monitor = cg.SolvencyMonitor(graph)
    stream, breached, changes = MarginStream(monitor, venue, rng), set(monitor.breached), 0
    assert breached == {venue.accounts[row] for row in np.flatnonzero(venue.equity < venue.maintenance)}
    for k in range(400):
        now = assert_equal(monitor, venue, breached, stream.step())
        changes += now != breached
        breached = now
        if k % 100 == 99:
            assert_snapshot(monitor)
    assert changes > 10
    assert stream.refused > 1


def assert_snapshot(monitor: cg.SolvencyMonitor) -> None:
    """Compare the figures with those of the snapshot, to the last bit, and with a graph built from its tables."""
    snapshot, accounts = monitor.snapshot(), monitor.accounts
    again = cg.ExposureGraph.from_tables(**snapshot.to_frames(), payoffs=snapshot.payoffs)
    scale = 1e-9 * (snapshot.gross_value.max() + snapshot.cash.max())
    for name in ("equity", "maintenance", "slack"):
        pd.testing.assert_series_equal(accounts[name], getattr(snapshot, name), rtol=0.0, atol=0.0)
        pd.testing.assert_series_equal(accounts[name], getattr(again, name), rtol=1e-9, atol=scale)
    assert set(monitor.breached) == set(snapshot.account_index[(snapshot.slack < 0.0).to_numpy()])


@pytest.mark.parametrize("seed", range(12))
def test_options_on_grids_follow_their_underlyings(seed: int):
    """Portfolio margin with calls, puts and futures: after every event the margin is that of a graph built anew."""
    graph, rng = option_market(seed).graph, np.random.default_rng([seed, 20])
    graph = graph.assign(cash=graph.cash - 0.3 * np.maximum(graph.slack.to_numpy(), 0.0))
    if seed % 2:
        graph = graph.assign(margin_tiers={"asset": ["BTC"] * 2, "lower": [0.0, 500.0], "rate": [0.05, 0.2]})
    monitor, changes = cg.SolvencyMonitor(graph), 0
    for _ in range(40):
        before = set(monitor.breached)
        verdict = random_event(monitor, rng)
        assert_snapshot(monitor)
        now = set(monitor.breached)
        assert set(verdict.breached) == now - before
        assert set(verdict.recovered) == before - now
        changes += now != before
        equity = monitor.accounts["equity"].groupby("pool", sort=False)
        expected = equity.apply(lambda each: each.clip(lower=0.0).sum()).reindex(monitor.pools.index)
        assert monitor.pools["liabilities"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-9, abs=1e-9)
    assert changes > 0


def random_event(monitor: cg.SolvencyMonitor, rng: np.random.Generator) -> Any:
    graph = monitor.snapshot()
    asset = str(rng.choice(graph.assets))
    price = float(graph.price[graph.assets.get_loc(asset)])
    account = graph.account_index[int(rng.integers(len(graph.account_index)))]
    kind = rng.integers(6)
    if kind == 0:
        return monitor.charge(account, float(rng.normal(scale=20.0)))
    if kind == 1:
        return monitor.price(asset, price * float(np.exp(0.05 * rng.standard_normal())))
    if kind <= 3:
        coin = ["BTC", "ETH"][int(rng.integers(2))]
        now = float(graph.price[graph.assets.get_loc(coin)])
        return monitor.price(coin, now * float(np.exp(0.1 * rng.standard_normal())))
    other = graph.account_index[int(rng.integers(len(graph.account_index)))]
    against = None if other == account else other
    return monitor.trade(account, asset, float(rng.normal(scale=5.0)), price, against=against)


def hedged() -> cg.SolvencyMonitor:
    """Ann holds a hedge on a grid, Bob is on tiers, Cleo on a flat rate."""
    graph = cg.ExposureGraph.from_arrays(
        [[10.0, -10.0, 0.0], [30.0, 0.0, 0.0], [0.0, 0.0, 5.0]],
        price=[100.0, 100.0, 10.0], margin_long=0.1, margin_short=0.1, cash=[100.0, -2_000.0, 0.0],
        traders=["Ann", "Bob", "Cleo"], assets=["spot", "perp", "other"],
        margin_tiers={"asset": ["spot", "spot"], "lower": [0.0, 1_000.0], "rate": [0.1, 0.3]},
        margin_scenarios={"grid": ["pm"] * 3, "move": [-0.2, 0.0, 0.2]},
        account_margin=["pm", "", ""], asset_group=["BTC", "BTC", ""],
    )  # fmt: skip
    return cg.SolvencyMonitor(graph)


def test_a_hedge_that_is_taken_away_needs_margin():
    monitor = hedged()
    assert monitor.accounts["maintenance"].tolist() == [0.0, 700.0, 5.0]
    with pytest.raises(cg.EventError, match="would be 380 below its maintenance"):
        monitor.withdraw("Ann", 4.0, asset="spot")  # an equity of -300 against the 80 of 4 perpetuals
    monitor.deposit("Ann", 500.0)
    assert monitor.withdraw("Ann", 4.0, asset="spot").breached == []
    assert monitor.account("Ann").tolist() == pytest.approx([200.0, 80.0, 120.0])


def test_withdrawals_are_allowed_up_to_the_margin_of_what_is_left():
    """Of Bob's 30 units each of the last 20 is margined at 0.3: equity covers the withdrawal of 4 of them."""
    monitor = hedged()
    with pytest.raises(cg.EventError, match=r"would be .* below its maintenance"):
        monitor.withdraw("Bob", 4.3, asset="spot")
    monitor.withdraw("Bob", 300.0 / 70.0, asset="spot")
    assert monitor.account("Bob")["slack"] == pytest.approx(0.0, abs=1e-9)


def test_new_accounts_are_on_rates_and_tiers_and_new_assets_have_flat_rates():
    monitor = hedged()
    for k in range(9):
        monitor.list_asset(f"new {k}", 10.0, margin_long=0.5, margin_short=0.5)
    monitor.open_account("Dan", cash=2_000.0)
    monitor.trade("Dan", "spot", 20.0, 100.0)
    monitor.trade("Dan", "new 8", 1.0, 10.0, against="Ann")
    assert monitor.accounts["maintenance"].tolist() == [2.0, 700.0, 5.0, 100.0 + 300.0 + 5.0]
    assert monitor.snapshot().maintenance.tolist() == monitor.accounts["maintenance"].tolist()


def test_accounts_on_tiers_are_screened():
    """Of 20,000 accounts a small tick of the asset that half of them hold makes few candidates."""
    graph = cg.generate.perpetuals(20_000, 40, rng=1)
    tiers = [(asset, lower, rate) for asset in graph.assets for lower, rate in ((0.0, 0.01), (5e4, 0.05), (5e5, 0.2))]
    graph = replace(graph, margin_tiers=pd.DataFrame(tiers, columns=["asset", "lower", "rate"]))
    ledger, rng = Ledger(graph), np.random.default_rng(0)
    low = ledger.watch.low.copy()
    for _ in range(200):
        ledger.move(np.array([0]), ledger.watch.price[:1] * np.exp(2e-4 * rng.standard_normal()))
    rows = np.repeat(np.arange(ledger.n), ledger.watch.length)
    assert np.unique(rows[ledger.watch.low[: low.size] != low]).size < 200
    for _ in range(5):
        ledger.move(np.arange(40), ledger.watch.price * np.exp(0.05 * rng.standard_normal(40)))
        equity, maintenance = ledger.values()
        np.testing.assert_array_equal(ledger.in_breach(), equity < maintenance)
    now = replace(graph, price=ledger.watch.price.copy())
    assert (ledger.values()[1] == now.maintenance.to_numpy()).all()
    assert ledger.sums.breached.sum() > 50
