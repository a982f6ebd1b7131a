"""Structural importance on the bipartite exposure graph: links, shortest paths, cores, absorbing walks."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

from contagion_graph._typing import FloatArray, Seed
from contagion_graph._validate import check_number, generator_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.importance.incidence import Of, Sides, Weight, sides

MOST_SEARCHED = 10_000  # nodes from each of which all shortest paths are searched without being asked to
UNIT = 2.0**40  # of the lengths that igraph is given
MOST_INVERTED = 5_000  # nodes on the smaller side, whose dense square matrix is inverted: 200 MB
CELLS_AT_ONCE = 1 << 22


def degree(graph: ExposureGraph, *, of: Of = "traders", sort: bool = False) -> "pd.Series[float]":
    """Return the number of links: assets that a trader holds, or traders that hold an asset.

    Parameters
    ----------
    graph : ExposureGraph
        Who holds what.
    of : {"traders", "assets"}
        The side to return.
    sort : bool
        Whether to sort from the largest down; else in label order.

    Returns
    -------
    Series
        Counts by label, as floats; positions of 0 count as none.

    Raises
    ------
    ParameterError
        What is no graph, or a name that cannot be.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, -3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.degree(graph).to_dict()
    {'A': 1.0, 'B': 2.0}
    """
    side = sides(graph, "degree", of)
    return side.series(*side.degrees(), sort=sort)


def strength(
    graph: ExposureGraph, *, of: Of = "traders", weight: Weight = "value", sort: bool = False
) -> "pd.Series[float]":
    """Return the sum of the weights of all links.

    Parameters
    ----------
    graph, of
        As in `degree`.
    weight : {"value", "quantity", "unit"}
        Weight of a link, over the trader's accounts: sum |quantity| price [currency], sum |quantity| [units], or 1.
    sort : bool
        As in `degree`.

    Returns
    -------
    Series
        In units of the weight, by label.

    Raises
    ------
    ParameterError
        What is no graph, or a name that cannot be.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, -3.0]], price=2.0, traders=["A", "B"])
    >>> cg.importance.strength(graph, sort=True).to_dict()
    {'B': 14.0, 'A': 8.0}
    """
    side = sides(graph, "strength", of, weight=weight)
    return side.series(*side.strengths(), sort=sort)


def betweenness(
    graph: ExposureGraph,
    *,
    of: Of = "traders",
    n_samples: int | None = None,
    rng: Seed | None = None,
    weight: Weight = "value",
    sort: bool = False,
) -> "pd.Series[float]":
    """Return betweenness: the number of shortest paths between other nodes of the bipartite graph through a node.

    A link is 1 / weight long. c_v = sum over pairs s < t of (shortest paths through v) / (shortest paths from s to t).

    Parameters
    ----------
    graph, of
        As in `strength`.
    n_samples : int, optional
        None: exact. Otherwise the number of nodes from which paths are searched, drawn from both sides without
        replacement; the result is scaled by nodes / n_samples and is unbiased.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed draws the same nodes.
    weight, sort
        As in `strength`; weight="unit" counts links.

    Returns
    -------
    Series
        Pairs of nodes, not normalised; over (N - 1) (N - 2) / 2 with N traders and assets a share.

    Raises
    ------
    ParameterError
        A name or number that cannot be; `n_samples` not given where traders and assets are above 10,000 together.

    Notes
    -----
    igraph searches once from each node, about (links + N log N) steps a search: a minute or more near 10,000 nodes.
    Paths whose lengths differ by rounding only count as equally long.

    References
    ----------
    Brandes (2001), Journal of Mathematical Sociology 25(2). Brandes & Pich (2007), International Journal of Bifurcation
    and Chaos 17(7): samples.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.betweenness(graph).to_dict()
    {'A': 0.0, 'B': 2.0}
    """
    side = sides(graph, "betweenness", of, weight=weight)
    nodes = sum(side.matrix.shape)
    if n_samples is None and nodes > MOST_SEARCHED:
        raise ParameterError(
            f"betweenness: {nodes:,} nodes are more than the {MOST_SEARCHED:,} that are searched from each; "
            "give n_samples="
        )
    sources = None
    if n_samples is not None:
        check_number("betweenness", "n_samples", n_samples, low=1, high=nodes, whole=True)
        sources = np.sort(generator_of("betweenness", rng).choice(nodes, int(n_samples), replace=False)).tolist()
    network, length = _network(side)
    counts = np.array(network.betweenness(directed=False, weights=length, sources=sources))
    return side.series(*_halves(side, counts * (nodes / n_samples if n_samples else 1.0)), sort=sort)


def closeness(
    graph: ExposureGraph, *, of: Of = "traders", weight: Weight = "value", sort: bool = False
) -> "pd.Series[float]":
    """Return closeness: the inverse mean distance to the nodes of the bipartite graph, along links 1 / weight long.

    c_v = (r - 1) / (N - 1) * (r - 1) / sum of distances, over the r nodes of N that can be reached, v included. So
    nodes of several components can be compared (Wasserman & Faust).

    Parameters
    ----------
    graph, of, weight, sort
        As in `strength`.

    Returns
    -------
    Series
        In units of the weight, by label; 0 without links.

    Raises
    ------
    ParameterError
        A name that cannot be; more than 10,000 nodes on the side asked for.

    Notes
    -----
    igraph searches once from each node of that side: about (links + N log N) steps a search.

    References
    ----------
    Wasserman & Faust (1994), Social Network Analysis, p. 201.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.closeness(graph).round(4).to_dict()
    {'A': 1.8947, 'B': 2.7692}
    """
    side = sides(graph, "closeness", of, weight=weight)
    count = len(side.labels)
    if count > MOST_SEARCHED:
        raise ParameterError(
            f"closeness: {count:,} {of} are more than the {MOST_SEARCHED:,} that are searched from; "
            "ask for the other side, or for graph.subset(...)"
        )
    network, length = _network(side)
    rows, columns = side.matrix.shape
    asked = side.pick(range(rows), range(rows, rows + columns))
    component = np.array(network.connected_components().membership)
    reached = np.bincount(component)[component[asked]] - 1.0
    near = np.array(network.closeness(vertices=asked, weights=length, normalized=True))
    near = (
        np.where(reached > 0.0, near * (UNIT * side.matrix.data.max(initial=0.0)), 0.0)
        * reached
        / (rows + columns - 1.0)
    )
    return side.series(near, near, sort=sort)


def coreness(graph: ExposureGraph, *, of: Of = "traders", sort: bool = False) -> "pd.Series[float]":
    """Return coreness: the largest k such that a node is in a subgraph in which every node has k links or more.

    Links count whatever their weight; drop small positions first where they should not count.

    Parameters
    ----------
    graph, of, sort
        As in `degree`.

    Returns
    -------
    Series
        Counts by label, as floats; 0 without links.

    Raises
    ------
    ParameterError
        What is no graph, or a name that cannot be.

    References
    ----------
    Seidman (1983), Social Networks 5(3).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], price=1.0)
    >>> cg.importance.coreness(graph, of="assets").to_dict()
    {'0': 2.0, '1': 2.0, '2': 1.0}
    """
    side = sides(graph, "coreness", of, weight="unit")
    cores = np.array(_network(side)[0].coreness(), dtype=np.float64)
    return side.series(*_halves(side, cores), sort=sort)


def sinkrank(
    graph: ExposureGraph, *, of: Of = "traders", weight: Weight = "value", sort: bool = False
) -> "pd.Series[float]":
    """Return SinkRank: the inverse mean time in which a walk from trader to trader (or asset to asset) is absorbed.

    The walk goes from i to j with probability P_ij = A_ij / sum_k A_ik, A = W D^-1 W^T without its diagonal, W the
    weights and D the strengths of the other side: along one asset that both hold, to another trader. With node s
    absorbing, Q = (1 - P without s)^-1 counts the visits, and SinkRank is (n - 1) / sum_ij Q_ij, the inverse of the
    mean time to s, over the n nodes of the component of s.

    Parameters
    ----------
    graph, of, weight, sort
        As in `strength`.

    Returns
    -------
    Series
        1 / steps, by label. 1 / (n - 1) for all in a complete graph of equal weights; 0 where no other node reaches it.

    Raises
    ------
    ParameterError
        A name that cannot be; more than 5,000 nodes on the smaller side of the graph.

    Notes
    -----
    Each Q is never formed. With any generalised inverse G of the Laplacian of the graph, the time from i to s is
    sum_k d_k (G_ik - G_is - G_sk + G_ss), d the row sums of A; so the sums over i need only G 1, G d and the diagonal
    of G. That takes one dense inverse on the smaller side of k nodes, k^3 steps, and k for each link.

    References
    ----------
    Soramaki & Cook (2013), Economics E-Journal 7, 2013-28.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[1.0]] * 5, price=1.0)
    >>> cg.importance.sinkrank(graph).round(6).unique().tolist()
    [0.25]
    """
    side = sides(graph, "sinkrank", of, weight=weight)
    if min(side.matrix.shape) > MOST_INVERTED:
        raise ParameterError(
            f"sinkrank: both sides have more than {MOST_INVERTED:,} nodes; take graph.subset(traders=...) or assets=..."
        )
    matrix = side.pick(side.matrix, side.matrix.T).tocsr()
    matrix = matrix / (matrix.data.max() if matrix.nnz else 1.0)
    component = csgraph.connected_components(sparse.block_array([[None, matrix], [matrix.T, None]]), directed=False)[1]
    scores = _absorption(matrix, component)
    return side.series(scores, scores, sort=sort)


def _absorption(matrix: sparse.csr_array, component: Any) -> FloatArray:
    """Return (n - 1) over the sum of times to each row of W, from the rows of its component."""
    count = matrix.shape[0]
    own, other = (np.where(total > 0.0, total, 1.0) for total in (matrix.sum(axis=1), matrix.sum(axis=0)))
    mine, theirs = component[:count], component[count:]
    if count <= matrix.shape[1]:
        links = _links(matrix.T, other)
        d = links.sum(axis=1)
        inverse = _inverse(links, mine)
        g, ones, weighted = np.diag(inverse), inverse.sum(axis=1), inverse @ d
    else:
        inverse = _inverse(_links(matrix, own), theirs)
        shares = (sparse.diags_array(1.0 / own) @ matrix).tocsr()
        d = matrix @ np.ones_like(other) - matrix.power(2) @ (1.0 / other)
        ones, weighted = (v / own + shares @ (inverse @ (shares.T @ v)) for v in (np.ones(count), d))
        g = 1.0 / own + _squares(shares, inverse)
    n, volume, weighted_sum = (np.bincount(mine, v)[mine] for v in (np.ones(count), d, weighted))
    times = weighted_sum - volume * ones - n * weighted + n * volume * g
    return np.asarray(np.divide(n - 1.0, times, out=np.zeros(count), where=n > 1.0))


def _links(matrix: sparse.csr_array, strengths: FloatArray) -> FloatArray:
    """Return W^T D^-1 W without its diagonal, dense, for row sums D of W."""
    links: FloatArray = (matrix.T @ sparse.diags_array(1.0 / strengths) @ matrix).toarray()
    np.fill_diagonal(links, 0.0)
    return links


def _inverse(links: FloatArray, component: Any) -> FloatArray:
    """Return a generalised inverse of the Laplacian: in each component its strongest node is at potential 0."""
    d = links.sum(axis=1)
    order = np.lexsort((-d, component))
    ground = order[np.unique(component[order], return_index=True)[1]]  # the first, so the strongest, of each
    kept = np.setdiff1d(np.arange(len(d)), ground)
    root = np.sqrt(d[kept])  # the scale of each node, so that small ones keep their digits
    scaled = np.eye(len(kept)) - links[np.ix_(kept, kept)] / np.outer(root, root)
    inverse = np.zeros_like(links)
    inverse[np.ix_(kept, kept)] = np.linalg.inv(scaled) / np.outer(root, root)
    return inverse


def _squares(shares: sparse.csr_array, inverse: FloatArray) -> FloatArray:
    """Return h_i^T G h_i for every row h_i, some rows at a time."""
    step = max(1, CELLS_AT_ONCE // len(inverse))
    blocks = [shares[start : start + step] for start in range(0, shares.shape[0], step)]
    return np.concatenate([block.multiply(block @ inverse).sum(axis=1) for block in blocks])


def _network(side: Sides) -> tuple[Any, FloatArray]:
    """Return traders, then assets, as an igraph graph, and the length of each link in units of the shortest one.

    A unit is `UNIT` long: igraph adds 1 to lengths of paths, and takes those for equal that then differ by 1e-10 of it.
    """
    import igraph

    cells = side.matrix.tocoo()
    edges = np.column_stack([cells.row, cells.col + np.int64(side.matrix.shape[0])])
    length = UNIT * (cells.data.max(initial=0.0) / cells.data)
    return igraph.Graph(n=sum(side.matrix.shape), edges=edges), length


def _halves(side: Sides, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    rows = side.matrix.shape[0]
    return values[:rows], values[rows:]
