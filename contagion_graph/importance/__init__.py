"""Systemic importance on the bipartite exposure graph of traders and assets: one function a measure.

Every measure takes the graph first, and `of="traders"` or `of="assets"` says whose importance it returns.
"""

from contagion_graph.importance.absences.leave_one_out import knockout
from contagion_graph.importance.absences.shapley_value import aumann_shapley, shapley, shapley_values
from contagion_graph.importance.comparison import Comparison, Stability, compare, stability
from contagion_graph.importance.fire_sales import indirect_vulnerability, systemicness
from contagion_graph.importance.overlap_debtrank import debtrank, debtrank_impact
from contagion_graph.importance.overlap_index import endogenous_risk_index, indirect_contagion_index
from contagion_graph.importance.portfolio_overlap import OverlapMatrix, concentration, overlap, overlap_pairs
from contagion_graph.importance.random_walks import birank, cohits, pagerank
from contagion_graph.importance.spectral import eigenvector, fitness_complexity, hits, katz
from contagion_graph.importance.structure import betweenness, closeness, coreness, degree, sinkrank, strength

__all__ = [
    "Comparison",
    "OverlapMatrix",
    "Stability",
    "aumann_shapley",
    "betweenness",
    "birank",
    "closeness",
    "cohits",
    "compare",
    "concentration",
    "coreness",
    "debtrank",
    "debtrank_impact",
    "degree",
    "eigenvector",
    "endogenous_risk_index",
    "fitness_complexity",
    "hits",
    "indirect_contagion_index",
    "indirect_vulnerability",
    "katz",
    "knockout",
    "overlap",
    "overlap_pairs",
    "pagerank",
    "shapley",
    "shapley_values",
    "sinkrank",
    "stability",
    "strength",
    "systemicness",
]
