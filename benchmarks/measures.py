"""What measures of exposure and of importance cost at the reference size, and beside igraph."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import sparse

import contagion_graph as cg
from benchmarks.timing import median, peak_over
from contagion_graph.exposure.inputs import traders_of
from contagion_graph.exposure.marginal import derivative
from contagion_graph.graph.scenario import scenario
from contagion_graph.margin.equilibria.equilibria import from_open

Row = tuple[str, str, str, str]  # work, measured, budget, note
MODEL = cg.MarginCascade(cg.TargetMargin(0.1))
FALL = -0.10
TRADERS, ASSETS, LINKS = 90_000, 10_000, 1_000_000  # beside igraph


def marginal_rows(graph: cg.ExposureGraph, shock: dict[str, float], unit: float, budget: str) -> Iterator[Row]:
    """Yield the cost of the derivative with respect to all prices, and of the equilibrium that it is taken at."""
    rest = from_open(graph, scenario(graph, shock), MODEL)
    state, every = rest.state, traders_of(graph, None)
    note = f"{state.rows.size:,} accounts close something, {np.count_nonzero(state.share < 1.0):,} of them in part"
    work: dict[str, tuple[Callable[[], object], str]] = {
        "": (lambda: cg.marginal_exposure(graph, MODEL, shock), budget),
        ", of which the equilibrium": (lambda: from_open(graph, scenario(graph, shock), MODEL), ""),
        ", of which the derivative": (lambda: derivative(rest.case, state, np.arange(len(graph.assets)), every), ""),
    }
    for part, (run, allowed) in work.items():
        yield f"marginal_exposure to all prices{part}", f"{median(run)[0] / unit:.1f} u", allowed, note
        note = f"{rest.result.solution.steps} steps" if part == "" else "without the search for kinks"


def indirect_rows(graph: cg.ExposureGraph) -> Iterator[Row]:
    """Yield the time and the memory of indirect exposures to all assets, each moved in turn."""
    model = cg.MarginCascade()

    def run() -> object:
        return cg.indirect_exposure(graph, model, FALL)

    peak = peak_over(run)  # first: what later runs need was freed by this one, and perhaps not given back
    held = sum(array.nbytes for array in (graph.quantity.data, graph.quantity.indices, graph.margin_units.data)) / 1e9
    name = f"indirect_exposure to {len(graph.assets)} assets at {FALL:+.0%}"
    yield name, f"{median(run, runs=3)[0]:.1f} s", "15 s", ""
    yield "peak memory of that over the graph", f"{peak:.2f} GB", f"{held:.2f} GB", "budget: its two matrices"


def importance_rows(graph: cg.ExposureGraph, unit: float) -> Iterator[Row]:
    """Yield the cost of spectral measures, of the indices of contagion, and of DebtRank."""
    importance = cg.importance
    work: dict[str, tuple[Callable[[], object], str]] = {
        "hits": (lambda: importance.hits(graph), "60 u"),
        "birank": (lambda: importance.birank(graph), "60 u"),
        "pagerank": (lambda: importance.pagerank(graph), "60 u"),
        "indirect_contagion_index": (lambda: importance.indirect_contagion_index(graph), "60 u"),
        "endogenous_risk_index": (lambda: importance.endogenous_risk_index(graph), ""),
        "eigenvector": (lambda: importance.eigenvector(graph), ""),
        "cohits": (lambda: importance.cohits(graph), ""),
        "katz": (lambda: importance.katz(graph), ""),
    }
    for name, (run, budget) in work.items():
        yield name, f"{median(run, runs=3)[0] / unit:.1f} u", budget, ""


def beside_igraph() -> Iterator[Row]:
    """Yield the time of spectral measures over that of igraph's, on a random weighted graph of 100,000 nodes."""
    import igraph

    rng = np.random.default_rng(0)
    trader, asset = rng.integers(0, TRADERS, LINKS), rng.integers(0, ASSETS, LINKS)
    values = sparse.csr_array((rng.lognormal(size=LINKS), (trader, asset)), shape=(TRADERS, ASSETS))
    graph, links = cg.ExposureGraph.from_arrays(values, price=1.0), values.tocoo()
    pairs, edges = np.stack([links.row, links.col + TRADERS], axis=1), {"weight": links.data.tolist()}
    directed, undirected = (
        igraph.Graph(TRADERS + ASSETS, pairs, directed=way, edge_attrs=edges) for way in (True, False)
    )
    theirs: dict[str, Callable[[], object]] = {
        "hits": lambda: directed.hub_score(weights="weight"),
        "eigenvector": lambda: undirected.eigenvector_centrality(weights="weight"),
        "pagerank": lambda: undirected.pagerank(weights="weight"),
    }
    for name, run in theirs.items():
        ours = median(lambda name=name: getattr(cg.importance, name)(graph), runs=3)[0]
        other = median(run, runs=3)[0]
        note = f"{1e3 * ours:.0f} ms, {1e3 * other:.0f} ms; {links.nnz:,} links"
        yield f"{name}, ours / igraph's", f"{ours / other:.2f} times", "1 times", note
