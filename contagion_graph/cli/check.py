"""contagion-graph check: every fault of the tables in a folder, at once."""

import argparse

from contagion_graph.cli.arguments import add_folder
from contagion_graph.errors import TableError
from contagion_graph.io.read import read_tables


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_folder(command)


def call(options: argparse.Namespace) -> int:
    """Carry out the command and return its exit code."""
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
