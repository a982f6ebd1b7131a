"""Print what the library costs, in units of one scipy product of the same matrix, measured in the same run.

python -m benchmarks            the whole table
python -m benchmarks -k load    the rows whose name contains "load"
python -m benchmarks --huge     also 10^8 positions in memory (needs about 20 GB and some minutes)
python -m benchmarks -k cluster            a round on two workers of a Dask cluster on this machine
python -m benchmarks -k hundred_million    10^8 positions from disk (needs 11 GB, 8 GB of disk, ten minutes)
"""

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

import numpy as np

import contagion_graph as cg
from benchmarks import clearing, distress, exporting, loading, measures, pages, watching
from benchmarks import hundred_million as from_disk
from benchmarks.cluster import rows as cluster_rows
from benchmarks.margins import rows as margin_rows
from benchmarks.plain_scipy import plain_cascade
from benchmarks.reference import SMALL, Reference, large
from benchmarks.scenarios import batch_rows, sweep_rows
from benchmarks.timing import median
from benchmarks.waterfalls import rows as waterfall_rows
from contagion_graph.graph.scenario import scenario
from contagion_graph.margin.equilibria.equilibria import case_of
from contagion_graph.margin.equilibria.fixed_points import solve
from contagion_graph.margin.equilibria.iterates import MonotoneIterate


def in_units(name: str, budget: str, work: Callable[[], object], note: str = "") -> Iterator[str]:
    """Yield the line of a row measured in u."""
    unit, (middle, least, most) = Reference.unit(), median(work)
    yield line(name, f"{middle / unit:.1f} u", budget, f"{least / unit:.1f} to {most / unit:.1f}", note)


def line(name: str, measured: str, budget: str, spread: str = "", note: str = "") -> str:
    """Return a line of the table."""
    return f"| {name} | {measured} | {budget} | {spread} | {note} |"


def unit_and_floor() -> Iterator[str]:
    """Measure u, and the time to read the arrays of the two matrices once."""
    graph, unit = Reference.graph(), Reference.unit()
    yield line("u: one csr_array @ vector", f"{1e3 * unit:.1f} ms", "")
    arrays = (graph.quantity.data, graph.margin_units.data, graph.quantity.indices.view(np.float64))
    floor, least, most = median(lambda: [array.max() for array in arrays])
    yield line("memory floor: quantity, margin units, indices read once", f"{floor / unit:.1f} u", "",
               f"{least / unit:.1f} to {most / unit:.1f}", "numpy max, one thread")  # fmt: skip


def valuation() -> Iterator[str]:
    """Measure equity, gross value and maintenance of every account."""
    graph = Reference.graph()
    yield from in_units("value every account once", "1.5 u", lambda: graph._rows.valuation(graph.price))


def cascades() -> Iterator[str]:
    """Measure whole cascades, small and large, beside plain loops of scipy products with equal results."""
    graph, model = Reference.graph(), cg.MarginCascade()
    yield from cascade_row("cascade, under 1 % closed", "2 u", model, graph, SMALL)
    market, shock = large(graph)
    yield from cascade_row("cascade, over 10 % closed", "6 u", model, market, shock)
    mine, (closed, socialised) = model.run(market, shock).arrays, plain_cascade(market, shock)
    np.testing.assert_array_equal(mine.closed == 1.0, closed)
    np.testing.assert_allclose(mine.socialised, socialised, rtol=1e-9, atol=1e-9 * market._rows.initial.gross.max())
    plain = median(lambda: plain_cascade(market, shock), runs=3)[0]
    ours = median(lambda: model.run(market, shock))[0]
    yield line("the same, a scipy product a round / ours", f"{plain / ours:.1f} times", "8 times", "", "equal results")
    same = model.run(market, shock, revaluation="full").arrays
    assert all(
        np.array_equal(getattr(mine, name), getattr(same, name)) for name in ("closed", "socialised", "price_after")
    )
    everything = median(lambda: model.run(market, shock, revaluation="full"), runs=3)[0]
    yield line("the same, full revaluation / incremental", f"{everything / ours:.1f} times", "", "", "equal bits")
    for rule, name in ((cg.TargetMargin(0.1), "TargetMargin"), (cg.CloseFactor(0.5), "CloseFactor")):
        yield from cascade_row(f"{name}, over 10 % breached", "10 u", cg.MarginCascade(liquidation=rule), market, shock)


