"""The monitor after each event is the venue counted anew; what cannot have happened is refused and changes nothing."""

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.collateral.monitoring.ledger import Ledger
from contagion_graph.kernels import watch as kernels
from contagion_graph.kernels.book import traded
from tests.reference.venue import Account, Venue
from tests.shared_data import case

SEEDS, EVENTS = 20, 1_000


def random_graph(rng: np.random.Generator) -> cg.ExposureGraph:
    """Draw 5 to 150 accounts in 1 to 3 pools, 2 to 8 assets; some accounts are in breach, some under water."""
    n, m, v = int(rng.integers(5, 151)), int(rng.integers(2, 9)), int(rng.integers(1, 4))
    price = rng.lognormal(1.0, 2.0, m)
    value = rng.lognormal(4.0, 1.0, (n, m)) * rng.choice([-1.0, 1.0], (n, m)) * (rng.random((n, m)) < 0.4)
    margin = rng.uniform(0.0, 0.4, m)
    equity = np.abs(value).sum(axis=1) * rng.uniform(-0.05, 1.0, n) + rng.uniform(0.0, 5.0, n)
    return cg.ExposureGraph.from_arrays(
        value / price,
        price=price,
        margin_long=margin,
        margin_short=rng.uniform(0.0, 0.4, m),
        cash=equity - value.sum(axis=1),
        pool=[f"p{k}" for k in rng.integers(0, v, n)],
        insurance_fund=float(rng.lognormal(5.0, 1.0)),
        assets=[f"a{k}" for k in range(m)],
        traders=[f"t{k}" for k in range(n)],
    )


def venue_of(graph: cg.ExposureGraph) -> Venue:
    return Venue(
        accounts=[(str(a), str(b), str(c)) for a, b, c in graph.account_index],
        assets=graph.assets.tolist(),
        units=graph.quantity.toarray(),
        margin_units=graph.margin_units.toarray(),
        cash=graph.cash.copy(),
        price=graph.price.copy(),
        rates=list(zip(graph.margin_long, graph.margin_short, strict=True)),
        fund=dict(zip(graph.pools, graph.insurance_fund.tolist(), strict=True)),
    )


def rebuilt(venue: Venue) -> cg.ExposureGraph:
    """Build a graph from nothing but the venue's tables; each cell is one position with its own margin."""
    rows, columns = np.nonzero(venue.units)
    owners = np.array(venue.accounts, dtype=object)
    labels = dict(zip(("trader", "pool", "subaccount"), owners.T, strict=True))
    units, margin = venue.units[rows, columns], venue.margin_units[rows, columns]
    positions = {name: column[rows] for name, column in labels.items()}
    return cg.ExposureGraph.from_tables(
        {**positions, "asset": np.array(venue.assets)[columns], "quantity": units, "margin": margin / np.abs(units)},
        {"asset": venue.assets, "price": venue.price},
        accounts={**labels, "cash": venue.cash},
        pools={"pool": list(venue.fund), "insurance_fund": list(venue.fund.values())},
    )


