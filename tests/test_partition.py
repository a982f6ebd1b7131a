"""A partitioned data set: its parts are the rows of the graph of the whole tables, bit for bit."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import contagion_graph as cg
from contagion_graph.chunks import chunk_borders
from contagion_graph.distributed import account_rows
from contagion_graph.distributed.dataset import read_layout
from contagion_graph.tables import convert, spool

from .test_doors import ASSETS, BACKING, OBLIGATIONS, POSITIONS, TABLES

partition, read_part = cg.distributed.partition, cg.distributed.read_part


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch):
    """Let small tables come in many pieces."""
    for module in (convert, account_rows):
        monkeypatch.setattr(module, "PIECE", 700)
    monkeypatch.setattr(account_rows, "BUCKET", 900)
    monkeypatch.setattr(spool, "MATCHED", 300)


def random_tables(seed: int) -> dict[str, Any]:
    """Draw up to 1,800 accounts, some only in positions and some without, with or without each further column."""
    rng = np.random.default_rng(seed)
    n, m, v = int(rng.choice([1, 5, 300, 1500, 1800])), int(rng.integers(1, 9)), int(rng.integers(1, 5))
    size = int(rng.integers(1, 4) * n)
    owner = np.sort(rng.integers(0, n, size)) if rng.random() < 0.3 else (n * rng.random(size) ** 2).astype(int)
    asset = rng.integers(0, m, size)
    numbers: Any = rng.permutation(n) if rng.random() < 0.2 else np.array([f"t{k:04d}" for k in rng.permutation(n)])
    pool, book = rng.integers(0, v, n), rng.integers(0, 2, n)
    trader = numbers[np.where(rng.random(n) < 0.3, rng.integers(0, n, n), np.arange(n))]
    pools = np.array(["main", "pool", "side", "last"])
    blank = rng.random(size) < 0.5
    positions = {
        "trader": trader[owner],
        "asset": np.array([f"A{k}" for k in range(m)])[asset],
        "quantity": rng.normal(0, 1, size) * 10.0 ** rng.integers(-3, 9, size),
        "entry_price": np.where(blank, np.nan, rng.lognormal(0, 3, size)),
        "margin": np.where(rng.random(size) < 0.7, np.nan, rng.random(size)),
        "kind": pd.array(np.where(blank, None, "future"), dtype=object),
        "position": [f"p{k}" for k in range(size)],
    }
    accounts = {"trader": trader, "cash": rng.normal(0, 100, n), "share": rng.random(n), "since": rng.integers(0, 9, n)}
    if rng.random() < 0.7:
        names = pools[pool]
        positions["pool"] = np.where(rng.random(size) < 0.1, "", names[owner]) if rng.random() < 0.5 else names[owner]
        accounts["pool"] = names
    if rng.random() < 0.5:
        positions["subaccount"] = np.array(["", "iso"])[book][owner]
        accounts["subaccount"] = np.array(["", "iso"])[book]
    for optional in ("entry_price", "margin", "kind", "position"):
        if rng.random() < 0.3:
            del positions[optional]
    for optional in ("share", "since"):
        if rng.random() < 0.3:
            del accounts[optional]
    price = rng.lognormal(0, 3, m)
    tables: dict[str, Any] = {
        "positions": pd.DataFrame(positions),
        "assets": pd.DataFrame(
            {"asset": [f"A{k}" for k in reversed(range(m))], "price": price, "margin_long": 0.1, "depth": 1e6}
        ),
    }
    if rng.random() < 0.8:
        frame = pd.DataFrame(accounts).drop_duplicates([c for c in ("trader", "pool", "subaccount") if c in accounts])
        tables["accounts"] = frame.sample(frac=rng.choice([0.3, 0.8, 1.0]), random_state=seed)
    elif rng.random() < 0.5:
        positions.pop("pool", None)
        tables["positions"] = pd.DataFrame(positions)
    if rng.random() < 0.5:
        tables["pools"] = {"pool": [*pools[::-1], "empty"], "insurance_fund": [1.0, 2.0, 3.0, 4.0, 0.0]}
    return tables


def assert_parts_are_rows(folder: Path, whole: cg.ExposureGraph) -> None:
    """Compare all parts with the rows of the whole graph."""
    layout = read_layout(folder)
    borders = chunk_borders(whole.quantity.indptr)
    assert layout.block_borders == borders.tolist()
    assert (layout.accounts, layout.cells) == (len(whole.account_index), whole.quantity.nnz)
    assert set(layout.first_blocks) <= set(layout.block_borders)
    assert layout.first_blocks[0] == 0
    assert layout.first_blocks[-1] == borders[-1]
    parts_of: dict[str, set[int]] = {}
    for k in range(layout.parts):
        part, rows = read_part(folder, k), layout.rows(k)
        assert rows.stop > rows.start
        assert_same_rows(part, whole, rows)
        for trader in part.traders:
            parts_of.setdefault(trader, set()).add(k)
    split = pd.read_parquet(folder / "split_traders.parquet")["trader"]
    assert set(split) == {trader for trader, parts in parts_of.items() if len(parts) > 1}
    assert rows.stop == len(whole.account_index)


def assert_same_rows(part: cg.ExposureGraph, whole: cg.ExposureGraph, rows: slice) -> None:
    """Compare a part with some rows of the whole graph."""
    start, stop = whole.quantity.indptr[rows.start], whole.quantity.indptr[rows.stop]
    np.testing.assert_array_equal(part.quantity.indptr, whole.quantity.indptr[rows.start : rows.stop + 1] - start)
    for one, other in ((part.quantity, whole.quantity), (part.margin_units, whole.margin_units)):
        np.testing.assert_array_equal(one.indices, other.indices[start:stop])
        assert one.data.tobytes() == other.data[start:stop].tobytes()
    assert part.cash.tobytes() == whole.cash[rows].tobytes()
    assert part.records is not None
    assert whole.records is not None
    assert part.records.own_cash.tobytes() == whole.records.own_cash[rows].tobytes()
    assert (part.share is None) == (whole.share is None)
    if part.share is not None:
        assert part.share.tobytes() == whole.share[rows].tobytes()
    assert part.account_index.tolist() == whole.account_index[rows].tolist()
    np.testing.assert_array_equal(part._rows.pool_of, whole._rows.pool_of[rows])
    for name in ("price", "depth", "margin_long", "margin_short", "sellable", "insurance_fund"):
        assert getattr(part, name).tobytes() == getattr(whole, name).tobytes()
    for name in ("assets", "pools"):
        assert getattr(part, name).tolist() == getattr(whole, name).tolist()
    assert_same_frames(part, whole, rows)


def assert_same_frames(part: cg.ExposureGraph, whole: cg.ExposureGraph, rows: slice) -> None:
    """Compare the tables of a part, the single positions among them, with those of some rows of the whole graph."""
    frames, others = part.to_frames(), whole.to_frames()
    others.pop("obligations", None)
    here = (whole.records.account >= rows.start) & (whole.records.account < rows.stop)  # type: ignore[union-attr]
    others |= {"positions": others["positions"][here], "accounts": others["accounts"][rows]}
    assert frames.keys() == others.keys()
    for name, frame in frames.items():
        expected = others[name].reset_index(drop=True)
        pd.testing.assert_frame_equal(frame.fillna(np.nan), expected.fillna(np.nan), check_dtype=False)


@pytest.mark.parametrize("seed", range(20))
def test_parts_are_rows_of_the_whole(tmp_path: Path, seed: int):
    tables = random_tables(seed)
    whole = cg.ExposureGraph.from_tables(**tables)
    n = int(np.random.default_rng(seed).choice([1, 2, 3, 7, 64, 100]))
    folder = partition(tables, tmp_path / "parts", n_parts=n)
    assert_parts_are_rows(folder, whole)
    assert read_layout(folder).parts == min(n, np.unique(read_layout(folder).block_borders).size - 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["parts"]


def written(tables: Mapping[str, Any], folder: Path, make: str) -> Any:
    """Return tables as a folder of files."""
    folder.mkdir()
    for name, table in tables.items():
        frame = pd.DataFrame(table)
        if make == "csv":
            frame.to_csv(folder / f"{name}.csv", index=False)
        elif make == "groups":
            pyarrow.parquet.write_table(pa.table(frame), folder / f"{name}.parquet", row_group_size=500)
        else:
            (folder / f"{name}.parquet").mkdir()
            for k, start in enumerate(range(0, len(frame), 800)):
                piece = pa.Table.from_pandas(frame[start : start + 800], preserve_index=False)
                pyarrow.parquet.write_table(piece, folder / f"{name}.parquet" / f"{k:03d}.parquet")
    return folder


@pytest.mark.parametrize("make", ["csv", "groups", "folders"])
def test_files_and_folders_of_files_give_the_same(tmp_path: Path, make: str):
    tables = random_tables(5)
    folder = written(tables, tmp_path / "tables", make)
    whole = cg.read_tables(folder)
    if make != "csv":
        assert_same_rows(whole, cg.ExposureGraph.from_tables(**tables), slice(0, len(whole.account_index)))
    assert_parts_are_rows(partition(folder, tmp_path / "parts", n_parts=5), whole)


def test_labels_attributes_and_all_tables_survive(tmp_path: Path):
    whole = cg.ExposureGraph.from_tables(**TABLES)
    folder = partition(TABLES, tmp_path / "new" / "parts", n_parts=3)
    assert_parts_are_rows(folder, whole)
    assert pd.read_parquet(folder / "obligations.parquet").to_dict("list") == OBLIGATIONS
    assert read_part(folder, 0).backing.to_dict("list") == BACKING


def test_accounts_without_positions_may_fill_a_part(tmp_path: Path):
    accounts = {"trader": [f"t{k}" for k in range(2000)], "cash": np.arange(2000.0)}
    positions = {"trader": ["t1", "new"], "asset": ["X", "X"], "quantity": [1.0, 2.0]}
    tables = {"positions": positions, "assets": {"asset": ["X"], "price": [1.0]}, "accounts": accounts}
    folder = partition(tables, tmp_path / "parts", n_parts=4)
    assert read_part(folder, 1).n_positions == 0
    assert_parts_are_rows(folder, cg.ExposureGraph.from_tables(**tables))


def faults_of(make: Any) -> set[cg.errors.Fault]:
    with pytest.raises(cg.TableError) as caught:
        make()
    return set(caught.value.faults)


BAD: dict[str, dict[str, Any]] = {
    "numbers, in several pieces": {"quantity": np.where(np.arange(3000) % 700 == 0, np.nan, 1.0)},
    "ranges": {"margin": np.where(np.arange(3000) % 999 == 0, 2.0, 0.5), "entry_price": np.full(3000, -1.0)},
    "text": {"quantity": np.where(np.arange(3000) == 2500, "two", "2")},
    "blank labels": {"trader": np.where(np.arange(3000) % 1000 == 999, "", "B")},
    "type": {"quantity": np.array(["2020-01-01"] * 3000, dtype="M8[D]")},
    "unknown assets": {"asset": [f"Y{k // 400}" for k in range(3000)]},
    "position ids": {"position": [f"p{k % 2990}" for k in range(3000)]},
    "pool in one table": {"pool": ["a"] * 3000},
}


@pytest.mark.parametrize("columns", BAD.values(), ids=BAD)
def test_faults_are_those_of_the_whole_tables(tmp_path: Path, columns: dict[str, Any]):
    positions = {"trader": ["A"] * 3000, "asset": ["X"] * 3000, "quantity": np.ones(3000)} | columns
    tables = {
        "positions": pd.DataFrame(positions),
        "assets": {"asset": ["X", "Z"], "price": [1.0, 0.0]},
        "accounts": {"trader": ["A", "A"]},
    }
    expected = faults_of(lambda: cg.ExposureGraph.from_tables(**tables))
    assert faults_of(lambda: partition(tables, tmp_path / "parts", n_parts=2)) == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "positions",
    [{"trader": [], "asset": [], "quantity": []}, {"trader": ["A"], "asset": ["X"]}, {}, "nowhere.parquet", "x.txt", 7],
    ids=["no rows", "a missing column", "nothing", "no file", "no table file", "no table"],
)
def test_tables_that_are_none_have_the_same_faults(tmp_path: Path, positions: Any):
    tables = {"positions": positions, "assets": {"asset": ["X"], "price": [1.0]}}
    expected = faults_of(lambda: cg.ExposureGraph.from_tables(**tables))
    assert faults_of(lambda: partition(tables, tmp_path / "parts", n_parts=2)) == expected


def test_a_folder_without_tables_is_named(tmp_path: Path):
    with pytest.raises(cg.TableError, match=r"no positions.csv or positions.parquet"):
        partition(tmp_path, tmp_path / "parts", n_parts=2)
    (tmp_path / "broken.parquet").write_text("PAR1")
    with pytest.raises(cg.TableError, match=r"positions: cannot be read"):
        partition({**TABLES, "positions": tmp_path / "broken.parquet"}, tmp_path / "parts", n_parts=2)
    (tmp_path / "positions.parquet").mkdir()
    with pytest.raises(cg.TableError, match=r"no .parquet files in this folder"):
        partition({**TABLES, "positions": tmp_path / "positions.parquet"}, tmp_path / "parts", n_parts=2)


def test_unused_columns_are_told_once(tmp_path: Path):
    positions = {"trader": ["A"] * 3000, "asset": ["X"] * 3000, "quantity": np.ones(3000), "quantiti": np.ones(3000)}
    with pytest.warns(cg.UnusedColumnWarning, match="quantiti") as told:
        partition({"positions": positions, "assets": {"asset": ["X"], "price": [1.0]}}, tmp_path / "parts", n_parts=2)
    assert len(told) == 1


def test_a_folder_in_use_is_refused(tmp_path: Path):
    (tmp_path / "parts").mkdir()
    partition(TABLES, tmp_path / "parts", n_parts=2)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(cg.ParameterError, match="is in use; name a new or an empty folder"):
        partition(TABLES, tmp_path / "parts", n_parts=2)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cg.ParameterError, match="file/parts' cannot be written"):
        partition(TABLES, tmp_path / "file" / "parts", n_parts=2)


def test_a_full_disk_is_reported_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")
    folder = written({"positions": POSITIONS, "assets": ASSETS}, tmp_path / "tables", "groups")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1, 1, 0))
    with pytest.raises(cg.ParameterError, match="has 0 MB left and needs about"):
        partition(folder, tmp_path / "parts", n_parts=2)
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self: Any, values: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.Column, "append", full)
    with pytest.raises(cg.ParameterError, match=r"cannot be written \(.*No space left"):
        partition(TABLES, tmp_path / "parts", n_parts=2)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path):
    """What is under way elsewhere is not: it is younger than a day."""
    old, young = (tmp_path / f".parts.{name}.partial" for name in ("old", "young"))
    for folder in (old, young):
        (folder / "part-00000").mkdir(parents=True)
    os.utime(old, (0, 0))
    partition(TABLES, tmp_path / "parts", n_parts=1)
    assert {path.name for path in tmp_path.iterdir()} == {"parts", young.name}


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_the_number_of_parts_is_checked(tmp_path: Path, n: Any):
    with pytest.raises(cg.ParameterError, match="whole number from 1 up"):
        partition(TABLES, tmp_path / "parts", n_parts=n)


def test_what_is_no_data_set_or_no_part_is_named(tmp_path: Path):
    with pytest.raises(cg.ParameterError, match="is not a partitioned data set"):
        read_part(tmp_path, 0)
    folder = partition(TABLES, tmp_path / "parts", n_parts=2)
    with pytest.raises(cg.ParameterError, match="parts 0 to 0, no part 1"):
        read_part(folder, 1)
    (folder / "dataset.json").write_text('{"format": 2}')
    with pytest.raises(cg.ParameterError, match="another format"):
        read_part(folder, 0)


def test_partitioning_loads_no_dask():
    code = "import sys, contagion_graph as cg; cg.distributed.partition; print('dask' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
