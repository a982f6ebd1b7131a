"""contagion-graph demo: a generated venue, a shock, a report."""

import argparse
import time
from pathlib import Path

from contagion_graph.cli.arguments import add_output, whole
from contagion_graph.cli.output import STEPS, say, write
from contagion_graph.cli.progress import progress
from contagion_graph.io.write import write_tables
from contagion_graph.margin.model import MarginCascade
from contagion_graph.synthetic import venues

ASSETS, SHOCK = 40, {"ETH": -0.30}
MODEL = MarginCascade(penalty=0.01, penalty_to_fund=0.5)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("--accounts", type=whole, default=20_000, metavar="N", help="accounts of the venue")
    command.add_argument("--seed", type=whole, default=0, metavar="S", help="seed of the venue")
    add_output(command, "tables, graphs, figures and a report")


def call(options: argparse.Namespace) -> int:
    """Carry out the command and return its exit code."""
    started, out = time.perf_counter(), options.out or Path("contagion_demo")
    with progress(3 + len(STEPS), quiet=options.quiet) as step:
        step("a venue")
        graph = venues.perpetuals(options.accounts, ASSETS, rng=options.seed)
        step("cascade")
        result = MODEL.run(graph, SHOCK)
        market = f"generate.perpetuals({options.accounts}, {ASSETS}, rng={options.seed})"
        said = write(result, out, form=options.format, facts={"market": market, "seed": options.seed}, step=step)
        step("the venue's tables")
        write_tables(graph, out / "graph", format=options.format)
    if not options.quiet:
        print(f"A generated venue of perpetuals (seed {options.seed}):\n{graph!r}\n")
        print(f"Shock: {', '.join(f'{asset} {change:+.0%}' for asset, change in SHOCK.items())}")
        say(result, said)
        print(f"The venue itself: {out / 'graph'}. Try: contagion-graph run {out / 'graph'} --shock BTC=-20%")
        print(f"{time.perf_counter() - started:.1f} s")
    return 0
