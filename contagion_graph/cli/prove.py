"""contagion-graph prove: a statement of solvency, and the proofs of single accounts."""

import argparse
import json
import secrets
from pathlib import Path
from typing import Any

from contagion_graph.cli.arguments import add_folder, printable, whole
from contagion_graph.collateral.proof import verify
from contagion_graph.collateral.proof.statement import SumTree
from contagion_graph.errors import ParameterError
from contagion_graph.io.read import read_tables
from contagion_graph.tables.files import replacing_set


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = command.add_argument
    add_folder(command)
    add("--out", type=Path, required=True, metavar="DIR", help="write statement.json, the proofs and verify.py there")
    add("--trader", action="append", default=[], metavar="TRADER", help="write its proofs; may be repeated")
    add("--secret", type=Path, metavar="FILE", help="to be kept: the secret; made where the file does not exist")
    add("--previous", type=Path, metavar="JSON", help="the statement that this one follows")
    add("--decimals", type=whole, default=8, metavar="N", help="of the amounts")


def call(options: argparse.Namespace) -> int:
    """Carry out the command and return its exit code."""
    graph = read_tables(options.folder)
    previous = None if options.previous is None else read_json(options.previous)
    tree = SumTree.from_graph(graph, decimals=options.decimals, secret=_secret(options.secret), previous=previous)
    said = [f"{tree!r}\nroot {tree.root}\nWritten to {options.out}: statement.json, verify.py"]
    with replacing_set(options.out, r"proof_\d+\.json") as beside:  # others are of an earlier statement
        _write(beside / "statement.json", tree.statement)
        (beside / "verify.py").write_text(Path(verify.__file__).read_text(encoding="utf-8"), encoding="utf-8")
        for number, (account, asset) in enumerate(_wanted(tree, options.trader), 1):
            name = f"proof_{number}.json"
            _write(beside / name, tree.proof(account, asset=asset))
            owner, what = " / ".join(filter(None, account)), asset or "all that it is owed and owes"
            said.append(f"{name}: {printable(owner)}, {printable(what)}")
    print("\n".join(said))
    return 0


def _wanted(tree: SumTree, traders: list[str]) -> list[tuple[tuple[str, ...], str | None]]:
    """Return the accounts of traders, each with None and with the assets that it holds."""
    wanted: list[tuple[tuple[str, ...], str | None]] = []
    for trader in traders:
        accounts = [tuple(map(str, account)) for account in tree.account_index if account[0] == trader]
        if not accounts:
            raise ParameterError(f"--trader {trader!r} has no account in these tables")
        wanted += [(account, asset) for account in accounts for asset in (None, *tree.assets_of(account))]
    return wanted


def _secret(path: Path | None) -> bytes | None:
    if path is None:
        return None
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


def read_json(path: Path, limit: int = verify.STATEMENT) -> Any:
    """Read a JSON file of at most so many characters; refuse what is none."""
    try:
        return verify.read(path, limit)
    except ValueError as error:
        raise ParameterError(f"{path} is no JSON file: {error}") from error


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
