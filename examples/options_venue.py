"""
An options venue under stress
=============================

A generated venue for options on two coins: market makers who hedge, holders who sell calls on their coins, sellers
without cover, and buyers; all on portfolio margin. Who is short gamma? Which scenario binds? And what does a move of
15 % do, when closing an option means that somebody trades its delta in the book of the coin?
"""

import pandas as pd

import contagion_graph as cg

MODEL = cg.MarginCascade(cg.TargetMargin(buffer=0.1))
MOVES = {"fall": {"BTC": -0.15, "ETH": -0.15, "vol:BTC": 0.4, "vol:ETH": 0.4}, "rise": {"BTC": 0.15, "ETH": 0.15}}


def role(table: pd.DataFrame) -> "pd.Index[str]":
    """Return the role of the trader of each row: its name without the number."""
    return table.index.get_level_values("trader").str.rstrip("0123456789").rename("role")


def main() -> pd.DataFrame:
    """Print greeks and binding scenarios by role; print and return what each move does to each role."""
    graph = cg.generate.options(1_000, 2, rng=0)
    print(repr(graph), "\n")

    price = pd.Series(graph.price, graph.assets)
    greeks = graph.greeks()
    u = price[greeks.index.get_level_values("underlying")].to_numpy()
    one_percent = pd.DataFrame(
        {"delta of 1 %": greeks["delta"] * u * 0.01, "change of it": greeks["gamma"] * (u * 0.01) ** 2}
        | {"vol + 1 point": greeks["vega"] * 0.01, "a day": greeks["theta"] / 365.0}
    )
    print("What each side gains [currency]; below 0 in the second column: short gamma\n")
    print(one_percent.groupby([role(greeks), greeks.index.get_level_values("underlying")]).sum().round(0).to_string())

    table = graph.margin_table().reset_index()
    table = table[table["cost"] > 0.0].assign(role=lambda t: t["trader"].str.rstrip("0123456789"))
    print("\nMargin by the move of the scenario that binds [currency]\n")
    print(table.pivot_table("cost", "role", "move", aggfunc="sum", fill_value=0.0).round(0).to_string())

    losses = {}
    for name, shock in MOVES.items():
        result = MODEL.run(graph, shock)
        columns = ["direct", "impact", "penalty", "socialised", "loss"]
        losses[name] = result.accounts.groupby(role(result.accounts))[columns].sum()
        sold = result.assets["units_passed_on"]
        closed = int((result.accounts["closed"] > 0.0).sum())
        print(
            f"\n{name}: rounds: {len(result.rounds)}; accounts that close something: {closed}; units sold in the books"
        )
        print(sold[sold != 0.0].round(2).to_string())
    answer = pd.concat(losses, names=["move"])
    print("\nLosses by role [currency]; below 0 = gains\n")
    print(answer.round(0).to_string())
    return answer


if __name__ == "__main__":
    main()
