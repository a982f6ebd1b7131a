"""What scenarios cost: 64 together at the reference size, and a sweep of ten thousand."""

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd

import contagion_graph as cg
from benchmarks.timing import median, peak_over
from contagion_graph.chunks import WIDTH
from contagion_graph.margin.candidates.batch import Batches
from contagion_graph.margin.candidates.screening import Box

Row = tuple[str, str, str, str]  # work, measured, budget, note
FALL = 0.075  # of every price: more than 1 % of the accounts close
N_ACCOUNTS, N_ASSETS, SCENARIOS, VOLATILITY = 100_000, 50, 10_000, 0.03


def batch_rows(market: cg.ExposureGraph, unit: float) -> Iterator[Row]:
    """Yield what 64 scenarios together cost, and the same one by one."""
    model, n, m = cg.MarginCascade(), len(market.account_index), len(market.assets)
    changes = -FALL * np.random.default_rng(0).uniform(0.98, 1.02, (WIDTH, 1)) * np.ones(m)
    prices, batches = market.price * (1.0 + changes), Batches(market, model)
    ended = list(batches.run(prices))
    screen, initial = batches.screen, batches.screen.initial(np.zeros(n))
    seconds = median(lambda: screen.candidates(Box(0.98 * prices, 1.02 * prices, np.zeros(WIDTH)), initial), runs=3)[0]
    yield "screening every account for 64 scenarios together", f"{seconds / unit:.1f} u", "16 u", ""
    closed = np.array([np.count_nonzero(one.path.breach_round) for one in ended]) / n
    rounds = np.mean([len(one.path.rounds) for one in ended])
    whole = median(lambda: [None for _ in batches.run(prices)], runs=3)[0]
    note = f"{closed.min():.1%} to {closed.max():.1%} closed, {rounds:.0f} rounds, {whole / unit:.0f} u"
    yield "64 whole cascades that each close over 1 %", f"{whole:.1f} s", "2.5 s", note
    few = [dict(zip(market.assets, change, strict=True)) for change in changes[:4]]
    single = median(lambda: [model.run(market, shock) for shock in few], runs=2)[0] / len(few)
    yield "one of them alone / one of 64", f"{single / (whole / WIDTH):.1f} times", "", "equal bits"


def sweep_rows() -> Iterator[Row]:
    """Yield what a sweep with fat tails costs that keeps what each trader loses."""
    graph = cg.generate.perpetuals(N_ACCOUNTS, N_ASSETS, rng=0)
    graph, model = graph.assign(depth=4.0 * graph.depth), cg.MarginCascade()
    matrix = VOLATILITY**2 * (0.6 + 0.4 * np.eye(N_ASSETS))
    covariance = pd.DataFrame(matrix, index=graph.assets, columns=graph.assets)
    shocks = cg.scenarios.draw.student_t(covariance, SCENARIOS, rng=0)
    cg.sweep(graph, model, shocks[:WIDTH])
    results: list[cg.SweepResult] = []
    start = time.perf_counter()
    peak = peak_over(lambda: results.append(cg.sweep(graph, model, shocks)))
    seconds, closed = time.perf_counter() - start, results[0].scenarios["closed"].mean() / N_ACCOUNTS
    note = f"{graph.n_positions:,} positions, {closed:.2%} closed on average; {peak:.2f} GB over the graph"
    yield f"{SCENARIOS:,} scenarios, {N_ACCOUNTS:,} accounts x {N_ASSETS} assets", f"{seconds:.0f} s", "60 s", note
