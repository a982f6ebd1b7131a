"""Eisenberg and Noe (2001): each node pays what is due, or all that it has."""

from dataclasses import dataclass

from contagion_graph.clearing.model import ClearingModel


@dataclass(frozen=True, kw_only=True)
class EisenbergNoe(ClearingModel):
    """Clearing with limited liability, absolute priority and proportional payments, without costs of default.

    A node with external assets e_i (after losses) that is due l_i to nodes and x_i outside pays min(due, what it has):

        external_first:  p_i = min(l_i, max(0, e_i + sum_j Pi_ji p_j - x_i))           p: to nodes
        pari_passu:      p_i = min(l_i + x_i, e_i + sum_j L_ji / (l_j + x_j) p_j)      p: to all creditors

    with L the obligations and Pi_ij = L_ij / l_i. The map is isotone, so there is a least and a greatest clearing
    vector; they are equal where every group of nodes that owes only to itself has something from outside. With
    obligations in several ranks, and equity that nodes hold of each other, it is the model of Elsinger (2009).

    Parameters
    ----------
    seniority : {"external_first", "pari_passu"}
        Whether external liabilities are paid before all obligations in the network, or rank with the most senior ones.
    method : {"fictitious_default", "iteration"}
        Linear systems, exact, in finitely many rounds; or iterations of the map until the error is proven small.
    tol : float
        Of "iteration": the error, as a share of each node's balance sheet, that has to be proven.
    max_iter : int
        Of "iteration": the most iterations.

    References
    ----------
    Eisenberg & Noe (2001), Management Science 47(2): 236-249, theorems 1 and 2, section 3.1. Elsinger (2009), OeNB
    Working Paper 156.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays(
    ...     [[0.0, 4.0], [0.0, 0.0]], external_assets=4.0, external_liabilities=4.0
    ... )
    >>> [cg.EisenbergNoe(seniority=rule).run(network).payments.sum() for rule in ("external_first", "pari_passu")]
    [np.float64(0.0), np.float64(2.0)]
    """
