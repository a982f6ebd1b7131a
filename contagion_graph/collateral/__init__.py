"""Collateral at work: is it all there, what is it made of, can that be proven, and how is it kept sufficient."""

from contagion_graph.collateral.aggregate import Backing
from contagion_graph.collateral.designs import PoolingComparison, compare_pooling
from contagion_graph.collateral.failures import FailureCost, Revaluation
from contagion_graph.collateral.haircuts import haircuts
from contagion_graph.collateral.plans import Plan
from contagion_graph.collateral.pooling import pooling
from contagion_graph.collateral.rebalance import deleverage, top_up
from contagion_graph.collateral.stabilise import Stabilisation, stabilise
from contagion_graph.collateral.transfer import transfer

__all__ = [
    "Backing",
    "FailureCost",
    "Plan",
    "PoolingComparison",
    "Revaluation",
    "Stabilisation",
    "compare_pooling",
    "deleverage",
    "haircuts",
    "pooling",
    "stabilise",
    "top_up",
    "transfer",
]
