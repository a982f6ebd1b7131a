"""
One pool or many? Capital saved and contagion carried, for one book margined in three ways
==========================================================================================

Four hundred traders hold longs and shorts of six perpetuals on two chains. The same positions are margined isolated, by
chain, and all in one account a trader. Scenarios are drawn from a joint Student-t with a common factor; in some of them
the bridge to the second chain fails and takes half of its assets' value. Capital is the expected shortfall of each
account at 95 %. The shares, correlations and the failure are assumptions. Currency: USD.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import contagion_graph as cg

MODEL = cg.MarginCascade(penalty=0.01, penalty_to_fund=0.5)
DESIGNS = ("isolated", "chain", "unified")
VOLATILITY, CORRELATION, BRIDGE = 0.06, 0.6, 0.04


def build_graph() -> cg.ExposureGraph:
    """Return the venue; every second asset lives on the rollup."""
    frames = cg.generate.perpetuals(400, 6, rng=1).to_frames()
    chains = np.where(np.arange(6) % 2 == 0, "mainnet", "rollup")
    return cg.ExposureGraph.from_tables(**{**frames, "assets": frames["assets"].assign(chain=chains, depth=5e7)})


def draw(graph: cg.ExposureGraph, count: int = 60) -> pd.DataFrame:
    """Return scenarios: market moves, and in some of them the failure of the bridge."""
    names, m = graph.assets, len(graph.assets)
    matrix = VOLATILITY**2 * (CORRELATION + (1.0 - CORRELATION) * np.eye(m))
    moves = cg.scenarios.draw.student_t(pd.DataFrame(matrix, names, names), count, rng=2)
    carried = dict.fromkeys(names[graph.attributes["assets"]["chain"].reindex(names) == "rollup"], -0.5)
    failures = cg.scenarios.draw.joint_failure({"bridge": carried}, {"bridge": BRIDGE}, count, rng=3)
    return cg.scenarios.draw.together(moves, failures)


def compare(graph: cg.ExposureGraph) -> cg.collateral.PoolingComparison:
    """Return the designs side by side."""
    return cg.collateral.compare_pooling(graph, MODEL, draw(graph), designs=DESIGNS)


def main(path: Path | None = None) -> None:
    """Print the table and who pays; write the figure where a path is given."""
    comparison = compare(build_graph())
    print(comparison.table.to_string(float_format="{:,.0f}".format))
    change = comparison.traders["unified"] - comparison.traders["isolated"]
    print(f"\nUnified instead of isolated: {(change < -1).sum()} traders lose less, {(change > 1).sum()} lose more.")
    if path is not None:
        cg.plot.save(cg.plot.frontier(comparison), path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
