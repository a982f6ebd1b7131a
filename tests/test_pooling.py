"""The same positions margined apart or together: what is conserved, which order holds, and which does not."""

from pathlib import Path
from typing import Any

import numpy as np
import one_pool_or_many as example
import pandas as pd
import pytest
from matplotlib import pyplot

import contagion_graph as cg
from contagion_graph.collateral.pools.compare import value_at_risk
from contagion_graph.scenarios.estimates import expected_shortfall

DESIGNS = ["isolated", "chain", "pool", "unified"]


def market(rng: np.random.Generator, **options: Any) -> cg.ExposureGraph:
    """Return traders with spot, debts and derivatives on two chains and in two pools, an idle one among them."""
    n, size = int(rng.integers(1, 8)), int(rng.integers(1, 25))
    traders = [f"t{k}" for k in range(n)]
    pools = rng.choice(["p", "q"], size)
    who = rng.choice(traders, size)
    return cg.ExposureGraph.from_tables(
        positions={
            "trader": who,
            "asset": rng.choice(["X", "Y", "Z"], size),
            "quantity": rng.normal(size=size) * 10.0,
            "pool": pools,
            "subaccount": rng.choice(["", "s"], size),
            "entry_price": np.where(rng.random(size) < 0.5, rng.uniform(50.0, 150.0, size), np.nan),
            "margin": np.where(rng.random(size) < 0.2, 0.3, np.nan),
        },
        assets={
            "asset": ["X", "Y", "Z"],
            "price": rng.uniform(50.0, 150.0, 3),
            "margin_long": rng.uniform(0.0, 0.2, 3),
            "margin_short": rng.uniform(0.0, 0.2, 3),
            "chain": ["mainnet", "rollup", None],
            **options,
        },
        pools={"pool": ["p", "q"], "insurance_fund": rng.uniform(0.0, 100.0, 2)},
        accounts={"trader": [*traders, "idle"], "pool": ["p"] * (n + 1), "cash": rng.normal(1000.0, 300.0, n + 1)},
    )


def by_trader(graph: cg.ExposureGraph, amount: Any) -> "pd.Series[float]":
    return pd.Series(graph._rows.per_trader(amount), graph.traders).sort_index()


@pytest.mark.parametrize("seed", range(40))
def test_designs_move_no_money_and_no_position(seed: int):
    graph = market(np.random.default_rng(seed))
    for design in DESIGNS:
        other = cg.collateral.pooling(graph, design)
        scale = graph.gross_value.sum() + np.abs(graph.cash).sum()
        for before, after in ((graph.equity, other.equity), (graph.maintenance, other.maintenance)):
            assert by_trader(other, after) .to_numpy() == pytest.approx(
                by_trader(graph, before).to_numpy(), abs=1e-9 * scale
            )  # fmt: skip
        assert other.insurance_fund.sum() == pytest.approx(graph.insurance_fund.sum())
        held = pd.DataFrame(other.to_scipy(weight="quantity").toarray(), other.traders).sort_index()
        assert held.to_numpy() == pytest.approx(
            pd.DataFrame(graph.to_scipy(weight="quantity").toarray(), graph.traders).sort_index().to_numpy()
        )
        ratio = other.equity / other.maintenance.where(other.maintenance > 0.0)
        whole = by_trader(graph, graph.equity) / by_trader(graph, graph.maintenance)
        expected = whole.reindex(other.account_index.get_level_values("trader")).to_numpy()
        assert ratio.dropna().to_numpy() == pytest.approx(expected[ratio.notna()], rel=1e-6)


def test_accounts_fall_as_the_design_says():
    graph = market(np.random.default_rng(4))
    held = graph.to_frames()["positions"]
    frames = {design: cg.collateral.pooling(graph, design).to_frames()["positions"] for design in DESIGNS}
    assert (frames["isolated"]["subaccount"] == held["asset"]).all()
    assert (frames["isolated"]["pool"] == held["pool"]).all()
    chain = held["asset"].map({"X": "mainnet", "Y": "rollup", "Z": "pool"})
    assert (frames["chain"]["pool"] == chain).all()
    assert (frames["pool"]["pool"] == held["pool"]).all()
    assert (frames["unified"]["pool"] == "pool").all()
    assert all((frame["subaccount"] == "").all() for name, frame in frames.items() if name != "isolated")


