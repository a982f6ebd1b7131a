"""What an asset on a chain counts for as collateral: its own haircut, its bridges', and one for the time it takes."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import linalg

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.collateral.backing.backing import Backing
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.graph.backing import weights_of
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_flat_margins, check_graph
from contagion_graph.tables.labels import text_index
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import vector

VOLATILITY = Number("volatility, per square root of a day", low=0)
DELAY = Number("days", low=0)


def haircuts(graph: ExposureGraph, *, volatility: Any, delay: Any, z: float = 2.33) -> pd.DataFrame:
    """Return the haircut of each asset, term by term.

    own      1 - the share of the value that counts as collateral: column margin_long
    bridge   1 - u,  u = (1 - sum of weights) + sum over underlyings of weight (1 - haircut) u_underlying
    latency  1 - exp(-z sigma sqrt(tau)), what the price may fall until the asset can be sold where it is needed
    total    1 - (1 - own) (1 - bridge) (1 - latency)

    Parameters
    ----------
    graph : ExposureGraph
        With table backing, whose column haircut is what a bridge, an issuer or a pool may fail to give back.
    volatility : number, array_like, or mapping or Series by asset
        sigma, the standard deviation of a day's log return; an asset that a mapping leaves out has 0.
    delay : number, or mapping or Series by chain
        tau [days]; chains are column chain of table assets, and an asset without one, or whose chain a mapping leaves
        out, can be sold at once.
    z : float
        Standard deviations that the latency term withstands: a log-normal price without drift falls by more with
        probability Phi(-z), 1 % for 2.33.

    Returns
    -------
    DataFrame
        One row an asset: own, bridge, latency, total [shares of value].

    Raises
    ------
    TableError
        Weights of an asset that sum to more than 1.
    ParameterError
        A volatility or delay below 0, or of an unknown label; a cycle in table backing without any worth of its own, by
        name; delays by chain where no asset has a chain.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_tables(
    ...     positions={"trader": ["A"], "asset": ["bridged"], "quantity": [10.0]},
    ...     assets={"asset": ["ETH", "bridged"], "price": [3000.0, 3000.0], "margin_long": [0.1, 0.1],
    ...             "chain": ["mainnet", "rollup"]},
    ...     backing={"asset": ["bridged"], "underlying": ["ETH"], "weight": [1.0], "haircut": [0.02]},
    ... )
    >>> cg.collateral.haircuts(graph, volatility=0.04, delay={"rollup": 7.0}).round(4)
             own  bridge  latency   total
    asset
    ETH      0.1    0.00   0.0000  0.1000
    bridged  0.1    0.02   0.2185  0.3107
    """
    check_graph(graph)
    check_flat_margins(graph, "haircuts")
    check_number("haircuts", "z", z, low=0)
    faults = Faults(ParameterError)
    sigma = vector("volatility", volatility, graph.assets, VOLATILITY, faults, base=0.0)
    tau = _delays(graph, delay, faults)
    faults.raise_if_any()
    own, bridge, latency = graph.margin_long, 1.0 - _usable(graph), -np.expm1(-z * sigma * np.sqrt(tau))
    total = 1.0 - (1.0 - own) * (1.0 - bridge) * (1.0 - latency)
    columns = {"own": own, "bridge": bridge, "latency": latency, "total": total}
    return pd.DataFrame(columns, index=graph.assets.rename("asset"))


def _usable(graph: ExposureGraph) -> FloatArray:
    """Return the share u of each asset's value that is left if every link gives back what its haircut says."""
    worth = Backing.from_graph(graph).own / graph.price
    kept = sparse.csc_array(sparse.eye_array(worth.size) - weights_of(graph, after_haircut=True))
    usable: FloatArray = np.clip(linalg.splu(kept).solve(worth), 0.0, 1.0)
    return usable


def _delays(graph: ExposureGraph, delay: Any, faults: Faults) -> FloatArray:
    if np.ndim(delay) == 0 and not hasattr(delay, "keys"):
        return vector("delay", delay, graph.assets, DELAY, faults)
    table = graph.attributes.get("assets")
    if table is None or "chain" not in table:
        raise ParameterError("haircuts: delays are given by chain, and table assets has no column chain; add it")
    chains = table["chain"].reindex(graph.assets)
    known = text_index(chains.dropna().unique())
    by_chain = pd.Series(vector("delay", delay, known, DELAY, faults, base=0.0), index=known)
    return chains.map(lambda chain: by_chain.get(str(chain), 0.0)).to_numpy(np.float64)
