"""
The EU-wide stress test of 2011: its official outcome, and the direct loss of a shock to sovereign bonds
========================================================================================================

90 banks, end of 2010, EUR million: the disclosure of the European Banking Authority of 15 July 2011, as collected at
github.com/domenicodigangi/GraphsData (a812967, MIT).

Part one. A bank is an account whose equity is its core tier 1 capital (CT1) of 2012 under the adverse scenario and
whose one position is its risk-weighted assets (RWA), margined at the 5 % that the test asked for: it is in breach where
CT1 < 5 % of RWA, and what it lacks is its negative slack. The EBA's press release of 15 July 2011: 20 banks below 5 %,
short of 26.8 billion; with the capital raised by 30 April 2011, 8 banks, short of 2.5 billion, and 16 between 5 and 6.

Part two. The banks' gross long sovereign exposures and their common equity of 2010; the bonds of Greece, Ireland,
Italy, Portugal and Spain lose half of their value, the shock of Greenwood, Landier & Thesmar (2015), Journal of
Financial Economics 115(3). Depth is infinite: a bank that falls below zero sells, no price moves, and the loss is the
direct one.
"""

from pathlib import Path

import pandas as pd
from real_data import data_folder

import contagion_graph as cg

DATA = "eba_2011"

SHOCK = dict.fromkeys(["GR", "IE", "IT", "PT", "ES"], -0.5)
MODEL = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))


def read_banks(folder: Path) -> pd.DataFrame:
    """Return one row a bank."""
    return pd.read_csv(folder / "banks.csv", index_col="bank", keep_default_na=False)


def capital_graph(banks: pd.DataFrame, required: float, column: str = "2012_adv") -> cg.ExposureGraph:
    """Return the banks with CT1 as equity and a required share of RWA as maintenance margin."""
    assets, capital = banks[f"rwa_{column}"].to_numpy(), banks[f"ct1_{column}"].to_numpy()
    return cg.ExposureGraph.from_arrays(
        assets[:, None], price=1.0, margin_long=required, cash=capital - assets, traders=banks.index, assets=["RWA"]
    )


def below(banks: pd.DataFrame, required: float, column: str = "2012_adv") -> tuple[int, float]:
    """Return how many banks have less CT1 than required, and how much they lack."""
    slack = capital_graph(banks, required, column).slack
    return int((slack < 0.0).sum()), -float(slack[slack < 0.0].sum())


def sovereign_graph(folder: Path) -> cg.ExposureGraph:
    """Return the banks with their gross sovereign exposures; cash makes equity the common equity of 2010."""
    banks = read_banks(folder)
    held = pd.read_csv(folder / "sovereign_exposures_eur_m.csv.gz", keep_default_na=False)
    holdings = held.pivot_table(index="bank", columns="country", values="gross_long", fill_value=0.0).loc[banks.index]
    cash = banks["common_equity_2010"] - holdings.sum(axis=1)
    return cg.ExposureGraph.from_arrays(
        holdings.to_numpy(), price=1.0, cash=cash.to_numpy(), traders=holdings.index, assets=holdings.columns
    )


def main() -> None:
    """Print both parts."""
    folder = data_folder(DATA)
    banks = read_banks(folder)
    for name, column in (("adverse scenario, 2012", "2012_adv"), ("with capital raised", "2012_adv_after_apr2011")):
        (count, lacking), under_six = below(banks, 0.05, column), below(banks, 0.06, column)[0]
        print(f"{name:>22}: {count} banks below 5 %, short of {lacking:,.1f}; {under_six - count} between 5 and 6 %")
    result = MODEL.run(sovereign_graph(folder), SHOCK)
    direct, equity = result.accounts["direct"], result.accounts["equity_before"]
    print(
        f"\n-50 % on {', '.join(SHOCK)}: direct loss {direct.sum():,.1f}, {direct.sum() / equity.sum():.2%} of equity"
    )
    print(f"{(result.arrays.closed == 1.0).sum()} banks fall below zero, {result.summary()['uncovered']:,.1f} short:")
    fallen = result.traders.query("closed == 1").nlargest(10, "shortfall")
    print(fallen[["equity_before", "direct", "shortfall"]].to_string(float_format="{:,.1f}".format))


if __name__ == "__main__":
    main()
