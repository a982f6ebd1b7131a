"""What assets are made of, and how a change of one price passes down to all that is made of it.

An asset k whose value is to the share W_ku that of an underlying u, and which changes by s_k itself, changes by

    c = s + (1 + s) W c        [relative changes]

which holds whatever the prices are: what the shock does not reach changes by exactly 0.
"""

from collections.abc import Callable
from typing import NoReturn, TypeVar

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph, linalg

from contagion_graph._typing import BoolArray, FloatArray
from contagion_graph.errors import BackingWarning, Faults, ParameterError, tell
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.price_map import PriceMap
from contagion_graph.tables.labels import text_index

Answer = TypeVar("Answer", pd.DataFrame, "pd.Series[float]")
SUM = 1e-9  # weights are written with few digits; they sum to 1 where they exceed it by no more
WAY_OUT = "graph.assign(backing=None) takes the changes of all prices as they are given"


def is_backed(graph: ExposureGraph) -> bool:
    """Say whether a graph has an asset that is made of others."""
    return graph.backing is not None and bool((graph.backing["weight"] > 0.0).any())


def passed_down_note(graph: ExposureGraph) -> str:
    """Return what a result says of the backing of its graph; nothing where there is none."""
    return "; shocks passed down through table backing" if is_backed(graph) else ""


def moved_note(passed_down: int | None) -> str:
    """Return what a result says of the prices that a backing moved; nothing where there is none."""
    return "" if passed_down is None else f"; prices that table backing moved: {passed_down}"


def noted(answer: Answer, graph: ExposureGraph) -> Answer:
    """Return a table that says in ``attrs["backing"]`` that shocks were passed down, where the graph has a backing."""
    if is_backed(graph):
        answer.attrs["backing"] = "shocks passed down through table backing"
    return answer


def refuse_backing(owner: str, graph: ExposureGraph, why: str) -> None:
    """Refuse a graph with a backing where its shocks cannot be passed down."""
    if is_backed(graph):
        raise ParameterError(f"{owner}: the graph has a table backing, and {why}; {WAY_OUT}")


def weights_of(graph: ExposureGraph, *, after_haircut: bool = False) -> sparse.csr_array:
    """Return the weights of table backing, shape (m, m): the share of the row's value that is the column's.

    After haircut: weight (1 - haircut).

    Raises
    ------
    TableError
        The weights of an asset sum to more than 1.
    """
    m, table, faults = len(graph.assets), graph.backing, Faults()
    if table is None:
        return sparse.csr_array((m, m))
    ends = tuple(graph.assets.get_indexer(text_index(table[name])) for name in ("asset", "underlying"))
    weight = table["weight"].to_numpy(np.float64)
    share = np.bincount(ends[0], weights=weight, minlength=m)
    for k in np.flatnonzero(share > 1.0 + SUM).tolist():
        remedy = "Weights are shares of the asset's value; together they are at most 1."
        faults.add("backing.weight", f"the weights of asset {graph.assets[k]!r} sum to {share[k]:g}", remedy)
    faults.raise_if_any()
    kept = weight * (1.0 - table["haircut"].to_numpy(np.float64)) if after_haircut else weight
    weights = sparse.coo_array((kept, ends), (m, m)).tocsr()
    weights.eliminate_zeros()
    return weights


def shocked_prices(graph: ExposureGraph, changes: FloatArray, columns: PriceMap | None = None) -> FloatArray:
    """Return the prices after relative changes of assets, passed down to all that is made of or priced from them.

    Every shock comes through here: what a graph carries of its assets is never left out. An instrument is valued anew
    at the price of its underlying; a change of its own comes on top of that.

    Parameters
    ----------
    graph : ExposureGraph
        m assets; without a backing, prices are p0 (1 + change).
    changes : ndarray, shape (m,) or (N, m)
        What happens to each asset itself, at least -1.
    columns : PriceMap, optional
        In the place of the graph's: after a shock of vols.

    Raises
    ------
    ParameterError
        A cycle that has no solution after the shock, by name.
    TableError
        The weights of an asset sum to more than 1.

    Warns
    -----
    BackingWarning
        An asset and what it is made of both change: so it would count twice if its change is that of its whole price.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_tables(
    ...     positions={"trader": ["A"], "asset": ["token"], "quantity": [1.0]},
    ...     assets={"asset": ["token", "ETH"], "price": [100.0, 100.0]},
    ...     backing={"asset": ["token"], "underlying": ["ETH"], "weight": [0.9]},
    ... )
    >>> shocked_prices(graph, np.array([0.0, -1.0])).round(6).tolist()
    [10.0, 0.0]
    """
    columns = graph._price_map if columns is None else columns
    if columns is None:
        return _of_backing(graph, changes)
    own, plain = columns.instruments, np.array(changes)
    plain[..., own] = 0.0
    return _of_instruments(columns, _of_backing(graph, plain), changes)


def given_prices(graph: ExposureGraph, changes: FloatArray, columns: PriceMap | None = None) -> FloatArray:
    """Return the same without what a backing passes down: instruments move with changes that were given alone."""
    columns, price = graph._price_map if columns is None else columns, graph.price * (1.0 + changes)
    return np.asarray(price) if columns is None else _of_instruments(columns, price, changes)


