"""
Every plot of the library
=========================

The pictures that docs/gallery-of-plots.md describes::

    python examples/gallery.py gallery          PNG, to look at
    python examples/gallery.py gallery .pdf     for a paper

The market is generated: a venue of perpetuals with 2,000 accounts and 12 assets, hit by a fall of ETH by 30 %. The
tipping picture is of a small market that is all long, for only there are best and worst equilibrium exact.
"""

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import contagion_graph as cg

MODEL = cg.MarginCascade(penalty=0.01, penalty_to_fund=0.5)
SHOCK = {"ETH": -0.30}
SIZES = np.round(np.arange(-0.40, 0.001, 0.02), 2)


@cache
def venue() -> cg.ExposureGraph:
    """Return the generated venue."""
    return cg.generate.perpetuals(2_000, 12, rng=0)


@cache
def result() -> cg.CascadeResult:
    """Return its cascade."""
    return MODEL.run(venue(), SHOCK)


def long_only() -> cg.ExposureGraph:
    """Return forty accounts, all long in two assets with borrowed cash; each has a little more equity than the last."""
    held = np.column_stack([np.full(40, 10.0), np.full(40, 5.0)])
    debt = 1_500.0 * np.linspace(0.87, 0.50, 40)
    return cg.ExposureGraph.from_arrays(
        held, price=100.0, depth=5e4, margin_long=0.1, cash=-debt, assets=["ETH", "BTC"]
    )


def tipping() -> Any:
    """Draw both ends of the market that tips."""
    graph, model = long_only(), cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    return cg.plot.tipping({size: model.equilibria(graph, {"ETH": size}) for size in SIZES})


def importance() -> Any:
    """Draw four measures of the venue's largest traders."""
    of, graph = cg.importance, venue()
    largest = of.strength(graph).nlargest(30).index
    measures = [of.strength, of.degree, of.hits, of.pagerank]
    return cg.plot.importance(of.compare(graph, [measure(graph)[largest] for measure in measures]))


def exposure() -> Any:
    """Draw indirect exposure to falls by 20 %."""
    return cg.plot.exposure(cg.indirect_exposure(venue(), MODEL, -0.20), k=15)


def curve() -> Any:
    """Draw losses against the fall of ETH."""
    worst = result().traders["loss"].nlargest(4).index
    return cg.plot.exposure_curve(cg.exposure_curve(venue(), MODEL, "ETH", sizes=SIZES, traders=worst))


def frontier() -> Any:
    """Draw the capital that three designs of margining need against what they socialise, with ETH up and down."""
    graph = cg.generate.perpetuals(200, 6, rng=0)
    scenarios = cg.scenarios.draw.grid({"ETH": [-0.3, -0.15, 0.15, 0.3]})
    return cg.plot.frontier(
        cg.collateral.compare_pooling(graph, MODEL, scenarios, designs=["isolated", "pool", "unified"])
    )


def layered() -> Any:
    """Run a fall after which capital, the fund, members up to a cap, and all members pay."""
    layers = cg.Purse("capital", amount=5e4), cg.InsuranceFund(), cg.Members("equity", cap=0.02), cg.ProRata()
    return cg.MarginCascade(waterfall=layers).run(venue(), dict.fromkeys(venue().assets, -0.5))


PLOTS: dict[str, Callable[[], Any]] = {
    "cascade": lambda: cg.plot.cascade(result()),
    "waterfall": lambda: cg.plot.waterfall(result(), traders="losers"),
    "bipartite": lambda: cg.plot.bipartite(result(), k=15),
    "exposure": exposure,
    "exposure-curve": curve,
    "tipping": tipping,
    "importance": importance,
    "frontier": frontier,
    "loss-distribution": lambda: cg.plot.loss_distribution(result().traders["loss"]),
    "margin-scenarios": lambda: cg.plot.margin_scenarios(cg.generate.options(400, rng=1), "maker0"),
    "greeks": lambda: cg.plot.greeks(cg.generate.options(400, rng=1)),
    "waterfall-layers": lambda: cg.plot.waterfall_layers(layered()),
    "adl-policies": lambda: cg.plot.adl_policies(cg.adl_policies(venue(), MODEL, SHOCK)),
}


def draw(folder: str | Path, ending: str = ".png") -> Iterator[Path]:
    """Draw every plot into a folder and yield the files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in PLOTS.items():
        yield cg.plot.save(plot(), folder / f"{name}{ending}")


def main(folder: str = "", ending: str = ".png") -> None:
    """Draw; with a folder, into it, and print where."""
    if not folder:
        for plot in PLOTS.values():
            plot()
    else:
        print(*draw(folder, ending), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
