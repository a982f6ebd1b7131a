"""All makes of table enter by one door, and give the same graph; files come back as they were written."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

import contagion_graph as cg

POSITIONS = {
    "trader": ["007", "=SUM(A1)", 'né, e\n"2"', "nan"],
    "asset": ["ETH", "@BTC", "ETH", "'=x"],
    "quantity": [1.5, -2.0, 1e-300, 1e300],
    "pool": ["main", "main", "side", "side"],
    "subaccount": ["", "iso", "", ""],
    "entry_price": [None, 90.0, None, 1e-301],
    "margin": [0.5, None, None, None],
    "position": ["p1", "-1+1", "p3", "p4"],
    "kind": ["deposit", None, "vault", None],
}
ASSETS = {
    "asset": ["ETH", "@BTC", "'=x"],
    "price": [0.1, 1 / 3, 1e-300],
    "depth": [1e6, None, np.inf],
    "margin_long": [0.05, 0.1, 0.0],
    "margin_short": [0.05, 1.0, 0.0],
    "sellable": [True, False, True],
    "chain": ["ethereum", None, "+1"],
}
POOLS = {"pool": ["side", "main", "spare"], "insurance_fund": [1.0, 0.0, 5.0]}
ACCOUNTS = {
    "trader": ["idle", "007", "=SUM(A1)", 'né, e\n"2"', "nan"],
    "pool": ["main", "main", "main", "side", "side"],
    "subaccount": ["", "", "iso", "", ""],
    "cash": [5.0, 0.1 + 0.2, -1.0, 0.0, 2.0],
    "share": [1.0, 0.0, 2.0, 3.0, 0.5],
    "since": [2020, 2021, 2022, 2023, 2024],
}
BACKING = {"asset": ["ETH"], "underlying": ["@BTC"], "weight": [0.5], "haircut": [0.1]}
OBLIGATIONS = {"debtor": ["idle"], "creditor": ["007"], "amount": [3.0], "seniority": [1.0]}
TABLES = {
    "positions": POSITIONS,
    "assets": ASSETS,
    "pools": POOLS,
    "accounts": ACCOUNTS,
    "backing": BACKING,
    "obligations": OBLIGATIONS,
}


def from_duckdb(columns: dict[str, list[Any]]) -> Any:
    table = pa.table(columns)
    return duckdb.from_arrow(table)


DOORS = {
    "mapping": lambda columns: columns,
    "pandas": pd.DataFrame,
    "pandas, filtered": lambda columns: (
        pd.DataFrame(columns).iloc[::-1].sort_index().set_axis([7, 5, 3, 1, 0][: len(next(iter(columns.values())))])
    ),
    "pandas, categorical": lambda columns: pd.DataFrame(columns).astype(
        {name: "category" for name in columns if name in ("trader", "asset", "pool")}
    ),
    "pandas, object": lambda columns: pd.DataFrame(columns).astype(object),
    "polars": lambda columns: pl.DataFrame(columns, strict=False),
    "polars, categorical": lambda columns: pl.DataFrame(columns, strict=False).with_columns(
        pl.col(name).cast(pl.Categorical) for name in columns if name in ("trader", "asset")
    ),
    "pyarrow": pa.table,
    "pyarrow, chunked": lambda columns: pa.concat_tables([pa.table(columns).slice(0, 1), pa.table(columns).slice(1)]),
    "duckdb": from_duckdb,
}


def assert_same(one: cg.ExposureGraph, other: cg.ExposureGraph) -> None:
    for name in ("quantity", "margin_units"):
        assert (getattr(one, name) != getattr(other, name)).nnz == 0
    for name in ("cash", "price", "depth", "margin_long", "margin_short", "sellable", "insurance_fund", "share"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("account_index", "assets", "pools", "traders"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert one.to_frames().keys() == other.to_frames().keys()
    for name, frame in one.to_frames().items():
        pd.testing.assert_frame_equal(frame.fillna(np.nan), other.to_frames()[name].fillna(np.nan), check_dtype=False)


@pytest.fixture(scope="module")
def graph() -> cg.ExposureGraph:
    return cg.ExposureGraph.from_tables(**TABLES)


@pytest.mark.parametrize("door", DOORS)
def test_every_make_of_table_gives_the_same_graph(graph: cg.ExposureGraph, door: str):
    assert_same(graph, cg.ExposureGraph.from_tables(**{name: DOORS[door](columns) for name, columns in TABLES.items()}))


def test_dictionaries_may_differ_repeat_and_hold_what_no_row_uses():
    traders = pa.chunked_array(
        [
            pa.DictionaryArray.from_arrays(pa.array([2, 0], pa.int8()), ["B", "unused", "A"]),
            pa.DictionaryArray.from_arrays(pa.array([], pa.int8()), pa.array([], pa.string())),
            pa.DictionaryArray.from_arrays(pa.array([1, 0, 2], pa.int8()), ["A", "C", "A"]),
        ]
    )
    pools = pa.chunked_array(
        [
            pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.uint8()), ["side", ""]),
            pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.uint8()), pa.array([None, "side"], pa.string())),
        ]
    )
    positions = pa.table({"trader": traders, "pool": pools, "asset": [1] * 5, "quantity": [1.0, 2.0, 3.0, 4.0, 5.0]})
    graph = cg.ExposureGraph.from_tables(positions, {"asset": [1], "price": [1.0]})
    assert graph.traders.tolist() == ["A", "B", "C"]
    assert graph.pools.tolist() == ["side", "pool"]
    accounts = [("A", "side"), ("B", "pool"), ("C", "pool"), ("A", "pool")]
    assert graph.account_index.droplevel("subaccount").tolist() == accounts
    assert graph.quantity.toarray().ravel().tolist() == [6.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("n", [3, 50])
def test_accounts_are_those_of_the_table_then_the_others_as_they_appear(n: int):
    # with 50 labels in each of three levels there are far more possible accounts than rows
    named = [(f"t{k}", f"p{k * 7 % n}", f"s{k * 3 % n}") for k in range(n)]
    positions = pd.DataFrame([*named[::-1], *named], columns=["trader", "pool", "subaccount"])
    accounts = pd.DataFrame([named[1], named[0]], columns=["trader", "pool", "subaccount"])
    graph = cg.ExposureGraph.from_tables(
        positions.assign(asset="X", quantity=np.arange(2.0 * n)), {"asset": ["X"], "price": [1.0]}, accounts=accounts
    )
    assert graph.account_index.tolist() == [named[1], named[0], *named[:1:-1]]
    assert graph.traders.tolist() == [trader for trader, _, _ in graph.account_index]
    # rows k and 2n - 1 - k are one account's
    assert graph.gross_value.to_dict() == dict.fromkeys(named, 2.0 * n - 1.0)


def test_a_graph_does_not_change_with_the_frame_it_came_from():
    positions = pd.DataFrame({"trader": ["A", "B"], "asset": ["X", "X"], "quantity": [1.0, 2.0], "entry_price": 1.0})
    graph = cg.ExposureGraph.from_tables(positions, {"asset": ["X"], "price": [1.0]})
    positions.loc[:, ["quantity", "entry_price"]] = 7.0
    assert graph.records.quantity.tolist() == [1.0, 2.0]
    assert graph.records.entry_price.tolist() == [1.0, 1.0]


def test_a_parquet_file_may_have_any_number_of_row_groups(graph: cg.ExposureGraph, tmp_path: Path):
    for name, columns in TABLES.items():
        pyarrow.parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet", row_group_size=1)
    assert_same(graph, cg.read_tables(tmp_path))
    with pyarrow.parquet.ParquetWriter(tmp_path / "positions.parquet", pa.table(POSITIONS).schema):
        pass
    assert (
        cg.read_tables(tmp_path).n_positions == 0
    )  # a venue before its first trade: accounts and pools say what it is
    for name in ("accounts", "pools", "obligations"):
        (tmp_path / f"{name}.parquet").unlink(missing_ok=True)
    with pytest.raises(cg.TableError, match="positions: the table has no rows"):
        cg.read_tables(tmp_path)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_what_is_written_is_read_back(graph: cg.ExposureGraph, tmp_path: Path, format: str):  # noqa: A002
    paths = cg.write_tables(graph, tmp_path, format=format).paths  # type: ignore[arg-type]
    assert [path.stem for path in paths] == list(TABLES)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert_same(graph, cg.read_tables(tmp_path))
    assert_same(graph, cg.ExposureGraph.from_tables(**{path.stem: path for path in paths}))
    assert_same(graph, cg.ExposureGraph.from_tables(**{path.stem: str(path) for path in paths}))


def test_frames_build_the_graph_again(graph: cg.ExposureGraph):
    assert_same(graph, cg.ExposureGraph.from_tables(**graph.to_frames()))


def test_a_label_that_a_spreadsheet_would_run_is_escaped_in_csv(graph: cg.ExposureGraph, tmp_path: Path):
    cg.write_tables(graph, tmp_path)
    text = (tmp_path / "positions.csv").read_text(encoding="utf-8")
    for cell in ('"\'=SUM(A1)"', '"\'@BTC"', "\"''=x\"", '"\'-1+1"'):
        assert cell in text
    assert '"=SUM' not in text


def test_integer_labels_are_text():
    graph = cg.ExposureGraph.from_tables(
        {"trader": [7, 11], "asset": [1, 1], "quantity": [1, 2]}, {"asset": [1], "price": [10]}
    )
    assert graph.traders.tolist() == ["7", "11"]
    assert cg.MarginCascade().run(graph, {1: -0.5}, losses={7: 1.0}).traders.loc["7", "direct"] == 6.0


def test_a_decimal_and_a_text_number_are_numbers():
    quantity = duckdb.sql("select 'A' as trader, 'X' as asset, 1.25::decimal(10, 2) as quantity")
    assets = pl.DataFrame({"asset": ["X"], "price": [" 4e0 "]})
    assert cg.ExposureGraph.from_tables(quantity, assets).equity.tolist() == [5.0]


def test_numbers_in_csv_may_be_integers_and_blanks(tmp_path: Path):
    (tmp_path / "positions.csv").write_text("trader,asset,quantity,entry_price\n01,X,3,\n1,X,-2,8\n")
    (tmp_path / "assets.csv").write_text("asset,price,depth\nX,10,\n")
    graph = cg.read_tables(tmp_path)
    assert graph.traders.tolist() == ["01", "1"]
    assert graph.equity.tolist() == [30.0, -4.0]
    assert graph.depth.tolist() == [np.inf]


def test_a_bad_csv_names_rows_and_labels(tmp_path: Path):
    (tmp_path / "positions.csv").write_text("trader,asset,quantity\nA,X,3\nB,Y,many\n")
    (tmp_path / "assets.csv").write_text("asset,price\nX,-10\n")
    with pytest.raises(cg.TableError) as caught:
        cg.read_tables(tmp_path)
    message = str(caught.value)
    assert "positions.quantity: not a number in 1 row (row 1: 'many', trader 'B', asset 'Y')" in message
    assert "assets.price: out of range in 1 row (row 0: -10, asset 'X')" in message
    assert "positions.asset: unknown label 'Y'" in message


def test_a_csv_column_that_begins_with_fractions_or_blanks_is_judged_as_a_whole(tmp_path: Path):
    rows = ["A,X,1.5,,", "B,X,2,,", "C,X,many,3,x"]
    (tmp_path / "positions.csv").write_text("\n".join(["trader,asset,quantity,entry_price,kind", *rows, ""]))
    (tmp_path / "assets.csv").write_text("asset,price,chain\nX,10.5,\n")
    with pytest.raises(cg.TableError, match="not a number in 1 row \\(row 2: 'many', trader 'C', asset 'X'\\)"):
        cg.read_tables(tmp_path)
    (tmp_path / "positions.csv").write_text("\n".join(["trader,asset,quantity,entry_price,kind", *rows[:2], ""]))
    graph = cg.read_tables(tmp_path)
    assert graph.equity.tolist() == [15.75, 21.0]
    assert graph.attributes["assets"]["chain"].isna().all()


def test_a_ragged_csv_is_a_fault(tmp_path: Path):
    (tmp_path / "positions.csv").write_text("trader,asset,quantity\nA,X\n")
    (tmp_path / "assets.csv").write_text("asset,price\nX,10\n")
    with pytest.raises(cg.TableError, match="positions: cannot be read"):
        cg.read_tables(tmp_path)


def test_a_folder_without_tables_is_a_fault(tmp_path: Path):
    with pytest.raises(cg.TableError, match="is not a folder"):
        cg.read_tables(tmp_path / "nowhere")
    with pytest.raises(cg.TableError) as caught:
        cg.read_tables(tmp_path)
    assert "no positions.csv or positions.parquet" in str(caught.value)
    assert "no assets.csv or assets.parquet" in str(caught.value)


def test_two_files_for_one_table_are_a_fault(graph: cg.ExposureGraph, tmp_path: Path):
    for name in ("csv", "parquet"):
        cg.write_tables(graph, tmp_path / name, format=name)
        (tmp_path / name / f"positions.{name}").rename(tmp_path / f"positions.{name}")
    with pytest.raises(cg.TableError, match=r"there is a positions\.csv and a positions\.parquet"):
        cg.read_tables(tmp_path)


def test_nothing_half_written_is_left(graph: cg.ExposureGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full_disk(table: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", full_disk)
    with pytest.raises(OSError, match="No space left"):
        cg.write_tables(graph, tmp_path, format="parquet")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused(graph: cg.ExposureGraph, tmp_path: Path):
    with pytest.raises(cg.ParameterError, match="format is 'xlsx'"):
        cg.write_tables(graph, tmp_path, format="xlsx")  # type: ignore[arg-type]
