"""The network of obligations: doors, views at rest, ways out, faults."""

import pickle
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from scipy import sparse

import contagion_graph as cg

OWED = [[0.0, 20.0, 10.0], [5.0, 0.0, 24.0], [10.0, 0.0, 0.0]]
LABELS = ["A", "=B", "7"]


def network(**changes: Any) -> cg.ObligationNetwork:
    arguments = {"external_assets": [10.0, 11.0, 12.0], "external_liabilities": [1.0, 0.0, 2.0], "nodes": LABELS}
    return cg.ObligationNetwork.from_arrays(OWED, **{**arguments, **changes})


def rich() -> cg.ObligationNetwork:
    junior = [[[0.0, 0.0, 15.0], [0.0, 0.0, 24.0], [10.0, 0.0, 0.0]]]
    return network(junior=junior, equity_holdings=[[0.0, 0.1, 0.0], [0.0, 0.0, 0.15], [0.0, 0.0, 0.0]])


def random_network(seed: int, n: int = 30) -> cg.ObligationNetwork:
    rng = np.random.default_rng(seed)
    owed = sparse.random_array((n, n), density=0.2, rng=rng)
    return cg.ObligationNetwork.from_arrays(
        owed, external_assets=rng.random(n), external_liabilities=rng.random(n), nodes=[f"n{k}" for k in range(n)]
    )


def assert_same(one: cg.ObligationNetwork, other: cg.ObligationNetwork) -> None:
    assert one.nodes.tolist() == other.nodes.tolist()
    assert len(one.ranks) == len(other.ranks)
    for mine, its in zip(one.ranks, other.ranks, strict=True):
        np.testing.assert_array_equal(mine.toarray(), its.toarray())
    np.testing.assert_array_equal(one.external_assets, other.external_assets)
    np.testing.assert_array_equal(one.external_liabilities, other.external_liabilities)
    assert (one.equity_holdings is None) == (other.equity_holdings is None)
    if one.equity_holdings is not None and other.equity_holdings is not None:
        np.testing.assert_array_equal(one.equity_holdings.toarray(), other.equity_holdings.toarray())


# --- in and out ---


@pytest.mark.parametrize("one", [network(), rich(), random_network(0)], ids=["plain", "rich", "random"])
def test_every_way_out_leads_back(one: cg.ObligationNetwork):
    assert_same(one, cg.ObligationNetwork.from_tables(**one.to_frames()))
    assert_same(one, cg.ObligationNetwork.from_networkx(one.to_networkx()))
    assert_same(one, pickle.loads(pickle.dumps(one)))


def test_tables_and_arrays_build_the_same_network():
    cells = [(0, 1, 20.0), (0, 2, 10.0), (1, 0, 5.0), (1, 2, 24.0), (2, 0, 10.0)]
    obligations = {
        "debtor": [LABELS[i] for i, _, _ in cells],
        "creditor": [LABELS[j] for _, j, _ in cells],
        "amount": [amount for _, _, amount in cells],
    }
    nodes = {"node": LABELS, "external_assets": [10.0, 11.0, 12.0], "external_liabilities": [1.0, None, 2.0]}
    assert_same(network(), cg.ObligationNetwork.from_tables(obligations, nodes))


def test_repeated_rows_add_up_and_what_one_owes_oneself_cancels():
    table = {"debtor": ["a", "a", "a"], "creditor": ["b", "b", "a"], "amount": [1.0, 2.0, 5.0]}
    one = cg.ObligationNetwork.from_tables(table, {"node": ["a", "b", "alone"]})
    np.testing.assert_array_equal(one.obligations.toarray(), [[0, 3, 0], [0, 0, 0], [0, 0, 0]])
    same = cg.ObligationNetwork.from_arrays(
        [[5.0, 3.0, 0.0], [0, 0, 0], [0, 0, 0]], external_assets=0.0, nodes=["a", "b", "alone"]
    )
    assert_same(one, same)


def test_ranks_follow_seniority_the_lowest_first():
    table = {"debtor": ["a", "a"], "creditor": ["b", "b"], "amount": [1.0, 2.0], "seniority": [7.0, 3.0]}
    one = cg.ObligationNetwork.from_tables(table, {"node": ["a", "b"]})
    assert [matrix[0, 1] for matrix in one.ranks] == [2.0, 1.0]
    assert one.obligations[0, 1] == 3.0
    assert sorted(data["seniority"] for _, _, data in one.to_networkx().edges(data=True)) == [0.0, 1.0]


