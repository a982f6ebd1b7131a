"""
When one market has two answers: fire sales that tip
====================================================

Three banks, the example in the appendix of Breuer, Summer & Urosevic (2023), Journal of Financial Stability 67: each
holds marketable assets and loans, and sells when its assets exceed 44 times its equity. The square of the price fall is
2.2e-5 times what is sold. At that impact two equilibria exist: the first bank alone sells and the price falls by 5.6 %,
or all sell and it falls by 13.9 %. Nothing in the model says which. Here the impact is swept from a deep market to a
shallow one: first only the mild equilibrium exists, then both, then only the severe one. The mild one hardly changes
until it is gone; that the other exists is seen long before, in the columns of the greatest.
"""

import numpy as np
import pandas as pd

import contagion_graph as cg

MARKETABLE = np.array([145.0, 435.0, 300.0])
LOANS = np.array([1170.0, 1245.0, 1190.0])
EQUITY = np.array([28.0, 80.0, 65.0])
CAP = 44.0
IMPACT = 2.2e-5  # squared price fall per unit sold
SWEEP = (0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 2.5, 3.0, 3.1, 4.0)  # multiples of it


def build_graph(impact: float) -> cg.ExposureGraph:
    """Return the banks; with a coefficient of 1 the price fall is sqrt(sold / depth)."""
    return cg.ExposureGraph.from_arrays(
        np.column_stack([MARKETABLE, LOANS]),
        price=1.0,
        depth=[1.0 / impact, np.inf],
        sellable=[True, False],
        cash=EQUITY - MARKETABLE - LOANS,
        assets=["marketable", "loans"],
    )


def ends(impact: float) -> dict[str, float]:
    """Return the price fall and what is sold in the least and in the greatest equilibrium."""
    both = cg.named.breuer_summer_urosevic(CAP, coefficient=1.0).equilibria(build_graph(impact))
    row = {}
    for name, end in (("least", both.least), ("greatest", both.greatest)):
        asset = end.assets.loc["marketable"]
        row |= {f"fall, {name}": 1.0 - asset["price_after"], f"sold, {name}": asset["units_sold"]}
    return row


def sweep() -> pd.DataFrame:
    """Return one row for each impact: both ends, and whether they are one."""
    table = pd.DataFrame({round(1e6 * times * IMPACT, 1): ends(times * IMPACT) for times in SWEEP}).T.rename_axis(
        "impact, 1e-6"
    )
    return table.assign(equilibria=np.where(table["sold, greatest"] - table["sold, least"] > 1e-6, "several", "one"))


def main() -> None:
    """Print the sweep."""
    print(sweep().to_string(float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
