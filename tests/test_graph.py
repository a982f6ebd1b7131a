"""The exposure graph: its matrices, its views, its copies, and the ways in and out."""

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import contagion_graph as cg
from contagion_graph.chunks import BLOCK
from tests.test_doors import TABLES, assert_same


@pytest.fixture(scope="module")
def graph() -> cg.ExposureGraph:
    """Ann is long ETH on two subaccounts and short BTC; Bob deposits ETH and borrows BTC in another pool."""
    return cg.ExposureGraph.from_tables(
        positions={
            "trader": ["Ann", "Ann", "Ann", "Bob", "Bob", "Ann"],
            "asset": ["ETH", "BTC", "ETH", "ETH", "BTC", "ETH"],
            "quantity": [2.0, -1.0, 4.0, 10.0, -3.0, -0.5],
            "pool": ["perps", "perps", "perps", "loans", "loans", "perps"],
            "subaccount": ["", "", "iso", "", "", ""],
            "entry_price": [90.0, 55.0, 100.0, None, None, 110.0],
            "margin": [None, None, 0.5, None, None, None],
        },
        assets={
            "asset": ["ETH", "BTC", "SOL"],
            "price": [100.0, 50.0, 5.0],
            "margin_long": [0.1, 0.2, 0.3],
            "margin_short": [0.15, 0.25, 0.35],
            "chain": ["l1", "l1", "l1"],
        },
        pools={"pool": ["loans", "perps"], "insurance_fund": [7.0, 9.0]},
        accounts={"trader": ["Cleo", "Ann"], "pool": ["loans", "perps"], "cash": [3.0, 200.0], "region": ["EU", "US"]},
    )


def test_rows_are_accounts_in_order_and_columns_are_assets(graph: cg.ExposureGraph):
    expected = [("Cleo", "loans", ""), ("Ann", "perps", ""), ("Ann", "perps", "iso"), ("Bob", "loans", "")]
    assert graph.account_index.tolist() == expected
    assert graph.traders.tolist() == ["Cleo", "Ann", "Bob"]
    assert graph.pools.tolist() == ["loans", "perps"]
    np.testing.assert_array_equal(graph._rows.trader_of, [0, 1, 1, 2])
    np.testing.assert_array_equal(graph._rows.pool_of, [0, 1, 1, 0])


def test_positions_in_one_cell_add_up_in_both_matrices(graph: cg.ExposureGraph):
    np.testing.assert_allclose(graph.quantity.toarray(), [[0, 0, 0], [1.5, -1, 0], [4, 0, 0], [10, -3, 0]])
    margin = [[0, 0, 0], [2 * 0.1 + 0.5 * 0.15, 0.25, 0], [4 * 0.5, 0, 0], [10 * 0.1, 3 * 0.25, 0]]
    np.testing.assert_allclose(graph.margin_units.toarray(), margin)
    np.testing.assert_array_equal(graph.margin_units.indices, graph.quantity.indices)
    np.testing.assert_array_equal(graph.margin_units.indptr, graph.quantity.indptr)


def test_equity_maintenance_and_slack_are_the_formulas(graph: cg.ExposureGraph):
    cash = [3.0, 200.0 - 2 * 90 + 1 * 55 + 0.5 * 110, -400.0, 0.0]
    np.testing.assert_allclose(graph.cash, cash)
    np.testing.assert_allclose(graph.equity, [3.0, 130.0 + 100.0, 0.0, 850.0])
    np.testing.assert_allclose(graph.maintenance, graph.margin_units @ graph.price)
    np.testing.assert_allclose(graph.slack, graph.equity - graph.maintenance)
    np.testing.assert_allclose(graph.gross_value, abs(graph.quantity) @ graph.price)
    assert graph.equity.index.equals(graph.account_index)


def test_positions_that_cancel_keep_their_cell_and_their_margin():
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["A", "A"], "asset": ["X", "X"], "quantity": [1.0, -1.0], "margin": [0.5, 0.5]},
        {"asset": ["X"], "price": [10.0]},
    )
    assert graph.quantity.nnz == 1
    assert graph.maintenance.tolist() == [10.0]
    assert graph.n_positions == 2


def test_nothing_can_be_changed(graph: cg.ExposureGraph):
    for array in (graph.price, graph.cash, graph.quantity.data, graph.quantity.indices, graph.margin_units.data):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(FrozenInstanceError):
        graph.price = np.ones(3)  # type: ignore[misc]
    assert graph.quantity @ np.ones(3) is not None


def test_the_callers_arrays_stay_the_callers():
    quantity, price = np.array([[1.0, 2.0]]), np.array([10.0, 20.0])
    graph = cg.ExposureGraph.from_arrays(sparse.csr_array(quantity), price=price, cash=(cash := np.zeros(1)))
    price[0], cash[0] = 99.0, 99.0
    assert graph.price.tolist() == [10.0, 20.0]
    assert graph.cash.tolist() == [0.0]


