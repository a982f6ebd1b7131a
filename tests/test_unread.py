"""Nothing that is given is ignored in silence: columns, files, and times that nothing reads, or that run backwards."""

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.cli.main import main
from contagion_graph.io.price_stream import read_ticks
from contagion_graph.tables.schema import GRAPH_TABLES, SCHEMAS

TABLES: dict[str, dict[str, list[Any]]] = {
    "positions": {"trader": ["A"], "asset": ["W"], "quantity": [1.0]},
    "assets": {"asset": ["W", "X", "Z"], "price": [1.0, 2.0, 3.0]},
    "pools": {"pool": ["pool"]},
    "accounts": {"trader": ["A"]},
    "backing": {"asset": ["W"], "underlying": ["X"], "weight": [0.5]},
    "obligations": {"debtor": ["A"], "creditor": ["A"], "amount": [0.0]},
    "instruments": {"asset": ["Z"], "underlying": ["X"], "kind": ["linear"]},
    "layers": {"pool": ["pool"], "rank": [1.0], "layer": ["insurance_fund"], "kind": ["purse"]},
    "margin_tiers": {"asset": ["W"], "lower": [0.0], "rate": [0.1]},
    "margin_scenarios": {"grid": ["pm"], "move": [0.0]},
}


def with_column(table: str, column: str) -> dict[str, Any]:
    rows = len(next(iter(TABLES[table].values())))
    return {**TABLES, table: {**TABLES[table], column: ["1"] * rows}}


@pytest.mark.parametrize("table", GRAPH_TABLES)
def test_every_table_tells_a_column_that_is_nearly_one_that_is_read(table: str):
    for column in set(SCHEMAS[table].columns) - set(TABLES[table]):
        for wrong in (column[:-1] + "_" + column[-1], column.upper()):
            with pytest.warns(cg.UnusedColumnWarning, match=rf"table {table}: .*'{wrong}' \(did you mean '{column}'"):
                cg.ExposureGraph.from_tables(**with_column(table, wrong))


@pytest.mark.parametrize(
    ("table", "column", "told"),
    [
        ("positions", "avg_entry_price", r"\(did you mean 'entry_price'\?\)"),
        ("positions", "contract_size", r"\(quantities are units of the asset: multiply them by it\)"),
        ("assets", "contract_size", r"\(quantities are units of the asset: multiply them by it\)"),
        ("assets", "ctVal", r"\(quantities are units of the asset: multiply them by it\)"),
        ("assets", "marginlong", r"\(did you mean 'margin_long'\?\)"),
    ],
)
def test_columns_that_exchanges_have_are_told(table: str, column: str, told: str):
    with pytest.warns(cg.UnusedColumnWarning, match=f"table {table}: nothing reads column '{column}' {told}"):
        cg.ExposureGraph.from_tables(**with_column(table, column))


@pytest.mark.parametrize("column", ["chain", "label", "sector", "name", "symbol", "color", "id"])
def test_attributes_of_their_own_are_kept_without_a_word(column: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for table in ("assets", "pools", "accounts"):
            assert column in cg.ExposureGraph.from_tables(**with_column(table, column)).attributes[table]


def folder_of(path: Path) -> Path:
    for name in ("positions", "assets", "backing"):
        pd.DataFrame(TABLES[name]).to_csv(path / f"{name}.csv", index=False)
    return path


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("acounts.csv", r"'acounts.csv' \(did you mean 'accounts'\?\)"),
        ("obligations.xlsx", "'obligations.xlsx' "),
        ("pools.csv.gz", r"'pools.csv.gz' \(did"),
        ("Pools.CSV", r"'Pools.CSV' \(did"),
        ("depths.parquet", "'depths.parquet'"),
        ("equity_holdings.csv", "'equity_holdings.csv'"),
    ],
)
def test_a_file_that_no_table_reads_is_told(tmp_path: Path, name: str, told: str):
    (folder_of(tmp_path) / name).write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.warns(cg.UnusedFileWarning, match=f"nothing reads {told}.*the tables of a graph are positions, assets"):
        cg.read_tables(tmp_path)


def test_what_the_library_itself_leaves_in_a_folder_is_no_stranger(tmp_path: Path):
    """Results, exports, figures, a report, a sweep and a proof in the folder of the tables."""
    folder, model = folder_of(tmp_path), cg.MarginCascade()
    graph = cg.read_tables(folder)
    result = model.run(graph, {"X": -0.5})
    assert main(["run", str(folder), "--shock", "X=-50%", "--out", str(folder / "out")]) == 0
    for each in (
        result,
        cg.sweep(graph, model, pd.DataFrame({"X": [-0.5]})),
        cg.indirect_exposure(graph, model, -0.5),
        cg.look_through(graph, model, size=-0.5),
        cg.scenarios.ladder(graph, model, [-0.5]),
        cg.collateral.Backing.from_graph(graph).pass_down({"X": -0.5}),
    ):
        if hasattr(each, "to_frames"):
            for name, frame in each.to_frames().items():
                if name not in GRAPH_TABLES:
                    frame.to_csv(folder / f"{name}.csv")
    cg.write_gephi_csv(result, folder)
    cg.write_gexf(result, folder / "graph.gexf")
    cg.write_report(result, folder / "report.html")
    assert main(["prove", str(folder), "--out", str(folder), "--trader", "A"]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cg.read_tables(folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timestamp,asset,price\n5,W,1\n7,W,2\n6,W,3\n", "line 4: timestamp '6' is earlier than '7' before it"),
        (
            "asset,price,Time\nW,1,2024-01-02T00:00:00Z\nW,2,2024-01-02T01:00:00+02:00\n",
            "line 3: Time '2024-01-02T01:00:00+02:00' is earlier than '2024-01-02T00:00:00Z' before it",
        ),
        ("date,asset,price\n2024-01-02,W,1\n2024-01-01,W,2\n", "line 3: date '2024-01-01' is earlier"),
        ("timestamp,asset,price\n5,W,1\nsoon,W,2\n", "line 3: timestamp 'soon' is no time"),
        ("timestamp,asset,price\n5,W,1\n2024-01-01,W,2\n", "line 3: timestamp '2024-01-01' is no time"),
        ("timestamp,asset,price\n,W,1\n", "line 2: timestamp '' is no time"),
    ],
)
def test_a_stream_whose_time_runs_backwards_is_refused_by_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
):
    (tmp_path / "prices").write_text(text, encoding="utf-8")
    with pytest.raises(cg.EventError) as error:
        list(read_ticks(tmp_path / "prices"))
    assert told in str(error.value)
    folder = tmp_path / "tables"
    folder.mkdir()
    assert main(["monitor", str(folder_of(folder)), "--prices", str(tmp_path / "prices")]) == 2
    assert told in capsys.readouterr().err


def test_a_stream_in_order_of_time_is_read_and_other_columns_are_told(tmp_path: Path):
    path = tmp_path / "prices.csv"
    path.write_text("timestamp,asset,price\n5,W,1\n5,X,2\n5.5,W,3\n", encoding="utf-8")
    assert len(list(read_ticks(path))) == 3
    path.write_text("asset,price,sequenze\nW,1,1\n", encoding="utf-8")
    with pytest.warns(
        cg.UnusedColumnWarning, match=r"prices: nothing reads column 'sequenze' \(did you mean 'sequence'"
    ):
        list(read_ticks(path))