def test_igraph_and_networkx_carry_the_same_edges():
    one = rich()
    graph, mirror = one.to_igraph(), one.to_networkx()
    assert graph.is_directed()
    names = graph.vs["name"]
    edges = {(names[edge.source], names[edge.target], edge["amount"], edge["seniority"]) for edge in graph.es}
    assert edges == {(a, b, data["amount"], data["seniority"]) for a, b, data in mirror.edges(data=True)}
    assert mirror.nodes["trader:=B"]["external_assets"] == 11.0


def test_gephi_reads_what_networkx_writes(tmp_path: Path):
    nx.write_gexf(rich().to_networkx(), tmp_path / "network.gexf")
    back = nx.read_gexf(tmp_path / "network.gexf")
    assert back.is_directed()
    assert sorted(data["amount"] for _, _, data in back.edges(data=True)) == [5, 10, 10, 10, 15, 20, 24, 24]


def test_elements_are_what_exports_are_made_of():
    nodes, edges = network().elements()
    assert nodes["id"].tolist() == ["trader:A", "trader:=B", "trader:7"]
    assert set(edges["source"]) | set(edges["target"]) <= set(nodes["id"])
    assert edges["weight"].sum() == 69.0


def test_nothing_can_be_written():
    one = rich()
    for array in (one.external_assets, one.ranks[1].data, one.obligations.data, one.claims, one.book_equity):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    copy = one.to_scipy()
    copy.data[:] = 0.0
    assert one.obligations.sum() > 0.0


def test_the_caller_keeps_his_matrix():
    mine = sparse.csr_array(np.array([[1.0, 2.0], [0.0, 0.0]]))
    cg.ObligationNetwork.from_arrays(mine, external_assets=0.0)
    mine.data[:] = 3.0
    assert mine.nnz == 2


# --- at rest ---


@pytest.mark.parametrize("seed", range(20))
def test_views_are_what_they_say(seed: int):
    one = random_network(seed)
    owed = one.obligations.toarray()
    assets = one.external_assets + owed.sum(axis=0)
    equity = assets - one.external_liabilities - owed.sum(axis=1)
    np.testing.assert_allclose(one.equity, equity, atol=1e-14)
    leverage = [a / e if e > 0 else np.inf if a > 0 else 0.0 for a, e in zip(assets, equity, strict=True)]
    np.testing.assert_allclose(one.leverage, leverage)
    share = one.relative_liabilities.toarray()
    np.testing.assert_allclose(share * owed.sum(axis=1)[:, None], owed)
    ratio = one.interbank_leverage.toarray()
    for i, own in enumerate(equity):
        np.testing.assert_allclose(ratio[i], owed[:, i] / own if own > 0 else 0.0)
    np.testing.assert_allclose(one.balance_sheets["equity"], equity, atol=1e-14)
    assert one.balance_sheets.index.tolist() == one.nodes.tolist()


def test_a_node_without_anything_has_no_leverage():
    one = cg.ObligationNetwork.from_arrays([[0.0, 1.0], [0.0, 0.0]], external_assets=0.0, external_liabilities=[0, 1])
    assert one.leverage.tolist() == [0.0, np.inf]
    assert one.interbank_leverage.nnz == 0


def test_amounts_by_node_are_taken_in_every_form():
    one = network()
    series = one.equity.abs()
    for value in (series, series.to_dict(), series[::-1], series.to_numpy()):
        np.testing.assert_array_equal(one.per_node("losses", value), series)
    with pytest.raises(cg.ParameterError, match="losses: unknown label 'a'"):
        one.per_node("losses", {"a": 1.0})
    with pytest.raises(cg.ParameterError, match=r"losses: out of range in 1 row \(row 0: -1.0, 'A'\)"):
        one.per_node("losses", [-1.0, 0.0, 0.0])


# --- of an exposure graph ---


def exposure(**more: Any) -> cg.ExposureGraph:
    return cg.ExposureGraph.from_tables(
        {"trader": ["a", "b", "b"], "asset": ["X", "X", "X"], "quantity": [1.0, 2.0, 5.0], "subaccount": ["", "", "s"]},
        {"asset": ["X"], "price": [10.0]},
        accounts={"trader": ["a", "b", "b"], "subaccount": ["", "", "s"], "cash": [5.0, -30.0, 0.0]},
        **more,
    )