@pytest.mark.parametrize("seed", range(8))
def test_without_contagion_expected_shortfall_never_asks_more_of_the_whole(seed: int):
    rng = np.random.default_rng(seed)
    graph = market(rng)
    scenarios = pd.DataFrame(rng.normal(0.0, 0.15, (20, 3)).clip(-0.9, None), columns=["X", "Y", "Z"])
    table = cg.collateral.compare_pooling(
        graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), scenarios, level=0.9
    ).table
    assert table.loc["unified", "capital"] <= table.loc["pool", "capital"] + 1e-6
    assert table.loc["pool", "capital"] <= table.loc["isolated", "capital"] + 1e-6
    assert table.loc["unified", "capital"] <= table.loc["chain", "capital"] + 1e-6
    assert table.loc["chain", "capital"] <= table.loc["isolated", "capital"] + 1e-6


def two_loans() -> tuple[cg.ExposureGraph, pd.DataFrame]:
    """Return a lender of two borrowers, each of whom fails in 4 of 100 scenarios, never both."""
    graph = cg.ExposureGraph.from_arrays([[1.0, 1.0]], price=100.0, traders=["Ann"], assets=["X", "Y"])
    scenarios = pd.DataFrame(0.0, index=range(100), columns=["X", "Y"])
    scenarios.loc[:3, "X"] = scenarios.loc[4:7, "Y"] = -1.0
    return graph, scenarios


def test_value_at_risk_reverses_the_order_and_expected_shortfall_does_not():
    graph, scenarios = two_loans()
    designs, model = ["isolated", "unified"], cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    var = cg.collateral.compare_pooling(graph, model, scenarios, designs=designs, risk="var", level=0.95).table[
        "capital"
    ]
    es = cg.collateral.compare_pooling(graph, model, scenarios, designs=designs, risk="es", level=0.95).table["capital"]
    assert var.to_dict() == {"isolated": 0.0, "unified": 100.0}
    assert es.to_dict() == pytest.approx({"isolated": 160.0, "unified": 100.0})


def test_contagion_reverses_the_order():
    """Isolated, only the position that falls is sold; unified, the other goes with it and takes its holders along."""
    quantity = np.array([[10.0, 10.0], [0.0, 10.0], [0.0, 10.0]])
    graph = cg.ExposureGraph.from_arrays(
        quantity, price=100.0, depth=[1e5, 4e3], margin_long=0.05, cash=[-1800.0, -850.0, -850.0],
        traders=["Ann", "Bob", "Cleo"], assets=["X", "Y"],
    )  # fmt: skip
    scenarios = pd.DataFrame({"X": [-0.2, 0.0], "Y": [0.0, 0.0]})
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    comparison = cg.collateral.compare_pooling(graph, model, scenarios, designs=["isolated", "unified"], level=0.5)
    capital = comparison.table["capital"]
    assert capital["unified"] > capital["isolated"]
    assert comparison.traders.loc["Bob", "unified"] > comparison.traders.loc["Bob", "isolated"]
    quiet = cg.collateral.compare_pooling(
        graph.assign(depth=np.inf), model, scenarios, designs=["isolated", "unified"], level=0.5
    )
    assert quiet.table.loc["unified", "capital"] <= quiet.table.loc["isolated", "capital"] + 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_the_table_is_that_of_single_runs(seed: int):
    rng = np.random.default_rng(seed)
    graph = market(rng, depth=[1e4, 1e4, 1e4])
    model = cg.MarginCascade(penalty=0.01)
    scenarios = pd.DataFrame(rng.normal(0.0, 0.2, (5, 3)).clip(-0.9, None), columns=["X", "Y", "Z"])
    comparison = cg.collateral.compare_pooling(graph, model, scenarios, designs=["chain"], level=0.5)
    other = cg.collateral.pooling(graph, "chain")
    runs = [model.run(other, row.to_dict()) for _, row in scenarios.iterrows()]
    for name in ("gross_loss", "net_loss"):
        assert comparison.table.loc["chain", name] == pytest.approx(np.mean([run.summary()[name] for run in runs]))
    need = np.array([(run.accounts["loss"] + run.accounts["shortfall"]).to_numpy() for run in runs])
    worst = np.sort(need, axis=0)[::-1]
    es = (worst[:2].sum(axis=0) + worst[2] / 2) / 2.5
    assert comparison.table.loc["chain", "capital"] == pytest.approx(np.maximum(es, 0.0).sum())
    assert comparison.traders["chain"].sum() == pytest.approx(comparison.table.loc["chain", "net_loss"])


