"""
US commercial banks, third quarter of 2007: a fall of real-estate loans, and what the sales of the fallen add
=============================================================================================================

7,810 banks and 20 classes of assets from call reports (Federal Reserve Bank of Chicago; Di Gangi, Lillo & Pirino 2018,
Journal of Economic Dynamics and Control 94), as collected at github.com/domenicodigangi/GraphsData (a812967, MIT). The
files number the quarters; that number 27 is 2007Q3 is inferred from 59 quarters that end in 2015Q3. Banks are named by
their RSSD identifier. Currency: USD.

Loans secured by real estate, at home and abroad, lose 20 %. Liabilities are negative cash and no margin is asked, so
that a bank closes when its equity falls below zero; its creditors bear what it cannot pay. Without impact the loss is
the direct one. With impact, what closed banks sell moves prices in proportion, 10 billion by 10 basis points in every
class but cash and federal funds: the value that Greenwood, Landier & Thesmar (2015), Journal of Financial Economics
115(3), take for European banks; here an assumption.
"""

from pathlib import Path

import pandas as pd
from real_data import data_folder

import contagion_graph as cg

DATA = "us_banks_callreports"

SHOCK = {"ln_re_dom": -0.2, "ln_re_for": -0.2}
DEPTH = 10e9 / 10e-4
MODEL = cg.MarginCascade(impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(),))


def build_graph(folder: Path) -> cg.ExposureGraph:
    """Return banks x classes with infinite depth; the data is in thousands."""
    balance = 1e3 * pd.read_parquet(folder / "balance_q27.parquet").set_index("rssd")
    equity = balance.pop("equity")
    liabilities = balance.sum(axis=1) - equity
    return cg.ExposureGraph.from_arrays(
        balance.to_numpy(), price=1.0, cash=-liabilities.to_numpy(), traders=balance.index, assets=balance.columns
    )


def with_impact(graph: cg.ExposureGraph) -> cg.ExposureGraph:
    """Return the graph with finite depth in every class but cash and federal funds."""
    return graph.assign(depth={name: DEPTH for name in graph.assets if name not in ("cash", "ffs_repo")})


def fallen(result: cg.CascadeResult) -> pd.DataFrame:
    """Return the banks that closed, the largest first, with their assets before the shock [USD]."""
    banks = result.traders.assign(assets=result.graph.gross_value.to_numpy()).query("closed == 1.0")
    columns = ["assets", "equity_before", "direct", "impact", "shortfall", "breach_round"]
    return banks[columns].sort_values("assets", ascending=False, kind="stable")


def figures(result: cg.CascadeResult) -> dict[str, float]:
    """Return what main prints of a cascade: numbers of banks, billion USD."""
    banks, total = fallen(result), result.summary()
    amounts = {"their assets": banks["assets"].sum(), "their shortfall": banks["shortfall"].sum()}
    amounts |= {f"{name}, all banks": total[name] for name in ("direct", "impact", "net_loss")}
    counts = {"banks below zero": len(banks), "of them by the shock itself": int((banks["breach_round"] == 1).sum())}
    return counts | {name: amount / 1e9 for name, amount in amounts.items()}


def main() -> None:
    """Print who falls without and with impact."""
    graph = build_graph(data_folder(DATA))
    results = {"no impact": MODEL.run(graph, SHOCK), "with impact": MODEL.run(with_impact(graph), SHOCK)}
    table = pd.DataFrame({name: figures(result) for name, result in results.items()})
    print(
        f"{graph}\n\nReal-estate loans lose 20 % [banks; billion USD]\n{table.to_string(float_format='{:,.1f}'.format)}"
    )
    largest = fallen(results["no impact"]).head(10).drop(columns=["impact", "breach_round"]) / 1e9
    print(
        f"\nThe ten largest below zero without impact [billion USD]\n{largest.to_string(float_format='{:,.1f}'.format)}"
    )


if __name__ == "__main__":
    main()