def test_the_obligations_of_a_graph_stand_on_the_equity_of_its_accounts():
    graph = exposure(obligations={"debtor": ["b"], "creditor": ["a"], "amount": [8.0]})
    one = graph.obligations
    assert one.nodes.tolist() == graph.traders.tolist()
    assert one.external_assets.tolist() == [15.0, 50.0]
    assert one.external_liabilities.tolist() == [0.0, 10.0]  # the cross-margin account of b is under water
    assert one.equity.tolist() == [23.0, 32.0]
    assert graph.assign(price=20.0).obligations.external_assets.tolist() == [25.0, 110.0]
    assert graph.obligations is one  # computed once
    assert cg.ExposureGraph.from_tables(**graph.to_frames()).obligations.equity.tolist() == [23.0, 32.0]


def test_without_obligations_nobody_owes_anything():
    one = exposure().obligations
    assert one.obligations.nnz == 0
    np.testing.assert_array_equal(one.equity, [15.0, 40.0])


def test_a_subset_of_a_graph_keeps_the_obligations_within_it():
    graph = exposure(obligations={"debtor": ["b"], "creditor": ["a"], "amount": [8.0]})
    assert graph.subset(traders=["a"]).obligations.obligations.nnz == 0


# --- faults ---

BAD = float("nan")
ARRAY_FAULTS = [
    ({"obligations": [[0, 1, 2]]}, "obligations: has shape"),
    ({"obligations": np.zeros((0, 0))}, "obligations: has shape"),
    ({"obligations": "none"}, "obligations: is not a matrix of numbers"),
    ({"obligations": [[0, np.inf], [0, 0]]}, "obligations: not finite in 1 row .row 0: inf, debtor '0', creditor '1'"),
    ({"obligations": [[0, BAD], [0, 0]]}, "obligations: not finite in 1 row"),
    ({"junior": [[[0, -1], [0, 0]]]}, r"junior\[0\]: out of range in 1 row"),
    ({"junior": [[[0]]]}, r"junior\[0\]: has shape \(1, 1\), expected \(2, 2\)"),
    ({"external_assets": -1.0}, "external_assets: out of range in 2 rows"),
    ({"external_liabilities": [1.0]}, r"external_liabilities: has shape \(1,\), expected \(2,\)"),
    ({"nodes": ["a", "a"]}, "nodes: repeated in 1 row"),
    ({"nodes": ["a"]}, "nodes: has 1 labels, expected 2"),
    ({"equity_holdings": [[0, 1.2], [0, 0]]}, "equity_holdings: out of range"),
    ({"equity_holdings": [[0.5, 0], [0, 0]]}, "equity_holdings: a node holds its own equity"),
]


@pytest.mark.parametrize(("change", "message"), ARRAY_FAULTS)
def test_each_bad_argument_is_named(change: dict[str, Any], message: str):
    arguments = {"obligations": [[0, 1], [0, 0]], "external_assets": 1.0, **change}
    with pytest.raises(cg.TableError, match=message):
        cg.ObligationNetwork.from_arrays(arguments.pop("obligations"), **arguments)


def test_more_than_all_of_an_equity_cannot_be_held():
    held = [[0.0, 0.6, 0.6], [0, 0, 0], [0, 0, 0]]
    with pytest.raises(cg.TableError, match=r"more than the whole equity is held in 1 row .row 0: 1.2, issuer 'A'"):
        network(equity_holdings=held)
    with pytest.raises(cg.TableError, match="more than the whole equity"):
        cg.ObligationNetwork.from_tables(
            network().to_frames()["obligations"],
            {"node": LABELS},
            equity_holdings={"issuer": ["A", "A"], "holder": ["=B", "7"], "share": [0.6, 0.6]},
        )


def test_all_faults_of_all_tables_come_together():
    with pytest.raises(cg.TableError) as caught:
        cg.ObligationNetwork.from_tables(
            {"debtor": ["a", "c"], "creditor": ["b", "b"], "amount": [-1.0, 2.0]},
            {"node": ["a", "b", "b"], "external_assets": [1.0, np.inf, 0.0]},
            equity_holdings={"issuer": ["z"], "holder": ["a"], "share": [2.0]},
        )
    where = {fault.where for fault in caught.value.faults}
    expected = {"obligations.debtor", "obligations.amount", "nodes.node", "nodes.external_assets"}
    assert where == expected | {"equity_holdings.issuer", "equity_holdings.share"}


def test_a_network_needs_nodes_and_a_direction():
    with pytest.raises(cg.TableError, match="nodes: the table has no rows"):
        cg.ObligationNetwork.from_tables({"debtor": [], "creditor": [], "amount": []}, {"node": []})
    with pytest.raises(cg.TableError, match="network: it is not directed"):
        cg.ObligationNetwork.from_networkx(network().to_networkx().to_undirected())
