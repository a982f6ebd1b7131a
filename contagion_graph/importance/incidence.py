"""The bipartite exposure graph as one sparse matrix, and Series on either of its two sides."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.solvers.arrays import with_data

Of = Literal["traders", "assets"]
Weight = Literal["value", "quantity", "unit"]


@dataclass(frozen=True, eq=False)
class Sides:
    """Traders and assets, and the weights between them.

    Parameters
    ----------
    matrix : csr_array, shape (traders, assets)
        Weights above 0; nothing else is stored.
    labels : Index
        Of the side that is asked for.
    of : {"traders", "assets"}
        That side.
    name : str
        Of the measure.
    """

    matrix: sparse.csr_array
    labels: "pd.Index[str]"
    of: str
    name: str

    def pick(self, traders: Any, assets: Any) -> Any:
        """Return what belongs to the side that is asked for."""
        return traders if self.of == "traders" else assets

    def series(self, traders: FloatArray, assets: FloatArray, *, sort: bool) -> "pd.Series[float]":
        """Return the side that is asked for as a Series, in label order, or from the largest down."""
        values = pd.Series(self.pick(traders, assets), index=self.labels, name=self.name)
        return values.sort_values(ascending=False, kind="stable") if sort else values

    def strengths(self) -> tuple[FloatArray, FloatArray]:
        """Return the sums of weights of every trader and of every asset."""
        rows, columns = self.matrix.shape
        return self.matrix @ np.ones(columns), self.matrix.T @ np.ones(rows)

    def degrees(self) -> tuple[FloatArray, FloatArray]:
        """Return the number of links of every trader and of every asset."""
        links = np.bincount(self.matrix.indices, minlength=self.matrix.shape[1])
        return np.diff(self.matrix.indptr).astype(np.float64), links.astype(np.float64)


def sides(graph: ExposureGraph, name: str, of: str, *, weight: str = "value") -> Sides:
    """Return the bipartite exposure graph for a measure that is called `name`.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[2.0, -1.0]], price=[10.0, 5.0])
    >>> sides(graph, "degree", "pools")
    Traceback (most recent call last):
    contagion_graph.errors.ParameterError: degree: of is 'pools'; it must be one of traders, assets
    """
    check_choice(f"{name}: of", of, get_args(Of))
    matrix = exposures(graph, name, weight)
    return Sides(matrix, graph.traders if of == "traders" else graph.assets.rename("asset"), of, name)


def exposures(graph: ExposureGraph, name: str, weight: str = "value") -> sparse.csr_array:
    """Return the weights between traders and assets, as a matrix without stored zeros.

    The weight of a link is the sum over the trader's accounts of |quantity| price (value), of |quantity|, or 1 (unit):
    positions of one account in one asset net, those of two accounts do not.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> labels = {"traders": ["A", "A"], "pool": ["P", "R"]}
    >>> graph = cg.ExposureGraph.from_arrays([[2.0, -1.0], [-3.0, 0.0]], price=[10.0, 5.0], **labels)
    >>> exposures(graph, "hits").toarray().tolist()
    [[50.0, 5.0]]
    """
    check_graph(graph)
    check_choice(f"{name}: weight", weight, get_args(Weight))
    q = graph.quantity
    amount = np.abs(q.data)
    if weight == "value":
        amount *= graph.price[q.indices]
    matrix = graph._rows.trader_rows(with_data(q, amount))
    if not matrix.data.all():
        matrix = matrix.copy()  # the graph's own index arrays are read-only
        matrix.eliminate_zeros()
    if weight == "unit":
        matrix.data[:] = 1.0
    return matrix
