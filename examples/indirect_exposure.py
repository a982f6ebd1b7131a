"""
What am I exposed to that I do not hold? Traders without ETH that lose when ETH falls
=====================================================================================

Two markets: a drawn perpetuals exchange, and the lending protocol Compound v2 in May 2023 (compound_v2.py says where
its figures come from). In both ETH alone falls by 30 %; losses are those beyond what the same market does without a
shock. The last table of the exchange is what one of these traders holds in effect: its loss when each asset in turn
falls by 30 %, as the value of a holding that would lose as much.
"""

import pandas as pd
from compound_v2 import DATA, MODEL, build_graph
from real_data import data_folder

import contagion_graph as cg

FALL = -0.30
EXCHANGE = cg.MarginCascade(penalty=0.01)


def exchange() -> cg.ExposureGraph:
    """Return a perpetuals exchange of 4,000 accounts."""
    return cg.generate.perpetuals(4_000, 12, rng=0)


def losers_without_eth(graph: cg.ExposureGraph, model: cg.MarginCascade, k: int = 5) -> pd.DataFrame:
    """Return the traders that hold no ETH, net, and lose most when it falls, with what they hold in all."""
    exposure = cg.indirect_exposure(graph, model, FALL, assets=["ETH"])
    table = exposure.top(k, not_held=True).drop(columns="asset").rename(columns={"value": "loss"})
    gross = graph.gross_value.groupby(level="trader").sum()
    return table.assign(gross_value=gross.reindex(table["trader"]).to_numpy())


def effective_holdings(graph: cg.ExposureGraph, model: cg.MarginCascade, trader: str) -> pd.DataFrame:
    """Return the value of what a trader holds, and holds in effect: its loss over the fall of each asset in turn."""
    held = cg.look_through(graph, model, size=FALL, traders=[trader])
    parts = {"direct": held.direct, "indirect": held.indirect, "effective": held.effective}
    value = {name: matrix.trader(trader) * graph.price for name, matrix in parts.items()}
    return pd.DataFrame(value).loc[lambda table: table["effective"].abs() > 1e-6]


def main() -> None:
    """Print the tables; that of Compound where the data is present."""
    graph = exchange()
    losers = losers_without_eth(graph, EXCHANGE)
    print(f"{graph}\n\nNo ETH, and a loss when it falls by {-FALL:.0%} [USD]")
    print(losers.to_string(float_format="{:,.2f}".format))
    first = losers["trader"].iloc[0]
    holdings = effective_holdings(graph, EXCHANGE, first).to_string(float_format="{:,.2f}".format)
    print(f"\nWhat {first} holds in effect [USD]\n{holdings}")
    try:
        folder = data_folder(DATA)
    except SystemExit as absent:
        print(f"\nCompound v2 left out: {absent}")
        return
    losers = losers_without_eth(build_graph(folder), MODEL)
    print(f"\nCompound v2: no ETH, and a loss when it falls [ETH]\n{losers.to_string(float_format='{:,.2f}'.format)}")


if __name__ == "__main__":
    main()
