"""Incremental revaluation finds what full revaluation finds, whatever the units of weights, prices and currency."""

from dataclasses import replace

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.margin.candidates.batch import Batches
from tests.markets import graph_of, model_of
from tests.reference.random_markets import random_case

SCALES = (1e-18, 1e-9, 1.0, 8e16, 1e18)


def weighted(weight: float) -> cg.ExposureGraph:
    """Return four accounts whose weights are token balances, in units of `weight`."""
    return cg.ExposureGraph.from_arrays(
        [[3.0], [2.0], [1.0], [0.0]], price=[10.0], depth=300.0, margin_long=0.1, cash=[-26.0, -15.1, -5.3, 1.0],
        share=[8 * weight, 3 * weight, 3 * weight, 8 * weight],
    )  # fmt: skip


@pytest.mark.parametrize("weight", [1e-18, 1e-6, 1.0, 1e6, 1e16, 1e18])
def test_token_balances_as_weights_hide_no_breach(weight: float):
    """Three accounts close by hand: the loss that the first leaves is shared, and brings the third into breach."""
    model = cg.MarginCascade(impact=cg.LinearImpact(), waterfall=(cg.InsuranceFund(), cg.ProRata("share")))
    few, all_ = (model.run(weighted(weight), {"0": -0.15}, revaluation=mode) for mode in ("incremental", "full"))
    assert few.summary()["closed"] == all_.summary()["closed"] == 3
    assert few.arrays.trades == all_.arrays.trades
    (ended,) = Batches(weighted(weight), model).run(np.array([[8.5]]))
    assert ended.path.breach_round.astype(bool).sum() == 3


def mixed(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw weights of very different sizes."""
    return rng.lognormal(0.0, 1.0, size) * 10.0 ** rng.uniform(-18.0, 18.0, size)


@pytest.mark.parametrize("scale", [*SCALES, None])
@pytest.mark.parametrize("what", ["weights", "prices", "units", "currency"])
def test_incremental_is_full_in_all_units(what: str, scale: float | None):
    """None: every account's weight has a scale of its own."""
    if scale is None and what != "weights":
        pytest.skip("weights alone may differ from account to account")
    closed = 0
    for seed in range(60):
        case = random_case(seed)
        market, rng = case.market, np.random.default_rng(seed)
        factor = mixed(rng, len(market.share)) if scale is None else scale
        prices = {"prices": factor, "units": 1.0 / factor, "currency": factor}.get(what, 1.0)
        quantity = {"prices": 1.0 / factor, "units": factor}.get(what, 1.0)
        currency = factor if what == "currency" else 1.0
        positions = [(i, j, q * quantity, e and e * prices, r) for i, j, q, e, r in market.positions]
        scaled = replace(
            market, positions=positions, price=market.price * prices, cash=market.cash * currency,
            depth=market.depth * currency, insurance_fund=market.insurance_fund * currency,
            share=market.share * (factor if what == "weights" else 1.0),
        )  # fmt: skip
        rules = replace(case.rules, sharing="share" if what == "weights" else case.rules.sharing)
        graph, model = graph_of(scaled), model_of(rules)
        shock = dict(zip(graph.assets, case.shock, strict=True))
        few, all_ = (model.run(graph, shock, revaluation=mode) for mode in ("incremental", "full"))
        assert few.arrays.trades == all_.arrays.trades, seed
        assert np.array_equal(few.arrays.breach_round, all_.arrays.breach_round)
        (ended,) = Batches(graph, model).run((graph.price * (1.0 + case.shock))[None])
        assert np.array_equal(ended.path.market.price, few.arrays.price_after)
        closed += int((few.arrays.breach_round > 0).sum())
    assert closed > 100
