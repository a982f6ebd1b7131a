"""Which shock would close a tenth of all accounts, and how likely is it?
======================================================================

A stress test asks what a given shock does. A reverse stress test asks for the shock: of all that do it, the one that is
fewest standard deviations away. It is seldom a fall of one asset alone, and seldom the market factor alone.
"""

import numpy as np
import pandas as pd

import contagion_graph as cg

VOLATILITY, CORRELATION, SHARE = 0.05, 0.5, 0.1


def main() -> tuple[cg.scenarios.ReverseStress, cg.scenarios.TippingPoint]:
    """Print and return the most likely shock, and where the fall of all assets together tips."""
    graph = cg.generate.perpetuals(60, 4, rng=0)
    graph = graph.assign(depth=4.0 * graph.depth)
    model, event = cg.MarginCascade(), cg.scenarios.ShareClosed(SHARE)
    m = len(graph.assets)
    matrix = VOLATILITY**2 * (CORRELATION * np.ones((m, m)) + (1.0 - CORRELATION) * np.eye(m))
    covariance = pd.DataFrame(matrix, index=graph.assets, columns=graph.assets)
    found = cg.reverse_stress(graph, model, covariance, event=event, n_points=8, n_directions=4, rng=0)
    point = cg.tipping_point(graph, model, dict.fromkeys(graph.assets, -0.5), event=event)
    print(
        f"At least {SHARE:.0%} of {len(graph.account_index)} accounts closed; relative price changes, and their norm:\n"
    )
    print(found.shocks.assign(norm=found.norm).to_string(float_format="{:,.3f}".format))
    print(f"\n{found.figures.to_string(float_format='{:,.0f}'.format)}")
    print(f"\nA fall of every asset by half tips at {point.size:.1%} of it. Just below and just above:\n")
    print(point.jump.to_string(float_format="{:,.0f}".format))
    falls = cg.scenarios.ladder(graph, model, [-0.05, -0.1, -0.2, -0.4], column="closed")
    print(f"\nAccounts closed by falls of single assets:\n\n{falls.to_string()}")
    return found, point


if __name__ == "__main__":
    main()
