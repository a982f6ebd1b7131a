"""Files and sets of files: whole or not there, also when others write, and nothing of an earlier set among them."""

import csv
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.cli.main import main
from contagion_graph.tables import files
from contagion_graph.tables.files import replacing, replacing_set

OWING = {"debtor": ["A"], "creditor": ["B"], "amount": [5.0]}
POSITIONS = {"trader": ["A", "B"], "asset": ["X", "X"], "quantity": [1.0, 2.0]}
ASSETS = {"asset": ["X"], "price": [10.0]}


def graph(**tables: object) -> cg.ExposureGraph:
    """Build two traders who hold X."""
    return cg.ExposureGraph.from_tables(POSITIONS, ASSETS, **tables)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_earlier_graph_leaves_no_obligations_behind(tmp_path: Path):
    """The graph that is read back owed 5 that only the earlier one did."""
    cg.write_tables(graph(obligations=OWING), tmp_path)
    cg.write_tables(graph(), tmp_path)
    assert cg.read_tables(tmp_path).obligations.obligations.sum() == 0.0


@pytest.mark.parametrize("first", ["csv", "parquet"])
def test_a_graph_is_read_back_after_one_of_the_other_format(tmp_path: Path, first: str):
    second = {"csv": "parquet", "parquet": "csv"}[first]
    cg.write_tables(graph(obligations=OWING), tmp_path, format=first)
    cg.write_tables(graph(), tmp_path, format=second)
    assert {path.suffix for path in tmp_path.iterdir()} == {f".{second}"}
    assert cg.read_tables(tmp_path).n_positions == 2


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_a_result_take_no_table_of_a_graph_away(tmp_path: Path, kind: str):
    """Those of a cascade were written over assets, accounts and pools of the graph."""
    cg.write_tables(graph(), tmp_path, format=kind)
    before = contents(tmp_path)
    with pytest.raises(cg.ParameterError, match="holds a graph; its tables accounts, assets, pools would be replaced"):
        cg.write_tables(cg.MarginCascade().run(graph()), tmp_path)
    assert contents(tmp_path) == before
    cg.write_tables(cg.sweep(graph(), cg.MarginCascade(), pd.DataFrame({"X": [-0.1]})), tmp_path)
    assert (tmp_path / "scenarios.csv").exists()
    assert cg.read_tables(tmp_path).n_positions == 2


def test_run_does_not_write_over_the_tables_that_it_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cg.write_tables(graph(), tmp_path)
    before = contents(tmp_path)
    assert main(["run", str(tmp_path), "--shock", "X=-10%", "--out", str(tmp_path)]) == 2
    assert "give another folder" in capsys.readouterr().err
    assert contents(tmp_path) == before


FILE_WRITERS = (cg.write_gexf, cg.write_graphml, cg.write_report)


@pytest.mark.parametrize("write", FILE_WRITERS, ids=lambda write: write.__name__)
def test_a_file_in_a_folder_that_is_not_there_is_told_before_the_work(tmp_path: Path, write: Callable[..., object]):
    with pytest.raises(FileNotFoundError, match=r"missing/a\.gexf' is in no folder that exists; make '"):
        write(cg.MarginCascade().run(graph()), tmp_path / "missing" / "a.gexf")
    assert not list(tmp_path.iterdir())


def test_slices_of_a_longer_cascade_go(tmp_path: Path):
    market = cg.generate.perpetuals(200, 5, rng=3)
    long, short = (cg.MarginCascade().run(market, {market.assets[0]: fall}) for fall in (-0.3, -0.05))
    assert len(long.rounds) > len(short.rounds)
    other = tmp_path / "cascade-notes.gexf"
    other.write_text("mine")
    cg.write_gexf(long, tmp_path / "cascade.gexf", mode="slices")
    written = cg.write_gexf(short, tmp_path / "cascade.gexf", mode="slices")
    assert set(tmp_path.iterdir()) == {*written.paths, other}


def test_proofs_of_an_earlier_statement_go(tmp_path: Path):
    folder, out = tmp_path / "tables", tmp_path / "proofs"
    cg.write_tables(graph(), folder)
    assert main(["prove", str(folder), "--out", str(out), "--trader", "A", "--trader", "B"]) == 0
    assert main(["prove", str(folder), "--out", str(out), "--trader", "A"]) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"statement.json", "verify.py", "proof_1.json", "proof_2.json"}


