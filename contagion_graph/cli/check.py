"""contagion-graph check: every fault of the tables in a folder, at once."""

import argparse
from collections.abc import Iterator

import pandas as pd

from contagion_graph.cli.arguments import add_folder
from contagion_graph.errors import SHOWN, TableError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.io.read import read_tables
from contagion_graph.tables.labels import alike


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
    for line in _notes(graph):
        print(line)
    breached = int((graph.slack < 0).sum())
    print(
        f"{graph!r}\nNo faults. {breached:,} of {len(graph.account_index):,} accounts are in breach before any shock."
    )
    return 0


def _notes(graph: ExposureGraph) -> Iterator[str]:
    """Yield a line for the traders, assets or pools whose labels are most likely those of one."""
    for side, labels in (("traders", graph.traders), ("assets", graph.assets), ("pools", graph.pools)):
        groups = alike(pd.Index(labels, dtype="str"))
        if groups:
            shown = "; ".join(" and ".join(map(repr, group[:SHOWN])) for group in groups[:SHOWN])
            more = f"; +{len(groups) - SHOWN:,} more" if len(groups) > SHOWN else ""
            yield f"Note: these {side} differ only by case or blanks, and count as different: {shown}{more}."
