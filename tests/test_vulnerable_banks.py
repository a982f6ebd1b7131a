"""Vulnerable banks and the branching matrix against dense definitions, a reference case and closed forms."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import contagion_graph as cg
from contagion_graph.margin.literature import overlapping_portfolios
from contagion_graph.solvers import spectrum
from tests.shared_data import case

named = cg.named


def dense_vulnerable_banks(A: Any, E: Any, M: Any, price_impact: Any, f: Any) -> dict[str, Any]:
    """Write AV = 1'A M L M'B A M f / E with full matrices, losses negative as in the paper."""
    A, B, M, Lm = np.diag(A), np.diag(A / E - 1), np.asarray(M), np.diag(price_impact)
    R1 = M @ f
    returns = Lm @ M.T @ B @ A @ R1
    total = E.sum()
    per_bank = [float(np.ones(len(E)) @ A @ M @ Lm @ M.T[:, i] * (B @ A @ R1)[i] / total) for i in range(len(E))]
    return {
        "asset_sales": M.T @ B @ A @ R1,
        "asset_return": returns,
        "AV": float(np.ones(len(E)) @ A @ M @ returns / total),
        "S": per_bank,
        "IV": (A @ M @ returns) / E,
        "connectedness": np.ones(len(E)) @ A @ M @ Lm @ M.T,
        "direct": A @ R1,
    }


def bank_graph(A: Any, E: Any, M: Any, price_impact: Any, price: Any = 1.0) -> cg.ExposureGraph:
    A, E, M = np.asarray(A), np.asarray(E), np.asarray(M)
    with np.errstate(divide="ignore"):
        depth = 1 / np.asarray(price_impact)
    return cg.ExposureGraph.from_arrays(A[:, None] * M / price, price=price, depth=depth, cash=E - A)


def shocked(graph: cg.ExposureGraph, f: Any) -> dict[str, float]:
    return dict(zip(graph.assets, map(float, f), strict=True))


def random_banks(seed: int, n: int = 12, m: int = 5) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    A, E = rng.uniform(50, 500, n), rng.uniform(2, 40, n)
    M = rng.random((n, m)) * (rng.random((n, m)) < 0.6)
    M[:, 0] += 0.01
    impact = 10 ** rng.uniform(-6, -3, m)
    impact[-1] = 0.0
    return {"A": A, "E": E, "M": M / M.sum(axis=1, keepdims=True), "price_impact": impact}


def assert_same(banks: Any, expected: dict[str, Any], tolerance: float) -> None:
    """Compare with figures that count losses, and sales, as negative."""
    assert banks.aggregate_vulnerability == pytest.approx(-expected["AV"], rel=0, abs=tolerance)
    names = {"systemicness": "S", "indirect_vulnerability": "IV", "asset_sales": "asset_sales"}
    for ours, theirs in names.items():
        assert getattr(banks, ours).to_numpy() == pytest.approx(-np.array(expected[theirs]), rel=1e-12, abs=tolerance)
    assert banks.asset_return.to_numpy() == pytest.approx(expected["asset_return"], rel=1e-12, abs=tolerance)


def test_vulnerable_banks_reproduce_the_case():
    given = case("glt_vulnerable_banks")
    inputs, expected, tolerance = given["inputs"], given["expected"], given["tolerance"]
    A = np.array(inputs["A"])
    graph = bank_graph(A, A - inputs["D"], inputs["M"], inputs["price_impact"])
    banks = named.greenwood_landier_thesmar(graph, shocked(graph, inputs["shock"]))
    assert_same(banks, expected, tolerance)
    assert (banks.direct / A).to_numpy() == pytest.approx(-np.array(expected["R1"]), abs=tolerance)


@pytest.mark.parametrize("seed", range(20))
def test_vulnerable_banks_are_their_dense_definition(seed: int):
    given, rng = random_banks(seed), np.random.default_rng(seed + 1000)
    f = rng.uniform(-0.3, 0.1, 5)
    graph = bank_graph(**given, price=rng.uniform(0.1, 100.0, 5))
    banks, expected = named.greenwood_landier_thesmar(graph, shocked(graph, f)), dense_vulnerable_banks(**given, f=f)
    assert_same(banks, expected, 1e-9 * abs(expected["IV"]).max())
    assert banks.connectedness.to_numpy() == pytest.approx(expected["connectedness"])
    assert banks.direct.to_numpy() == pytest.approx(-expected["direct"])


@pytest.mark.parametrize("seed", range(10))
def test_contributions_add_up(seed: int):
    graph = bank_graph(**random_banks(seed))
    banks = named.greenwood_landier_thesmar(graph, {"0": -0.2, "3": -0.1})
    assert banks.systemicness.sum() == banks.aggregate_vulnerability
    lost = banks.indirect_vulnerability * graph.equity.to_numpy()
    assert lost.sum() / graph.equity.sum() == pytest.approx(banks.aggregate_vulnerability)
    size = graph.gross_value.to_numpy() / graph.equity.sum()
    leverage = (graph.gross_value / graph.equity - 1).to_numpy()
    product = banks.connectedness * size * leverage * banks.direct / graph.gross_value.to_numpy()
    assert product.to_numpy() == pytest.approx(banks.systemicness.to_numpy())


def test_it_is_linear_in_the_shock_and_a_gain_buys():
    graph = bank_graph(**random_banks(3))
    falls, rises = (named.greenwood_landier_thesmar(graph, {"1": size}) for size in (-0.2, 0.1))
    assert falls.aggregate_vulnerability == pytest.approx(-2 * rises.aggregate_vulnerability)
    assert (rises.asset_sales <= 0).all()


def test_accounts_of_a_trader_add_up():
    """One trader in two pools causes what the two would cause as two traders, and loses what they lose."""
    positions = {
        "trader": ["A", "A", "B"],
        "pool": ["p", "q", "p"],
        "asset": ["X", "Y", "X"],
        "quantity": [100, 80, 50],
    }
    cash = {"trader": ["A", "A", "B"], "pool": ["p", "q", "p"], "cash": [-90, -60, -45]}
    assets = {"asset": ["X", "Y"], "price": [1.0, 1.0], "depth": [1e4, 2e4]}
    together = named.greenwood_landier_thesmar(
        cg.ExposureGraph.from_tables(positions, assets, accounts=cash), {"X": -0.05, "Y": -0.1}
    )
    apart = [table | {"trader": ["A1", "A2", "B"]} for table in (positions, cash)]
    graph = cg.ExposureGraph.from_tables(apart[0], assets, accounts=apart[1])
    single = named.greenwood_landier_thesmar(graph, {"X": -0.05, "Y": -0.1})
    assert together.aggregate_vulnerability == pytest.approx(single.aggregate_vulnerability)
    assert together.systemicness["A"] == pytest.approx(single.systemicness[["A1", "A2"]].sum())
    lost = single.indirect_vulnerability * graph.equity.to_numpy()
    assert together.indirect_vulnerability["A"] == pytest.approx(lost[["A1", "A2"]].sum() / 30)
    assert together.direct.tolist() == pytest.approx([13.0, 2.5])
    weights = np.array([100, 80]) / 180
    assert together.connectedness["A"] == pytest.approx(weights @ single.connectedness[["A1", "A2"]])


def test_equity_at_or_below_zero():
    graph = cg.ExposureGraph.from_arrays(
        [[100.0], [100.0], [100.0], [0.0]],
        price=1.0,
        depth=1e5,
        cash=[-60.0, -100.0, -120.0, -1.0],
        traders=list("ABCD"),
    )
    with pytest.raises(cg.ParameterError, match=r"account 'B / pool / ' \(\+1 more\) has equity 0 .* give a cap"):
        named.greenwood_landier_thesmar(graph, {"0": -0.1})
    banks = named.greenwood_landier_thesmar(graph, {"0": -0.1}, cap=20)
    assert banks.asset_sales.iloc[0] == pytest.approx(10 * (1.5 + 20 + 20))
    assert banks.indirect_vulnerability.isna().tolist() == [False, True, True, True]
    assert banks.systemicness["D"] == banks.connectedness["D"] == 0.0
    by_name = named.greenwood_landier_thesmar(graph, {"0": -0.1}, leverage={"B": 3.0, "C": 50.0}, cap=20)
    assert by_name.asset_sales.iloc[0] == pytest.approx(10 * (1.5 + 3 + 20))
    with pytest.raises(cg.ParameterError, match="total equity is -101"):
        named.greenwood_landier_thesmar(graph.assign(cash=[-100.0, -100.0, -200.0, -1.0]), {"0": -0.1}, cap=20)


def test_cash_is_no_asset_and_no_debt():
    graph = cg.ExposureGraph.from_arrays([[100.0], [100.0]], price=1.0, depth=1e5, cash=[50.0, -50.0])
    banks = named.greenwood_landier_thesmar(graph, {"0": -0.1})
    assert banks.asset_sales.iloc[0] == pytest.approx(10.0)  # the first has no debt, and sells nothing


def test_what_is_not_sellable_is_part_of_assets_and_not_sold():
    graph = cg.ExposureGraph.from_arrays(
        [[60.0, 40.0]], price=1.0, depth=1e4, cash=-80.0, sellable=[True, False], assets=["bonds", "loans"]
    )
    banks = named.greenwood_landier_thesmar(graph, {"loans": -0.1})
    assert banks.asset_sales.tolist() == pytest.approx([4 * 4.0, 0.0])
    assert banks.indirect_vulnerability.iloc[0] == pytest.approx(16 / 1e4 * 60 / 20)


def test_a_short_loses_what_a_long_gains():
    graph = cg.ExposureGraph.from_arrays([[100.0, -50.0]], price=1.0, depth=1e3, cash=-30.0, assets=["X", "Y"])
    banks = named.greenwood_landier_thesmar(graph, {"X": -0.1, "Y": -0.1})
    assert banks.direct.iloc[0] == pytest.approx(5.0)
    assert banks.asset_sales.tolist() == pytest.approx([4 * 5.0, 0.0])


def test_sales_can_be_limited_to_what_is_left():
    graph = cg.ExposureGraph.from_arrays([[100.0], [100.0]], price=1.0, depth=1e4, cash=[-98.0, -50.0])
    banks = [named.greenwood_landier_thesmar(graph, {"0": -0.1}, limited=limited) for limited in (False, True)]
    assert [each.asset_sales.iloc[0] for each in banks] == pytest.approx([10 * 49 + 10, 90 + 10])
    assert banks[1].systemicness.sum() == banks[1].aggregate_vulnerability


@pytest.mark.parametrize("bad", [{"leverage": -1.0}, {"leverage": {"E": 2.0}}, {"cap": -1}, {"cap": np.inf}])
def test_what_cannot_be_is_refused(bad: dict[str, Any]):
    with pytest.raises((cg.TableError, cg.ParameterError), match=r"leverage|cap"):
        named.greenwood_landier_thesmar(bank_graph(**random_banks(0)), {"0": -0.1}, **bad)


def test_an_unknown_asset_is_refused():
    with pytest.raises(cg.ParameterError, match="unknown asset"):
        named.greenwood_landier_thesmar(bank_graph(**random_banks(0)), {"ETH": -0.1})


# --- the branching matrix ---------------------------------------------------------------------------------------------


def dense_branching(graph: cg.ExposureGraph, f: Any = lambda x: np.exp(-x)) -> np.ndarray:
    q, p, depth = graph.to_scipy(rows="accounts", weight="quantity").toarray(), graph.price, graph.depth
    equity, n = graph.equity.to_numpy(), len(graph.account_index)
    matrix = np.zeros((n, n))
    for i in range(n):
        price = p * np.where(graph.sellable, f(q[i] * p / depth), 1.0)
        for k in range(n):
            matrix[i, k] = k != i and equity[k] >= 0 and q[k] @ (p - price) > equity[k]
    return matrix


def radius(matrix: np.ndarray) -> float:
    """Return the largest modulus of the roots of the characteristic polynomial, exact 0 for a nilpotent matrix."""
    if not np.linalg.matrix_power(matrix, len(matrix)).any():
        return 0.0
    return float(np.abs(np.linalg.eigvals(matrix)).max())


@pytest.mark.parametrize("n", [2, 3, 10])
def test_complete_overlap_is_all_or_nothing(n: int):
    """Everybody holds the same: the sale of one costs each 1 - exp(-alpha / n) of its assets, or lets nobody fall."""
    fall = 1 - np.exp(-1.0536 / n)
    for equity, expected in ((0.99 * fall, n - 1), (1.01 * fall, 0.0)):
        graph = cg.ExposureGraph.from_arrays(np.ones((n, 4)) / 4, price=1.0, cash=equity - 1.0)
        assert named.caccioli_stability(named.with_market_depth(graph, 1.0536)) == pytest.approx(expected)


def test_a_ring_passes_one_default_on():
    held = np.eye(6) + np.roll(np.eye(6), 1, axis=1)
    ring = cg.ExposureGraph.from_arrays(held, price=1.0, depth=4.0, cash=-1.8)
    assert named.caccioli_stability(ring) == pytest.approx(2.0)  # either neighbour falls


def test_a_chain_that_never_comes_back_ends():
    held = [[9.0, 0.0, 0.0], [1.0, 9.0, 0.0], [0.0, 0.1, 9.0]]
    chain = cg.ExposureGraph.from_arrays(held, price=1.0, depth=4.0, cash=[100.0, -9.5, -9.05])
    assert dense_branching(chain).tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert named.caccioli_stability(chain) == 0.0


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("dense", [400, 0])
def test_branching_is_its_dense_definition(seed: int, dense: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spectrum, "DENSE", max(dense, 3))  # ARPACK needs four rows
    monkeypatch.setattr(overlapping_portfolios, "BLOCK_CELLS", 50)
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(4, 25)), int(rng.integers(1, 8))
    held = rng.uniform(0, 10, (n, m)) * (rng.random((n, m)) < 0.5) * rng.choice([1, 1, 1, -1], (n, m))
    graph = cg.ExposureGraph.from_arrays(
        held,
        price=rng.uniform(0.5, 2, m),
        depth=rng.uniform(20, 200, m),
        sellable=rng.random(m) < 0.8,
        cash=rng.uniform(-0.5, 2, n) - held.sum(axis=1),
    )
    assert named.caccioli_stability(graph) == pytest.approx(radius(dense_branching(graph)), abs=1e-8)
    linear = radius(dense_branching(graph, lambda x: np.maximum(0, 1 - x)))
    assert named.caccioli_stability(graph, impact=cg.LinearImpact()) == pytest.approx(linear, abs=1e-8)


def test_an_impact_with_parameters_by_asset():
    held = pd.DataFrame(np.ones((3, 2)), index=list("ABC"), columns=["X", "Y"])
    graph = cg.ExposureGraph.from_arrays(held, price=1.0, depth=1.0, cash=-1.7, assets=["X", "Y"], traders=list("ABC"))
    for coefficient, expected in ((0.31, 2.0), (0.29, 0.0)):
        impact = cg.SquareRootImpact({"Y": coefficient, "X": 1e-9})
        assert named.caccioli_stability(graph, impact=impact) == pytest.approx(expected)


def test_thousands_of_accounts_are_compared_in_blocks():
    """Pairs that share an asset of their own, and one asset that all hold and nobody can move."""
    n = 4000
    rows = np.repeat(np.arange(n), 2)
    columns = np.column_stack([np.arange(n) // 2, np.full(n, n // 2)]).ravel()
    held = sparse.csr_array((np.ones(2 * n), (rows, columns)), shape=(n, n // 2 + 1))
    depth = np.full(n // 2 + 1, 4.0)
    depth[-1] = np.inf
    graph = cg.ExposureGraph.from_arrays(held, price=1.0, depth=depth, cash=-1.9)
    assert named.caccioli_stability(graph) == pytest.approx(1.0)


def test_an_eigenvalue_that_is_not_found_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def give_up(*_: Any, **__: Any) -> None:
        raise spectrum.ArpackNoConvergence("no convergence", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr(spectrum, "DENSE", 2)
    monkeypatch.setattr(spectrum, "eigs", give_up)
    graph = cg.ExposureGraph.from_arrays(np.ones((5, 1)), price=1.0, depth=1.0, cash=-0.9)
    with pytest.raises(cg.ConvergenceError, match="eigenvalue of 5 accounts was not found") as failure:
        named.caccioli_stability(graph)
    assert not failure.value.solution.converged


def test_vulnerable_banks_have_their_tables():
    graph = bank_graph([100.0, 80.0], [10.0, 10.0], [[0.5, 0.5], [0.0, 1.0]], [1e-4, 1e-4])
    banks = named.greenwood_landier_thesmar(graph, {graph.assets[0]: -0.1}, cap=30.0)
    assert list(banks.to_frames()) == ["summary", "traders", "assets"]
    assert banks.traders["systemicness"].sum() == banks.summary()["aggregate_vulnerability"]
    assert banks.model == {"leverage": None, "cap": 30.0, "limited": False}
    assert banks.solution.converged
    assert repr(banks).startswith(
        "<VulnerableBanks: 2 traders lose 5 by the shock and sell 45; aggregate vulnerability"
    )
