"""
A default at a clearing house, 2018
===================================

At Nasdaq Clearing, in September 2018, a loss of a member was 114 million euros beyond its own margin and contribution:
7 million of capital of the clearing house were used, then 107 of the 166 million of the other members (press reports:
Financial News, GlobalCapital, Reuters). How near did it come to the end of the fund? How many members there were
is not known: here 166, with a million each.
"""

import numpy as np
import pandas as pd

import contagion_graph as cg

LOSS, CAPITAL, FUND, MEMBERS = 114.0, 7.0, 166.0, 166


def house() -> cg.ExposureGraph:
    """Return the clearing house after the move: the member that fails owns the spread, the others hold cash."""
    names = ["defaulter", *(f"member {k}" for k in range(MEMBERS))]
    positions = {"trader": ["defaulter"], "asset": ["spread"], "quantity": [LOSS]}
    accounts = pd.DataFrame({"trader": names, "cash": [-LOSS] + [50.0] * MEMBERS})
    accounts["fund_contribution"] = [0.0] + [FUND / MEMBERS] * MEMBERS
    pools = {"pool": ["pool"], "skin_in_the_game": [CAPITAL]}
    return cg.ExposureGraph.from_tables(
        positions, {"asset": ["spread"], "price": [1.0]}, accounts=accounts, pools=pools
    )


def main() -> pd.DataFrame:
    """Print who paid, and up to which loss each layer would have lasted."""
    model, graph = cg.venues.clearing_house(gains_haircut=True).model, house()
    layers = model.run(graph, {"spread": -1.0}, defaults=["defaulter"]).layers.droplevel("pool")
    print("Who paid [million euros]\n")
    print(layers.round(1).to_string())
    print("\nWhich layer a larger loss would have reached\n")
    for factor in np.array([1.0, 1.5, 2.0, 3.0]):
        larger = graph.assign(cash={"defaulter": -LOSS * factor})
        result = model.run(larger, {"spread": -1.0}, defaults=["defaulter"])
        used = result.layers["used"].droplevel("pool")
        last = used[used > 0.0].index[-1] if result.pools["uncovered"].sum() == 0.0 else "uncovered"
        print(f"  loss {LOSS * factor:6.1f}: {last}")
    return layers


if __name__ == "__main__":
    main()
