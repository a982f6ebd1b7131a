"""Derived assets: values, shocks passed down, failure costs, shares of pools, haircuts, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import contagion_graph as cg
from contagion_graph.collateral.backing.failures import failure_rounds
from tests.shared_data import case


def chain_graph(**attributes: Any) -> cg.ExposureGraph:
    """Return ETH -> LST -> bridged LST -> LP token, all worth 1."""
    return cg.ExposureGraph.from_tables(
        positions={"trader": ["A", "B"], "asset": ["LP", "ETH"], "quantity": [2.0, 1.0]},
        assets={"asset": ["ETH", "LST", "bridged_LST", "LP"], "price": [1.0] * 4, **attributes},
        backing={
            "asset": ["LST", "bridged_LST", "LP", "LP"],
            "underlying": ["ETH", "LST", "LST", "bridged_LST"],
            "weight": [0.9, 0.95, 0.5, 0.3],
            "haircut": [0.0, 0.1, 0.0, 0.0],
        },
    )


def random_backing(rng: np.random.Generator, *, cyclic: bool) -> tuple[cg.ExposureGraph, np.ndarray]:
    """Return a graph of up to 9 assets and its matrix of weights, with rows that sum to less than 1."""
    m = int(rng.integers(1, 10))
    weight = rng.random((m, m)) * (rng.random((m, m)) < 0.5)
    weight = weight if cyclic else np.tril(weight, -1)
    weight *= rng.uniform(0.1, 0.95, (m, 1)) / np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    rows, columns = np.nonzero(weight)
    names = np.array([f"a{k}" for k in range(m)])
    graph = cg.ExposureGraph.from_tables(
        positions={"trader": names, "asset": names, "quantity": rng.normal(size=m)},
        assets={"asset": names, "price": rng.lognormal(0, 3, m)},
        backing={"asset": names[rows], "underlying": names[columns], "weight": weight[rows, columns]},
    )
    return graph, weight


def test_a_chain_of_tokens_passes_down_the_published_share():
    reference = case("asset_dependency_linear")
    inputs, expected, tol = reference["inputs"], reference["expected"], reference["tolerance"]
    backing = cg.collateral.Backing.from_graph(chain_graph())
    assert backing.units.toarray() == pytest.approx(np.array(inputs["D"]), abs=tol)
    assert backing.own == pytest.approx(np.array(inputs["r"]), abs=tol)
    end = backing.pass_down({"ETH": -0.2}).table
    assert end["price_before"].to_numpy() == pytest.approx(np.array(expected["v0"]), abs=tol)
    assert end["price_after"].to_numpy() == pytest.approx(np.array(expected["v1"]), abs=tol)
    assert (end["price_after"] - end["price_before"]).to_numpy() == pytest.approx(np.array(expected["dv"]), abs=tol)


@pytest.mark.parametrize("theta", ["0.9", "0.93", "0.935", "0.94"])
@pytest.mark.parametrize("rounded", [True, False])
def test_the_waves_of_six_european_countries(theta: str, rounded: bool):
    """Elliott, Golub & Jackson (2014), section IV: A = Chat (I - C)^-1, failing below theta of the value of 2008."""
    reference = case("elliott_golub_jackson_europe")
    names, inputs = reference["inputs"]["claims_order"], reference["inputs"]
    owed = np.array(inputs["owed"])  # by the country of the row to that of the column
    cross = inputs["c"] * (owed / owed.sum(axis=1, keepdims=True)).T
    book = np.linalg.inv(np.eye(6) - cross)
    A = np.diag(1.0 - cross.sum(axis=0)) @ book
    if rounded:
        A = A.round(2)
        assert pytest.approx(np.array(reference["expected"]["A_rounded"]), abs=reference["tolerance"]) == A
    own, before = np.array(inputs["p_2011"]), np.array(inputs["p_2008"])
    least = float(theta) * (A @ before)
    _, wave, solution = failure_rounds(lambda own: A @ own, own, least, least / 2)
    expected = reference["expected"]["waves" if rounded else "waves_unrounded_A"][theta]
    assert [[name for name, w in zip(names, wave, strict=True) if w == k + 1] for k in range(max(wave))] == expected
    assert solution.converged


def test_a_debt_pool_makes_a_dollar_holder_short_of_everybody_elses_winners():
    reference = case("shared_debt_pool")
    for name in ("case1", "case2"):
        inputs, expected = reference["inputs"][name], reference["expected"][name]
        btc, usd = inputs["holdings"]["Alice"][1], inputs["holdings"]["Bob"][1]
        graph = cg.ExposureGraph.from_arrays(
            [[btc, 0.0, -0.5], [0.0, usd, -0.5]],
            price=[1.0, 1.0, btc + usd],
            traders=["Alice", "Bob"],
            assets=["BTC", "USD", "DEBT"],
        )
        backing = cg.collateral.Backing.from_graph(graph).with_share("DEBT", {"BTC": btc, "USD": usd}, supply=1.0)
        end = backing.pass_down({"BTC": inputs["btc_return"]})
        assert end.table.loc["DEBT", "price_after"] == pytest.approx(expected["total"])
        result = cg.MarginCascade().run(graph.assign(cash=1e9), end.shock)
        net = result.accounts["equity_after"].to_numpy() - 1e9
        assert net == pytest.approx([expected["net"]["Alice"], expected["net"]["Bob"]], abs=1e-5)
        held = np.array([[btc, 0.0], [0.0, usd]])
        shares = np.full((2, 1), 0.5)
        effective = backing.effective_holdings(graph).to_pandas()[["BTC", "USD"]].to_numpy()
        assert effective == pytest.approx(held - shares @ held.sum(axis=0, keepdims=True))


@pytest.mark.parametrize("seed", range(200))
def test_values_are_the_fixed_point_and_shocks_sum_over_all_paths(seed: int):
    rng = np.random.default_rng(seed)
    graph, weight = random_backing(rng, cyclic=seed % 2 == 0)
    backing, price = cg.collateral.Backing.from_graph(graph), graph.price
    assert backing.price == pytest.approx(price, rel=1e-12)
    change = rng.uniform(-1.0, 0.0, price.size) * (rng.random(price.size) < 0.5)
    after = backing.pass_down(dict(zip(graph.assets, change, strict=True))).table["price_after"].to_numpy()
    D = weight * price[:, None] / price[None, :]
    assert after == pytest.approx((1.0 + change) * (D @ after + backing.own), rel=1e-9, abs=1e-12 * price.max())
    total, term = np.zeros_like(price), (1.0 + change) * backing.own
    for _ in range(2000):
        total, term = total + term, (1.0 + change) * (D @ term)
    assert after == pytest.approx(total, rel=1e-9, abs=1e-12 * price.max())


@pytest.mark.parametrize("seed", range(100))
def test_failures_are_the_fewest_that_are_consistent(seed: int):
    rng = np.random.default_rng(seed)
    graph, _ = random_backing(rng, cyclic=True)
    backing = cg.collateral.Backing.from_graph(graph)
    failure = cg.collateral.FailureCost(0.9, cost=float(rng.uniform(0.0, 0.3)))
    change = rng.uniform(-0.3, 0.0, graph.price.size)
    end = backing.pass_down(dict(zip(graph.assets, change, strict=True)), failure=failure).table
    inverse = np.linalg.inv(np.eye(change.size) - (1.0 + change)[:, None] * backing.units.toarray())
    consistent = []
    for number in range(2**change.size):
        failed = (number >> np.arange(change.size)) % 2 == 1
        own = np.maximum(backing.own - np.where(failed, failure.cost * graph.price, 0.0), 0.0)
        value = inverse @ ((1.0 + change) * own)
        if ((value < 0.9 * backing.price) == failed).all():
            consistent.append(failed)
    assert (np.min(consistent, axis=0) == (end["failure_round"] > 0).to_numpy()).all()


def test_a_bridge_failure_takes_what_it_carried_and_what_is_made_of_it():
    after = cg.collateral.Backing.from_graph(chain_graph()).pass_down({"bridged_LST": -1.0}).table["price_after"]
    assert after.to_dict() == pytest.approx({"ETH": 1.0, "LST": 1.0, "bridged_LST": 0.0, "LP": 0.7})


def test_two_pools_that_hold_each_other_are_solved_and_a_closed_cycle_is_named():
    def graph(weight: float) -> cg.ExposureGraph:
        return cg.ExposureGraph.from_tables(
            positions={"trader": ["A"], "asset": ["X"], "quantity": [1.0]},
            assets={"asset": ["X", "Y", "Z"], "price": [1.0, 2.0, 5.0]},
            backing={"asset": ["X", "Y"], "underlying": ["Y", "X"], "weight": [weight, 1.0]},
        )

    after = cg.collateral.Backing.from_graph(graph(0.5)).pass_down({"X": -0.5}).table["price_after"]
    assert after["X"] == pytest.approx(0.5 * (0.25 * after["Y"] + 0.5))
    assert after["Y"] == pytest.approx(2.0 * after["X"])
    with pytest.raises(cg.ParameterError, match=r"the cycle (X -> Y -> X|Y -> X -> Y) has no worth of its own"):
        cg.collateral.Backing.from_graph(graph(1.0))


def test_a_cycle_that_grows_beyond_all_bounds_after_a_rise_is_named():
    units = sparse.csr_array([[0.0, 0.8], [0.8, 0.0]])
    backing = cg.collateral.Backing(pd.Index(["X", "Y"], dtype="str"), units=units, own=np.array([1.0, 1.0]))
    with pytest.raises(cg.ParameterError, match="the cycle X -> Y -> X"):
        backing.pass_down({"X": 1.0})


def test_haircuts_are_those_of_the_asset_the_bridges_and_the_time():
    graph = chain_graph(margin_long=[0.1, 0.2, 0.2, 0.3], chain=["mainnet", "mainnet", "rollup", None])
    table = cg.collateral.haircuts(graph, volatility={"bridged_LST": 0.05, "LP": 0.1}, delay={"rollup": 4.0}, z=2.0)
    assert table["own"].tolist() == [0.1, 0.2, 0.2, 0.3]
    carried = 0.05 + 0.95 * 0.9  # of the bridged token; the LP token holds 30 % of it
    assert table["bridge"].to_numpy() == pytest.approx([0.0, 0.0, 1 - carried, 0.3 * (1 - carried)])
    assert table["latency"].to_numpy() == pytest.approx([0.0, 0.0, 1 - np.exp(-2.0 * 0.05 * 2.0), 0.0])
    kept = (1 - table["own"]) * (1 - table["bridge"]) * (1 - table["latency"])
    assert table["total"].to_numpy() == pytest.approx(1 - kept.to_numpy())
    flat = cg.collateral.haircuts(graph, volatility=0.1, delay=1.0, z=1.0)["latency"]
    assert flat.to_numpy() == pytest.approx(np.full(4, 1 - np.exp(-0.1)))


def test_what_is_passed_down_says_how_it_ended():
    """All four assets fall below the threshold in the first round."""
    backing, failure = cg.collateral.Backing.from_graph(chain_graph()), cg.collateral.FailureCost(0.95, cost=0.3)
    prices = backing.pass_down({"ETH": -0.1}, failure=failure)
    assert prices.table["failure_round"].tolist() == [1, 1, 1, 1]
    assert prices.model is backing
    assert prices.solution.converged
    assert prices.summary()[["assets", "changed", "failed", "rounds"]].tolist() == [4, 4, 4, 1]
    assert repr(prices) == "<BackedPrices: 4 of 4 assets changed, 4 failed; largest fall 0.5549. Converged.>"
    assert prices.to_frames()["assets"].columns.tolist()[0] == "asset"


def test_rounds_of_failure_that_are_cut_short_are_told():
    backing, failure = cg.collateral.Backing.from_graph(chain_graph()), cg.collateral.FailureCost(0.9, cost=0.9)
    whole = backing.pass_down({"ETH": -0.11}, failure=failure)
    assert whole.table["failure_round"].tolist() == [1, 2, 2, 2]
    with pytest.raises(cg.ConvergenceError, match=r"pass_down: Stopped at the step limit .* Raise max_rounds"):
        backing.pass_down({"ETH": -0.11}, failure=failure, max_rounds=1)
    with pytest.warns(cg.ConvergenceWarning, match="Raise max_rounds"):
        cut = backing.pass_down({"ETH": -0.11}, failure=failure, max_rounds=1, on_failure="warn")
    assert cut.table["failure_round"].tolist() == [1, 0, 0, 0]
    assert not cut.solution.converged
    for wrong in ({"max_rounds": 0}, {"on_failure": "stop"}):
        with pytest.raises(cg.ParameterError):
            backing.pass_down({"ETH": -0.1}, **wrong)


BACKING = cg.collateral.Backing.from_graph(chain_graph())
REFUSED = [
    (lambda: BACKING.pass_down({"EHT": -0.1}), "did you mean 'ETH'"),
    (lambda: BACKING.pass_down({"ETH": -1.1}), "out of range"),
    (lambda: BACKING.pass_down({"ETH": np.nan}), "NaN"),
    (lambda: BACKING.pass_down({"ETH": "much"}), "'much' is not a number"),
    (lambda: BACKING.with_share("LPP", {"ETH": 1.0}, supply=1.0), "did you mean 'LP'"),
    (lambda: BACKING.with_share("LP", {"ETH": 2.0}, supply=1.0), "net asset value a share is 2, and asset 'LP'"),
    (lambda: BACKING.with_share("LP", {"ETH": 1.0}, supply=0.0), "supply must be above 0"),
    (lambda: BACKING.with_share("LP", {"LP": 1.0}, supply=1.0), "a pool cannot hold its own 'LP'"),
    (lambda: cg.collateral.FailureCost(1.5, cost=0.1), "threshold"),
    (lambda: cg.collateral.FailureCost(0.9, cost=-0.1), "cost"),
    (lambda: cg.collateral.Backing.from_graph("tables"), "graph is a str"),
    (
        lambda: cg.collateral.Backing(BACKING.assets, units=BACKING.units, own=np.ones(3)),
        r"must be \(4, 4\) and \(4,\)",
    ),
    (lambda: BACKING.effective_holdings(chain_graph().subset(assets=["ETH"])), "other assets"),
    (lambda: cg.collateral.haircuts(chain_graph(), volatility=-0.1, delay=1.0), "volatility"),
    (lambda: cg.collateral.haircuts(chain_graph(), volatility=0.1, delay={"mainnet": 1.0}), "no column chain"),
    (lambda: cg.collateral.haircuts(chain_graph(chain=["a"] * 4), volatility=0.1, delay={"b": 1.0}), "unknown label"),
    (lambda: cg.collateral.haircuts(chain_graph(), volatility=0.1, delay=1.0, z=-1.0), "z"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_cannot_be_is_refused_by_name(number: int):
    call, words = REFUSED[number]
    with pytest.raises((cg.ParameterError, cg.TableError), match=words):
        call()


def test_weights_above_one_are_refused_with_the_asset():
    graph = cg.ExposureGraph.from_tables(
        positions={"trader": ["A"], "asset": ["X"], "quantity": [1.0]},
        assets={"asset": ["X", "Y", "Z"], "price": [1.0, 1.0, 1.0]},
        backing={"asset": ["X", "X"], "underlying": ["Y", "Z"], "weight": [0.6, 0.6]},
    )
    with pytest.raises(cg.TableError, match=r"the weights of asset 'X' sum to 1\.2"):
        cg.collateral.Backing.from_graph(graph)
