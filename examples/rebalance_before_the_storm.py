"""
Rebalance before the storm: three ways to keep the accounts at risk, and what it costs
======================================================================================

A drawn venue of 5,000 accounts. Overnight every price has fallen by 6 %, and ETH is expected to fall by another 12 %.
Accounts that have equity left but miss their margin can be topped up, or close a part of their positions. What neither
prevents is the cascade of the shock to come: the last table says what it would take to stop it where the shock alone
stops. Currency: USD.
"""

import pandas as pd

import contagion_graph as cg

MODEL = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
SHOCK = {"ETH": -0.12}
ELIGIBLE = {"asset": ["", "BTC"], "cost": [0.0005, 0.0002], "available": [float("inf"), 2e5], "limit": [1.0, 0.5]}


def build_graph() -> cg.ExposureGraph:
    """Return the venue after the night."""
    graph = cg.generate.perpetuals(5_000, 12, rng=4)
    return graph.assign(price=graph.price * 0.94)


def plans(graph: cg.ExposureGraph) -> dict[str, cg.collateral.Plan]:
    """Return what accounts in breach that are not under water can do."""
    at_risk = list(graph.account_index[(graph.slack < 0.0) & (graph.equity > 0.0)])
    return {
        "top up": cg.collateral.top_up(graph, ELIGIBLE, accounts=at_risk),
        "close, least turnover": cg.collateral.deleverage(graph, accounts=at_risk),
        "close, least impact": cg.collateral.deleverage(graph, accounts=at_risk, objective="impact"),
    }


def outcomes(graph: cg.ExposureGraph) -> pd.DataFrame:
    """Return what each plan moves, and what the shock does to the venue after it."""
    rows = {"nothing": (0, 0.0, graph)}
    rows |= {name: (len(plan.table), plan.total, plan.apply(graph)) for name, plan in plans(graph).items()}
    table = {}
    for name, (lines, total, after) in rows.items():
        end = MODEL.run(after, SHOCK).summary()
        table[name] = {
            "lines": lines,
            "total": total,
            "closed by the shock": end["closed"],
            "uncovered": end["uncovered"],
        }
    return pd.DataFrame(table).T


def stop(graph: cg.ExposureGraph) -> cg.collateral.Stabilisation:
    """Return the least cash after which no account closes but those that the shock alone brings into breach."""
    return cg.collateral.stabilise(graph, MODEL, SHOCK, event="contagion")


def main() -> None:
    """Print both."""
    graph = build_graph()
    print(
        f"{int((graph.slack < 0).sum())} of {len(graph.account_index):,} accounts miss their margin before the shock.\n"
    )
    print(outcomes(graph).to_string(float_format="{:,.0f}".format))
    end = stop(graph)
    largest = end.plan.table.nlargest(5, "quantity")
    print(f"\nCash that leaves only the closings by ETH {SHOCK['ETH']:+.0%} itself: {end.plan.total:,.0f}, to")
    print(f"{len(end.plan.table)} accounts; {end.result.summary()['closed']:.0f} close. The largest amounts:")
    print(largest[["trader", "quantity"]].to_string(index=False, float_format="{:,.0f}".format))


if __name__ == "__main__":
    main()