def test_a_pickle_stays_read_only(graph: cg.ExposureGraph):
    before = len(pickle.dumps(graph))
    assert graph.slack is not None
    assert graph._rows.sensitivity is not None
    assert len(pickle.dumps(graph)) == before
    again = pickle.loads(pickle.dumps(graph))
    assert_same(graph.assign(share=1.0), again.assign(share=1.0))
    with pytest.raises(ValueError, match="read-only"):
        again.price[0] = 1.0


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.csr_matrix])
def test_from_arrays_takes_any_matrix(make: Any):
    quantity = np.array([[1.0, -2.0], [0.0, 3.0]])
    graph = cg.ExposureGraph.from_arrays(make(quantity), price=[10.0, 20.0], margin_long=0.1, margin_short={"1": 0.2})
    np.testing.assert_array_equal(graph.quantity.toarray(), quantity)
    np.testing.assert_allclose(graph.margin_units.toarray(), [[0.1, 0.4], [0.0, 0.3]])


def test_from_arrays_labels_pools_and_funds():
    graph = cg.ExposureGraph.from_arrays(
        [[1.0], [2.0], [3.0]], price=[1.0], pool=[7, 3, 7], insurance_fund=pd.Series({3: 30.0}), traders=["A", "A", "B"]
    )
    assert graph.account_index.tolist() == [("A", "7", ""), ("A", "3", ""), ("B", "7", "")]
    assert graph.pools.tolist() == ["7", "3"]
    assert graph.insurance_fund.tolist() == [0.0, 30.0]
    assert graph.traders.tolist() == ["A", "B"]
    assert graph.assign(insurance_fund=5.0).insurance_fund.tolist() == [5.0, 5.0]


def test_arrays_and_tables_give_the_same_graph(graph: cg.ExposureGraph):
    loans = graph.subset(pools=["loans"])
    again = cg.ExposureGraph.from_arrays(
        loans.quantity,
        price=loans.price,
        margin_long=loans.margin_long,
        margin_short=loans.margin_short,
        cash=loans.cash,
        pool=["loans", "loans"],
        insurance_fund=7.0,
        traders=["Cleo", "Bob"],
        assets=loans.assets,
    )
    assert repr(again) == repr(loans)
    np.testing.assert_array_equal(again.slack, loans.slack)


def test_an_empty_matrix_is_a_graph():
    graph = cg.ExposureGraph.from_arrays(sparse.csr_array((3, 2)), price=1.0, cash=[1.0, -1.0, 0.0])
    assert graph.n_positions == 0
    result = cg.MarginCascade().run(graph, {"0": -1.0})
    assert result.accounts["shortfall"].tolist() == [0.0, 1.0, 0.0]


# --- copies ---


def test_with_changes_a_vector_and_nothing_else(graph: cg.ExposureGraph):
    other = graph.assign(depth=graph.price * 4, price={"ETH": 1.0}, cash={"Bob": 5.0}, sellable={"SOL": False})
    assert other.depth.tolist() == [400.0, 200.0, 20.0]
    assert other.price.tolist() == [1.0, 50.0, 5.0]
    assert other.cash.tolist() == [*graph.cash[:3], 5.0]
    assert other.sellable.tolist() == [True, True, False]
    assert other.quantity is graph.quantity
    assert graph.price.tolist() == [100.0, 50.0, 5.0]
    assert other.to_frames()["accounts"]["cash"].tolist() == [3.0, 200.0, 0.0, 5.0]


def test_with_cash_names_one_account_of_several(graph: cg.ExposureGraph):
    assert graph.assign(cash={("Ann", "perps", "iso"): 1.0}).cash[2] == 1.0
    with pytest.raises(cg.TableError, match=r"cash: 'Ann' has 2 accounts"):
        graph.assign(cash={"Ann": 1.0})


def test_a_subset_keeps_order_attributes_and_equity(graph: cg.ExposureGraph):
    part = graph.subset(traders=["Bob", "Ann"])
    assert part.account_index.tolist() == graph.account_index[1:].tolist()
    assert part.traders.tolist() == ["Ann", "Bob"]
    np.testing.assert_array_equal(part.equity, graph.equity.iloc[1:])
    assert part.to_frames()["accounts"]["region"].tolist()[0] == "US"
    assert part.pools.tolist() == ["loans", "perps"]


def test_a_subset_of_assets_takes_what_they_cost_with_it(graph: cg.ExposureGraph):
    part = graph.subset(assets=["BTC"])
    assert part.assets.tolist() == ["BTC"]
    np.testing.assert_allclose(part.equity, [3.0, 200.0 + 55.0 - 50.0, 0.0, -150.0])
    assert part.n_positions == 2
    tables = part.to_frames()
    assert_same(part.assign(share=0.0), cg.ExposureGraph.from_tables(**tables).assign(share=0.0))


