"""What several commands ask for and show."""

import argparse
from pathlib import Path
from typing import Any

from contagion_graph.io.text import report
from contagion_graph.io.write import write_tables
from contagion_graph.results import CascadeResult

Commands = Any  # what argparse returns from add_subparsers


def add_folder(command: argparse.ArgumentParser) -> None:
    """Add the folder of tables that a command reads."""
    command.add_argument("folder", type=Path, help="holds positions.csv or .parquet, assets.csv or .parquet, ...")


def add_output(command: argparse.ArgumentParser) -> None:
    """Add where and how a command writes its tables."""
    command.add_argument("--out", type=Path, metavar="DIR", help="write all tables into this folder")
    command.add_argument("--format", choices=["csv", "parquet"], default="csv", help="default: %(default)s")


def show(result: CascadeResult, out: Path | None, format: Any) -> None:  # noqa: A002
    """Print a result, and write its tables where that is wanted."""
    print(report(result))
    if out is not None:
        paths = write_tables(result, out, format=format)
        print(f"\nWritten to {out}: {', '.join(path.name for path in paths)}")
