"""contagion-graph sweep: thousands of scenarios on the tables in a folder."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from contagion_graph.cli.arguments import add_folder, add_output, number, whole
from contagion_graph.cli.rules import add_rules, model_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.io.read import read_tables
from contagion_graph.io.summary_text import money
from contagion_graph.io.write import write_tables
from contagion_graph.scenarios import draw
from contagion_graph.scenarios.draw.history import holds_dates
from contagion_graph.scenarios.sweep import sweep
from contagion_graph.scenarios.sweep_result import SHOWN, SweepResult
from contagion_graph.tables.convert import check_csv

LISTED = 5
ROUNDING = 1e-12  # of the gross value: less is no loss
DRAWS: dict[str, Callable[[pd.DataFrame, argparse.Namespace], pd.DataFrame]] = {
    "student_t": lambda prices, options: draw.student_t(
        draw.covariance(prices, horizon=options.horizon), options.n_draws, rng=options.seed
    ),
    "gaussian": lambda prices, options: draw.gaussian(
        draw.covariance(prices, horizon=options.horizon), options.n_draws, rng=options.seed
    ),
    "historical": lambda prices, options: draw.historical(
        prices, options.n_draws, horizon=options.horizon, rng=options.seed
    ),
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command.add_argument
    add_folder(command)
    add("--n-draws", type=whole, default=10_000, metavar="N", help="scenarios to draw")
    add("--draw", choices=list(DRAWS), default="student_t", help="distribution of scenarios")
    add("--history", type=Path, required=True, metavar="FILE",
                         help="prices, .csv or .parquet: a row a date, the date first, a column an asset")  # fmt: skip
    add("--horizon", type=whole, default=1, metavar="ROWS", help="rows of the history that a scenario covers")
    add("--seed", type=whole, default=0, metavar="S", help="of the draws")
    add("--level", type=number, default=0.99, help="of value at risk and expected shortfall")
    add("--checkpoint", type=Path, metavar="DIR", help="keep the state there; the same command goes on from it")
    add_rules(command)
    add_output(command, "the tables")


def call(options: argparse.Namespace) -> int:
    """Carry out the command and return its exit code."""
    model = model_of(options)
    graph = read_tables(options.folder)
    prices, said = _history(options.history, graph)
    shocks = DRAWS[options.draw](prices, options)
    progress = sys.stderr.isatty() and not options.quiet
    result = sweep(graph, model, shocks, level=options.level, progress=progress, checkpoint=options.checkpoint)
    written = () if options.out is None else write_tables(result, options.out, format=options.format).paths
    if not options.quiet:
        print("\n".join([repr(graph), *said, "", _report(result)]))
        if written:
            print(f"\nWritten to {options.out}: {', '.join(path.name for path in written)}")
    return 0


def _history(path: Path, graph: ExposureGraph) -> tuple[pd.DataFrame, list[str]]:
    """Return the prices of the graph's assets, and the lines to print on assets without prices and the reverse."""
    if path.suffix not in (".csv", ".parquet"):
        raise ParameterError(f"--history {str(path)!r} is neither .csv nor .parquet")
    prices = _dated(_read(path), path, graph).rename(columns=str)
    known = prices.columns.intersection(graph.assets)
    if known.empty:
        raise ParameterError(
            f"--history {str(path)!r} has no column named like an asset; there are {_some(graph.assets)}"
        )
    said = [f"History: {len(prices):,} rows, {len(known):,} of {len(graph.assets):,} assets."]
    for what, labels in (
        ("without prices in the history, which do not change", graph.assets.difference(known)),
        ("in the history that the graph does not have, left out", prices.columns.difference(known)),
    ):
        if len(labels):
            said.append(f"Assets {what}: {_some(labels)}.")
    return prices[known], said


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        check_csv(path)
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ParameterError(f"--history {str(path)!r} cannot be read: {error}") from error


def _dated(prices: pd.DataFrame, path: Path, graph: ExposureGraph) -> pd.DataFrame:
    """Return the prices with their dates, the first column or an index that is there, as index."""
    if not isinstance(prices.index, pd.RangeIndex):
        return prices
    first = str(prices.columns[0])
    if path.suffix == ".parquet" and not any(holds_dates(name, prices[name]) for name in prices.columns):
        return prices  # rows without dates, in their order
    later = [str(name) for name in prices.columns[1:] if holds_dates(name, prices[name])]
    if first in graph.assets or later:
        found = f"column {later[0]!r} has dates" if later else f"{first!r} is an asset"
        raise ParameterError(f"--history {str(path)!r} begins with column {first!r}, {found}; put the date first")
    return prices.set_index(prices.columns[0])


def _some(labels: "pd.Index[str]") -> str:
    more = f" and {len(labels) - LISTED:,} more" if len(labels) > LISTED else ""
    return ", ".join(map(str, labels[:LISTED])) + more


def _report(result: SweepResult) -> str:
    """Return the figures of a sweep as text."""
    percent, figures = f"{100 * result.level:g} %", result.scenarios
    names = {"mean": "mean", "value_at_risk": f"VaR {percent}", "expected_shortfall": f"ES {percent}"}
    rows = {name: result.distribution(name)[list(names)] for name in SHOWN}
    table, rounding = pd.DataFrame(rows).T.rename(columns=names), ROUNDING * result.graph.gross_value.sum()
    table = table.where(table.abs() > rounding, 0.0).map(money)
    worst = result.traders.nlargest(LISTED, "expected_shortfall")
    columns = ["expected_loss", "expected_shortfall", "closed_share", "indirect_share"]
    funds = pd.DataFrame({f"{100 * share:g} %": _funds(result, share) for share in (0.9, 0.99, 0.999)})
    return "\n".join(
        [
            f"{len(figures):,} scenarios: {(figures['closed'] > 0).mean():.1%} with liquidations, "
            f"{(figures['socialised'] + figures['uncovered'] > 0).mean():.1%} in which a fund does not suffice.",
            "",
            table.to_string(),
            "",
            f"Traders with the largest expected shortfall at {percent}:",
            worst[columns].assign(**{name: worst[name].map(money) for name in columns[:2]}).round(4).to_string(),
            "",
            "Insurance fund that suffices in this share of the scenarios, of each pool, and its 95 % interval:",
            funds.to_string(),
        ]
    )


def _funds(result: SweepResult, share: float) -> "pd.Series[str]":
    """Return the fund of each pool and its interval as text."""
    fund = result.fund_for(share).map(money)
    text: pd.Series[str] = fund.iloc[:, 0] + " (" + fund.iloc[:, 1] + " to " + fund.iloc[:, 2] + ")"
    return text
