"""
How large must an insurance fund be, once contagion counts?
===========================================================

A generated venue of perpetual futures, 4,000 scenarios of a day with fat tails. The naive answer adds up what accounts
that the shock itself drives below zero would owe. The other one runs the cascade: liquidations move prices, which makes
more accounts fall below zero; and a fund that is too small makes members pay, which makes some of them breach in turn.
"""

import numpy as np
import pandas as pd

import contagion_graph as cg

SCENARIOS, VOLATILITY, CORRELATION = 4_000, 0.05, 0.6


def venue() -> cg.ExposureGraph:
    """Return 2,000 accounts on 20 assets with a small fund, four times as deep as generated."""
    graph = cg.generate.perpetuals(2_000, 20, rng=0)
    return graph.assign(depth=4.0 * graph.depth)


def scenarios(graph: cg.ExposureGraph) -> pd.DataFrame:
    """Draw days: Student's t with 4 degrees of freedom, every pair of assets equally correlated."""
    m = len(graph.assets)
    matrix = VOLATILITY**2 * (CORRELATION * np.ones((m, m)) + (1.0 - CORRELATION) * np.eye(m))
    covariance = pd.DataFrame(matrix, index=graph.assets, columns=graph.assets)
    return cg.scenarios.draw.student_t(covariance, SCENARIOS, df=4.0, rng=0)


def main() -> pd.DataFrame:
    """Print and return the fund that suffices with each probability, without and with contagion."""
    graph = venue()
    shocks = scenarios(graph)
    calm = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    deep = graph.assign(depth=np.inf)
    alone = cg.sweep(deep, calm, shocks, keep="scenarios")
    together = cg.sweep(graph, cg.MarginCascade(), shocks, keep="scenarios")
    levels = [0.9, 0.95, 0.99, 0.999]
    columns = {
        "without contagion": [alone.fund_for(level)["insurance_fund"].sum() for level in levels],
        "with contagion": [together.fund_for(level)["insurance_fund"].sum() for level in levels],
    }
    table = pd.DataFrame(columns, index=pd.Index([f"{100 * level:g} %" for level in levels], name="suffices in"))
    table["times"] = table["with contagion"] / table["without contagion"]
    print(repr(graph))
    print(f"The fund today: {graph.insurance_fund.sum():,.0f}\n")
    print(table.to_string(float_format="{:,.1f}".format))
    figures = together.scenarios.loc[together.worst(1, by="shortfall").index[0]]
    print(f"\nThe worst scenario closes {figures['closed']:.0f} accounts in {figures['rounds']:.0f} rounds.")
    return table


if __name__ == "__main__":
    main()