def cascade_row(
    name: str, budget: str, model: cg.MarginCascade, graph: cg.ExposureGraph, shock: dict[str, float]
) -> Iterator[str]:
    """Yield the line of a cascade, with what happened in it."""
    result = model.run(graph, shock)
    breached, n = int((result.arrays.breach_round > 0).sum()), len(graph.account_index)
    revalued = result.solution.revaluations / n
    note = f"{breached / n:.1%} breached, {len(result.rounds)} rounds, {revalued:.2f} revaluations an account"
    yield from in_units(name, budget, lambda: model.run(graph, shock), note)


def equilibria() -> Iterator[str]:
    """Measure the extremal fixed points of a large cascade, shorts valued after all purchases."""
    (market, shock), model = large(Reference.graph()), cg.MarginCascade()
    case = case_of(market, scenario(market, shock), model, "none")
    path, _, _ = median(lambda: model.run(market, shock), runs=3)
    least, greatest = (
        median(lambda end=end: solve(MonotoneIterate(case, from_above=end)), runs=3)[0] for end in (False, True)
    )
    yield line("least fixed point / the path of the same shock", f"{least / path:.1f} times", "3 times")
    yield line("greatest fixed point", f"{greatest / Reference.unit():.1f} u", "10 u")


def exposure() -> Iterator[str]:
    """Measure what traders are exposed to: the derivative, its equilibrium apart, and all assets moved in turn."""
    graph, unit = Reference.graph(), Reference.unit()
    yield from plain(measures.marginal_rows(graph, SMALL, unit, "10 u"))
    yield from plain(measures.marginal_rows(*large(graph), unit, ""))
    yield from plain(measures.indirect_rows(graph))


def importance() -> Iterator[str]:
    """Measure importance: spectral measures, indices of contagion, and igraph on a graph of 100,000 nodes."""
    yield from plain(measures.importance_rows(Reference.graph(), Reference.unit()))
    yield from plain(measures.beside_igraph())


def plain(rows: Iterable[measures.Row]) -> Iterator[str]:
    """Yield the lines of rows without a spread."""
    for name, measured, budget, note in rows:
        yield line(name, measured, budget, "", note)


def interbank() -> Iterator[str]:
    """Measure clearing and distress on random interbank networks."""
    yield from plain(clearing.rows())
    yield from plain(distress.one_shock_rows())
    yield from plain(distress.single_default_rows())


def table() -> Iterator[str]:
    """Measure the accounts table of a result."""
    result = cg.MarginCascade().run(*large(Reference.graph()))
    fresh = lambda: cg.CascadeResult(result.graph, result.model, result.arrays, result.solution).accounts  # noqa: E731
    yield from in_units("accounts table of a result", "4 u", fresh)


def monitor() -> Iterator[str]:
    """Measure a stream of prices and trades, and the memory that it leaves behind."""
    for row in (*watching.monitor_rows(Reference.graph(), Reference.unit()), *watching.growth_rows()):
        yield line(*row)


def proof() -> Iterator[str]:
    """Measure a proof of solvency."""
    for row in watching.proof_rows():
        yield line(*row)


def report() -> Iterator[str]:
    """Measure the report of a cascade of 20,000 accounts."""
    yield from plain(pages.rows())


def load() -> Iterator[str]:
    """Measure what it takes to get a graph, each door in a process of its own."""
    yield from plain(loading.rows(Reference.graph()))


