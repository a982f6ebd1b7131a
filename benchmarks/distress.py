"""What distress between banks costs, beside a plain loop of sparse products to the same true error."""

from collections.abc import Iterator

import numpy as np

import contagion_graph as cg
from benchmarks.interbank import network
from benchmarks.timing import median, peak_over

Row = tuple[str, str, str, str]  # work, measured, budget, note
TOL = 1e-9


def plain_rounds(coupling: object, given: np.ndarray, rounds: int) -> np.ndarray:
    """Return the stress after so many rounds of h <- given + Lambda min(1, h)."""
    level = given
    for _ in range(rounds):
        level = given + coupling @ np.minimum(level, 1.0)
    return level


def rounds_needed(coupling: object, given: np.ndarray, exact: np.ndarray) -> int:
    """Return after how many rounds no stress differs from the exact one by more than the tolerance."""
    level, rounds = given, 0
    while np.abs(np.minimum(level, 1.0) - exact).max() > TOL:
        level, rounds = given + coupling @ np.minimum(level, 1.0), rounds + 1
    return rounds


def one_shock_rows(n: int = 100_000) -> Iterator[Row]:
    """Yield the time of one shock with 100,000 nodes and a million loans, in seconds and beside the plain loop."""
    banks, losses = network(n)
    coupling, model = banks.interbank_leverage, cg.DebtRank(tol=TOL)
    given, exact = losses / banks.book_equity, cg.DebtRank(tol=1e-13).run(banks, losses=losses)
    rounds = rounds_needed(coupling, given, exact.stress.to_numpy())
    plain = median(lambda: plain_rounds(coupling, given, rounds))[0]
    ours, least, most = median(lambda: model.run(banks, losses=losses))
    name = f"DebtRank, one shock, {n:,} nodes, {coupling.nnz:,} loans, tol {TOL:g}"
    yield name, f"{ours:.3f} s", "0.1 s", f"{least:.3f} to {most:.3f}; other libraries 0.75 s, 43.7 s"
    note = f"{1e3 * plain:.0f} ms for {rounds} rounds, the number known beforehand; ours proves its error"
    yield "the same / a plain loop of scipy products", f"{ours / plain:.2f} times", "1.2 times", note
    shares = cg.DebtRank("exponential", alpha=1.0, tol=TOL)
    yield (
        "exponential DebtRank, alpha 1",
        f"{median(lambda: shares.run(banks, losses=losses), runs=3)[0]:.3f} s",
        "",
        "",
    )
    yield "Furfine", f"{median(lambda: cg.Furfine(0.4).run(banks, losses=losses), runs=3)[0]:.3f} s", "", ""


def single_default_rows() -> Iterator[Row]:
    """Yield the time of all single defaults."""
    for n, budget, others in ((1000, "0.15 s", "3.9 s, 172 s"), (5000, "5 s", "hours")):
        banks, _ = network(n)
        seconds, least, most = median(lambda banks=banks: cg.single_defaults(banks, cg.DebtRank()), runs=3)
        note = f"{least:.2f} to {most:.2f}; other libraries {others}"
        yield f"DebtRank, all single defaults, {n:,} nodes", f"{seconds:.2f} s", budget, note
    memory = peak_over(lambda: cg.single_defaults(banks, cg.DebtRank()))
    yield f"peak memory of that with {n:,} nodes", f"{memory:.2f} GB", "", "an n x n matrix would be 0.2 GB"