class Stream:
    """Random events, carried out by the monitor and by the venue."""

    def __init__(self, monitor: cg.SolvencyMonitor, venue: Venue, rng: np.random.Generator) -> None:
        self.monitor, self.venue, self.rng, self.refused = monitor, venue, rng, 0

    def _row(self) -> int:
        return int(self.rng.integers(len(self.venue.accounts)))

    def _column(self) -> int:
        return int(self.rng.integers(len(self.venue.assets)))

    def _price(self) -> Any:
        column = self._column()
        size = self.rng.choice([0.0, 1e-4, 0.01, 0.3], p=[0.05, 0.35, 0.4, 0.2])
        self.venue.price[column] *= np.exp(size * self.rng.standard_normal())
        return self.monitor.price(self.venue.assets[column], self.venue.price[column])

    def _prices(self) -> Any:
        moved = self.rng.random(self.venue.price.size) < 0.7
        moved[0] = True
        self.venue.price[moved] *= np.exp(0.02 * self.rng.standard_normal(moved.sum()))
        return self.monitor.prices(pd.Series(self.venue.price, index=self.venue.assets)[moved])

    def _trade(self) -> Any:
        row, column = self._row(), self._column()
        held, price = self.venue.units[row, column], self.venue.price[column] * float(self.rng.uniform(0.9, 1.1))
        units = -held * [1.0, float(self.rng.uniform(0.1, 0.9)), 1.5, 0.0][self.rng.integers(4)]
        if units == 0.0:
            units = float(self.rng.normal()) * 20.0 / price
        other = self._row() if self.rng.random() < 0.5 else row
        rate = float(self.rng.uniform(0.0, 1.0)) if self.rng.random() < 0.2 else None
        rate = rate if self._takes_a_rate(row, other, column) else None
        fee = float(self.rng.uniform(-0.1, 0.1)) if self.rng.random() < 0.2 else 0.0
        fee_against = float(self.rng.uniform(-0.1, 0.1)) if other != row and self.rng.random() < 0.2 else 0.0
        self.venue.trade(row, column, units, units * price + fee, rate)
        if other != row:
            self.venue.trade(other, column, -units, -units * price + fee_against, rate)
        against = None if other == row else self.venue.accounts[other]
        account, asset = self.venue.accounts[row], self.venue.assets[column]
        fees = {"fee": fee, "fee_against": fee_against}
        return self.monitor.trade(account, asset, units, price, against=against, margin=rate, **fees)

    def _takes_a_rate(self, row: int, other: int, column: int) -> bool:
        return True

    def _charge(self) -> Any:
        row, amount = self._row(), float(self.rng.normal())
        self.venue.cash[row] -= amount
        return self.monitor.charge(self.venue.accounts[row], amount)

    def _deposit(self) -> Any:
        row, amount = self._row(), float(self.rng.lognormal(2.0, 1.0))
        account = self.venue.accounts[row]
        if self.rng.random() < 0.5:
            self.venue.cash[row] += amount
            return self.monitor.deposit(account, amount)
        column = self._column()
        amount /= self.venue.price[column]
        self.venue.trade(row, column, amount, 0.0)
        return self.monitor.deposit(account, amount, asset=self.venue.assets[column])

    def _withdraw(self) -> Any:
        row, amount = self._row(), float(self.rng.lognormal(2.0, 1.0))
        left = self.venue.equity[row] - amount - self.venue.maintenance[row]
        if self.rng.random() < 0.2:
            self.venue.cash[row] -= amount
            return self.monitor.withdraw(self.venue.accounts[row], amount, force=True)
        try:
            verdict = self.monitor.withdraw(self.venue.accounts[row], amount)
        except cg.EventError:
            assert left < 1e-9 * self.venue.size[row]
            self.refused += 1
            return None
        assert left > -1e-9 * self.venue.size[row]
        self.venue.cash[row] -= amount
        return verdict

    def _fund(self) -> Any:
        pool = next(iter(self.venue.fund))
        amount = float(self.rng.uniform(-0.5, 1.0)) * self.venue.fund[pool]
        self.venue.fund[pool] += amount
        return self.monitor.fund(pool, amount)

    def _open_account(self) -> Any:
        n = len(self.venue.accounts)
        account, cash = (f"n{n // 2}", list(self.venue.fund)[-1], f"s{n}"), float(self.rng.choice([0.0, 50.0]))
        self.venue.open_account(account, cash)
        return self.monitor.open_account(account, cash=cash)

    def _list_asset(self) -> Any:
        asset = f"new{len(self.venue.assets)}"
        self.venue.list_asset(asset, 2.0, (0.1, 0.2))
        return self.monitor.list_asset(asset, 2.0, margin_long=0.1, margin_short=0.2)

    def step(self) -> Any:
        """Carry out one random event; return the verdict, None where it was refused."""
        kinds = {self._price: 0.34, self._prices: 0.06, self._charge: 0.04, self._trade: 0.3, self._deposit: 0.09,
                 self._withdraw: 0.12, self._fund: 0.02, self._open_account: 0.02, self._list_asset: 0.01}  # fmt: skip
        return list(kinds)[int(self.rng.choice(len(kinds), p=list(kinds.values())))]()


def assert_equal(monitor: cg.SolvencyMonitor, venue: Venue, breached: set[Account], verdict: Any) -> set[Account]:
    """Compare every figure; return the accounts that are in breach now."""
    equity, maintenance = monitor._ledger.values()
    want, needed, size = venue.equity, venue.maintenance, venue.size
    assert (np.abs(equity - want) <= 1e-9 * size).all()
    assert (np.abs(maintenance - needed) <= 1e-9 * size).all()
    flags = monitor._ledger.in_breach()
    np.testing.assert_array_equal(flags, equity - maintenance < 0.0)  # to the last bit
    clear = np.abs(want - needed) > 1e-9 * size
    np.testing.assert_array_equal(flags[clear], (want < needed)[clear])
    now = {venue.accounts[row] for row in np.flatnonzero(flags)}
    if verdict is not None:
        assert set(verdict.breached) == now - breached
        assert set(verdict.recovered) == breached - now
        for k, pool in enumerate(venue.fund):
            scale = 1e-9 * (size.sum() + venue.fund[pool])
            assert np.abs(np.array([verdict.assets[k], verdict.liabilities[k]]) - venue.pool(pool)).max() <= scale
    return now