def test_a_subset_of_pools_drops_the_others(graph: cg.ExposureGraph):
    part = graph.subset(pools=["perps"])
    assert part.pools.tolist() == ["perps"]
    assert part.insurance_fund.tolist() == [9.0]
    assert part.traders.tolist() == ["Ann"]


def test_a_subset_of_everything_is_the_same_graph():
    whole = cg.ExposureGraph.from_tables(**TABLES)
    assert_same(whole, whole.subset(traders=whole.traders, assets=whole.assets, pools=whole.pools))


def test_a_subset_keeps_the_backing_and_obligations_within_it():
    whole = cg.ExposureGraph.from_tables(**TABLES)
    assert len(whole.subset(traders=["idle", "007"]).to_frames()["obligations"]) == 1
    assert len(whole.subset(traders=["007"]).to_frames()["obligations"]) == 0
    assert len(whole.subset(assets=["ETH"]).to_frames()["backing"]) == 0


# --- out ---


def test_to_scipy_is_the_projection_of_the_positions(graph: cg.ExposureGraph):
    quantity = graph.to_scipy(weight="quantity")
    np.testing.assert_allclose(quantity.toarray(), [[0, 0, 0], [5.5, -1, 0], [10, -3, 0]])
    np.testing.assert_allclose(graph.to_scipy().toarray(), quantity.toarray() * graph.price)
    np.testing.assert_allclose(graph.to_scipy(rows="accounts").toarray(), graph.quantity.toarray() * graph.price)


def test_positions_are_nodes_of_their_own(graph: cg.ExposureGraph):
    network = graph.to_networkx(nodes="positions")
    sides = nx.get_node_attributes(network, "side")
    assert sorted(sides.values()) == ["asset"] * 3 + ["position"] * 6 + ["trader"] * 3
    positions = [node for node, side in sides.items() if side == "position"]
    for node in positions:
        assert sorted(sides[neighbour] for neighbour in network.neighbors(node)) == ["asset", "trader"]
    assert nx.is_bipartite(network)
    assert network.nodes["position:3"]["kind"] == "deposit"
    assert [network.nodes[node]["kind"] for node in positions] == ["long", "short", "long", "deposit", "debt", "short"]
    assert "entry_price" not in network.nodes["position:3"]
    assert network.nodes["position:0"] == {
        "side": "position",
        "label": "0",
        "quantity": 2.0,
        "pool": "perps",
        "subaccount": "",
        "entry_price": 90.0,
        "kind": "long",
        "value": 200.0,
        "weight": 200.0,
    }


def test_the_bipartite_graph_is_the_projection(graph: cg.ExposureGraph):
    network = graph.to_networkx()
    matrix = graph.to_scipy(weight="quantity").toarray()
    for i, trader in enumerate(graph.traders):
        for j, asset in enumerate(graph.assets):
            edge = network.get_edge_data(f"trader:{trader}", f"asset:{asset}")
            assert (edge["quantity"] if edge else 0.0) == matrix[i, j]
    assert network.edges["trader:Ann", "asset:ETH"]["weight"] == 200 + 400 + 50
    assert network.nodes["asset:SOL"]["chain"] == "l1"
    assert network.degree("asset:SOL") == 0


def test_equal_labels_of_two_sides_stay_two_nodes():
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=[1.0], traders=["A"], assets=["A"])
    assert sorted(graph.to_networkx().nodes) == ["asset:A", "trader:A"]
    assert sorted(graph.to_igraph(nodes="positions").vs["name"]) == ["asset:A", "position:0", "trader:A"]


@pytest.mark.parametrize("nodes", ["positions", "bipartite"])
def test_igraph_and_networkx_hold_the_same(graph: cg.ExposureGraph, nodes: Any):
    one, other = graph.to_igraph(nodes=nodes), graph.to_networkx(nodes=nodes)
    assert one.vs["name"] == list(other.nodes)
    ends = {frozenset((one.vs[edge.source]["name"], one.vs[edge.target]["name"])) for edge in one.es}
    assert ends == {frozenset(edge) for edge in other.edges}
    assert sum(one.es["weight"]) == pytest.approx(sum(weight for _, _, weight in other.edges(data="weight")))
    assert one.is_bipartite()
    for edge in one.es:
        assert one.vs[edge.source]["type"] != one.vs[edge.target]["type"]


def test_a_graph_comes_back_from_networkx(graph: cg.ExposureGraph):
    again = cg.ExposureGraph.from_networkx(graph.to_networkx(nodes="positions"))
    assert again.account_index.tolist() == graph.account_index.tolist()
    np.testing.assert_allclose(again.quantity.toarray(), graph.quantity.toarray())
    np.testing.assert_allclose(again.margin_units.toarray(), graph.margin_units.toarray())
    np.testing.assert_allclose(again.cash, graph.cash)
    np.testing.assert_array_equal(again.insurance_fund, graph.insurance_fund)


