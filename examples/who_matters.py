"""
Who matters? Five measures of systemic importance on the same market, side by side, for 90 banks and for Compound v2
====================================================================================================================

What is measured, in eba_2011.py's fall of five countries' bonds by half and in a fall of ETH by 30 %:

- systemicness: what a trader's sales cost all if everybody goes back to the leverage of before (Greenwood et al.);
- knockout: how much less the others lose if the trader is not there to be liquidated;
- indirect_contagion_index: what the sale of all that it holds costs the others, to first order;
- debtrank_impact: the share of all equity that the others lose if it defaults, all further sales included;
- hits: how central its portfolio is, by amounts alone.

What one learns. The measures answer different questions. Among the banks the last three see large portfolios, whatever
the shock, and nearly agree. The bank whose sales cost most (ES059) stays solvent: its knock-out is 0. The largest
account of Compound is first in three measures, for its BAT is six times the depth; but ETH 30 % lower does not
liquidate it. And where losses amplify themselves no bank stands out: at the depth of eba_2011_fire_sale.py every bank
falls, whichever is removed, so here it is ten times that; on Compound the default of nearly any account with ETH costs
17.5 % of all equity, less its own, so that DebtRank puts the largest 76th of the 100 compared. EUR million, ETH.
"""

import sys

import compound_v2
import eba_2011_fire_sale as eba
import pandas as pd
from matplotlib.figure import Figure
from real_data import data_folder

import contagion_graph as cg

LARGEST = 100


def banks() -> cg.importance.Comparison:
    """Return the measures of 90 banks that are liquidated when they have lost their equity."""
    graph = eba.build_graph(data_folder(eba.DATA))
    model = cg.MarginCascade(impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(),))
    return side_by_side(graph.assign(depth=10.0 * graph.depth), model, eba.SHOCK)


def accounts() -> cg.importance.Comparison:
    """Return the measures of the largest accounts of Compound v2."""
    graph = compound_v2.build_graph(data_folder(compound_v2.DATA))
    return side_by_side(graph, compound_v2.MODEL, {"ETH": -0.30})


def side_by_side(graph: cg.ExposureGraph, model: cg.MarginCascade, shock: dict[str, float]) -> cg.importance.Comparison:
    """Return five measures of the largest traders with equity, the first in systemicness first."""
    of, solvent = cg.importance, graph.equity.groupby(level="trader").sum() > 0.0
    largest = of.strength(graph)[solvent].nlargest(LARGEST).index
    sales = of.systemicness(graph, shock, cap=eba.MOST_LEVERAGE, limited=True)[largest]
    knockout = of.knockout(graph, model, shock, traders=largest)
    index, impact = of.indirect_contagion_index(graph)[largest], of.debtrank_impact(graph, traders=largest)
    return of.compare(graph, [sales.sort_values(ascending=False), knockout, index, impact, of.hits(graph)[largest]])


def ranks(comparison: cg.importance.Comparison) -> pd.DataFrame:
    """Return the ranks alone."""
    return comparison.table.filter(regex="_rank$").rename(columns=lambda name: name.removesuffix("_rank"))


def draw(comparisons: dict[str, cg.importance.Comparison], path: str) -> None:
    """Draw ranks by measure, a line a trader: the first of each measure in colour, the first ten in grey."""
    figure = Figure(figsize=(13.0, 6.0), layout="constrained")
    for axes, (title, comparison) in zip(figure.subplots(1, len(comparisons)), comparisons.items(), strict=True):
        cg.plot.importance(comparison, k=5, ax=axes).set_title(title)
    cg.plot.save(figure, path)


def main(path: str = "who_matters.png") -> None:
    """Print both tables, and draw."""
    comparisons = {"90 banks, EBA 2011": banks(), f"Compound v2, {LARGEST} largest accounts": accounts()}
    for title, comparison in comparisons.items():
        places = ranks(comparison).head(10)
        values = comparison.table[list(places)].head(10).to_string(float_format="{:,.4g}".format)
        print(f"{title}\n{values}\n\nRanks\n{places.to_string()}")
        print(f"\nKendall's tau\n{comparison.kendall.round(2).to_string()}\n")
    draw(comparisons, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
