"""Collateral: monitoring in real time, backing of assets, rebalancing, designs of pooling, proofs of solvency."""

from contagion_graph.collateral.backing.backing import BackedPrices, Backing
from contagion_graph.collateral.backing.failures import FailureCost
from contagion_graph.collateral.backing.haircuts import haircuts
from contagion_graph.collateral.monitoring.runway import Runway
from contagion_graph.collateral.pools.compare import PoolingComparison, compare_pooling
from contagion_graph.collateral.pools.pooling import pooling
from contagion_graph.collateral.proof.verify import verify
from contagion_graph.collateral.rebalancing.plan import Plan
from contagion_graph.collateral.rebalancing.stabilise import Stabilisation, stabilise
from contagion_graph.collateral.rebalancing.top_up_deleverage import deleverage, top_up
from contagion_graph.collateral.rebalancing.transfer import transfer

__all__ = [
    "BackedPrices",
    "Backing",
    "FailureCost",
    "Plan",
    "PoolingComparison",
    "Runway",
    "Stabilisation",
    "compare_pooling",
    "deleverage",
    "haircuts",
    "pooling",
    "stabilise",
    "top_up",
    "transfer",
    "verify",
]
