"""What clearing costs on the random interbank networks, beside a plain loop with scipy's sparse product."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import contagion_graph as cg
from benchmarks.interbank import network
from benchmarks.timing import median

Row = tuple[str, str, str, str]  # work, measured, budget, note
TOL = 1e-9
SIZES = (1_000, 5_000, 20_000, 100_000)


def plain(banks: cg.ObligationNetwork, losses: np.ndarray, seniority: str) -> np.ndarray:
    """Return payments to other banks: recovery rates are iterated until no one moves by more than the tolerance."""
    owed = banks.obligations.sum(axis=1)
    first = seniority == "external_first"
    due = np.where(owed > 0.0, owed, 1.0) if first else owed + banks.external_liabilities
    have = np.maximum(banks.external_assets - losses, 0.0) - (banks.external_liabilities if first else 0.0)
    recovery, creditors = np.ones(len(owed)), banks.obligations.T
    while True:
        after = np.clip((have + creditors @ recovery) / due, 0.0, 1.0)
        if np.abs(after - recovery).max() <= TOL:
            return after * owed
        recovery = after


def rows() -> Iterator[Row]:
    """Yield the seconds of Eisenberg-Noe at several sizes, and over those of the plain loop; payments are compared."""
    for size in SIZES:
        banks, losses = network(size)
        largest = size == SIZES[-1]
        for seniority in ("external_first", "pari_passu"):
            yield from pair(banks, losses, seniority, largest)
    model = cg.RogersVeraart(alpha=0.9, beta=0.9)
    seconds = median(lambda: model.run(banks, losses=losses))[0]
    yield f"RogersVeraart, {size:,} banks", f"{seconds:.3f} s", "", ""


def pair(banks: cg.ObligationNetwork, losses: np.ndarray, seniority: Any, largest: bool) -> Iterator[Row]:
    """Yield the seconds of one network and model, and how they compare."""
    model = cg.EisenbergNoe(seniority=seniority)
    result = model.run(banks, losses=losses)
    np.testing.assert_allclose(plain(banks, losses, seniority), result.payments, rtol=1e-8, atol=1e-8)
    ours = median(lambda: model.run(banks, losses=losses))[0]
    theirs = median(lambda: plain(banks, losses, seniority))[0]
    name = f"EisenbergNoe, {seniority}, {len(banks.nodes):,} banks"
    rounds = result.default_round
    note = f"{(rounds > 0).sum():,} defaults, {rounds.max()} rounds, error {result.solution.error_bound:.0e}"
    yield name, f"{ours:.3f} s", "0.1 s" if largest else "", note
    yield f"{name} / a plain loop", f"{ours / theirs:.2f} times", "1.2 times" if largest else "", f"{theirs:.3f} s"
