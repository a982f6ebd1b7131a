"""
A live monitor: who is in breach, and how long the runway is, while prices stream in
====================================================================================

A generated venue of perpetuals, 20,000 accounts in 40 assets. One price moves at each event, as a random walk; two
thirds on, all prices fall by 12 % within 40 events, and half of it comes back. After each event the monitor revalues
only the accounts of which a price has reached a trigger. Every so often a line shows how far the stream is, how many
accounts are in breach, the solvency of the pool, the shortest fall of one price until the next breach, and how many
events a second it takes.
"""

import time
from collections.abc import Iterator

import numpy as np

import contagion_graph as cg

ACCOUNTS, ASSETS, EVENTS, LINES = 20_000, 40, 6_000, 20
TICK = 5e-4
CRASH = {0.66: -0.12, 0.75: 0.06}  # at which part of the stream, and by how much all prices move
WITHIN = 40  # events


def ticks(prices: dict[str, float], events: int, rng: np.random.Generator) -> Iterator[dict[str, float]]:
    """Yield the events: the price of one asset, or, in a crash, of all."""
    prices, assets = dict(prices), list(prices)
    crash = {
        int(part * events) + k: (1.0 + move) ** (1 / WITHIN) for part, move in CRASH.items() for k in range(WITHIN)
    }
    for event in range(events):
        moved = assets if event in crash else [assets[int(rng.integers(len(assets)))]]
        for asset in moved:
            prices[asset] *= crash.get(event, 1.0) * float(np.exp(TICK * rng.standard_normal()))
        yield {asset: prices[asset] for asset in moved}


def watch(monitor: cg.SolvencyMonitor, stream: Iterator[dict[str, float]], every: int) -> Iterator[dict[str, float]]:
    """Carry out the events; now and then yield what the view shows."""
    breached = recovered = 0
    seconds = 0.0
    for event, prices in enumerate(stream, 1):
        start = time.perf_counter()
        verdict = monitor.prices(prices)
        seconds += time.perf_counter() - start
        breached, recovered = breached + len(verdict.breached), recovered + len(verdict.recovered)
        if event % every == 0:
            yield {
                "event": event,
                "breached": breached,
                "recovered": recovered,
                "in breach": int(monitor.pools["breached"].sum()),
                "solvency": float(verdict.solvency.min()),
                "runway": float(monitor.runway()["fall"].min()),
                "events a second": every / seconds,
            }
            breached = recovered = 0
            seconds = 0.0


def line(row: dict[str, float], events: int) -> str:
    """Return a line of the view."""
    done = row["event"] / events
    bar = ("█" * round(20 * done)).ljust(20, "·")
    return (
        f"{bar} {done:4.0%}  {row['in breach']:>6,.0f} in breach (+{row['breached']:,.0f} -{row['recovered']:,.0f})  "
        f"solvency {row['solvency']:.4f}  next breach at -{row['runway']:.3%}  {row['events a second']:>7,.0f}/s"
    )


def main() -> None:
    """Run the stream and show the view."""
    graph = cg.generate.perpetuals(ACCOUNTS, ASSETS, rng=0)
    monitor, rng = cg.SolvencyMonitor(graph), np.random.default_rng(1)
    print(repr(graph))
    move = monitor.fund_runway(cg.MarginCascade(), dict.fromkeys(graph.assets, -1.0))
    print(f"The insurance fund pays, after a cascade, once all prices have fallen by {move:.1%} from here.\n")
    stream = ticks(dict(zip(graph.assets, graph.price.tolist(), strict=True)), EVENTS, rng)
    for row in watch(monitor, stream, EVENTS // LINES):
        print(line(row, EVENTS), flush=True)
    print(f"\n{monitor.pools.to_string(float_format='{:,.6g}'.format)}")


if __name__ == "__main__":
    main()
