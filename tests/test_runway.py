"""The runway is the smallest move that breaches: just below it nobody does, just above it somebody does."""

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.collateral.monitoring.runway import fund_runway, runway, runway_along

EDGE = 1e-7


def sound(graph: cg.ExposureGraph) -> np.ndarray:
    return (graph.slack >= 0.0).to_numpy()


def breaks(graph: cg.ExposureGraph, changes: dict[str, float]) -> np.ndarray:
    """Return the rows that such relative changes bring into breach."""
    factor = 1.0 + np.array([changes.get(asset, 0.0) for asset in graph.assets])
    return np.flatnonzero(sound(graph) & ~sound(graph.assign(price=graph.price * factor)))


def random_graph(seed: int) -> cg.ExposureGraph:
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(2, 30)), int(rng.integers(1, 6))
    quantity = rng.normal(0.0, 10.0, (n, m)) * (rng.random((n, m)) < 0.6)
    price = rng.lognormal(1.0, 1.0, m)
    equity = (np.abs(quantity) @ price) * rng.uniform(-0.05, 0.9, n) + 1.0
    return cg.ExposureGraph.from_arrays(
        quantity, price=price, margin_long=0.1, margin_short=0.2, cash=equity - quantity @ price, insurance_fund=50.0
    )


@pytest.mark.parametrize("seed", range(30))
def test_a_price_alone(seed: int):
    graph = random_graph(seed)
    table = runway(graph)
    assert table.index.tolist() == graph.assets.tolist()
    for asset, row in table.iterrows():
        for side, name in ((-1.0, "fall"), (1.0, "rise")):
            reached = row[name]
            if np.isnan(reached):
                assert breaks(graph, {asset: -0.999999 if side < 0 else 1e6}).size == 0
                assert pd.isna(row[f"trader_{name}"])
                continue
            assert breaks(graph, {asset: side * reached * (1.0 - EDGE)}).size == 0
            first = breaks(graph, {asset: max(-1.0 + 1e-12, side * reached * (1.0 + EDGE))})
            assert row[f"trader_{name}"] in graph.account_index.get_level_values(0)[first]


@pytest.mark.parametrize("seed", range(30))
def test_a_direction(seed: int):
    graph, rng = random_graph(seed), np.random.default_rng(seed)
    direction = {asset: float(rng.normal()) for asset in graph.assets}
    first = runway_along(graph, direction)
    move, account = first.move, first.account
    if np.isnan(move):
        last = 0.999999 / -min(direction.values()) if min(direction.values()) < 0 else 1e6
        assert breaks(graph, {asset: last * part for asset, part in direction.items()}).size == 0
        return
    below, above = ({asset: move * f * part for asset, part in direction.items()} for f in (1.0 - EDGE, 1.0 + EDGE))
    assert breaks(graph, below).size == 0
    assert account in [graph.account_index[row] for row in breaks(graph, above)]
    alone = runway(graph)
    for asset in graph.assets:
        assert runway_along(graph, {asset: -1.0}).move == pytest.approx(alone["fall"][asset], nan_ok=True)


@pytest.mark.parametrize("seed", range(8))
def test_until_a_fund_is_used(seed: int):
    graph = random_graph(seed).assign(depth=1e4)
    model, direction = cg.MarginCascade(penalty=0.02), {"0": -1.0}
    move, rest = fund_runway(graph, model, direction, tol=1e-4), model.run(graph).arrays.fund_used[0]
    scale = 1e-6 * graph.gross_value.sum()
    if np.isnan(move):
        assert model.run(graph, {"0": -1.0}).arrays.fund_used[0] <= rest + scale
        return
    assert model.run(graph, {"0": -move}).arrays.fund_used[0] > rest
    below = max(0.0, move - 1e-4)
    assert model.run(graph, {"0": -below}).arrays.fund_used[0] <= rest + scale or move <= 1e-4
    first = runway_along(graph, direction).move
    assert (graph.slack < 0.0).any() or move >= first


def test_monitors_answer_for_now():
    graph = cg.ExposureGraph.from_arrays(
        [[10.0]], price=100.0, margin_long=0.1, cash=-500.0, insurance_fund=9.0, traders=["A"], assets=["X"]
    )
    monitor = cg.SolvencyMonitor(graph)
    monitor.price("X", 80.0)
    fall = monitor.runway().loc["X", "fall"]
    assert 80.0 * (1.0 - fall) == pytest.approx(monitor.breach_price("A", "X"))
    assert monitor.runway_along({"X": -0.5}).move == pytest.approx(2.0 * fall)
    assert monitor.fund_runway(cg.MarginCascade(), {"X": -1.0}) == pytest.approx(1.0 - 50.0 / 80.0, abs=2e-3)


@pytest.mark.parametrize(
    ("direction", "error", "text"),
    [
        ({"Y": -1.0}, cg.ParameterError, "unknown label 'Y'"),
        ({"X": float("nan")}, cg.ParameterError, "direction: 'X' is nan"),
        ({"X": "down"}, cg.ParameterError, "direction: 'X' is 'down'"),
        ({"X": 0.0}, cg.ParameterError, "direction moves no price"),
        ({}, cg.ParameterError, "direction moves no price"),
        ("X", cg.ParameterError, "direction is a str; give a mapping"),
    ],
)
def test_bad_directions_are_refused(direction, error: type[Exception], text: str):
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=1.0, assets=["X"])
    with pytest.raises(error, match=text):
        runway_along(graph, direction)
    with pytest.raises(cg.ParameterError, match="tol is 0"):
        fund_runway(graph, cg.MarginCascade(), {"X": -1.0}, tol=0)
