"""The command line: contagion-graph COMMAND."""

import argparse
import sys
from contextlib import redirect_stdout
from importlib import import_module

import contagion_graph
from contagion_graph.cli.arguments import Help, Terminal, printable
from contagion_graph.errors import ContagionError

COMMANDS = {
    "demo": "generate a venue, run a cascade on it, and write a report",
    "check": "check the tables in a folder",
    "run": "run a cascade on the tables in a folder",
    "sweep": "run thousands of scenarios on the tables in a folder",
    "export": "write a graph, its obligations or a cascade for Gephi and other programs",
    "monitor": "follow the solvency of all accounts while prices change",
    "prove": "publish what is owed, so that every account can check it",
    "verify": "check a published statement, and the proofs of an account",
}


class Version(argparse.Action):
    """Prints the version; it is looked up where it is asked for, for that takes time."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print, and end the command."""
        print(f"contagion-graph {contagion_graph.__version__}")
        parser.exit()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Only the command that is asked for is imported: --help answers at once.

    Parameters
    ----------
    arguments : list of str, optional
        None: those of the process.

    Returns
    -------
    int
        0; 1 where `check` or `verify` found a fault; 2 for any other error; 130 where it is interrupted.
    """
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="contagion-graph", description="Contagion in pooled collateral.")
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        about = f"{text[0].upper()}{text[1:]}."
        command = commands.add_parser(name, help=text, description=about, formatter_class=Help)
        if name in words[:1]:
            module = import_module(f"contagion_graph.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(call=module.call)
    options = parser.parse_args(words)
    try:
        with redirect_stdout(Terminal(sys.stdout)):
            return int(options.call(options))
    except KeyboardInterrupt:
        print("contagion-graph: interrupted", file=sys.stderr)
        return 130
    except (ContagionError, OSError, MemoryError) as error:
        text = str(error) or type(error).__name__
        print(f"contagion-graph: {printable(text, keep=chr(10))}", file=sys.stderr)
        return 2
