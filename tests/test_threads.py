"""Passes on one thread and on several: the same bits, equal to plain numpy, and nothing lost on the way."""

import ast
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import contagion_graph as cg
from contagion_graph.collateral.monitoring.ledger import Ledger
from contagion_graph.kernels import row_sums, threads
from contagion_graph.scenarios import draw

KERNELS = sorted((Path(cg.__file__).parent / "kernels").glob("*.py"))
SIZES = [threads.ROWS_WORTH_THREADS - 500, threads.ROWS_WORTH_THREADS + 500]  # on both sides of the switch
COUNTS = [1, 2, 5]


@pytest.fixture(params=COUNTS)
def count(request: pytest.FixtureRequest):
    """So many threads, and then as many as before."""
    before = cg.get_threads()
    cg.set_threads(request.param)
    yield request.param
    cg.set_threads(before)


def market(n: int, m: int = 8) -> cg.ExposureGraph:
    """Draw a book of longs and shorts, with equity that a fall of 10 % uses up in some accounts."""
    rng = np.random.default_rng(n)
    quantity = sparse.random_array((n, m), density=0.4, rng=rng, format="csr", data_sampler=rng.standard_normal)
    gross = abs(quantity).sum(axis=1)
    cash = -quantity.sum(axis=1) + gross * rng.uniform(0.1, 0.6, n)
    return cg.ExposureGraph.from_arrays(
        quantity, price=1.0, depth=2.0 * gross.sum(), margin_long=0.1, margin_short=0.1, cash=cash, insurance_fund=1.0
    )


@pytest.mark.parametrize("n", SIZES)
def test_values_of_rows_are_those_of_numpy(n: int, count: int):
    graph, price = market(n), np.linspace(0.5, 1.5, 8)
    dense, margin = graph.quantity.toarray(), graph.margin_units.toarray()
    rows, borders = np.arange(n), np.linspace(0, n, 65).astype(np.int64)
    value, gross, needed = row_sums.value_rows(graph._rows.cells, price, rows, borders)
    np.testing.assert_allclose(value, dense @ price, atol=1e-12)
    np.testing.assert_allclose(gross, abs(dense) @ price, atol=1e-12)
    np.testing.assert_allclose(needed, margin @ price, atol=1e-12)
    marks = row_sums.mark_rows(graph._rows.cells, price, 2.0 * price, 0.5 * price, rows, borders)
    expected = dense @ price, margin @ price, 2.0 * dense @ price, 0.5 * abs(dense) @ price
    np.testing.assert_allclose(marks, expected, atol=1e-12)


