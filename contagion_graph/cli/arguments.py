"""What several commands ask for."""

import argparse
from pathlib import Path


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Names the default of an option, where it has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        none = action.default is False or action.default in (None, [])
        return action.help if none else super()._get_help_string(action)


def add_folder(command: argparse.ArgumentParser) -> None:
    """Add the folder of tables that a command reads."""
    command.add_argument("folder", type=Path, help="tables: positions.csv or .parquet, assets.csv or .parquet, ...")


def add_output(command: argparse.ArgumentParser, what: str) -> None:
    """Add where and how a command writes its results, and whether it prints them."""
    command.add_argument("--out", type=Path, metavar="DIR", help=f"write {what} there")
    command.add_argument("--format", choices=["csv", "parquet"], default="csv", help="of the tables")
    command.add_argument("--quiet", action="store_true", help="print nothing but errors, and show no progress")
