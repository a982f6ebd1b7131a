"""
Vulnerable banks: what fire sales add to the sovereign losses of the banks of the stress test of 2011
=====================================================================================================

The calculation of Greenwood, Landier & Thesmar (2015), Journal of Financial Economics 115(3), on the data of
eba_2011.py; the figures of the paper itself are not compared. EUR million.

90 banks hold 42 classes: gross long sovereign bonds of 37 countries, five classes of loans. A bank sells its debt over
equity, at most 30, times its loss, at most what it has left, pro rata; 10 billion sold lower a price by 10 basis
points. Total assets that are in no class are sold too, and move no price; assets = "classes" leaves them out.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from eba_2011 import DATA, SHOCK, read_banks
from real_data import data_folder

import contagion_graph as cg

LOANS = ["corporate", "retail_mortgage", "retail_sme", "retail_revolving", "commercial_real_estate"]
DEPTH = 10e3 / 10e-4
MOST_LEVERAGE = 30


def build_graph(folder: Path, assets: str = "total") -> cg.ExposureGraph:
    """Return banks x classes, and the column "other" for what is in none of them; equity is common equity."""
    banks = read_banks(folder)
    sovereign = pd.read_csv(folder / "sovereign_exposures_eur_m.csv.gz", keep_default_na=False)
    held = sovereign.pivot_table(index="bank", columns="country", values="gross_long", fill_value=0.0)
    loans = pd.read_csv(folder / "ead_exposures.csv.gz", keep_default_na=False).query("country != 'TO'")
    loans = loans.pivot_table(index="bank", columns="asset_class", values="eur_m", aggfunc="sum", fill_value=0.0)
    held = held.reindex(banks.index).join(loans[LOANS].reindex(banks.index, fill_value=0.0))
    other = (banks["total_assets_2010"] - held.sum(axis=1)).clip(lower=0.0)
    held = held.assign(other=other) if assets == "total" else held
    depth, cash = np.where(held.columns == "other", np.inf, DEPTH), banks["common_equity_2010"] - held.sum(axis=1)
    return cg.ExposureGraph.from_arrays(
        held, price=1.0, depth=depth, cash=cash, traders=held.index, assets=held.columns
    )


def fire_sale(graph: cg.ExposureGraph) -> cg.named.VulnerableBanks:
    """Return direct losses and what fire sales add."""
    return cg.named.greenwood_landier_thesmar(graph, SHOCK, cap=MOST_LEVERAGE, limited=True)


def main() -> None:
    """Print both totals, and the ten banks whose sales cost most."""
    for assets in ("total", "classes"):
        graph = build_graph(data_folder(DATA), assets)
        banks, equity = fire_sale(graph), graph.equity.sum()
        loss = f"direct loss {banks.direct.sum():,.0f}, {banks.direct.sum() / equity:.2%} of equity"
        print(f"assets = {assets}: {loss}; fire sales cost {banks.aggregate_vulnerability:.4f} times equity")
    largest = banks.systemicness.nlargest(10).round(4)
    print(f"\nThe ten banks whose sales cost most, in times equity\n{largest.to_string()}")


if __name__ == "__main__":
    main()
