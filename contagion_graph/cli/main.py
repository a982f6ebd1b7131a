"""The command line: contagion-graph COMMAND."""

import argparse
import sys

from contagion_graph.cli import check, demo, export, monitor, prove, run, sweep, verify
from contagion_graph.errors import ContagionError

COMMANDS = (demo, check, run, sweep, export, monitor, prove, verify)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0; 1 where `check` or `verify` found a fault; 2 for any other error; 130 where it is interrupted.
    """
    parser = argparse.ArgumentParser(prog="contagion-graph", description="Contagion in pooled collateral.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        print("contagion-graph: interrupted", file=sys.stderr)
        return 130
    except (ContagionError, OSError, MemoryError) as error:
        print(f"contagion-graph: {error or type(error).__name__}", file=sys.stderr)
        return 2
