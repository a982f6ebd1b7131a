"""Direct exposure: the value that traders hold."""

from contagion_graph.errors import ParameterError
from contagion_graph.exposure.inputs import traders_of
from contagion_graph.exposure.matrix import ExposureMatrix
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph
from contagion_graph.solvers.arrays import with_data


def direct_exposure(graph: ExposureGraph, *, net: bool = True) -> ExposureMatrix:
    """Return the value that each trader holds of each asset, at the prices of the graph.

    Net: sum over its accounts of Q_ij p_j, below 0 where it is short. Not net: sum over its accounts of |Q_ij| p_j;
    positions of one account in one asset are netted in both.

    Parameters
    ----------
    graph : ExposureGraph
        n accounts, m assets.
    net : bool
        Whether a long in one account offsets a short in another.

    Returns
    -------
    ExposureMatrix
        Traders x assets [currency]; all of it is in the sparse `cells`.

    Raises
    ------
    ParameterError
        If graph is no graph, or net neither True nor False.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_tables(
    ...     positions={"trader": ["A", "A"], "asset": ["X", "X"], "quantity": [2.0, -3.0], "subaccount": ["1", "2"]},
    ...     assets={"asset": ["X"], "price": [10.0]},
    ... )
    >>> [float(cg.direct_exposure(graph, net=net).trader("A")["X"]) for net in (True, False)]
    [-10.0, 50.0]
    """
    check_graph(graph)
    if not isinstance(net, bool):
        raise ParameterError(f"net is {net!r}; it must be True or False")
    every, q = traders_of(graph, None), graph.quantity
    value = with_data(q, (q.data if net else abs(q.data)) * graph.price[q.indices])
    name = "value held [currency]" if net else "gross value held [currency]"
    return ExposureMatrix(every.labels, graph.assets, (), every.add(value), every.add(q), name)
