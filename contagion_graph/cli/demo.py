"""contagion-graph demo: a generated venue, a shock, a report."""

import argparse
import time
from pathlib import Path

from contagion_graph import generate
from contagion_graph.cli.arguments import Commands, add_output, show
from contagion_graph.io.write import write_tables
from contagion_graph.margin.model import MarginCascade

SHOCK = {"ETH": -0.30}
MODEL = MarginCascade(penalty=0.01, penalty_to_fund=0.5)


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    demo = commands.add_parser("demo", help="a generated venue, a shock, a report")
    demo.set_defaults(command=_demo)
    demo.add_argument("--accounts", type=int, default=20_000, metavar="N", help="accounts (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the venue (default: %(default)s)")
    add_output(demo)


def _demo(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    graph = generate.perpetuals(options.accounts, 40, rng=options.seed)
    print(f"A generated venue of perpetuals (seed {options.seed}):\n{graph!r}\n")
    print(f"Shock: {', '.join(f'{asset} {change:+.0%}' for asset, change in SHOCK.items())}")
    result = MODEL.run(graph, SHOCK)
    out = options.out or Path("contagion_demo")
    show(result, out, options.format)
    paths = write_tables(graph, out / "graph", format=options.format)
    print(f"The venue itself: {paths[0].parent}. Try: contagion-graph run {paths[0].parent} --shock BTC=-20%")
    print(f"{time.perf_counter() - started:.1f} s")
    return 0
