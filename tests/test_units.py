"""Units of currency and of assets: every measure and every solver says the same of a book in another unit."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg

importance, SCALES = cg.importance, [1e-12, 1e6, 1e12]


def book(scale: float, seed: int = 3) -> cg.ExposureGraph:
    """Draw 30 traders and 6 assets, some in breach after a fall; `scale` units of currency for one."""
    rng = np.random.default_rng(seed)
    quantity = rng.lognormal(0.0, 1.5, (30, 6)) * (rng.random((30, 6)) < 0.4)
    quantity[:, 0] *= np.where(rng.random(30) < 0.3, -1.0, 1.0)
    price = rng.lognormal(0.0, 1.0, 6)
    value, gross = quantity @ price, np.abs(quantity) @ price
    return cg.ExposureGraph.from_arrays(
        quantity,
        price=price * scale,
        depth=2.0 * (np.abs(quantity) * price).sum(axis=0) * scale,
        margin_long=0.1,
        margin_short=0.1,
        cash=(gross * rng.uniform(0.12, 0.5, 30) + 0.1 - value) * scale,
        insurance_fund=0.5 * scale,
        assets=list("abcdef"),
    )


def owed(scale: float) -> cg.ObligationNetwork:
    """Draw 12 nodes that owe each other, some of which cannot pay."""
    rng = np.random.default_rng(5)
    claims = rng.lognormal(0.0, 1.0, (12, 12)) * (rng.random((12, 12)) < 0.3)
    np.fill_diagonal(claims, 0.0)
    outside = np.maximum(claims.sum(axis=1) - claims.sum(axis=0), 0.0) + rng.uniform(0.05, 1.0, 12)
    return cg.ObligationNetwork.from_arrays(claims * scale, external_assets=outside * scale)


MODEL = cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.ProRata("equity")), penalty=0.01)
SHOCK = {"a": -0.2, "b": -0.1}
LOSS = {"0": 0.7}
SHARE, MONEY = 0, 1  # what a figure does when currency is counted in another unit: nothing, or as the unit


def lost(network: cg.ObligationNetwork) -> "pd.Series[float]":
    """Return the loss of two thirds of what the first half of the nodes has outside."""
    outside = pd.Series(network.external_assets, network.nodes)
    return outside.iloc[:6] * (2.0 / 3.0)


def shocked(graph: cg.ExposureGraph) -> cg.ExposureGraph:
    """Return the graph after a fall of all prices that leaves everybody solvent, some below their margin."""
    return graph.assign(price=graph.price * 0.98)


def reverse(graph: cg.ExposureGraph) -> "pd.Series[float]":
    """Return the most likely shock that closes a fifth of the gross value."""
    covariance = pd.DataFrame(0.01 * np.eye(6), index=graph.assets, columns=graph.assets)
    event = cg.scenarios.ShareClosed(0.2)
    return cg.reverse_stress(graph, MODEL, covariance, event=event, n_points=2, n_directions=1, rng=0).shock


OF_GRAPHS: dict[str, tuple[int, Callable[[cg.ExposureGraph], Any]]] = {
    "degree": (SHARE, importance.degree),
    "strength": (MONEY, importance.strength),
    "betweenness": (SHARE, importance.betweenness),
    "betweenness of assets": (SHARE, lambda graph: importance.betweenness(graph, of="assets")),
    "betweenness sampled": (SHARE, lambda graph: importance.betweenness(graph, n_samples=9, rng=0)),
    "closeness": (MONEY, importance.closeness),
    "coreness": (SHARE, importance.coreness),
    "sinkrank": (SHARE, importance.sinkrank),
    "concentration": (SHARE, importance.concentration),
    "hits": (SHARE, importance.hits),
    "eigenvector": (SHARE, importance.eigenvector),
    "katz": (SHARE, importance.katz),
    "pagerank": (SHARE, importance.pagerank),
    "birank": (SHARE, importance.birank),
    "cohits": (SHARE, importance.cohits),
    "fitness_complexity": (SHARE, lambda graph: importance.fitness_complexity(graph, n_iter=20)),
    "debtrank": (SHARE, lambda graph: importance.debtrank(graph, SHOCK)),
    "debtrank_impact": (SHARE, importance.debtrank_impact),
    "endogenous_risk_index": (SHARE, importance.endogenous_risk_index),
    "indirect_contagion_index": (MONEY, importance.indirect_contagion_index),
    "systemicness": (SHARE, lambda graph: importance.systemicness(graph, SHOCK)),
    "indirect_vulnerability": (SHARE, lambda graph: importance.indirect_vulnerability(graph, SHOCK)),
    "knockout": (MONEY, lambda graph: importance.knockout(graph, MODEL, SHOCK, k=5)),
    "shapley": (MONEY, lambda graph: importance.shapley(graph, MODEL, SHOCK, n_permutations=5, rng=0)["shapley"]),
    "overlap": (SHARE, lambda graph: importance.overlap_pairs(graph)["overlap"]),
    "backbone": (SHARE, lambda graph: cg.backbone(graph, significance=0.2).n_positions),
    "direct exposure": (MONEY, lambda graph: cg.direct_exposure(graph).to_pandas()),
    "indirect exposure": (MONEY, lambda graph: cg.indirect_exposure(graph, MODEL, -0.3).to_pandas()),
    "spectral radius": (SHARE, lambda graph: cg.spectral_radius(graph, MODEL, SHOCK)),
    "cascade": (MONEY, lambda graph: MODEL.run(graph, SHOCK).accounts[["loss", "impact", "socialised", "shortfall"]]),
    "target margin": (MONEY, lambda graph: cg.MarginCascade(cg.TargetMargin(0.1)).run(graph, SHOCK).accounts["loss"]),
    "equilibria": (MONEY, lambda graph: MODEL.equilibria(graph, SHOCK).greatest.accounts["loss"]),
    "blame": (MONEY, lambda graph: cg.blame(MODEL.run(graph, SHOCK))["total"]),
    "sweep": (MONEY, lambda graph: cg.sweep(graph, MODEL, SHOCKS).traders["expected_loss"]),
    "reverse stress": (SHARE, reverse),
    "top up": (MONEY, lambda graph: cg.collateral.top_up(shocked(graph), {"asset": [""]}).total),
    "deleverage": (MONEY, lambda graph: cg.collateral.deleverage(shocked(graph)).total),
}
VALUED = cg.NetworkValuation(cg.distress.EisenbergNoeValue())
SHOCKS = cg.scenarios.draw.single_asset(list("abc"), [-0.3, -0.1])
OF_NETWORKS: dict[str, tuple[int, Callable[[cg.ObligationNetwork], Any]]] = {
    "Eisenberg-Noe": (MONEY, lambda network: cg.EisenbergNoe().run(network, losses=lost(network)).payments),
    "iteration": (
        MONEY,
        lambda network: cg.EisenbergNoe(method="iteration").run(network, losses=lost(network)).payments,
    ),
    "Rogers-Veraart": (
        MONEY,
        lambda network: cg.RogersVeraart(alpha=0.7, beta=0.8).run(network, losses=lost(network)).payments,
    ),
    "DebtRank": (SHARE, lambda network: cg.DebtRank().run(network, losses=lost(network)).stress),
    "single hit": (SHARE, lambda network: cg.DebtRank("single_hit").run(network, losses=lost(network)).stress),
    "Furfine": (MONEY, lambda network: cg.Furfine().run(network, losses=lost(network)).loss),
    "valuation": (
        MONEY,
        lambda network: cg.NetworkValuation(cg.distress.EisenbergNoeValue()).run(network, losses=lost(network)).loss,
    ),
    "spectral radius": (SHARE, cg.distress.spectral_radius),
}


def assert_same(found: Any, expected: Any, factor: float) -> None:
    one, other = (np.asarray(value, dtype=float) for value in (found, expected))
    size = np.nanmax(np.abs(other), initial=0.0) * factor
    np.testing.assert_allclose(one, other * factor, rtol=1e-6, atol=1e-7 * size, equal_nan=True)


@cache
def in_units(name: str) -> Any:
    """Return what a measure says of the book itself."""
    return OF_GRAPHS[name][1](book(1.0))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", OF_GRAPHS)
def test_a_graph_in_another_currency(name: str, scale: float):
    kind, measure = OF_GRAPHS[name]
    assert_same(measure(book(scale)), in_units(name), scale if kind == MONEY else 1.0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", OF_NETWORKS)
def test_a_network_in_another_currency(name: str, scale: float):
    kind, measure = OF_NETWORKS[name]
    assert_same(measure(owed(scale)), measure(owed(1.0)), scale if kind == MONEY else 1.0)


def test_the_betweenness_of_a_small_book_in_units_of_euros():
    """In EUR instead of EUR million it was 1.25, 2.17, 2.33, 1.25: igraph adds 1 to the length of a path."""
    quantity = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 1.0], [2.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    found = [importance.betweenness(cg.ExposureGraph.from_arrays(quantity * k, price=1.0)) for k in (1.0, 1e6)]
    assert found[0].tolist() == found[1].tolist() == [3.0, 4.0, 2.0, 0.0]