@pytest.mark.parametrize("seed", range(SEEDS))
def test_after_each_event_the_monitor_is_the_venue_counted_anew(seed: int):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    monitor, venue = cg.SolvencyMonitor(graph), venue_of(graph)
    stream, breached = Stream(monitor, venue, rng), set(monitor.breached)
    assert breached == {venue.accounts[row] for row in np.flatnonzero(venue.equity < venue.maintenance)}
    changes = 0
    for k in range(EVENTS):
        now = assert_equal(monitor, venue, breached, stream.step())
        changes += now != breached
        breached = now
        if k % 250 == 249:
            assert_graph(monitor, rebuilt(venue))
    assert changes > 50
    assert stream.refused > 5


def assert_graph(monitor: cg.SolvencyMonitor, graph: cg.ExposureGraph) -> None:
    """Compare the tables of a monitor and its snapshot with a graph built from scratch."""
    snapshot, accounts = monitor.snapshot(), monitor.accounts
    scale = 1e-9 * graph.gross_value.max()
    for name in ("equity", "maintenance", "slack"):
        pd.testing.assert_series_equal(accounts[name], getattr(snapshot, name), rtol=0.0, atol=0.0)
        pd.testing.assert_series_equal(accounts[name], getattr(graph, name), rtol=1e-9, atol=scale)
    pd.testing.assert_index_equal(snapshot.account_index, graph.account_index, exact=False)
    np.testing.assert_allclose(snapshot.quantity.toarray(), graph.quantity.toarray(), rtol=1e-9)
    np.testing.assert_allclose(snapshot.insurance_fund, graph.insurance_fund, rtol=1e-9)
    assert set(monitor.breached) == set(accounts.index[accounts["in_breach"]])
    assert snapshot.price.tolist() == graph.price.tolist()
    again = cg.ExposureGraph.from_tables(**snapshot.to_frames())
    np.testing.assert_allclose(again.slack, graph.slack, rtol=1e-9, atol=scale)
    rest = cg.MarginCascade().run(snapshot).pools
    np.testing.assert_allclose(monitor.pools["solvency"], rest["solvency_before"], rtol=1e-9)


def test_events_take_no_memory():
    """Thousands of trades in a small book, each opening or closing a cell, leave the arena as large as it was."""
    graph = random_graph(np.random.default_rng(3))
    ledger, rng = Ledger(graph), np.random.default_rng(4)
    sizes = []
    tracemalloc.start()
    for k in range(9_000):
        row, column = int(rng.integers(ledger.n)), int(rng.integers(ledger.m))
        held = ledger.cell(row, column)[0]
        ledger.change(row, 0.0, column=column, units=-held if held else 1.0, rates=(0.1, 0.1))
        if k % 3_000 == 2_999:
            sizes.append((ledger.watch.column.size, tracemalloc.get_traced_memory()[0]))
    tracemalloc.stop()
    assert max(size for size, _ in sizes) < 4 * graph.quantity.nnz + 200
    assert sizes[-1][1] < sizes[0][1] * 1.5 + 100_000


@pytest.fixture
def monitor() -> cg.SolvencyMonitor:
    graph = cg.ExposureGraph.from_arrays(
        [[2.0, 0.0], [1.0, -4.0], [0.0, 3.0]],
        price=[100.0, 10.0],
        margin_long=0.1,
        margin_short=0.2,
        cash=[-150.0, 0.0, 10.0],
        insurance_fund=5.0,
        traders=["Ann", "Bob", "Bob"],
        assets=["ETH", "BTC"],
        pool=["one", "one", "two"],
    )
    return cg.SolvencyMonitor(graph)