def export() -> Iterator[str]:
    """Measure what it takes to write a graph for Gephi and others."""
    yield from plain(exporting.rows())


def memory() -> Iterator[str]:
    """Count the bytes of a graph for each position, from tables and from arrays."""
    graph = Reference.graph()
    matrices = [graph.quantity.data, graph.quantity.indices, graph.quantity.indptr, graph.margin_units.data]
    cells = sum(array.nbytes for array in matrices) / graph.quantity.nnz
    assert graph.records is not None
    records = sum(array.nbytes for array in vars(graph.records).values() if isinstance(array, np.ndarray))
    yield line("memory of the matrices, a position", f"{cells:.0f} bytes", "24 bytes")
    yield line("with position records", f"{cells + records / graph.n_positions:.0f} bytes", "60 bytes")


def imports() -> Iterator[str]:
    """Measure the import of the package over that of pandas, networkx and scipy.sparse."""
    base = "import pandas, networkx, scipy.sparse"
    both = [
        median(lambda code=code: subprocess.check_call([sys.executable, "-c", code]), runs=5)[0]
        for code in (base, f"{base}, contagion_graph; contagion_graph.ExposureGraph")
    ]
    yield line("import, with ExposureGraph", f"{both[1] - both[0]:.2f} s", "0.2 s", "", "over pandas, networkx, scipy")


def growth(sizes: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)) -> Iterator[str]:
    """Measure the large cascade from 10^5 positions on."""
    for size in sizes:
        market, shock = large(Reference.graph(size))
        seconds = median(lambda market=market, shock=shock: cg.MarginCascade().run(market, shock), runs=3)[0]
        yield line(f"large cascade, {size:,} positions", f"{1e9 * seconds / size:.0f} ns a position", "linear", "",
                   f"{seconds:.3f} s")  # fmt: skip


def scenarios() -> Iterator[str]:
    """Measure scenarios in batches, and a sweep."""
    for name, measured, budget, note in batch_rows(large(Reference.graph())[0], Reference.unit()):
        yield line(name, measured, budget, "", note)
    for name, measured, budget, note in sweep_rows():
        yield line(name, measured, budget, "", note)


def grids() -> Iterator[str]:
    """Measure scenario grids beside flat rates."""
    yield from plain(margin_rows(*large(Reference.graph())))


def waterfalls() -> Iterator[str]:
    """Measure waterfalls of several layers, and auto-deleveraging."""
    yield from plain(waterfall_rows(*large(Reference.graph())))


def hundred_million() -> Iterator[str]:
    """Measure 10^8 positions from disk: loading, cascades, parts."""
    yield from plain(from_disk.rows())


def cluster() -> Iterator[str]:
    """Measure a round on two workers of a Dask cluster."""
    for name, measured, budget, note in cluster_rows(*large(Reference.graph())):
        yield line(name, measured, budget, "", note)


ROWS = (
    unit_and_floor,
    valuation,
    cascades,
    equilibria,
    grids,
    waterfalls,
    scenarios,
    exposure,
    importance,
    interbank,
    table,
    report,
    monitor,
    proof,
    load,
    export,
    memory,
    imports,
    growth,
)
ON_REQUEST = (hundred_million, cluster)  # only where its name is asked for


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("-k", default="", metavar="NAME", help="only the rows whose function has NAME in its name")
    parser.add_argument("--huge", action="store_true", help="also 10^8 positions")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "pandas", "pyarrow", "numba"))
    print(f"{platform.machine()}, Python {platform.python_version()}, {versions}\n")
    print("| work | measured | budget | spread | |\n|---|---|---|---|---|")
    chosen = [row for row in ROWS if options.k in row.__name__]
    for row in [*chosen, *(row for row in ON_REQUEST if options.k == row.__name__)]:
        for text in row():
            print(text, flush=True)
    if options.huge:
        for text in growth((100_000_000,)):
            print(text, flush=True)


if __name__ == "__main__":
    main()
