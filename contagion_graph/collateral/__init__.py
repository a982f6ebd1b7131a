"""Collateral at work: whether it is all there, what it is made of, and how that can be proven."""

from contagion_graph.collateral.aggregate import Backing
from contagion_graph.collateral.failures import FailureCost, Revaluation
from contagion_graph.collateral.haircuts import haircuts

__all__ = ["Backing", "FailureCost", "Revaluation", "haircuts"]
