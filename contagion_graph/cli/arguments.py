"""What several commands ask for."""

import argparse
from pathlib import Path
from typing import Any
from unicodedata import category

OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control characters, and what turns the order of letters or ends a line


def printable(text: object, *, keep: str = "") -> str:
    r"""Return a text with the characters that a terminal would obey written as escapes, those to keep left out.

    Examples
    --------
    >>> print(printable("A" + chr(27) + "[2J"))
    A\x1b[2J
    """
    return "".join(
        c.encode("unicode_escape").decode() if category(c) in OBEYED and c not in keep else c for c in str(text)
    )


class Terminal:
    """A stream on which labels cannot do anything: what is printed goes through `printable`, line by line."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        return int(self._stream.write(printable(text, keep="\n")))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class NoNumberError(argparse.ArgumentTypeError, ValueError):
    """A text that is no number; argparse names the option, and shows this message."""


def number(text: str) -> float:
    """Read a number, without the underscores that Python allows; argparse names the option of one that is none."""
    try:
        return float(text.replace("_", "no number"))
    except ValueError:
        raise NoNumberError(f"{text!r} is no number; write 0.05 for 5 %") from None


def whole(text: str) -> int:
    """Read a whole number, likewise."""
    try:
        return int(text.replace("_", "no number"))
    except ValueError:
        raise NoNumberError(f"{text!r} is no whole number") from None


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
