"""contagion-graph check: every fault of the tables in a folder, at once."""

import argparse

from contagion_graph.cli.arguments import Commands, add_folder
from contagion_graph.errors import TableError
from contagion_graph.io.read import read_tables


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    check = commands.add_parser("check", help="check the tables in a folder")
    check.set_defaults(command=_check)
    add_folder(check)


def _check(options: argparse.Namespace) -> int:
    try:
        graph = read_tables(options.folder)
    except TableError as error:
        print(error)
        return 1
    breached = int((graph.slack < 0).sum())
    print(
        f"{graph!r}\nNo faults. {breached:,} of {len(graph.account_index):,} accounts are in breach before any shock."
    )
    return 0
