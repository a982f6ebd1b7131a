"""The command line: contagion-graph demo, check, run."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contagion_graph import generate
from contagion_graph.errors import ContagionError, ParameterError, TableError
from contagion_graph.graph import ExposureGraph
from contagion_graph.io.read import read_tables
from contagion_graph.io.text import report
from contagion_graph.io.write import write_tables
from contagion_graph.margin.model import MarginCascade
from contagion_graph.results import CascadeResult
from contagion_graph.rules.impact import ExponentialImpact, Impact, LinearImpact
from contagion_graph.rules.liquidation import CloseFactor, FullLiquidation, Liquidation, TargetMargin
from contagion_graph.rules.sharing import ProRata

IMPACTS: dict[str, Callable[[], Impact]] = {"exponential": ExponentialImpact, "linear": LinearImpact}
LIQUIDATIONS: dict[str, Callable[..., Liquidation]] = {
    "full": FullLiquidation,
    "target": TargetMargin,
    "close-factor": CloseFactor,
}
SHARINGS = ("equity", "deposits", "profit", "open_interest", "share", "none")
DEMO_SHOCK = {"ETH": -0.30}
DEMO_MODEL = MarginCascade(penalty=0.01, penalty_to_fund=0.5)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 where `check` found faults, 2 for any other error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (ContagionError, OSError) as error:
        print(f"contagion-graph: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="contagion-graph", description="Contagion in pooled collateral.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="a generated venue, a shock, a report")
    demo.set_defaults(command=_demo)
    demo.add_argument("--accounts", type=int, default=20_000, metavar="N", help="accounts (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the venue (default: %(default)s)")
    check = commands.add_parser("check", help="check the tables in a folder")
    check.set_defaults(command=_check)
    check.add_argument("folder", type=Path, help="holds positions.csv or .parquet, assets.csv or .parquet, ...")
    run = commands.add_parser("run", help="run a cascade on the tables in a folder")
    run.set_defaults(command=_run)
    run.add_argument("folder", type=Path, help="holds positions.csv or .parquet, assets.csv or .parquet, ...")
    run.add_argument("--shock", action="append", default=[], metavar="ASSET=CHANGE", help="ETH=-30%% or BTC=-0.2")
    run.add_argument("--impact", choices=list(IMPACTS), default="exponential", help="default: %(default)s")
    run.add_argument(
        "--liquidation",
        default="full",
        metavar="RULE",
        help="full, target[:BUFFER] or close-factor[:FACTOR[:FULL_BELOW]] (default: %(default)s)",
    )
    run.add_argument("--sharing", choices=SHARINGS, default="equity", help="who bears the rest (default: %(default)s)")
    run.add_argument("--penalty", type=float, default=0.0, metavar="SHARE", help="of what is closed (default: 0)")
    for command in (demo, run):
        command.add_argument("--out", type=Path, metavar="DIR", help="write all tables into this folder")
        command.add_argument("--format", choices=["csv", "parquet"], default="csv", help="default: %(default)s")
    return parser


def _demo(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    graph = generate.perpetuals(options.accounts, 40, rng=options.seed)
    print(f"A generated venue of perpetuals (seed {options.seed}):\n{graph!r}\n")
    print(f"Shock: {', '.join(f'{asset} {change:+.0%}' for asset, change in DEMO_SHOCK.items())}")
    result = DEMO_MODEL.run(graph, DEMO_SHOCK)
    out = options.out or Path("contagion_demo")
    _show(result, out, options.format)
    paths = write_tables(graph, out / "graph", format=options.format)
    print(f"The venue itself: {paths[0].parent}. Try: contagion-graph run {paths[0].parent} --shock BTC=-20%")
    print(f"{time.perf_counter() - started:.1f} s")
    return 0


def _check(options: argparse.Namespace) -> int:
    try:
        graph = read_tables(options.folder)
    except TableError as error:
        print(error)
        return 1
    breached = int((graph.slack < 0).sum())
    print(f"{graph!r}\nNo faults. {breached:,} of {len(graph.accounts):,} accounts are in breach before any shock.")
    return 0


def _run(options: argparse.Namespace) -> int:
    model = MarginCascade(
        liquidation=_liquidation(options.liquidation),
        impact=IMPACTS[options.impact](),
        sharing=None if options.sharing == "none" else ProRata(options.sharing),
        penalty=options.penalty,
    )
    shock = dict(_shock(text) for text in options.shock)
    graph: ExposureGraph = read_tables(options.folder)
    print(repr(graph))
    _show(model.run(graph, shock), options.out, options.format)
    return 0


def _show(result: CascadeResult, out: Path | None, format: Any) -> None:  # noqa: A002
    print(report(result))
    if out is not None:
        paths = write_tables(result, out, format=format)
        print(f"\nWritten to {out}: {', '.join(path.name for path in paths)}")


def _shock(text: str) -> tuple[str, float]:
    asset, equals, change = text.rpartition("=")
    try:
        number = float(change.rstrip("%")) / (100.0 if change.endswith("%") else 1.0)
    except ValueError:
        equals = ""
    if not equals or not asset:
        raise ParameterError(f"--shock {text!r} is not ASSET=CHANGE; write ETH=-30% or ETH=-0.3")
    return asset, number


def _liquidation(text: str) -> Liquidation:
    name, *numbers = text.split(":")
    try:
        return LIQUIDATIONS[name](*map(float, numbers))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ContagionError):
            raise
        message = f"--liquidation {text!r} is not full, target[:BUFFER] or close-factor[:FACTOR[:FULL_BELOW]]"
        raise ParameterError(message) from error


if __name__ == "__main__":
    sys.exit(main())