@pytest.mark.parametrize("n", SIZES)
def test_sums_over_rows_are_those_of_numpy(n: int, count: int):
    graph, weight = market(n), np.random.default_rng(0).random(n)
    q, borders = graph.quantity, np.linspace(0, n, 65).astype(np.int64)
    parts = row_sums.column_sums(q.indptr, q.indices, q.data, np.arange(n), weight, borders, 8)
    np.testing.assert_allclose(parts.sum(axis=0), weight @ q.toarray(), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("n", SIZES)
def test_a_sweep_counts_every_trader(n: int, count: int):
    """Mean losses and closures of traders are those of single runs, on both sides of the switch."""
    graph, model = market(n), cg.MarginCascade(impact=cg.LinearImpact())
    shocks = draw.single_asset(graph.assets[:2], [-0.3, 0.2])
    swept = cg.sweep(graph, model, shocks)
    runs = [model.run(graph, shocks.loc[name]) for name in shocks.index]
    expected = np.mean([run.traders["loss"].to_numpy() for run in runs], axis=0)
    closed = np.mean([(run.traders["closed"] == 1.0).to_numpy() for run in runs], axis=0)
    np.testing.assert_allclose(swept.traders["expected_loss"], expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(swept.traders["closed_share"], closed, atol=1e-12)
    assert closed.max() > 0.0
    assert np.isfinite(swept.traders["indirect_share"][expected > 1e-6]).all()
    assert (swept.systemic()["mes"] != 0.0).any()


@pytest.mark.parametrize("n", SIZES)
def test_the_monitor_finds_who_is_in_breach(n: int, count: int):
    graph, price = market(n), np.exp(0.2 * np.random.default_rng(1).standard_normal(8))
    ledger = Ledger(graph)
    ledger.move(np.arange(8), price)
    equity = graph.cash + graph.quantity.toarray() @ price
    breached = equity < graph.margin_units.toarray() @ price
    assert 0.01 < breached.mean() < 0.9
    np.testing.assert_array_equal(ledger.in_breach(), breached)


@pytest.mark.parametrize("n", [threads.ROWS_WORTH_THREADS // 200, threads.ROWS_WORTH_THREADS // 90])
def test_cases_of_distress_are_each_case_by_itself(n: int, count: int):
    """N nodes that default in turn: n x n numbers, on both sides of the switch."""
    rng = np.random.default_rng(n)
    owed = sparse.random_array((n, n), density=0.1, rng=rng, format="lil")
    owed.setdiag(0.0)
    network = cg.ObligationNetwork.from_arrays(owed.tocsr(), external_assets=owed.sum(axis=1) + 1.0)
    table = cg.single_defaults(network, cg.DebtRank())
    for node in network.nodes[:: n // 5]:
        alone = cg.DebtRank().run(network, losses={node: network.equity[node]})
        assert table.loc[node, "loss"] == pytest.approx(alone.summary()["loss"], rel=1e-9)


USES = """
import sys, threading, contagion_graph as cg
graph = cg.generate.perpetuals(20_000, 20, rng=0)
model = cg.MarginCascade()
shocks = [{asset: -0.1} for asset in graph.assets[:4]]
expected = [model.run(graph, shock).accounts["loss"].sum() for shock in shocks]
"""
TOGETHER = """
found = [None] * len(shocks)
def run(k):
    for _ in range(5):
        found[k] = model.run(graph, shocks[k]).accounts["loss"].sum()
workers = [threading.Thread(target=run, args=(k,)) for k in range(len(shocks))]
[worker.start() for worker in workers], [worker.join() for worker in workers]
print(found == expected)
"""
FORKED = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def run(k):
    return model.run(graph, shocks[k]).accounts["loss"].sum()
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
    print(list(pool.map(run, range(len(shocks)))) == expected)
"""


@pytest.mark.parametrize("program", [TOGETHER, FORKED], ids=["threads of the user", "processes forked after a run"])
def test_the_library_is_used_from(program: str):
    out = subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", USES + program],
        text=True,
        timeout=300,
        env={**os.environ, threads.VARIABLE: "2"},
    )
    assert out.strip() == "True"


def test_threads_change_while_passes_run():
    """Setting another number while others use the pool loses nothing."""
    graph, before = market(20_000), cg.get_threads()
    expected, wrong = cg.MarginCascade().run(graph, {"0": -0.2}).arrays.price_after.tobytes(), []

    def run() -> None:
        for _ in range(4):
            found = cg.MarginCascade().run(graph, {"0": -0.2}).arrays.price_after.tobytes()
            wrong.append(found != expected)

    workers = [threading.Thread(target=run) for _ in range(2)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        for number in (1, 2, 3):
            cg.set_threads(number)
    cg.set_threads(before)
    assert len(wrong) == 8
    assert not any(wrong)


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_a_number_of_threads_that_is_none(value: object):
    with pytest.raises(cg.ParameterError, match=r"set_threads: count is .*whole number from 1"):
        cg.set_threads(value)


def test_the_environment_variable_is_checked():
    code = "import contagion_graph as cg; cg.get_threads()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={**os.environ, threads.VARIABLE: "two"},
        capture_output=True,
        text=True,
    )
    assert "CONTAGION_GRAPH_THREADS is 'two'; it must be a whole number from 1 up" in done.stderr


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_no_pass_uses_the_parallel_loops_of_numba(path: Path):
    """They drop what an inlined helper writes to a field of a named tuple, without a word."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    given = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    assert not {"prange", "parallel"} & (named | given)
