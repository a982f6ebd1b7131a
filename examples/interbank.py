"""
Banks that owe each other: reconstruct, clear, pass on distress, ask who matters
================================================================================

88 banks of the EU-wide stress test of 2011, EUR million. Published is what each has lent to institutions; all of it is
taken to be lent to the others, and what each owes to be in proportion to its size. Two networks have these totals, one
of maximum entropy and one of minimum density. Bonds of five countries lose half of their value. Clearing says who can
pay when all is due; DebtRank what claims are worth while creditors mark them down, which takes all equity where loans
to banks are three times equity. Who matters: one bank defaults, its creditors recover 60 %, and so on.
"""

from functools import partial
from pathlib import Path

import pandas as pd
from real_data import data_folder

import contagion_graph as cg

DATA, COUNTRIES = "eba_2011", ["GR", "IE", "IT", "PT", "ES"]
SPARSE = partial(cg.reconstruct.minimum_density, rng=0)
REBUILD = {"maximum entropy": cg.reconstruct.maximum_entropy, "minimum density": SPARSE}


def read_banks(folder: Path) -> pd.DataFrame:
    """Return one row a bank: equity, assets, what it has lent to and owes to banks, losses on bonds."""
    banks = pd.read_csv(folder / "banks.csv", index_col="bank", keep_default_na=False)
    banks = banks[banks["total_assets_2010"] > 2.0 * banks["common_equity_2010"]]  # two have hardly any assets
    loans = pd.read_csv(folder / "ead_exposures.csv.gz", keep_default_na=False)
    bonds = pd.read_csv(folder / "sovereign_exposures_eur_m.csv.gz", keep_default_na=False)
    lent = loans[(loans["asset_class"] == "institutions") & (loans["country"] != "TO")].groupby("bank")["eur_m"].sum()
    held = bonds[bonds["country"].isin(COUNTRIES)].groupby("bank")["gross_long"].sum()
    size = banks["total_assets_2010"].astype(float)
    table = pd.DataFrame({"equity": banks["common_equity_2010"], "assets": size, "lent": lent, "losses": 0.5 * held})
    table = table.loc[banks.index].fillna(0.0)
    lent = table["lent"].clip(upper=0.9 * size)  # of one, what it may still be asked to lend exceeds its assets
    return table.assign(lent=lent, owed=lent.sum() * size / size.sum())


def network_of(banks: pd.DataFrame, rebuild: str) -> cg.ObligationNetwork:
    """Return the network in which equity, assets, loans and debts are those of the table."""
    return cg.ObligationNetwork.from_arrays(
        REBUILD[rebuild](banks["owed"], banks["lent"]),
        external_assets=banks["assets"] - banks["lent"],
        external_liabilities=banks["assets"] - banks["equity"] - banks["owed"],
        nodes=banks.index,
    )


if __name__ == "__main__":
    banks = read_banks(data_folder(DATA))
    for name in REBUILD:
        network = network_of(banks, name)
        cleared = cg.EisenbergNoe().run(network, losses=banks["losses"])
        alone = cg.single_defaults(network, cg.Furfine(recovery=0.6)).nlargest(3, "additional_stress")
        print(name, network, cleared, cg.DebtRank().run(network, losses=banks["losses"]), sep="\n")
        print(cleared.nodes.nlargest(3, "shortfall")[["shortfall", "recovery", "default_round"]].round(3))
        print(alone[["additional_stress", "additional_defaults"]].round(3), end="\n\n")
