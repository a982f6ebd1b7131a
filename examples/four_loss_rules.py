"""
One crash under four loss rules
===============================

All prices of a venue fall by 35 %. Who pays what accounts leave unpaid: the members, those that gained, or
counterparties whose positions are taken? And what does the rule itself do to the rest of the cascade?
"""

import pandas as pd

import contagion_graph as cg

FALL = -0.35
FUND = cg.InsuranceFund()
RULES = {
    "fund, then all members": (FUND, cg.ProRata("equity")),
    "fund, then gains": (FUND, cg.GainsHaircut(), cg.ProRata("equity")),
    "queue by profit": (FUND, cg.Deleverage("profit", trigger="fund"), cg.ProRata("equity")),
    "in proportion": (FUND, cg.Deleverage("pro_rata", trigger="fund"), cg.ProRata("equity")),
}


def main() -> pd.DataFrame:
    """Run the crash under each rule, and print who paid what."""
    graph = cg.generate.perpetuals(2_000, 12, rng=0)
    shock, rows = dict.fromkeys(graph.assets, FALL), {}
    for name, waterfall in RULES.items():
        result = cg.MarginCascade(waterfall=waterfall).run(graph, shock)
        figures, accounts = result.summary(), result.accounts
        taken = result.fills["amount"].sum()
        paid = accounts["socialised"] + accounts.get("transfer", 0.0 * accounts["socialised"]).clip(lower=0.0)
        rows[name] = {
            "closed": figures["closed"],
            "shortfall": figures["shortfall"],
            "fund": figures["fund_used"],
            "members": figures["socialised"],
            "taken by fills": taken,
            "accounts that pay": (paid > 0.0).sum(),
            "largest part of one": paid.max() / paid.sum(),
        }
    table = pd.DataFrame(rows).T.rename_axis("rule")
    print(f"A fall of all prices by {-FALL:.0%}, {len(graph.traders):,} traders [currency, accounts]\n")
    print(table.to_string(float_format="{:,.4g}".format))
    return table


if __name__ == "__main__":
    main()
