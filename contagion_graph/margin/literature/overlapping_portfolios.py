"""The stability of overlapping portfolios: how many banks the sale of one bank's portfolio brings down."""

import numpy as np
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import check_graph, check_no_instruments
from contagion_graph.rules.impact import ExponentialImpact, ImpactRecord
from contagion_graph.solvers.arrays import row_of_cells, with_data
from contagion_graph.solvers.spectrum import spectral_radius

BLOCK_CELLS = 2**22  # of a block of rows x assets, or x accounts: 32 MB


def caccioli_stability(graph: ExposureGraph, *, impact: ImpactRecord | None = None) -> float:
    """Return the largest eigenvalue of the branching matrix; above 1 the default of one account can spread to many.

    N_ik = 1 if the sale of account i's whole portfolio alone costs account k more than its equity,
    sum_j quantity_kj p0_j (1 - f(x_ij)) > E_k with x_ij = quantity_ij p0_j / depth_j, and 0 otherwise, for k = i, and
    for an account that is below zero already. Its largest eigenvalue rho is the number of defaults that a default
    brings about, from one generation to the next: 0 where no chain of defaults comes back to where it began, n - 1
    where every account brings down all n - 1 others.

    The paper's matrix is for random networks: between classes of banks by their degree, entries are expected numbers
    over the ensemble. This is its form for one given network, each account a class of its own. As there, every default
    acts alone: losses that only several defaults together bring about are left out, so rho < 1 is no proof of safety
    against large shocks.

    Parameters
    ----------
    graph : ExposureGraph
        Accounts are the banks; margins do not count, shorts are bought back, what is not sellable is not sold.
    impact : ImpactRecord, optional
        f; the exponential one of the paper where none is given.

    Returns
    -------
    float
        rho >= 0.

    Raises
    ------
    ParameterError
        What is no graph.
    ConvergenceError
        The eigenvalue of more than 400 accounts in one cycle was not found.

    Notes
    -----
    Only accounts that can fall, and that a sale of one that can fall might bring down, are compared; what is stored of
    N is its ones. Time grows with the pairs of these that hold an asset in common.

    References
    ----------
    Caccioli, Shrestha, Moore & Farmer (2014), J. Banking & Finance 46.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[100.0], [100.0], [100.0]], price=1.0, cash=-95.0)
    >>> round(cg.named.caccioli_stability(cg.named.with_market_depth(graph, alpha=1.0536)), 9)
    2.0
    """
    check_graph(graph)
    check_no_instruments(graph, "caccioli_stability")
    rule = (ExponentialImpact() if impact is None else impact).for_assets(graph.assets)
    q, equity = graph.quantity, graph._rows.equity
    values = with_data(q, q.data * graph.price[q.indices])
    solvent = np.flatnonzero(equity >= 0.0)
    values, equity = values[solvent], equity[solvent]
    falls = _falls(values, graph, rule)
    while values.shape[0]:
        # an account that no sale of a single other account brings down is in no cycle of defaults
        worst = np.abs(falls).max(axis=0).toarray().ravel()
        can_fall = np.abs(values) @ worst > equity
        if can_fall.all():
            break
        values, falls, equity = values[can_fall], falls[can_fall], equity[can_fall]
    return spectral_radius(_branching(values, falls, equity), "caccioli_stability", "accounts")


def _falls(values: sparse.csr_array, graph: ExposureGraph, impact: ImpactRecord) -> sparse.csr_array:
    """Return 1 - f(x_ij), the relative fall of each price that the sale of each account's portfolio brings about."""
    scale = np.where(graph.sellable, 1.0 / graph.depth, 0.0)
    step = max(1, BLOCK_CELLS // values.shape[1])
    blocks = []
    for first in range(0, values.shape[0], step):
        block = values[first : first + step]
        # an impact may have parameters of its own for each asset, so it takes whole rows
        fall = 1.0 - impact.price_factor(block.toarray() * scale)
        blocks.append(fall[row_of_cells(block), block.indices])
    falls = values.copy()
    falls.data = np.concatenate([np.empty(0), *blocks])
    falls.eliminate_zeros()  # what no sale can move makes no pair
    return falls


def _branching(values: sparse.csr_array, falls: sparse.csr_array, equity: FloatArray) -> sparse.csr_array:
    """Return N, a block of rows at a time."""
    size = equity.size
    holders, step = values.T.tocsr(), max(1, BLOCK_CELLS // max(size, 1))
    blocks = [sparse.coo_array((0, size))]
    for first in range(0, size, step):
        loss = (falls[first : first + step] @ holders).tocoo()
        seller, holder = loss.coords
        hit = (loss.data > equity[holder]) & (seller + first != holder)
        coords = (seller[hit], holder[hit])
        blocks.append(sparse.coo_array((np.ones(hit.sum()), coords), shape=loss.shape))
    return sparse.csr_array(sparse.vstack(blocks, format="csr"))