def test_a_plain_bipartite_graph_comes_back_from_networkx():
    graph = cg.ExposureGraph.from_arrays(
        [[1.0, 0.0], [2.0, -3.0]], price=[10.0, 20.0], depth=[np.inf, 5.0], cash=[1.0, 2.0], margin_long=0.1
    )
    again = cg.ExposureGraph.from_networkx(graph.to_networkx())
    np.testing.assert_array_equal(again.slack, graph.slack)
    np.testing.assert_array_equal(again.depth, graph.depth)


NETWORKS = {
    "a node without a side": (
        [("A", {}), ("X", {"side": "asset", "price": 1.0})],
        [("A", "X")],
        "node 'A' has side None",
    ),
    "an edge within a side": (
        [("A", {"side": "trader"}), ("B", {"side": "trader"}), ("X", {"side": "asset", "price": 1.0})],
        [("A", "B")],
        "edge 'A' - 'B' joins two nodes of one side",
    ),
    "a position without an asset": (
        [
            ("A", {"side": "trader"}),
            ("X", {"side": "asset", "price": 1.0}),
            ("p", {"side": "position", "quantity": 1.0}),
        ],
        [("A", "p")],
        "position 'p' has neighbours ['A']",
    ),
    "an edge without a quantity": (
        [("A", {"side": "trader"}), ("X", {"side": "asset", "price": 1.0})],
        [("A", "X")],
        "positions.quantity: the column is missing",
    ),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_that_is_no_exposure_graph_is_refused(kind: str):
    nodes, edges, expected = NETWORKS[kind]
    network = nx.Graph()
    network.add_nodes_from(nodes)
    network.add_edges_from(edges)
    with pytest.raises(cg.TableError) as caught:
        cg.ExposureGraph.from_networkx(network)
    assert expected in str(caught.value)


def test_the_repr_says_what_is_there(graph: cg.ExposureGraph):
    assert repr(graph) == (
        "<ExposureGraph: 3 traders, 4 accounts, 3 assets, 6 positions, 2 pools; gross value 1,750, equity 1,083>"
    )


def test_chunks_cover_all_rows_once_and_share_the_work():
    rng = np.random.default_rng(0)
    quantity = sparse.random_array((200_001, 5), density=0.2, rng=rng, format="csr")
    graph = cg.ExposureGraph.from_arrays(quantity, price=1.0)
    assert graph._rows.block_borders[0] == 0
    assert graph._rows.block_borders[-1] == -(-200_001 // BLOCK)
    rows = np.minimum(graph._rows.block_borders * BLOCK, 200_001)
    work = np.diff(rows) + np.diff(graph.quantity.indptr[rows])
    assert work.max() < 1.15 * work.mean()


def test_only_what_is_documented_is_public():
    given = ["from_arrays", "from_networkx", "from_tables"]
    told = ["equity", "gross_value", "maintenance", "slack", "obligations", "traders", "n_positions", "total"]
    told += ["margin_table", "greeks"]
    made = ["assign", "subset", "elements", "fingerprint", "to_frames", "to_igraph", "to_networkx", "to_scipy"]
    with_defaults = ["backing", "obligation_table", "records", "margin_tiers", "margin_scenarios", "layers"]
    with_defaults += [
        "account_margin",
        "asset_group",
        "instruments",
        "payoffs",
    ]  # fields, which the class docstring describes
    public = {name for name in dir(cg.ExposureGraph) if not name.startswith("_")}
    assert public == {*given, *told, *made, *with_defaults}
    every = public - set(with_defaults) | {each.name for each in fields(cg.ExposureGraph)}
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=1.0)
    cg.MarginCascade().run(graph)
    assert {name for name in dir(graph) if name.isidentifier() and not name.startswith("_")} == every
    described = cg.ExposureGraph.__doc__
    assert all(name in described for name in {each.name for each in fields(cg.ExposureGraph)})


def test_the_fingerprint_is_that_of_the_market():
    graph = cg.ExposureGraph.from_tables(**TABLES)
    print_of = {graph.fingerprint(), cg.ExposureGraph.from_tables(**graph.to_frames()).fingerprint()}
    assert print_of == {pickle.loads(pickle.dumps(graph)).fingerprint()}
    others = [
        *(graph.assign(**{name: getattr(graph, name) * 1.5 + 1.0}) for name in ("price", "depth", "cash")),
        graph.assign(share=1.0),
        graph.subset(traders=graph.traders[1:]),
        replace(graph, assets=graph.assets[::-1]),
    ]
    assert len({each.fingerprint() for each in others} | print_of) == len(others) + 1
