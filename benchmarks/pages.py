"""What a report costs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import contagion_graph as cg
from benchmarks.timing import median

Row = tuple[str, str, str, str]  # work, measured, budget, note


def rows(accounts: int = 20_000) -> Iterator[Row]:
    """Yield the time and the size of the report of the demo's cascade, its tables and figures made anew each time."""
    graph = cg.generate.perpetuals(accounts, 40, rng=0)
    result = cg.MarginCascade(penalty=0.01, penalty_to_fund=0.5).run(graph, {"ETH": -0.30})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"

        def write() -> None:
            cg.write_report(cg.CascadeResult(graph, result.model, result.arrays, result.solution), path)

        seconds = median(write, runs=3)[0]
        size = path.stat().st_size / 1e6
    yield f"report of {accounts:,} accounts", f"{seconds:.1f} s", "10 s", f"{size:.1f} MB, {len(result.rounds)} rounds"