BAD = [
    (lambda m: m.price("EHT", 1.0), r"asset 'EHT' is unknown \(did you mean 'ETH'\?\)"),
    (lambda m: m.price("ETH", 0.0), "the price of 'ETH' is 0.0; it must be a finite number above 0"),
    (lambda m: m.price("ETH", -1.0), "the price of 'ETH' is -1.0"),
    (lambda m: m.price("ETH", float("nan")), "the price of 'ETH' is nan"),
    (lambda m: m.price("ETH", float("inf")), "the price of 'ETH' is inf"),
    (lambda m: m.price("ETH", 1e300), r"the price of 'ETH' is beyond 1e\+100 in size; values could overflow"),
    (lambda m: m.prices({"BTC": 2.0, "ETH": 10**400}), "the price of 'ETH' is beyond"),
    (lambda m: m.price("ETH", "12"), "the price of 'ETH' is '12'"),
    (lambda m: m.price("ETH", True), "the price of 'ETH' is True"),
    (lambda m: m.prices({}), "do not name each asset once"),
    (lambda m: m.prices({"ETH": 1.0, "BTC": None}), "the price of 'BTC' is None"),
    (lambda m: m.price("ETH", 1.0, sequence=7), "event 7 is a duplicate: the last one was 7"),
    (lambda m: m.price("ETH", 1.0, sequence=3), "event 3 is out of order: the last one was 7"),
    (lambda m: m.price("ETH", 1.0, sequence=7.5), "sequence is 7.5; number events by whole numbers"),
    (lambda m: m.trade("Ann", "ETH", 0.0, 1.0), "a quantity other than 0"),
    (lambda m: m.trade("Ann", "ETH", -1e200, 1.0), "quantity is beyond"),
    (lambda m: m.trade("Ann", "ETH", 1.0, 1e200, against=("Bob", "two", "")), "price is beyond"),
    (lambda m: m.trade("Ann", "ETH", 1.0, -1.0), "price is -1.0; it must be a finite number from 0 up"),
    (lambda m: m.trade("Ann", "ETH", 1.0, 1.0, against="Ann"), "and two accounts"),
    (lambda m: m.trade("Ann", "ETH", 1.0, 1.0, margin=1.5), "margin is 1.5; it must be a share from 0 to 1"),
    (lambda m: m.trade("Ann", "ETH", 1.0, 1.0, fee=float("nan")), "fee is nan"),
    (lambda m: m.trade("Ann", "ETH", 1.0, 1.0, fee_against=-1.0), "fee_against needs an account on the other side"),
    (lambda m: m.charge("Anna", 1.0), r"account 'Anna' is unknown \(did you mean 'Ann'\?\)"),
    (lambda m: m.charge("Ann", float("inf")), "amount is inf"),
    (lambda m: m.withdraw("Ann", -1.0, force=True), "amount is -1.0; it must be a finite number above 0"),
    (lambda m: m.trade("Anna", "ETH", 1.0, 1.0), r"account 'Anna' is unknown \(did you mean 'Ann'\?\)"),
    (lambda m: m.trade("Bob", "ETH", 1.0, 1.0), "account 'Bob' has 2 accounts; name one by"),
    (lambda m: m.trade("Ann", "ETH", 1.0, 1.0, against=("Bob", "three", "")), "account 'Bob / three / ' is unknown"),
    (lambda m: m.deposit("Ann", 0.0), "amount is 0.0; it must be a finite number above 0"),
    (lambda m: m.deposit("Ann", 1e308), "amount is beyond"),
    (lambda m: m.deposit("Ann", 1.0, asset="XRP"), "asset 'XRP' is unknown"),
    (lambda m: m.withdraw("Ann", 40.0), "40 cannot be withdrawn; the account would be 10 below its maintenance"),
    (lambda m: m.withdraw("Ann", 2.5, asset="ETH"), "2.5 of 'ETH' cannot be withdrawn; the account holds 2"),
    (lambda m: m.withdraw("Ann", 1.0, asset="ETH"), "would be 60 below its maintenance"),
    (lambda m: m.fund("one", -6.0), "the fund after it is -1.0"),
    (lambda m: m.fund("one", 1e150), "amount is beyond"),
    (lambda m: m.fund("three", 1.0), "pool 'three' is unknown"),
    (lambda m: m.open_account("Cleo"), "'Cleo' is to be opened; name it by"),
    (lambda m: m.open_account(("Cleo", "oen", "")), r"pool 'oen' is unknown \(did you mean 'one'\?\)"),
    (lambda m: m.open_account(("Ann", "one", "")), "account 'Ann / one / ' is open already"),
    (lambda m: m.open_account(("Ann", "one", "b"), cash=-1.0), "cash is -1.0"),
    (lambda m: m.list_asset("ETH", 1.0), "asset 'ETH' is listed already"),
    (lambda m: m.list_asset("SOL", 0.0), "price is 0.0"),
    (lambda m: m.list_asset("SOL", 1.0, margin_long=2.0), "margin_long of 'SOL' is 2.0"),
    (lambda m: m.list_asset("SOL", 1.0, depth=0.0), "depth of 'SOL' is 0.0"),
    (lambda m: m.list_asset("SOL", 1.0, margn=0.1), r"an asset has no \['margn'\]"),
]


