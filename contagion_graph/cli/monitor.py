"""contagion-graph monitor: accounts that breach or recover while prices change."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from contagion_graph.cli.arguments import add_folder, printable
from contagion_graph.collateral.monitoring.monitor import SolvencyMonitor
from contagion_graph.collateral.monitoring.verdict import Verdict
from contagion_graph.errors import EventError
from contagion_graph.io.price_stream import Tick, read_ticks
from contagion_graph.io.read import read_tables
from contagion_graph.io.summary_text import money
from contagion_graph.io.write import write_tables

SHOWN = 3


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command.add_argument
    add_folder(command)
    add("--prices", type=Path, required=True, metavar="CSV", help="columns asset, price and, where given, sequence")
    add("--strict", action="store_true", help="stop at the first event that is refused")
    add("--out", type=Path, metavar="DIR", help="write the tables of the last state there")


def call(options: argparse.Namespace) -> int:
    """Carry out the command and return its exit code."""
    monitor = SolvencyMonitor(read_tables(options.folder))
    print(f"{monitor!r}\n{_header()}")
    refused = _follow(monitor, read_ticks(options.prices), strict=options.strict)
    print(f"\n{monitor.pools.to_string(float_format=_figure)}")
    _print_runway(monitor)
    if refused:
        print(f"{refused:,} event{'' if refused == 1 else 's'} refused.")
    if options.out is not None:
        paths = write_tables(monitor.snapshot(), options.out).paths
        print(f"Written to {options.out}: {', '.join(path.name for path in paths)}")
    return 0


def _follow(monitor: SolvencyMonitor, ticks: Iterable[Tick], *, strict: bool) -> int:
    """Carry out all events, and print those with breaches or recoveries; return how many were refused."""
    refused = 0
    for tick in ticks:
        try:
            verdict = monitor.prices(tick.prices, sequence=tick.sequence)
        except EventError as error:
            if strict:
                raise
            refused += 1
            print(f"refused: {printable(error)}", file=sys.stderr)
            continue
        if verdict.breached or verdict.recovered:
            print(_line(verdict, tick))
    return refused


def _header() -> str:
    return f"{'event':>8}  {'price':<22}{'breached':>9}{'recovered':>10}{'solvency':>10}  - breached, + recovered"


def _line(verdict: Verdict, tick: Tick) -> str:
    asset, price = next(iter(tick.prices.items()))
    moved = f"{printable(asset)} {price:,.6g}" + (f" +{len(tick.prices) - 1}" if len(tick.prices) > 1 else "")
    who = [*(f"-{label[0]}" for label in verdict.breached), *(f"+{label[0]}" for label in verdict.recovered)]
    first = " ".join(map(printable, who[:SHOWN]))
    more = f" and {len(who) - SHOWN:,} more" if len(who) > SHOWN else ""
    counts = f"{len(verdict.breached):>9,}{len(verdict.recovered):>10,}"
    return f"{verdict.sequence:>8}  {moved:<22}{counts}{_least(verdict):>10}  {first}{more}"


def _least(verdict: Verdict) -> str:
    least = verdict.solvency.min()
    return "" if least != least else f"{least:.4f}"  # noqa: PLR0124 - NaN: nothing is owed


def _print_runway(monitor: SolvencyMonitor) -> None:
    falls = monitor.runway()[["fall", "trader_fall"]].dropna().nsmallest(SHOWN, "fall")
    if len(falls):
        print("\nThe shortest falls of one price until the next breach:")
    for asset, fall, trader in falls.itertuples():
        print(f"  {printable(asset)} {-fall:.3%} ({printable(trader)})")


def _figure(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10.0 else money(value)
