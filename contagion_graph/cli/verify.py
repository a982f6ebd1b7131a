"""contagion-graph verify: check a proof, and that a statement follows another."""

import argparse
from pathlib import Path
from typing import Any

from contagion_graph.cli.arguments import printable
from contagion_graph.cli.prove import read_json
from contagion_graph.collateral.proof.verify import PROOF, root_of, verify, verify_next


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("statement", type=Path, help="statement.json, as published")
    command.add_argument("proof", type=Path, nargs="*", help="proof_1.json, ..., of one's own account")
    command.add_argument("--root", required=True, help="the root that was published")
    command.add_argument("--previous", type=Path, metavar="JSON", help="the statement that this one must follow")


def call(options: argparse.Namespace) -> int:
    """Carry out the command and return its exit code."""
    statement = read_json(options.statement)
    try:
        _check_root(statement, options.root)
        if options.previous is not None:
            verify_next(read_json(options.previous), statement)
        for path in options.proof:
            proof = read_json(path, PROOF)
            amounts = [amount / 10 ** statement["decimals"] for amount in verify(statement, proof, root=options.root)]
            what = ("owed", "owing") if proof["tree"] == "accounts" else ("long", "short")
            shown = ", ".join(f"{name} {amount:,.8g}" for name, amount in zip(what, amounts, strict=True))
            account = " / ".join(map(printable, filter(None, proof["account"])))
            print(f"counted: {account}, {printable(proof['tree'])}: {shown}")
    except (KeyError, TypeError, ValueError) as error:
        print(f"does not hold: {error}")
        return 1
    print(f"holds: statement {statement['sequence']}")
    return 0


def _check_root(statement: Any, root: str) -> None:
    if not isinstance(statement, dict) or root_of(statement) != root:
        raise ValueError("the statement does not have this root")
