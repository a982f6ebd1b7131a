"""What several commands ask for."""

import argparse
from pathlib import Path
from typing import Any

Commands = Any  # what argparse returns from add_subparsers


def add_folder(command: argparse.ArgumentParser) -> None:
    """Add the folder of tables that a command reads."""
    command.add_argument("folder", type=Path, help="holds positions.csv or .parquet, assets.csv or .parquet, ...")


def add_output(command: argparse.ArgumentParser) -> None:
    """Add where and how a command writes what it found, and whether it speaks."""
    command.add_argument("--out", type=Path, metavar="DIR", help="write tables, graphs, figures and a report there")
    command.add_argument("--format", choices=["csv", "parquet"], default="csv", help="of tables (default: %(default)s)")
    command.add_argument("--quiet", action="store_true", help="print nothing but errors, and show no progress")
