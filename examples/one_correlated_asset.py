"""
How the failure of one asset depletes the pool, as the correlation of the others with it rises
==============================================================================================

One asset of a generated venue falls by 20 %. The others follow as far as their correlation with it says: at their
conditional mean, and drawn around it. With no correlation the pool loses what the holders of that asset owe; with a
high one their other positions, which are margined together with it, fall too, and so do everybody else's.
"""

import numpy as np
import pandas as pd

import contagion_graph as cg

FALL, VOLATILITY, DRAWS = -0.20, 0.06, 200
CORRELATIONS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)


def covariance(graph: cg.ExposureGraph, failed: str, correlation: float) -> pd.DataFrame:
    """Return the covariance in which one factor gives every asset this correlation with the one that fails."""
    loading = np.where(graph.assets == failed, 1.0, correlation)
    matrix = np.outer(loading, loading) + np.diag(1.0 - loading**2)
    return pd.DataFrame(VOLATILITY**2 * matrix, index=graph.assets, columns=graph.assets)


def main() -> pd.DataFrame:
    """Print and return, for each correlation, what the failure does."""
    graph = cg.generate.perpetuals(2_000, 20, rng=0)
    graph = graph.assign(depth=4.0 * graph.depth)
    failed, model = str(graph.assets[0]), cg.MarginCascade()
    rows = []
    for correlation in CORRELATIONS:
        matrix = covariance(graph, failed, correlation)
        mean = model.run(graph, cg.scenarios.draw.conditional(matrix, {failed: FALL}).iloc[0]).summary()
        shocks = cg.scenarios.draw.conditional(matrix, {failed: FALL}, DRAWS, rng=0)
        drawn = cg.sweep(graph, model, shocks, keep="scenarios", level=0.9)
        rows.append(
            {
                "correlation": correlation,
                "closed": mean["closed"],
                "shortfall": mean["shortfall"],
                "from the fund": mean["fund_used"] / graph.insurance_fund.sum(),
                "shared": mean["socialised"] + mean["uncovered"],
                "shortfall drawn": drawn.distribution("shortfall")["mean"],
                "worst tenth": drawn.distribution("shortfall")["expected_shortfall"],
            }
        )
    table = pd.DataFrame(rows).set_index("correlation")
    print(f"{failed} falls by {-FALL:.0%}; the fund holds {graph.insurance_fund.sum():,.0f}.\n")
    print(table.to_string(float_format="{:,.2f}".format))
    return table


if __name__ == "__main__":
    main()
