"""A sweep that is killed at any moment goes on from its checkpoint, and ends with the same bits."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.scenarios import run_tasks, tasks

PARTS = 60
SCRIPT = """
import os, sys
import contagion_graph as cg
from contagion_graph.scenarios import run_tasks
from tests.test_checkpoint import market, PARTS
run_tasks.SIZE, run_tasks.BETWEEN = 64, 0.0
arguments = market(64 * PARTS)
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        cg.sweep(*arguments, checkpoint=sys.argv[1])
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def market(count: int) -> tuple[cg.ExposureGraph, cg.MarginCascade, pd.DataFrame]:
    graph = cg.generate.perpetuals(60, 4, rng=0)
    covariance = pd.DataFrame(0.05**2 * (0.5 * np.eye(4) + 0.5), index=graph.assets, columns=graph.assets)
    return graph, cg.MarginCascade(), cg.scenarios.draw.student_t(covariance, count, rng=0)


def assert_same_bits(one: cg.SweepResult, other: cg.SweepResult) -> None:
    for name in one.part.figures:
        assert one.part.figures[name].tobytes() == other.part.figures[name].tobytes(), name
    assert one.part.price.tobytes() == other.part.price.tobytes()
    assert one.part.tally is not None
    assert other.part.tally is not None
    for mine, theirs in zip(one.part.tally, other.part.tally, strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_killed_at_ten_random_moments(tmp_path: Path, monkeypatch):
    """One process after the other works on the same sweep, and is killed; the last one is not."""
    command, root, reached = [sys.executable, "-c", SCRIPT, str(tmp_path)], Path(__file__).parent.parent, [0]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": "."}, **pipes) as process:
        for moment in [*np.random.default_rng(0).uniform(0.0, 0.25, 10), None]:
            process.stdin.write("go\n")
            child = int(process.stdout.readline())
            if moment is not None:
                time.sleep(moment)
                os.kill(child, signal.SIGKILL)
            assert int(process.stdout.readline()) == (0 if moment is None else signal.SIGKILL)
            reached.append(max([0, *(int(path.stem[6:]) for path in tmp_path.glob("sweep-*.parquet"))]))
    assert reached == sorted(reached)
    assert reached[-2] < reached[-1] == 64 * PARTS
    monkeypatch.setattr(run_tasks, "SIZE", 64)
    whole = cg.sweep(*market(64 * PARTS))
    assert_same_bits(whole, cg.sweep(*market(64 * PARTS), checkpoint=tmp_path, executor=Never()))
    assert [path.name for path in tmp_path.iterdir()] == [f"sweep-{64 * PARTS:010d}.parquet"]


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(run_tasks, "SIZE", 64)
    monkeypatch.setattr(run_tasks, "BETWEEN", 0.0)
    graph, model, shocks = market(200)
    done = []

    class Failing:
        """Gives up after two parts."""

        def map(self, function, shared, tasks):
            """Do two tasks."""
            for task in tasks:
                done.append(task.first)
                if len(done) == 3:
                    raise KeyboardInterrupt
                yield function(next(shared), task)

    with pytest.raises(KeyboardInterrupt):
        cg.sweep(graph, model, shocks, checkpoint=tmp_path, executor=Failing())
    result = cg.sweep(graph, model, shocks, checkpoint=tmp_path, executor=Failing())
    assert done == [0, 64, 128, 128, 192]
    assert_same_bits(result, cg.sweep(graph, model, shocks))


@pytest.mark.parametrize("change", ["graph", "model", "scenarios", "level"])
def test_the_checkpoint_of_another_sweep_is_refused(tmp_path: Path, change: str):
    graph, model, shocks = market(10)
    cg.sweep(graph, model, shocks, checkpoint=tmp_path)
    other = {
        "graph": graph.assign(cash=graph.cash + 1.0),
        "model": cg.MarginCascade(penalty=0.1),
        "scenarios": shocks[:9],
    }
    given = {"model": model, "graph": graph, "scenarios": shocks, "level": 0.99} | {change: other.get(change, 0.8)}
    with pytest.raises(cg.ParameterError, match="belongs to another sweep"):
        cg.sweep(**given, checkpoint=tmp_path)


class Never:
    """Must not be asked."""

    def map(self, function, shared, tasks):
        """Fail."""
        raise AssertionError


def test_a_folder_that_cannot_be_written_is_reported_before_the_work(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cg.ParameterError, match="file/sweep' cannot be written"):
        cg.sweep(*market(10), checkpoint=tmp_path / "file" / "sweep", executor=Never())


def test_a_full_disk_is_reported_before_the_work(tmp_path: Path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1, 1, 0))
    with pytest.raises(cg.ParameterError, match="has 0 MB left and needs"):
        cg.sweep(*market(10), checkpoint=tmp_path, executor=Never())


def test_a_checkpoint_holds_arrays_of_every_shape(tmp_path: Path, monkeypatch):
    """Also in pieces, and nothing of traders."""
    from contagion_graph.scenarios import checkpoint

    monkeypatch.setattr(checkpoint, "PIECE", 100)
    graph, model, shocks = market(20)
    first = cg.sweep(graph, model, shocks, checkpoint=tmp_path / "traders")
    assert_same_bits(first, cg.sweep(graph, model, shocks, checkpoint=tmp_path / "traders", executor=Never()))
    cg.sweep(graph, model, shocks, keep="scenarios", checkpoint=tmp_path / "none")
    assert cg.sweep(graph, model, shocks, keep="scenarios", checkpoint=tmp_path / "none").part.tally is None
    assert tasks.SIZE == 512