def break_after(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the disk be full at the end of file number `number`."""
    count, write = iter(range(1, 1000)), files._beside

    def beside(path: Path) -> Path:
        if next(count) > number:
            raise OSError("no space left")
        return write(path)

    monkeypatch.setattr(files, "_beside", beside)


WRITERS = {
    "tables": cg.write_tables,
    "csv for Gephi": cg.write_gephi_csv,
    "slices": lambda source, folder: cg.write_gexf(source, folder / "c.gexf", mode="slices"),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("number", [1, 2])
def test_a_set_that_fails_half_way_leaves_the_old_one_whole(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    market = cg.generate.perpetuals(50, 5, rng=3)
    first, second = (cg.MarginCascade().run(market, {market.assets[0]: fall}) for fall in (-0.2, -0.4))
    WRITERS[name](first, tmp_path)
    before = contents(tmp_path)
    break_after(monkeypatch, number)
    with pytest.raises(OSError, match="no space left"):
        WRITERS[name](second, tmp_path)
    assert contents(tmp_path) == before


def test_a_set_that_would_replace_a_folder_changes_nothing(tmp_path: Path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_text("old")

    def write() -> None:
        with replacing_set(tmp_path, "") as beside:
            for name in ("a", "b"):
                (beside / name).write_text("new")

    with pytest.raises(cg.ParameterError, match="is a folder"):
        write()
    assert contents(tmp_path) == {"a": b"old"}


def test_two_that_write_one_file_do_not_meet(tmp_path: Path):
    """Of 200 writes by threads and processes none fails, and every look finds a whole file."""
    path, failed, seen = tmp_path / "positions.csv", [], []

    def write(letter: str) -> None:
        for _ in range(100):
            try:
                with replacing(path) as beside:
                    beside.write_text(letter * 10_000)
            except OSError as error:
                failed.append(error)

    workers = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        if path.exists():
            seen.append(path.read_text())
    assert not failed
    assert {len(text) for text in seen} == {10_000}
    assert {len(set(text)) for text in seen} == {1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_beside_the_target_is_not_followed(tmp_path: Path):
    """A link under the name that files under way once had led to a file that was overwritten."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".positions.csv.partial").symlink_to(victim)
    with replacing(tmp_path / "positions.csv") as beside:
        beside.write_text("new")
    assert victim.read_text() == "precious"


def test_a_target_that_is_a_link_stays_one(tmp_path: Path):
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    link.symlink_to(real)
    with replacing(link) as beside:
        beside.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_pipe_is_written_in_place(tmp_path: Path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    with replacing(pipe) as beside:
        beside.write_text("through")
    reader.join(timeout=10)
    assert read == ["through"]
    assert pipe.is_fifo()


def test_a_name_as_long_as_names_may_be(tmp_path: Path):
    path = tmp_path / ("é" * 125)
    with replacing(path) as beside:
        beside.write_text("whole")
    assert path.read_text() == "whole"


TO_A_FOLDER = {
    "write_gexf": cg.write_gexf,
    "write_graphml": cg.write_graphml,
    "write_report": cg.write_report,
    "plot.save": lambda result, path: cg.plot.save(cg.plot.waterfall(result), path),
}


@pytest.mark.parametrize("name", TO_A_FOLDER)
def test_a_folder_where_a_file_is_asked_for_is_named(name: str, tmp_path: Path):
    folder = tmp_path / "folder.svg"
    folder.mkdir()
    with pytest.raises(cg.ParameterError, match=r"folder\.svg' is a folder; give the path of a file"):
        TO_A_FOLDER[name](cg.MarginCascade().run(graph()), folder)


FORMULAS = ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "'=1", "''-2"]


@pytest.mark.parametrize("label", FORMULAS)
def test_no_cell_and_no_header_runs_as_a_formula_and_labels_come_back(label: str, tmp_path: Path):
    tables = {"trader": [label], "asset": [label], "quantity": [1.0]}, {"asset": [label], "price": [1.0]}
    market = cg.ExposureGraph.from_tables(*tables, accounts={"trader": [label], label: ["x"]})
    shocks = cg.scenarios.draw.single_asset([label], [-0.1])
    cg.write_tables(market, tmp_path / "graph")
    cg.write_tables(cg.sweep(market, cg.MarginCascade(), shocks), tmp_path / "sweep")
    cg.write_gephi_csv(market, tmp_path / "gephi")
    paths = sorted(tmp_path.rglob("*.csv"))
    assert len(paths) > 6
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        numbers = pd.to_numeric(pd.Series(cells), errors="coerce").notna()
        risky = [cell for cell, number in zip(cells, numbers, strict=True) if not number and cell[:1] in "=+-@\t\r\n"]
        assert not list(filter(None, risky)), path
    back = cg.read_tables(tmp_path / "graph")
    assert back.assets.tolist() == back.traders.tolist() == [label]
    assert label in back.attributes["accounts"].columns


def test_files_have_the_permissions_of_other_files(tmp_path: Path):
    code = (
        "import os, sys; os.umask(0o022); from pathlib import Path\n"
        "from contagion_graph.tables.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as beside: beside.write_text('x')\n"
        "print(oct(Path(sys.argv[1]).stat().st_mode & 0o777))"
    )
    said = subprocess.check_output([sys.executable, "-c", code, str(tmp_path / "a")], text=True)
    assert said.strip() == "0o644"
