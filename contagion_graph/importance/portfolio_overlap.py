"""Portfolios: their overlap and their concentration."""

from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._result import Result
from contagion_graph._solution import EXACT, Solution
from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.importance.incidence import Of, exposures
from contagion_graph.solvers.arrays import over_cells, with_data
from contagion_graph.tables.vectors import rows_of

Measure = Literal["cosine", "jaccard", "liquidity"]
MOST_STORED = 50_000_000  # cells of a matrix: 600 MB
MOST_COMPUTED = 10_000_000_000  # products: minutes
PRODUCTS_AT_ONCE = 10_000_000
MOST_WRITTEN = 10_000_000  # entries of a dense table: 80 MB


@dataclass(frozen=True, eq=False, repr=False)
class OverlapMatrix(Result):
    """The overlap of any two traders (or assets), sparse and with labels.

    Parameters
    ----------
    matrix : csr_array, shape (n, n)
        Symmetric, with its diagonal; pairs with nothing in common are not stored.
    labels : Index
        The labels of rows and columns, named trader or asset.
    measure : {"cosine", "jaccard", "liquidity"}
        The formula, see `overlap`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[3.0, 0.0], [4.0, 3.0]], price=1.0, traders=["A", "B"])
    >>> found = cg.importance.overlap(graph)
    >>> found
    <OverlapMatrix: cosine of 2 traders; 1 pair in common>
    >>> found.row("A").to_dict()
    {'A': 1.0, 'B': 0.8}
    >>> found.to_frames()["pairs"]
      trader other  overlap
    0      A     B      0.8
    """

    matrix: sparse.csr_array
    _: KW_ONLY
    labels: "pd.Index[str]"
    measure: Measure
    model: None = None
    solution: Solution = EXACT

    def row(self, label: object) -> "pd.Series[float]":
        """Return the overlap of one node with every node.

        Parameters
        ----------
        label : label
            A trader, or an asset.

        Returns
        -------
        Series
            By label, in the unit of the measure; 0 where nothing is in common.

        Raises
        ------
        ParameterError
            An unknown label.
        """
        row = int(rows_of([label], self.labels, str(self.labels.name))[0])
        return pd.Series(self.matrix[[row]].toarray()[0], index=self.labels, name=self.labels[row])

    def to_pandas(self) -> pd.DataFrame:
        """Return the whole matrix as a dense table, up to ten million entries.

        Returns
        -------
        DataFrame
            Rows and columns in label order.

        Raises
        ------
        ParameterError
            If it is larger.
        """
        size = len(self.labels)
        if size**2 > MOST_WRITTEN:
            raise ParameterError(
                f"{size:,} x {size:,} entries are more than the {MOST_WRITTEN:,} that to_pandas writes out; use "
                "matrix, row(label), or overlap_pairs for the largest"
            )
        return pd.DataFrame(self.matrix.toarray(), index=self.labels, columns=self.labels.rename("other"))

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            nodes, pairs (counts; pairs = with something in common); largest, mean (overlap of a pair, over the pairs
            with something in common; NaN where there is none).
        """
        pairs = sparse.triu(self.matrix, k=1).data
        values = (pairs.max(), pairs.mean()) if pairs.size else (np.nan, np.nan)
        figures = {"nodes": len(self.labels), "pairs": pairs.size, "largest": values[0], "mean": values[1]}
        return pd.Series(figures, name="overlap", dtype=np.float64)

    def _tables(self) -> dict[str, pd.DataFrame]:
        cells = sparse.triu(self.matrix, k=1).tocoo()
        ends = [self.labels[cells.row], self.labels[cells.col].rename("other")]
        return {"pairs": pd.DataFrame({"overlap": cells.data}, index=pd.MultiIndex.from_arrays(ends))}

    def __repr__(self) -> str:
        pairs, nodes = int(self.summary()["pairs"]), f"{len(self.labels):,} {self.labels.name}s"
        return f"<OverlapMatrix: {self.measure} of {nodes}; {pairs:,} pair{'s' * (pairs != 1)} in common>"


def overlap(graph: ExposureGraph, *, measure: Measure = "cosine", of: Of = "traders") -> OverlapMatrix:
    """Return the overlap of any two traders (or assets), as a sparse matrix with labels.

    With v the signed value (net over a trader's accounts) and H the set of what is held:

        cosine     sum_k v_ik v_jk / (|v_i| |v_j|)          in [-1, 1]; below 0 = on opposite sides
        jaccard    |H_i and H_j| / |H_i or H_j|             in [0, 1]; counts assets, not amounts
        liquidity  sum_k v_ik v_jk / depth_k                currency: what j loses to first order if i sells all it has

    Parameters
    ----------
    graph : ExposureGraph
        Who holds what.
    measure : {"cosine", "jaccard", "liquidity"}
        The formula; "liquidity" is between traders.
    of : {"traders", "assets"}
        The side; assets overlap in who holds them.

    Returns
    -------
    OverlapMatrix
        Traders x traders, or assets x assets.

    Raises
    ------
    ParameterError
        A name that cannot be; more than 50 million pairs with something in common, counted once for each thing, unless
        there are fewer pairs at all; more than 10 billion.

    References
    ----------
    Cont & Schaanning (2019), Statistics & Risk Modeling 36: liquidity-weighted overlap. The leading eigenvector of that
    matrix is their Endogenous Risk Index.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[100.0, 50.0], [0.0, 80.0]], price=1.0, depth=[1000.0, 500.0], traders=["A", "B"]
    ... )
    >>> cg.importance.overlap(graph, measure="liquidity").to_pandas().round(6)
    other      A     B
    trader
    A       15.0   8.0
    B        8.0  12.8
    """
    vectors = _vectors(graph, measure, of)
    work = _work(vectors).sum()
    _check_work("overlap", work, MOST_COMPUTED)
    _check_work("overlap", min(work, vectors.shape[0] ** 2), MOST_STORED)
    labels = graph.traders.rename("trader") if of == "traders" else graph.assets.rename("asset")
    return OverlapMatrix(_products(vectors, measure, slice(None)), labels=labels, measure=measure)


def overlap_pairs(
    graph: ExposureGraph, *, measure: Measure = "cosine", of: Of = "traders", k: int = 20
) -> pd.DataFrame:
    """Return the k pairs of traders (or assets) that overlap most, from the largest down.

    Parameters
    ----------
    graph, measure, of
        As in `overlap`.
    k : int
        Number of pairs.

    Returns
    -------
    DataFrame
        Columns `trader` (or `asset`), `other` (later in label order) and `overlap`; ties in label order. Fewer rows
        where fewer pairs have anything in common.

    Raises
    ------
    ParameterError
        A name or number that cannot be; more than 10 billion pairs, counted as in `overlap`.

    Notes
    -----
    Memory is that of some 10 million pairs, or of all pairs of the node with the most.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[3.0, 0.0], [4.0, 3.0], [-1.0, 0.0]], price=1.0, traders=["A", "B", "C"])
    >>> cg.importance.overlap_pairs(graph)
      trader other  overlap
    0      A     B      0.8
    1      B     C     -0.8
    2      A     C     -1.0
    """
    check_number("overlap_pairs", "k", k, low=1, whole=True)
    vectors = _vectors(graph, measure, of)
    work = np.cumsum(_work(vectors))
    _check_work("overlap_pairs", work[-1], MOST_COMPUTED)
    labels = {"traders": graph.traders, "assets": graph.assets}[of]
    best = pd.DataFrame({"row": [], "column": [], "overlap": []}).astype({"row": int, "column": int})
    borders = np.flatnonzero(np.diff(work // PRODUCTS_AT_ONCE, prepend=-1, append=-1))
    for start, end in pairwise(borders):
        cells = _products(vectors, measure, slice(start, end)).tocoo()
        block = pd.DataFrame({"row": cells.row + start, "column": cells.col, "overlap": cells.data})
        block = block[block["row"] < block["column"]]
        found = pd.concat([best, block]) if len(best) else block
        best = found.sort_values(["overlap", "row", "column"], ascending=[False, True, True])[:k]
    ends = {of[:-1]: labels[best["row"]], "other": labels[best["column"]]}
    return pd.DataFrame({**ends, "overlap": best["overlap"].to_numpy()})


def concentration(
    graph: ExposureGraph, *, of: Literal["traders", "assets", "pools"] = "traders", sort: bool = False
) -> "pd.Series[float]":
    """Return the Herfindahl index: a trader's over its assets, an asset's or a pool's over its traders.

    sum_k s_k^2 with s_k the share of k in gross value, sum |quantity| price.

    Parameters
    ----------
    graph : ExposureGraph
        Who holds what.
    of : {"traders", "assets", "pools"}
        Whose concentration.
    sort : bool
        Whether to sort from the largest down; else in label order.

    Returns
    -------
    Series
        From 1 / number to 1 (a single one); 0 where there is no value.

    Raises
    ------
    ParameterError
        A name that cannot be.

    References
    ----------
    Hirschman (1964), American Economic Review 54(5): whose index it is.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[4.0, 0.0], [4.0, -4.0]], price=1.0, traders=["A", "B"])
    >>> cg.importance.concentration(graph).to_dict()
    {'A': 1.0, 'B': 0.5}
    """
    check_graph(graph)
    check_choice("concentration: of", of, ("traders", "assets", "pools"))
    if of == "pools":
        gross = graph.gross_value.groupby(level=["pool", "trader"], sort=False, observed=True).sum().reset_index()
        rows = graph.pools.get_indexer(pd.Index(gross["pool"]))
        columns = graph.traders.get_indexer(pd.Index(gross["trader"]))
        shape = len(graph.pools), len(graph.traders)
        matrix = sparse.csr_array((gross["gross_value"].to_numpy(), (rows, columns)), shape=shape)
        matrix.eliminate_zeros()
    else:
        matrix = exposures(graph, "concentration")
        matrix = matrix if of == "traders" else matrix.T
    labels = {"traders": graph.traders, "assets": graph.assets.rename("asset"), "pools": graph.pools.rename("pool")}[of]
    index = pd.Series(_herfindahl(matrix.tocoo()), index=labels, name="concentration")
    return index.sort_values(ascending=False, kind="stable") if sort else index


def _herfindahl(matrix: sparse.coo_array) -> FloatArray:
    """Return sum_k s_k^2 of every row, s_k shares in the sum of the row."""
    size = matrix.shape[0]
    shares = matrix.data / np.bincount(matrix.row, matrix.data, size)[matrix.row]
    return np.asarray(np.bincount(matrix.row, np.square(shares), size), dtype=np.float64)


def _vectors(graph: ExposureGraph, measure: str, of: str) -> sparse.csr_array:
    """Return one vector a node, such that their products are the overlaps (jaccard: what two nodes have in common)."""
    check_graph(graph)
    check_choice("overlap: measure", measure, get_args(Measure))
    check_choice("overlap: of", of, get_args(Of))
    value = graph.to_scipy()
    value.eliminate_zeros()
    if measure == "liquidity":
        if of == "assets":
            raise ParameterError("overlap: measure 'liquidity' is between traders; use 'cosine' or 'jaccard' of assets")
        value.data /= np.sqrt(graph.depth)[value.indices]
        value.eliminate_zeros()  # of infinite depth
        return value
    value = value if of == "traders" else value.T.tocsr()
    if measure == "jaccard":
        value.data[:] = 1.0
        return value
    value.data /= over_cells(value, abs(value).max(axis=1).toarray().ravel())  # squares could leave the range
    value.data /= over_cells(value, np.sqrt(value.power(2).sum(axis=1)))
    return value


def _work(vectors: sparse.csr_array) -> FloatArray:
    """Return the number of products that each row takes part in."""
    holders = np.bincount(vectors.indices, minlength=vectors.shape[1]).astype(np.float64)
    ones = with_data(vectors, np.ones(vectors.nnz))
    return np.asarray(ones @ holders)


def _check_work(name: str, work: float, most: float) -> None:
    if work > most:
        raise ParameterError(
            f"{name}: {work:,.0f} pairs have something in common, more than {most:,}; take graph.subset(traders=...), "
            "of='assets', or overlap_pairs for the largest"
        )


def _products(vectors: sparse.csr_array, measure: str, rows: slice) -> sparse.csr_array:
    products = (vectors[rows] @ vectors.T).tocsr()
    if measure == "jaccard":
        held = np.diff(vectors.indptr)
        products.data /= over_cells(products, held[rows]) + held[products.indices] - products.data
    return products