@pytest.mark.parametrize(("event", "text"), BAD)
def test_what_cannot_have_happened_is_refused_and_changes_nothing(monitor: cg.SolvencyMonitor, event: Any, text: str):
    monitor.price("ETH", 100.0, sequence=7)
    before, graph = monitor.pools, monitor.snapshot()
    with pytest.raises(cg.EventError, match=text):
        event(monitor)
    after = monitor.snapshot()
    assert monitor.sequence == 7
    pd.testing.assert_frame_equal(monitor.pools, before)
    for name in ("price", "cash", "insurance_fund"):
        np.testing.assert_array_equal(getattr(after, name), getattr(graph, name))
    assert (after.quantity != graph.quantity).nnz == 0
    pd.testing.assert_index_equal(after.account_index, graph.account_index)
    pd.testing.assert_index_equal(after.assets, graph.assets)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (lambda m: m.account("Anna"), r"account 'Anna' is unknown \(did you mean 'Ann'\?\)"),
        (lambda m: m.account("Bob"), "account 'Bob' has 2 accounts; name one by"),
        (lambda m: m.breach_price(("Ann", "two", ""), "ETH"), "account 'Ann / two / ' is unknown"),
        (lambda m: m.breach_price("Ann", "EHT"), "asset 'EHT' is unknown"),
        (lambda m: m.runway_along({"EHT": -1.0}), "unknown label 'EHT'"),
    ],
)
def test_a_query_with_an_unknown_label_is_no_event(monitor: cg.SolvencyMonitor, query: Any, text: str):
    with pytest.raises(cg.ParameterError, match=text):
        query(monitor)


def test_no_monitor_without_a_graph():
    with pytest.raises(cg.ParameterError, match="graph is a dict"):
        cg.SolvencyMonitor({})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["quantity", "price", "cash", "insurance_fund"])
def test_no_monitor_of_numbers_that_overflow(name: str):
    given = {"quantity": [[1.0]], "price": [1.0], "cash": [0.0], "insurance_fund": 0.0}
    given[name] = np.multiply(given[name], 0.0) + 1e200
    graph = cg.ExposureGraph.from_arrays(given.pop("quantity"), **given)
    with pytest.raises(cg.ParameterError, match=rf"graph.{name} goes up to 1e\+200, beyond 1e\+100 in size"):
        cg.SolvencyMonitor(graph)


def test_events_in_order(monitor: cg.SolvencyMonitor):
    verdict = monitor.price("ETH", 83.0, sequence=4)
    assert (verdict.sequence, verdict.breached) == (4, [("Ann", "one", "")])
    assert monitor.breached == [("Ann", "one", "")]
    assert verdict.solvency["one"] == pytest.approx((5.0 + 16.0 + 43.0) / 59.0)
    assert monitor.price("ETH", 84.0).recovered == [("Ann", "one", "")]
    verdict = monitor.prices({"ETH": 70.0, "BTC": 20.0})
    assert verdict.breached == [("Ann", "one", ""), ("Bob", "one", "")]
    assert repr(verdict) == "<Verdict 6: 2 breached, 0 recovered; solvency 0.8571>"
    assert monitor.pools.loc["one"].tolist()[:3] == [2, 2, 5.0]
    assert monitor.account("Ann").tolist() == pytest.approx([-10.0, 14.0, -24.0])
    assert "3 accounts, 2 in breach" in repr(monitor)


@pytest.mark.parametrize(
    ("cell", "units", "after"),
    [
        ((10.0, 1.0), -4.0, (6.0, 0.6)),
        ((10.0, 1.0), 5.0, (15.0, 2.0)),
        ((10.0, 1.0), -14.0, (-4.0, 2.0)),
        ((-10.0, 1.0), 10.0, (0.0, 0.0)),
        ((0.0, 0.0), -2.0, (-2.0, 1.0)),
    ],
)
def test_a_trade_closes_margin_and_opens_it(cell: Any, units: float, after: Any):
    assert traded(*cell, units, (0.2, 0.5)) == pytest.approx(after)