def _of_instruments(columns: PriceMap, price: FloatArray, changes: FloatArray) -> FloatArray:
    """Return prices with those of instruments put in, and their own changes on top."""
    own, priced = columns.instruments, columns.prices(price)
    priced[..., own] *= 1.0 + changes[..., own]
    return priced


def _of_backing(graph: ExposureGraph, changes: FloatArray) -> FloatArray:
    """Return the prices after changes of assets, passed down to all that is made of them."""
    if not is_backed(graph):
        return np.asarray(graph.price * (1.0 + changes))
    given = np.atleast_2d(changes)
    passed = passed_down(graph.assets, weights_of(graph), given)
    several = np.count_nonzero(given, axis=1, keepdims=True) > 1
    twice = (several & (given != 0.0) & (given > -1.0) & (passed != given)).any(axis=0)
    if twice.any():
        asset = graph.assets[np.flatnonzero(twice)[0]]
        tell(
            f"shock: asset {asset!r} and what it is made of both change; its own change is taken on top of what passes "
            f"down. {WAY_OUT}",
            BackingWarning,
        )
    return np.asarray(graph.price * (1.0 + passed.reshape(changes.shape)))


def reached_by(graph: ExposureGraph, moved: BoolArray) -> BoolArray:
    """Say which prices can change where some assets do: theirs, and those of all that is made of them, shape (m,)."""
    reached, columns = moved, graph._price_map
    if is_backed(graph):
        weights = weights_of(graph)
        for _ in range(len(graph.assets)):
            reached = moved | (weights @ reached.astype(np.float64) > 0.0)
    return reached if columns is None else reached | reached[columns.underlying]


def passed_down(assets: "pd.Index[str]", weights: sparse.csr_array, changes: FloatArray) -> FloatArray:
    """Return the changes c = s + (1 + s) W c of all prices, given those s of assets themselves, shape (N, m)."""
    if not in_cycles(weights).any():
        return _level_by_level(weights, changes)
    worth = 1.0 - np.asarray(weights.sum(axis=1)).ravel()
    solver(assets, weights, np.zeros(worth.size), least=1.0)(worth)  # refuses a cycle without worth of its own
    return np.stack([solver(assets, weights, one, least=-1.0)(one) for one in changes])


def _level_by_level(weights: sparse.csr_array, changes: FloatArray) -> FloatArray:
    """Return the same without cycles: each step adds one level of assets, and the last one adds nothing."""
    passed, before = changes, None
    while before is None or (passed != before).any():
        before, passed = passed, changes + (1.0 + changes) * np.asarray(weights @ passed.T).T
    return passed


def paths_of(graph: ExposureGraph) -> sparse.csr_array:
    """Return (I - W)^-1, shape (m, m): how the price of the row answers to a change of the column's asset alone."""
    weights = weights_of(graph)
    if in_cycles(weights).any():
        refuse_backing("runway", graph, "its assets hold each other, so that prices do not move in proportion")
    paths = term = sparse.csr_array(sparse.eye_array(len(graph.assets)))
    while term.nnz:
        term = weights @ term
        paths = paths + term
    return paths


def in_cycles(weights: sparse.csr_array) -> BoolArray:
    """Return which assets are, in part, made of themselves."""
    _, part = csgraph.connected_components(weights, connection="strong")
    cyclic: BoolArray = (np.bincount(part)[part] > 1) | (weights.diagonal() != 0.0)
    return cyclic


def system_of(weights: sparse.csr_array, change: FloatArray) -> sparse.csc_array:
    """Return I - (1 + s) W."""
    return sparse.csc_array(sparse.eye_array(change.size) - sparse.diags_array(1.0 + change) @ weights)


def solver(
    assets: "pd.Index[str]", weights: sparse.csr_array, change: FloatArray, *, least: FloatArray | float
) -> Callable[[FloatArray], FloatArray]:
    """Return the map from y to the solution of x = (1 + s) W x + y; refuse one that is nowhere, or below the least.

    Weights that are all at least 0 have a solution with a meaning where no x is below `least`.
    """
    try:
        factors = linalg.splu(system_of(weights, change))
    except RuntimeError:
        _refuse(assets, weights)
    positive = (weights.data >= 0.0).all()

    def solve(right: FloatArray) -> FloatArray:
        x: FloatArray = factors.solve(right)
        if not np.isfinite(x).all() or (positive and (x < least - SUM * np.abs(least)).any()):
            _refuse(assets, weights)
        return x

    return solve


def _refuse(assets: "pd.Index[str]", weights: sparse.csr_array) -> NoReturn:
    cycle = " -> ".join(assets[_cycle(weights)])
    raise ParameterError(
        f"backing: the cycle {cycle} has no worth of its own, so that its values are not defined; lower a weight "
        "in it below 1"
    ) from None


def _cycle(weights: sparse.csr_array) -> list[int]:
    """Return the assets of one cycle, the first again at the end."""
    _, part = csgraph.connected_components(weights, connection="strong")
    cells = weights.tocoo()
    within = part[cells.coords[0]] == part[cells.coords[1]]
    follow = dict(zip(cells.coords[0][within].tolist(), cells.coords[1][within].tolist(), strict=True))
    walk = [next(iter(follow))]
    while walk[-1] not in walk[:-1]:
        walk.append(follow[walk[-1]])
    return walk[walk.index(walk[-1]) :]