def test_a_comparison_is_a_result():
    graph, scenarios = two_loans()
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    comparison = cg.collateral.compare_pooling(graph, model, scenarios, designs=["isolated", "unified"], level=0.95)
    assert comparison.model is model
    assert comparison.solution.converged
    assert comparison.summary()["capital unified"] == pytest.approx(100.0)
    assert repr(comparison) == "<PoolingComparison: capital isolated 160, unified 100. Converged.>"
    assert set(comparison.to_frames()) == {"summary", "designs", "traders"}
    assert comparison.to_frames()["designs"]["design"].tolist() == ["isolated", "unified"]
    with pytest.raises(cg.ParameterError, match="on_failure"):
        cg.collateral.compare_pooling(graph, model, scenarios, on_failure="stop")


def test_tail_measures_on_known_samples():
    losses = np.arange(1.0, 101.0)
    assert value_at_risk(losses, 0.95) == 95.0
    assert expected_shortfall(losses[::-1], 100, 0.95) == pytest.approx(98.0)
    assert expected_shortfall(losses[:-7:-1], 100, 0.945) == pytest.approx((5 * 98.0 + 0.5 * 95.0) / 5.5)
    assert expected_shortfall(np.array([3.0]), 1, 0.99) == pytest.approx(3.0)


GRAPH, SCENARIOS = two_loans()


def compare(scenarios: Any = SCENARIOS, designs: Any = ("pool",), **options: Any) -> cg.collateral.PoolingComparison:
    return cg.collateral.compare_pooling(GRAPH, cg.MarginCascade(), scenarios, designs=designs, **options)


REFUSED = [
    (lambda: cg.collateral.pooling(GRAPH, "apart"), "design is 'apart'"),
    (lambda: cg.collateral.pooling(GRAPH, "chain"), "column chain"),
    (lambda: cg.collateral.pooling("graph", "pool"), "graph is a str"),
    (lambda: compare(designs=[]), "designs is empty"),
    (lambda: compare(designs=["apart"]), "design is 'apart'"),
    (lambda: compare(SCENARIOS[:0]), "must be a DataFrame"),
    (lambda: compare([{"X": -0.1}]), "must be a DataFrame"),
    (lambda: compare(level=1.0), r"level is 1\.0"),
    (lambda: compare(risk="max"), "risk is 'max'"),
    (lambda: compare(SCENARIOS.rename(columns={"X": "W"})), "unknown asset 'W'"),
    (lambda: compare(SCENARIOS - 2.0), "changes by"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_cannot_be_is_refused_by_name(number: int):
    call, words = REFUSED[number]
    with pytest.raises((cg.ParameterError, cg.TableError), match=words):
        call()


def test_the_frontier_draws_what_the_table_says():
    comparison = compare(designs=["isolated", "unified"])
    ax = cg.plot.frontier(comparison, column="closed")
    drawn = [(line.get_label(), line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines]
    assert drawn == [(name, row["capital"], row["closed"]) for name, row in comparison.table.iterrows()]
    for wrong, words in (("table", "give what compare_pooling returns"), (comparison, "column is 'capital'")):
        with pytest.raises(cg.ParameterError, match=words):
            cg.plot.frontier(wrong, column="capital")
    pyplot.close("all")


def test_the_example_saves_capital_and_moves_no_money(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    example.main(tmp_path / "frontier.png")
    assert "traders lose less" in capsys.readouterr().out
    assert (tmp_path / "frontier.png").stat().st_size > 10_000
