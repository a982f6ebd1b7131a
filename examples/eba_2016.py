"""
Systemic loss evaluation: fire sales of sovereign bonds after the adverse scenario of the stress test of 2016
=============================================================================================================

51 banks, end of 2015, EUR million: the public data of the European Banking Authority, as packaged by Breuer, Summer &
Urosevic (2023), Journal of Financial Stability 67, at github.com/Martin-Summer-1090/syslosseval (5c74f0c, MIT). Banks
hold bonds of seven countries and of the rest of the world, which can be sold, and loans, which cannot. The scenario's
impairments of 2016 fall on the loans. Banks whose assets exceed 33 times their equity sell bonds, pro rata, until they
do not; a sale of a day's volume moves a price by 1.5 daily volatilities, and impact grows with its square root.

The package's README prints a table of price falls. It is reproduced to every digit with what the package does:
it orders volumes and volatilities by name, "Rest_of_the_world" before "US", and holdings the other way round, so that
these two have each other's parameters; and it takes losses from equity both in the rows of single countries and in
those of their totals. "corrected" has the parameters in order; "losses once", in addition, counts only the totals.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from real_data import data_folder

import contagion_graph as cg

DATA = "eba_2016_2020"

CAP, KAPPA, YEAR = 33.0, 1.5, 2015
BONDS = ["DE", "ES", "FR", "GB", "IT", "JP", "US", "Rest_of_the_world"]
VARIANTS = ("published", "corrected", "losses once")


def read_banks(folder: Path, *, losses_once: bool) -> pd.DataFrame:
    """Return one row a bank: bonds by country, loans and equity after the impairments."""
    key = ["LEI_code", "Country", "Exposure"]
    rates = pd.read_parquet(folder / "eba_impairments_2016.parquet")
    rates = rates[(rates["Period"] == (YEAR + 1) * 100 + 12) & (rates["Scenario"] == "Adverse scenario")]
    rows = pd.read_parquet(folder / "eba_exposures_2016.parquet")
    rows = rows.merge(rates[[*key, "Impairment_rate"]], on=key, how="left").rename(columns={"Bank_name": "bank"})
    rows["loss"] = (rows["Loan_Amount"] * rows["Impairment_rate"]).fillna(0.0)
    whole = {name: part.set_index("bank") for name, part in rows[rows["Country"] == "Total"].groupby("Exposure")}
    size, capital = (whole.pop(name)["Total_Amount"] for name in ("Total assets", "Common tier1 equity capital"))
    totals = pd.concat(whole.values()).groupby("bank")[["Loan_Amount", "Total_Amount", "loss"]].sum()
    sovereign = rows[rows["Exposure"] == "Central banks and central governments"]
    banks = sovereign.pivot_table(index="bank", columns="Country", values="Bond_Amount", fill_value=0.0)
    banks["Rest_of_the_world"] = banks["Total"] - banks[BONDS[:-1]].sum(axis=1)
    unclassified = (size - totals["Total_Amount"]).clip(lower=0.0)
    lost = totals["loss"] if losses_once else rows.groupby("bank")["loss"].sum()
    equity = (capital - lost).clip(lower=0.0)
    return banks[BONDS].assign(loans=totals["Loan_Amount"] - totals["loss"] + unclassified, equity=equity)


def impact_parameters(folder: Path, *, swapped: bool) -> pd.DataFrame:
    """Return the daily volume and volatility of each country's bonds; those of the last two exchanged if `swapped`."""
    traded = pd.read_parquet(folder / "average_daily_volume_sovereign.parquet").query(f"Year == {YEAR}")
    levels = pd.read_parquet(folder / "sovereign_bond_indices.parquet")
    levels = levels[pd.to_datetime(levels["Date"]).dt.year == YEAR].sort_values("Date", kind="stable")
    returns = levels.assign(change=np.log(levels["Value"]).groupby(levels["Country"]).diff(-1))
    daily = returns.dropna().pivot_table(index="Date", columns="Country", values="change").dropna()
    found = pd.DataFrame({"volume": traded.set_index("Country")["Volume"], "volatility": daily.std()}).loc[BONDS]
    return found.set_axis([*BONDS[:-2], *reversed(BONDS[-2:])]).loc[BONDS] if swapped else found


def build(folder: Path, variant: str) -> tuple[cg.MarginCascade, cg.ExposureGraph]:
    """Return the model and the graph of one of `VARIANTS`."""
    banks = read_banks(folder, losses_once=variant == "losses once")
    parameters = impact_parameters(folder, swapped=variant == "published")
    held = banks[[*BONDS, "loans"]]
    graph = cg.ExposureGraph.from_arrays(
        held.to_numpy(),
        price=1.0,
        depth=[*parameters["volume"], np.inf],
        sellable=held.columns != "loans",
        cash=(banks["equity"] - held.sum(axis=1)).to_numpy(),
        traders=held.index,
        assets=held.columns,
    )
    coefficient = (KAPPA * parameters["volatility"]).to_dict() | {"loans": 1.0}
    return cg.named.breuer_summer_urosevic(CAP, coefficient=coefficient), graph


def price_falls(end: cg.CascadeResult) -> "pd.Series[float]":
    """Return by what share the price of each bond falls."""
    return 1.0 - end.assets["price_after"].loc[BONDS]


def main() -> None:
    """Print the falls of both ends, and who sells, for each variant."""
    folder = data_folder(DATA)
    for variant in VARIANTS:
        model, graph = build(folder, variant)
        both = model.equilibria(graph)
        sold = both.least.accounts["closed"]
        print(f"{variant}: {(sold > 0).sum()} banks sell, {(sold == 1).sum()} of them all their bonds")
        falls = pd.DataFrame({"least": price_falls(both.least), "greatest": price_falls(both.greatest)})
        print(falls.T.to_string(float_format="{:.3g}".format), end="\n\n")


if __name__ == "__main__":
    main()
