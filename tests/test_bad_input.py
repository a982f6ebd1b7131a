"""Bad input gives one sentence that names table, column, row and label, and the way out: never a traceback.

The cases are what exchanges, spreadsheets and other libraries write.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.cli.main import main
from contagion_graph.io.price_stream import read_ticks
from contagion_graph.scenarios import draw

ASSETS: dict[str, Any] = {"asset": ["X"], "price": [1000.0]}


def tables(**changed: Any) -> cg.ExposureGraph:
    """Return a graph of one position with other columns."""
    return cg.ExposureGraph.from_tables({"trader": ["A"], "asset": ["X"], "quantity": [2.0], **changed}, ASSETS)


# --- signs ---


@pytest.mark.parametrize("kind", ["debt", "short", " Debt ", "borrow"])
def test_a_debt_above_zero_is_refused_by_name(kind: str):
    """5,000 of cash and a debt of 2 at 1,000 are 3,000; read as a deposit they were 7,000."""
    accounts = {"trader": ["A"], "cash": [5000.0]}
    columns: dict[str, Any] = {"trader": ["A"], "asset": ["X"], "kind": [kind]}
    with pytest.raises(cg.TableError) as caught:
        cg.ExposureGraph.from_tables({**columns, "quantity": [2.0]}, ASSETS, accounts=accounts)
    for word in ("positions.kind: contradicts the sign in 1 row", "row 0", "quantity 2", "trader 'A'", "-quantity"):
        assert word in str(caught.value)
    graph = cg.ExposureGraph.from_tables({**columns, "quantity": [-2.0]}, ASSETS, accounts=accounts)
    assert graph.equity.tolist() == [3000.0]


@pytest.mark.parametrize("kind", ["deposit", "long"])
def test_a_holding_below_zero_is_refused(kind: str):
    with pytest.raises(cg.TableError, match="contradicts the sign"):
        tables(quantity=[-2.0], kind=[kind])
    assert tables(quantity=[0.0], kind=[kind]).equity.tolist() == [0.0]


def test_kinds_of_ones_own_have_no_sign():
    assert tables(quantity=[-2.0], kind=["vault"]).equity.tolist() == [-2000.0]


# --- tables ---


@pytest.mark.parametrize("make", [lambda columns: columns, pd.DataFrame])
def test_an_integer_beyond_64_bits_is_read(make: Any):
    """1e20 units at 1,000."""
    positions = make({"trader": [2**160, 5], "asset": ["X", "X"], "quantity": [10**20, 1]})
    graph = cg.ExposureGraph.from_tables(positions, ASSETS)
    assert graph.equity.tolist() == [1e23, 1000.0]
    assert graph.traders.tolist() == [str(2**160), "5"]


SEMICOLONS, BAD = b"trader;asset;quantity\nA;X;1,5\n", "positions: cannot be read"
FILES = {
    "semicolons": (SEMICOLONS, "positions.csv has semicolons between its columns; write commas"),
    "tabs": (SEMICOLONS.replace(b";", b"\t"), "positions.csv has tabs between its columns; write commas"),
    "UTF-16": ("trader,asset,quantity\nA,X,1\n".encode("utf-16"), "positions.csv is in UTF-16; save it in UTF-8"),
    "empty": (b"", "positions.csv is empty"),
    "blank": (b"\n\n", "positions.csv is empty"),
    "5_0": (b"trader,asset,quantity\nA,X,5_0\n", "positions.quantity: not a number in 1 row (row 0: '5_0'"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_none_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    content, words = FILES[name]
    (tmp_path / "positions.csv").write_bytes(content)
    (tmp_path / "assets.csv").write_text("asset,price\nX,10\n")
    with pytest.raises(cg.TableError) as caught:
        cg.read_tables(tmp_path)
    assert words in str(caught.value)
    assert main(["check", str(tmp_path)]) == 1
    assert words in capsys.readouterr().out


THINGS: dict[str, tuple[Any, str]] = {
    "Series": (pd.Series([1, 2], name="x"), "a Series is one column"),
    "array": (np.ones(3), "a ndarray is not a table"),
    "list of lists": ([[1, 2]], "a list is not a table"),
    "text column": ({"trader": "A"}, "a column must hold a sequence"),
}


@pytest.mark.parametrize("name", THINGS)
def test_what_is_no_table_is_named(name: str):
    thing, words = THINGS[name]
    with pytest.raises(cg.TableError) as caught:
        cg.ExposureGraph.from_tables(thing, ASSETS)
    assert words in str(caught.value)
    assert str(caught.value).startswith("1 fault")


def test_a_column_of_lists_is_one_fault():
    with pytest.raises(cg.TableError, match=r"positions\.asset: has type list") as caught:
        tables(asset=[["X"]])
    assert len(caught.value.faults) == 1
    with pytest.raises(cg.TableError, match=r"assets\.tags: has type list.* drop the column"):
        cg.ExposureGraph.from_tables(
            {"trader": ["A"], "asset": ["X"], "quantity": [1.0]}, {**ASSETS, "tags": [["a", "b"]]}
        )
    for columns in ({"quantity": [[1.0]]}, {"quantity": [{"a": 1}]}, {"trader": [1.5]}, {"trader": [True]}):
        with pytest.raises(cg.TableError, match="has type"):
            tables(**columns)


@pytest.mark.parametrize("kind", [cg.ExposureGraph, cg.ObligationNetwork])
def test_an_igraph_graph_is_named(kind: Any):
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=1.0)
    with pytest.raises(cg.ParameterError, match=r"network is a Graph of igraph; give network.to_networkx\(\)"):
        kind.from_networkx(graph.to_igraph())
    with pytest.raises(cg.ParameterError, match="network is a dict of builtins; give a networkx graph"):
        kind.from_networkx({})
    assert cg.ExposureGraph.from_networkx(graph.to_igraph().to_networkx()).equity.tolist() == [1.0]


def test_equal_faults_are_counted():
    """20,000 unknown labels once gave a message of 3.1 MB."""
    names = [f"Z{k}" for k in range(20_000)]
    errors = []
    for call in (
        lambda: tables(trader=["A"] * 20_000, asset=names, quantity=[1.0] * 20_000),
        lambda: cg.MarginCascade().run(tables(), dict.fromkeys(names, -0.1)),
        lambda: cg.MarginCascade().run(tables(), {"X": -0.1}, losses=dict.fromkeys(names, 1.0)),
        lambda: tables().assign(price=dict.fromkeys(names, 1.0)),
        lambda: cg.sweep(tables(), cg.MarginCascade(), pd.DataFrame([dict.fromkeys(names, -0.1)])),
    ):
        with pytest.raises(cg.ContagionError) as caught:
            call()
        errors.append(str(caught.value))
    for message in errors:
        assert len(message) < 1500, message[:2000]
        assert "'Z0'" in message
        assert "more" in message


@pytest.mark.parametrize("make", [lambda columns: columns, pd.DataFrame])
@pytest.mark.parametrize(
    ("labels", "words"),
    [([1, "1"], "1 and '1'"), ([True, "B"], "True"), (["B", 1.5], "1.5"), ([(1, 2), "B"], "(1, 2)")],
)
def test_labels_of_mixed_types_are_named(labels: list[Any], words: str, make: Any):
    positions = make({"trader": pd.Series(labels, dtype=object), "asset": ["X", "X"], "quantity": [1.0, 1.0]})
    with pytest.raises(cg.TableError) as caught:
        cg.ExposureGraph.from_tables(positions, ASSETS)
    assert "column trader" in str(caught.value)
    assert words in str(caught.value)
    assert tables(trader=pd.Series([1, "B"], dtype=object), asset=["X"] * 2, quantity=[1.0] * 2).traders.tolist() == [
        *("1", "B")
    ]


def test_labels_that_differ_by_case_or_blanks_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "positions.csv").write_text("trader,asset,quantity\n0xAb,X,1\n0xab,X,1\nB,X,1\n B,X,1\n")
    (tmp_path / "assets.csv").write_text("asset,price\nX,10\n")
    assert main(["check", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "Note: these traders differ only by case or blanks" in told
    assert "'0xAb' and '0xab'; 'B' and ' B'." in told
    assert "these assets" not in told


# --- names of columns ---


@pytest.mark.parametrize("nodes", ["bipartite", "positions"])
def test_columns_may_be_called_like_what_a_node_has(nodes: Any):
    """Columns id, label, side, name, type are attributes of nodes as given_id, ..., and come back under their names."""
    names = ["id", "label", "side", "name", "type", "given_id", "source", "target"]
    assets = {**ASSETS, **{name: [f"its {name}"] for name in names}}
    accounts = {"trader": ["A"], "cash": [1.0], **{name: [f"its {name}"] for name in names}}
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["A"], "asset": ["X"], "quantity": [1.0]}, assets, accounts=accounts
    )
    network = graph.to_networkx(nodes=nodes)
    assert network.nodes["asset:X"]["given_id"] == "its id"
    assert network.nodes["asset:X"]["label"] == "X"
    back = cg.ExposureGraph.from_networkx(network)
    assert back.attributes["assets"].loc["X"].to_dict() == {name: f"its {name}" for name in names}
    vertex = graph.to_igraph(nodes=nodes).vs.find(name="asset:X")
    assert (vertex["given_name"], vertex["given_type"], vertex["label"]) == ("its name", "its type", "X")


def test_texts_in_vectors_are_numbers_without_underscores():
    graph = tables()
    assert graph.assign(price=["1e3"]).price.tolist() == [1000.0]
    for price in (["1_0"], {"X": "1_0"}, "1_0"):
        with pytest.raises(cg.TableError, match="1_0"):
            graph.assign(price=price)


# --- time series ---

DATES = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"])
PRICES = pd.DataFrame({"X": [100.0, 90.0, 80.0, 50.0], "Y": [1.0, 1.1, 1.2, 1.3]}, index=DATES)
INDEXES: dict[str, Any] = {
    "dates": DATES,
    "texts": DATES.strftime("%Y-%m-%d"),
    "day first": pd.Index(["30/01/2024", "31/01/2024", "01/02/2024", "02/02/2024"]),
    "periods": DATES.to_period("D"),
    "seconds": DATES.astype("int64"),
    "plain": pd.RangeIndex(4),
    "with zones": DATES.tz_localize("UTC"),
}


@pytest.mark.parametrize("take", [lambda prices: draw.historical(prices, 3, rng=0), draw.covariance])
@pytest.mark.parametrize("name", INDEXES)
def test_dates_ascend(name: str, take: Any):
    """Newest first, every return has the other sign: a fall of 50 % would be a rise."""
    prices = PRICES.set_index(INDEXES[name])
    pd.testing.assert_frame_equal(take(prices), take(PRICES.reset_index(drop=True)))
    for other in (prices[::-1], prices.iloc[[0, 2, 1, 3]]):
        with pytest.raises(cg.ParameterError, match=r"prices: dates do not ascend in .*sort_index\(\)"):
            take(other)
    with pytest.raises(cg.ParameterError, match=r"prices \(dates\): repeated in 1 row"):
        take(prices.iloc[[0, 1, 1, 2, 3]])


COLUMNS: dict[str, Any] = {
    "dates": DATES,
    "texts": DATES.strftime("%Y-%m-%d"),
    "numbers called time": [1.0, 2.0, 3.0, 4.0],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_dates_is_no_asset(name: str):
    with pytest.raises(cg.ParameterError, match="column 'time' holds dates"):
        draw.covariance(PRICES.assign(time=COLUMNS[name]))


@pytest.mark.parametrize("value", ["1,100", "n/a", "5_0", None, "abc", "", -1.0])
def test_a_price_that_is_no_number_is_named(value: Any):
    prices = PRICES.astype(object)
    prices.iloc[1, 1] = value
    with pytest.raises(cg.ParameterError, match=r"(?s)prices: .* at Timestamp.*2024-01-02.* for asset 'Y'"):
        draw.covariance(prices)


HISTORIES: dict[str, tuple[str | bytes, str]] = {
    "newest first": ("date,X\n2024-01-03,1\n2024-01-02,2\n2024-01-01,3\n", "dates do not ascend"),
    "repeated": ("date,X\n2024-01-01,1\n2024-01-02,2\n2024-01-02,3\n", "repeated in 1 row"),
    "date last": ("X,date\n1,2024-01-01\n2,2024-01-02\n3,2024-01-03\n", "put the date first"),
    "no date": ("X,Y\n1,2\n2,3\n3,4\n", "put the date first"),
    "thousands": ('date,X\n2024-01-01,"1,100"\n2024-01-02,"1,200"\n2024-01-03,"1,300"\n', "'1,100' at '2024-01-01'"),
    "empty": ("", "is empty"),
    "semicolons": ("date;X\n2024-01-01;1\n", "semicolons"),
    "UTF-16": ("date,X\n2024-01-01,1\n".encode("utf-16"), "UTF-16"),
    "no parquet": ("", "cannot be read"),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_that_is_none_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    content, words = HISTORIES[name]
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=10.0, margin_long=0.1, assets=["X"])
    cg.write_tables(graph, tmp_path / "tables")
    path = tmp_path / ("history.parquet" if name == "no parquet" else "history.csv")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["sweep", str(tmp_path / "tables"), "--history", str(path), "--n-draws", "5"]) != 0
    assert words in capsys.readouterr().err


STREAMS = {
    "UTF-16": ("asset,price\nX,1\n".encode("utf-16"), "not in UTF-8"),
    "semicolons": (b"asset;price\nX;1\n", "another separator than commas"),
    "5_0": (b"asset,price\nX,5_0\n", "line 2"),
    "sequence": (b"asset,price,sequence\nX,5,1_0\n", "line 2"),
    "latin": ("asset,price\nÄ,1\nX,2,".encode("latin-1"), "line 2"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_none_is_named(name: str, tmp_path: Path):
    content, words = STREAMS[name]
    (tmp_path / "stream.csv").write_bytes(content)
    with pytest.raises(cg.EventError, match=words):
        list(read_ticks(tmp_path / "stream.csv"))


@pytest.mark.parametrize("option", [["--penalty", "0_1"], ["--shock", "X=-0_5%"], ["--liquidation", "target:0_1"]])
def test_numbers_of_options_have_no_underscores(option: list[str], tmp_path: Path):
    cg.write_tables(cg.ExposureGraph.from_arrays([[1.0]], price=10.0, assets=["X"]), tmp_path)
    command = [sys.executable, "-m", "contagion_graph.cli", "run", str(tmp_path), *option]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode != 0
    assert option[1] in done.stderr
    assert "Traceback" not in done.stderr
