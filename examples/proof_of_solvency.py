"""
A proof of solvency: a venue states what it owes, members check that they were counted, and cheating is caught
==============================================================================================================

A generated lending protocol of 5,000 accounts publishes two statements, one before and one after a fall of prices. Some
members check their proofs with `verify.py`, a file without any import of this library. Then the venue cheats in three
ways: it states less, it drops a member, it rewrites the past; and the probability that no member notices is computed.
"""

import copy
import json

import numpy as np
import pandas as pd

import contagion_graph as cg
from contagion_graph.collateral.proof.verify import root_of, verify, verify_next

SECRET = b"a secret of this example, not one"
FALSIFIED, CHECKERS = 50, (10, 50, 100, 300, 500)


def statements() -> tuple[cg.ExposureGraph, cg.SumTree, cg.SumTree]:
    """Return a venue, its statement, and the one that follows after a fall of prices, seen by a monitor."""
    graph = cg.generate.lending(5_000, 8, rng=0)
    first = cg.SumTree.from_graph(graph, secret=SECRET)
    monitor = cg.SolvencyMonitor(graph)
    monitor.prices({"WETH": 0.9 * graph.price[graph.assets.get_loc("WETH")]})
    return graph, first, cg.SumTree.from_graph(monitor.snapshot(), secret=SECRET, previous=first.statement)


def holds(statement: dict, proof: dict, root: str) -> str:
    """Return what the verifier says."""
    try:
        amounts = verify(statement, proof, root=root)
        return f"counted with {[amount / 10 ** statement['decimals'] for amount in amounts]}"
    except ValueError as error:
        return f"refused: {error}"


def cheats(graph: cg.ExposureGraph, first: cg.SumTree, second: cg.SumTree) -> dict[str, str]:
    """Return what comes of three ways to cheat."""
    member = str(graph.account_index[7][0])
    less = copy.deepcopy(first.statement)
    less["trees"]["accounts"]["sums"][0] -= 10**12
    without = cg.SumTree.from_graph(graph.assign(cash={member: graph.cash[7] - graph.equity.iloc[7]}), secret=SECRET)
    past = copy.deepcopy(first.statement)
    past["prices"]["WETH"] = "1.0"
    try:
        verify_next(past, second.statement)
        rewritten = "unnoticed"
    except ValueError as error:
        rewritten = f"refused: {error}"
    return {
        "a statement of less": holds(less, first.proof(member), root_of(less)),
        "a member who counts as nothing": holds(without.statement, first.proof(member), without.root),
        "another past": rewritten,
    }


def unnoticed(accounts: int, falsified: int, checkers: int) -> float:
    """Return the probability that none of so many members drawn at random is among the falsified."""
    left = accounts - falsified - np.arange(checkers)
    return float(np.prod(left / (accounts - np.arange(checkers))))


def main() -> None:
    """Print statements, checks, cheats and odds."""
    graph, first, second = statements()
    print(f"{graph!r}\n{first!r}\n{second!r}\nroot of the second: {second.root}\n")
    for row in (7, 77, 777):
        proof = second.proof(graph.account_index[row])
        size = len(json.dumps(proof, separators=(",", ":")))
        print(f"{graph.account_index[row][0]}: {holds(second.statement, proof, second.root)} ({size:,} bytes)")
    print()
    for how, outcome in cheats(graph, first, second).items():
        print(f"{how}: {outcome}")
    accounts = len(graph.account_index)
    odds = {checkers: unnoticed(accounts, FALSIFIED, checkers) for checkers in CHECKERS}
    table = pd.Series(odds, name="probability").rename_axis("members who check").map("{:.2%}".format)
    print(f"\nThe probability that {FALSIFIED} falsified accounts of {accounts:,} go unnoticed:\n{table.to_string()}")


if __name__ == "__main__":
    main()
