"""What the solvency monitor and the proof of solvency cost on the reference venue.

Single events and trees run on one thread and are measured in its own time: what another job takes is not theirs.
"""

import json
import resource
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import contagion_graph as cg

TICKS, TRADES = 10_000, 2_000
TICK = 5e-4  # standard deviation of a relative move
PROVEN = 1_000_000


class Row(NamedTuple):
    """A line of the table: what, measured, budget, spread, note."""

    name: str
    measured: str
    budget: str
    spread: str = ""
    note: str = ""


def milliseconds(seconds: np.ndarray) -> str:
    """Return the median and the 99th percentile of times."""
    return f"{1e3 * np.median(seconds):.3f} ms, 99 % in {1e3 * np.quantile(seconds, 0.99):.2f} ms"


def monitor_rows(graph: cg.ExposureGraph, unit: float) -> Iterator[Row]:
    """Measure ticks of one price, many prices at once, trades, and the memory that events take."""
    start = time.perf_counter()
    monitor, rng = cg.SolvencyMonitor(graph), np.random.default_rng(0)
    yield Row("a monitor of the venue", f"{(time.perf_counter() - start) / unit:.0f} u", "", "", "once")
    price = graph.price.copy()
    for name, assets in (("of 200 assets in turn", len(price)), ("of the most popular asset", 1)):
        ticks = list(_walk(monitor, price, rng.integers(0, assets, TICKS), rng))
        seconds, breached = (np.array(column) for column in zip(*ticks, strict=True))
        quiet = seconds[breached == 0]
        note = f"{quiet.size:,} of {TICKS:,} ticks; slowest {1e3 * quiet.max():.1f} ms"
        yield Row(f"a price {name}, without a breach", milliseconds(quiet), "0.2 ms, 5 ms", "", note)
        mean = f"{seconds.mean() / unit:.4f} u"
        yield Row(
            f"... {TICKS:,} ticks, mean, revaluations included", mean, "0.05 u", "", f"{breached.sum():,} breaches"
        )
    for size in (5e-4, 0.002, 0.01, 0.05):
        yield _all_prices(monitor, price, size, unit, rng)
    rows = rng.integers(0, len(graph.account_index), TRADES)
    seconds = np.array([_trade(monitor, graph, price, row, rng) for row in rows])
    yield Row("a trade", milliseconds(seconds), "0.1 ms")


def _walk(
    monitor: cg.SolvencyMonitor, price: np.ndarray, columns: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[float, int]]:
    """Move one price after the other; yield the seconds and who breached."""
    labels = monitor.snapshot().assets
    for column in columns:
        price[column] *= np.exp(TICK * rng.standard_normal())
        asset, new = labels[column], float(price[column])
        start = time.thread_time()
        verdict = monitor.price(asset, new)
        yield time.thread_time() - start, len(verdict.breached)


def _all_prices(
    monitor: cg.SolvencyMonitor, price: np.ndarray, size: float, unit: float, rng: np.random.Generator
) -> Row:
    labels, seconds, breached = monitor.snapshot().assets, [], 0
    for _ in range(15):
        price *= np.exp(size * rng.standard_normal(price.size))
        prices = dict(zip(labels, price.tolist(), strict=True))
        start = time.perf_counter()
        verdict = monitor.prices(prices)
        seconds.append((time.perf_counter() - start) / unit)
        breached += len(verdict.breached)
    name = f"all {price.size} prices at once, moves of {size:.2%}"
    spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
    return Row(name, f"{np.median(seconds):.1f} u", "3 u", spread, f"{breached / 15:,.0f} breaches each")


def _trade(
    monitor: cg.SolvencyMonitor, graph: cg.ExposureGraph, price: np.ndarray, row: int, rng: np.random.Generator
) -> float:
    column = int(rng.integers(price.size))
    account, asset, paid = graph.account_index[row], graph.assets[column], float(price[column])
    units = float(rng.normal()) * 100.0 / paid
    start = time.thread_time()
    monitor.trade(account, asset, units, paid)
    return time.thread_time() - start


def growth_rows(events: int = 1_000_000) -> Iterator[Row]:
    """Measure the memory that a million prices and trades leave behind, on a small venue."""
    graph = cg.generate.perpetuals(2_000, 20, rng=0)
    monitor, rng = cg.SolvencyMonitor(graph), np.random.default_rng(0)
    traders, assets = graph.traders.tolist(), graph.assets.tolist()
    price, rows, columns = graph.price.copy(), rng.integers(0, 2_000, events), rng.integers(0, 20, events)
    held: list[float] = []
    for k in range(events):
        trader, column = traders[rows[k]], int(columns[k])
        if k % 2:
            price[column] *= 1.0 + 1e-4 * (rows[k] % 3 - 1)
            monitor.price(assets[column], float(price[column]))
        else:
            quantity = monitor._ledger.cell(int(rows[k]), column)[0]
            monitor.trade(trader, assets[column], -quantity if quantity else 1.0 / price[column], float(price[column]))
        if (k + 1) % (events // 4) == 0:
            held.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    grown = f"{held[-1] - held[0]:.1f} MB"
    yield Row(f"growth of peak memory over {events:,} events", grown, "none", "", "from a quarter of them to all")


def proof_rows() -> Iterator[Row]:
    """Measure a sum tree over a million accounts, a proof, and a check."""
    graph = cg.generate.perpetuals(PROVEN, 200, n_positions=2 * PROVEN, rng=0)
    graph._rows.initial  # noqa: B018 - known before
    start = time.thread_time()
    tree = cg.SumTree.from_graph(graph, assets=[])
    yield Row("a sum tree over a million accounts", f"{time.thread_time() - start:.1f} s", "10 s")
    proof = tree.proof(graph.account_index[7])
    size = len(json.dumps(proof, separators=(",", ":")))
    yield Row("a proof out of it", f"{size:,} bytes", "4 kB", "", f"{len(proof['path'])} steps")
