"""What several layers of a waterfall cost beside two, and auto-deleveraging of some ten thousand fills."""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

import contagion_graph as cg
from benchmarks.timing import median

Row = tuple[str, str, str, str]  # work, measured, budget, note
TWO = (cg.InsuranceFund(), cg.ProRata())
SIX = (
    cg.OwnContribution(),
    cg.Purse("capital", amount=1e5),
    cg.InsuranceFund(),
    cg.Members(),
    cg.GainsHaircut(),
    cg.ProRata(),
)
ACCOUNTS, ASSETS, FILLS = 400_000, 170, 30_000


def rows(market: cg.ExposureGraph, shock: dict[str, float]) -> Iterator[Row]:
    """Yield the time of six layers over that of two, and that of a cascade with about 30,000 fills."""
    rng = np.random.default_rng(0)
    frames = market.to_frames()
    n = len(frames["accounts"])
    for name, mean in (("initial_margin", 5.0), ("fund_contribution", 20.0)):
        frames["accounts"][name] = rng.exponential(mean, n)
    graph = cg.ExposureGraph.from_tables(**frames)
    models = {name: cg.MarginCascade(waterfall=layers) for name, layers in (("two", TWO), ("six", SIX))}
    times = {name: median(partial(model.run, graph, shock), runs=5)[0] for name, model in models.items()}
    closed = float((models["six"].run(graph, shock).arrays.closed > 0.0).mean())
    note = f"{100 * closed:.1f} % closed; {1e3 * times['six']:.0f} and {1e3 * times['two']:.0f} ms"
    yield (
        "a cascade with a waterfall of six layers / of two",
        f"{times['six'] / times['two']:.2f} times",
        "1.2 times",
        note,
    )
    venue = cg.generate.perpetuals(ACCOUNTS, ASSETS, rng=1)
    model, move = cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.Deleverage(), cg.ProRata())), -0.06
    model.run(venue, dict.fromkeys(venue.assets, -0.02))  # compiled
    for _ in range(6):  # a shock that leads to about so many fills
        start = time.perf_counter()
        result = model.run(venue, dict.fromkeys(venue.assets, move))
        taken, fills = time.perf_counter() - start, len(result.fills)
        if 0.7 * FILLS < fills < 1.5 * FILLS:
            break
        move *= 1.15 if fills < FILLS else 0.9
    note = f"{fills:,} fills in {len(result.rounds)} rounds, a fall of {-move:.1%}"
    yield f"auto-deleveraging, {ACCOUNTS:,} accounts, {ASSETS} assets", f"{taken:.1f} s", "5 s", note
