"""Accounts that a plan has saved are not liquidated again: computed slack after a plan is never below 0."""

import compound_v2
import numpy as np
import pytest
from real_data import data_folder

import contagion_graph as cg

C = cg.collateral
SEEDS = range(200)
PLANS = {
    "cash": lambda graph: C.top_up(graph, {"asset": [""], "cost": [1.0]}),
    "cash and an asset": lambda graph: C.top_up(graph, {"asset": ["", "0"], "cost": [1.0, 0.3]}),
    "deleverage": C.deleverage,
    "deleverage at a cost": lambda graph: C.deleverage(graph, cost=0.001, objective="cost"),
}


def book(seed: int) -> cg.ExposureGraph:
    """Draw accounts of all sizes; of most of them equity is below maintenance, but not below what closing frees."""
    rng = np.random.default_rng(seed)
    value = rng.lognormal(5.0, 2.0, (12, 3)) * rng.choice([0.0, 1.0, -1.0], (12, 3), p=[0.2, 0.55, 0.25])
    price, rate = rng.lognormal(1.0, 3.0, 3), rng.uniform(0.005, 0.2, 3)
    cash = (np.abs(value) @ rate) * rng.uniform(0.6, 1.05, 12) - value.sum(axis=1)
    return cg.ExposureGraph.from_arrays(value / price, price=price, margin_long=rate, margin_short=rate, cash=cash)


@pytest.mark.parametrize("name", PLANS)
def test_after_a_plan_nobody_that_it_saved_closes(name: str):
    """By construction: the plan reaches the target, and nothing has moved since."""
    saved = 0
    for seed in SEEDS:
        graph = book(seed)
        after = PLANS[name](graph).apply(graph)
        saved += int((graph.slack < 0.0).sum())
        assert (after.slack >= 0.0).all(), seed
        assert cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(after).summary()["closed"] == 0
    assert saved > 1000


def test_transfers_leave_neither_receiver_nor_sender_in_breach():
    for seed in SEEDS[:50]:
        rng = np.random.default_rng(seed)
        held = {"trader": ["A", "A"], "asset": ["X", "X"], "quantity": rng.lognormal(3, 1, 2), "pool": ["p", "q"]}
        price, rate = rng.lognormal(1, 2), rng.uniform(0.01, 0.2)
        value = held["quantity"] * price
        lack = 0.3 * rate * value[0]
        cash = [rate * value[0] - lack - value[0], rate * value[1] + lack * 1.1]  # q has just enough above its margin
        graph = cg.ExposureGraph.from_tables(
            held, {"asset": ["X"], "price": [price], "margin_long": [rate]},
            accounts={"trader": ["A", "A"], "pool": ["p", "q"], "cash": cash},
        )  # fmt: skip
        after = C.transfer(graph, {"from_pool": ["q"], "to_pool": ["p"], "fee": [0.02]}).apply(graph)
        assert (after.slack >= 0.0).all()


def test_three_accounts_that_were_topped_up_stay_open():
    """The lack of each is known to the cent; computed, equity after the top-up was below margin in the last bit."""
    units, price = np.array([7.3, 3.1, 9.7]), 101.7
    graph = cg.ExposureGraph.from_arrays(
        units[:, None], price=[price], margin_long=0.013, cash=-units * price + np.array([0.9, 0.1, 0.3])
    )
    after = C.top_up(graph, {"asset": [""], "cost": [1.0]}).apply(graph)
    assert cg.MarginCascade().run(after).summary()["closed"] == 0


def test_what_stabilise_keeps_open_stays_open():
    for seed in SEEDS[:40]:
        graph = book(seed)
        shock = {"0": -0.02}
        end = C.stabilise(graph, cg.MarginCascade(waterfall=(cg.InsuranceFund(),)), shock, event="closure")
        assert end.result.summary()["closed"] == 0


@pytest.fixture(scope="module")
def compound() -> cg.ExposureGraph:
    """Return the real accounts of a lending protocol, in a market that no sale moves."""
    try:
        folder = data_folder(compound_v2.DATA)
    except SystemExit as absent:
        pytest.skip(str(absent))
    return compound_v2.build_graph(folder).assign(depth=np.inf)


@pytest.mark.parametrize("fall", [0.0, 0.05, 0.15, 0.25])
@pytest.mark.parametrize("name", ["cash", "deleverage", "deleverage at a cost"])
def test_real_accounts_that_a_plan_has_saved_stay_open(compound: cg.ExposureGraph, name: str, fall: float):
    """After a fall of ETH, those in breach that own more than they owe: the plan saves them, and none closes."""
    fallen = compound.assign(price={"ETH": 1.0 - fall})
    savable = ((fallen.slack < 0.0) & (fallen.equity > 1e-3 * fallen.gross_value)).to_numpy()
    graph = fallen.subset(traders=fallen.account_index.get_level_values("trader")[savable])
    try:
        plan = PLANS[name](graph)
    except cg.InfeasibleError as error:  # closing all they have does not bring all of them above their margin
        lost = {key[0] if isinstance(key, tuple) else key.split(" / ")[0] for key in error.missing}
        graph = graph.subset(traders=[trader for trader in graph.traders if trader not in lost])
        plan = PLANS[name](graph)
    after = plan.apply(graph)
    assert len(graph.traders) > 58
    assert (graph.slack < 0.0).all()
    assert (after.slack >= 0.0).all()
    assert cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(after).summary()["closed"] == 0