def test_a_closed_position_leaves_no_cell(monitor: cg.SolvencyMonitor):
    monitor.trade("Ann", "ETH", -2.0, 90.0)
    assert monitor.snapshot().quantity.nnz == 3
    assert monitor.account("Ann")["equity"] == 30.0
    assert np.isnan(monitor.breach_price("Ann", "ETH"))


def test_both_sides_of_a_trade(monitor: cg.SolvencyMonitor):
    total = monitor.pools["equity"].sum()
    monitor.trade("Ann", "BTC", 2.0, 12.0, against=("Bob", "two", ""), fee=0.25)
    assert monitor.pools["equity"].sum() == pytest.approx(total - 0.25)
    assert monitor.snapshot().quantity.toarray().tolist() == [[2.0, 2.0], [1.0, -4.0], [0.0, 1.0]]
    assert monitor.snapshot().margin_units.toarray() == pytest.approx(np.array([[0.2, 0.2], [0.1, 0.8], [0.0, 0.1]]))


def test_the_snapshot_keeps_positions_until_there_is_a_trade():
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["A", "A"], "asset": ["X", "X"], "quantity": [3.0, -3.0], "entry_price": [9.0, None]},
        {"asset": ["X"], "price": [10.0], "margin_long": [0.1], "margin_short": [0.1], "sector": ["energy"]},
        accounts={"trader": ["A"], "cash": [20.0], "share": [2.0], "country": ["AT"]},
    )
    monitor = cg.SolvencyMonitor(graph)
    monitor.deposit("A", 5.0)
    monitor.price("X", 11.0)
    monitor.open_account("B", cash=1.0)
    monitor.list_asset("Y", 2.0, depth=100.0, sellable=False)
    first = monitor.snapshot()
    assert first.records is not None
    assert first.records.own_cash.tolist() == [25.0, 1.0]
    assert first.records.entry_price.tolist()[0] == 9.0
    assert first.share.tolist() == [2.0, 0.0]
    assert first.attributes["accounts"]["country"].isna().tolist() == [False, True]
    assert first.depth.tolist() == [np.inf, 100.0]
    assert first.sellable.tolist() == [True, False]
    monitor.trade("B", "Y", 1.0, 2.0)
    second = monitor.snapshot()
    assert second.records.quantity.tolist() == pytest.approx([0.3, 1.0, -0.3])  # of A's margin of 0.6 units
    again = cg.ExposureGraph.from_tables(**second.to_frames())
    assert again.maintenance.tolist() == pytest.approx([6.6, 0.0])
    assert again.slack.tolist() == pytest.approx(second.slack.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_the_breach_price_is_where_the_account_breaches(seed: int):
    graph = random_graph(np.random.default_rng(seed))
    monitor = cg.SolvencyMonitor(graph)
    for row, column in zip(*graph.quantity.nonzero(), strict=True):
        trader, asset = graph.account_index[row], graph.assets[column]
        price = monitor.breach_price(trader, asset)
        if np.isnan(price):
            continue
        before, after = (graph.assign(price={asset: price * factor}).slack.iloc[row] for factor in (0.999, 1.001))
        assert before * after < 0.0


def test_the_reference_case_of_margin_tiers():
    figures = case("hyperliquid_margin_tiers")
    given, expected, rel = figures["inputs"], figures["expected"], figures["tolerance"]
    (_, first), (border, second) = given["btc_tiers"]
    # a position in two tiers is two positions: each tier's part with its own rate, half the inverse of its leverage
    tiers = cg.ExposureGraph.from_tables(
        {"trader": ["A", "A"], "asset": ["BTC", "BTC"], "quantity": [border / 1e5, (given["notional"] - border) / 1e5],
         "margin": [0.5 / first, 0.5 / second]},
        {"asset": ["BTC"], "price": [1e5]},
    )  # fmt: skip
    assert cg.SolvencyMonitor(tiers).account("A")["maintenance"] == pytest.approx(
        expected["maintenance_margin"], rel=rel
    )
    one = given["liq"]
    position = cg.ExposureGraph.from_arrays(
        [[one["side"] * one["size"]]],
        price=one["price"],
        margin_long=0.5 / one["max_leverage"],
        cash=one["account_value"] - one["side"] * one["size"] * one["price"],
        traders=["A"],
        assets=["BTC"],
    )
    assert cg.SolvencyMonitor(position).breach_price("A", "BTC") == pytest.approx(expected["liq_price"], rel=rel)


def test_revaluations_are_few():
    """Of 20,000 accounts a small tick of the asset that half of them hold makes few candidates."""
    graph = cg.generate.perpetuals(20_000, 40, rng=1)
    ledger, rng = Ledger(graph), np.random.default_rng(0)
    holders = np.unique(graph.quantity[:, [0]].nonzero()[0]).size
    low = ledger.watch.low.copy()
    for _ in range(200):
        ledger.move(np.array([0]), ledger.watch.price[:1] * np.exp(2e-4 * rng.standard_normal()))
    revalued = np.unique(np.repeat(np.arange(ledger.n), ledger.watch.length)[ledger.watch.low[: low.size] != low]).size
    assert holders > 5_000
    assert revalued < holders / 50


@pytest.mark.parametrize("threads", [1, 2])
def test_a_venue_of_many_blocks(threads: int):
    """20,000 accounts, where tiles are revalued in pieces by threads: every status is that of a full pass."""
    graph, rng = cg.generate.perpetuals(20_000, 100, n_positions=200_000, rng=0), np.random.default_rng(0)
    before = cg.get_threads()
    cg.set_threads(threads)
    ledger, everything = Ledger(graph), np.arange(100)
    for size in (1e-3, 0.01, 0.05, 0.2, 0.05):
        crossed = ledger.move(everything, ledger.watch.price * np.exp(size * rng.standard_normal(100)))
        equity, maintenance = ledger.values()
        np.testing.assert_array_equal(ledger.in_breach(), equity < maintenance)
        under = (equity < maintenance) & (equity <= 0.0)
        assert ledger.sums.under[0] == under.sum()
        assert ledger.sums.breached[0] == (equity < maintenance).sum()
        assert ledger.pools()[1][0] == pytest.approx(np.maximum(equity, 0.0).sum(), rel=1e-12)
        assert crossed.breached.tolist() == sorted(crossed.breached.tolist())
    cg.set_threads(before)
    assert ledger.sums.breached[0] > 300
    assert ledger.watch.low.max() < np.inf


def test_one_price_and_many_take_the_same_decisions():
    """The pass over one column and the pass over whole blocks are one rule."""
    graph = cg.generate.perpetuals(3_000, 20, rng=2)
    one, many, rng = Ledger(graph), Ledger(graph), np.random.default_rng(0)
    for _ in range(60):
        column = int(rng.integers(20))
        price = one.watch.price[[column]] * np.exp(0.03 * rng.standard_normal())
        one.move(np.array([column]), price)
        many.move(np.array([column, 0 if column else 1]), np.append(price, many.watch.price[0 if column else 1]))
        np.testing.assert_array_equal(one.watch.status, many.watch.status)
        np.testing.assert_array_equal(one.sums.breached, many.sums.breached)
        np.testing.assert_array_equal(one.in_breach(), one.values()[0] < one.values()[1])
    assert one.sums.breached.sum() > 5
    assert kernels.WATCH_BLOCK * one.watch.block_low.shape[0] * one.watch.block_low.shape[2] >= one.n


@pytest.mark.parametrize("seed", range(4))
def test_prices_of_any_size(seed: int):
    """Prices also beyond what single precision can hold, on both sides: every status is that of a full pass."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-90.0, 90.0, 12)
    held = rng.normal(size=(200, 12)) * (rng.random((200, 12)) < 0.4)
    worth = np.abs(held).sum(axis=1)
    graph = cg.ExposureGraph.from_arrays(
        held / scale, price=scale, margin_long=0.1, margin_short=0.2,
        cash=worth * rng.uniform(0.0, 0.5, 200) - held.sum(axis=1),
    )  # fmt: skip
    ledger, statuses = Ledger(graph), set()
    for k in range(300):
        moved = np.flatnonzero(rng.random(12) < 0.5) if k % 2 else rng.integers(0, 12, 1)
        if moved.size:
            ledger.move(moved, scale[moved] * np.exp(0.2 * rng.standard_normal(moved.size)))
        equity, maintenance = ledger.values()
        np.testing.assert_array_equal(ledger.in_breach(), equity < maintenance)
        np.testing.assert_array_equal(ledger.watch.status == kernels.UNDER, (equity < maintenance) & (equity <= 0.0))
        statuses.add(ledger.watch.status.tobytes())
    assert len(statuses) > 50
    assert (ledger.watch.price < 1e-45).any() or (ledger.watch.price > 1e38).any()


def test_the_largest_numbers_stay_finite():
    graph = cg.ExposureGraph.from_arrays([[1e100, -1e100]], price=1e100, margin_long=1.0, cash=1e100, traders=["A"])
    monitor = cg.SolvencyMonitor(graph)
    for quantity in (1e100, -1e100, 1e100):
        verdict = monitor.trade("A", "0", quantity, 1e100, fee=1e100)
        assert np.isfinite(verdict.assets).all()
    assert np.isfinite(monitor.accounts.to_numpy(float)).all()
    assert monitor.price("1", 1e-100).breached == []


def before_its_first_trade() -> cg.SolvencyMonitor:
    """Return the monitor of a venue with an asset and a pool, and nobody there."""
    nothing = {"trader": [], "asset": [], "quantity": []}
    assets = {"asset": ["ETH"], "price": [100.0], "margin_long": [0.1], "margin_short": [0.1]}
    return cg.SolvencyMonitor(cg.ExposureGraph.from_tables(nothing, assets, pools={"pool": ["main"]}))


def test_a_venue_starts_with_an_empty_table():
    monitor = before_its_first_trade()
    for trader in ("maker", "taker"):
        monitor.open_account(trader, cash=1_000.0)
    monitor.trade("taker", "ETH", 5.0, 100.0, against="maker", fee=0.25, fee_against=-0.05)
    graph = monitor.snapshot()
    assert graph.equity.tolist() == [1_000.05, 999.75]
    assert graph.n_positions == 2


def test_a_ledger_of_fills_rebates_funding_and_forced_postings():
    """A generated ledger in the form of a venue's: of its fills a quarter are maker rebates, as in recorded ones."""
    rng, monitor = np.random.default_rng(1), before_its_first_trade()
    traders = [f"t{k}" for k in range(20)]
    for trader in traders:
        monitor.open_account(trader, cash=1e4)
    cash, units = dict.fromkeys(traders, 1e4), dict.fromkeys(traders, 0.0)
    rebates = 0
    for _ in range(3_000):
        kind, (one, other) = rng.random(), rng.choice(traders, 2, replace=False)
        amount = float(rng.normal(scale=5.0))
        if kind < 0.7:
            size, price = float(rng.normal(scale=2.0)), float(rng.uniform(90.0, 110.0))
            fees = 0.0005 * abs(size) * price, (-0.0001 if kind < 0.35 else 0.0002) * abs(size) * price
            rebates += fees[1] < 0.0
            monitor.trade(one, "ETH", size, price, against=other, fee=fees[0], fee_against=fees[1])
            cash[one] -= size * price + fees[0]
            cash[other] += size * price - fees[1]
            units[one] += size
            units[other] -= size
        elif kind < 0.9:  # funding, paid and received
            monitor.charge(one, amount)
            cash[one] -= amount
        else:
            monitor.withdraw(one, abs(amount) * 1_000.0, force=True)
            cash[one] -= abs(amount) * 1_000.0
    assert rebates > 900
    for trader in traders:  # everybody closes what is left
        monitor.trade(trader, "ETH", -units[trader], 100.0)
        cash[trader] += units[trader] * 100.0
    graph = monitor.snapshot()
    assert graph.n_positions == 0
    np.testing.assert_allclose(graph.equity, [cash[trader] for trader in traders], atol=1e-6)
    assert (graph.equity < 0.0).any()


def test_what_came_in_pieces_goes_out_whole():
    """0.7 + 0.1 - 0.8 is not 0 in binary; the withdrawal was refused for 1.1e-16, and the position stayed."""
    monitor = before_its_first_trade()
    monitor.open_account("A")
    for asset in (None, "ETH"):
        for amount in (0.7, 0.1):
            monitor.deposit("A", amount, asset=asset)
        verdict = monitor.withdraw("A", 0.8, asset=asset)
        assert verdict.breached == []
    graph = monitor.snapshot()
    assert graph.n_positions == 0
    assert graph.equity.tolist() == [0.0]
    for units in (0.1, 0.2, -0.3):
        monitor.trade("A", "ETH", units, 0.0)
    assert monitor.snapshot().n_positions == 0


def test_a_real_lack_is_still_refused():
    monitor = before_its_first_trade()
    monitor.open_account("A", cash=1.0)
    with pytest.raises(cg.EventError, match="cannot be withdrawn"):
        monitor.withdraw("A", 1.0 + 1e-9)
