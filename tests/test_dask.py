"""Graphs and sweeps on the workers of a Dask cluster: the same bits, also where workers are killed."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask_cluster
import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.distributed.run import Run

dask, distributed = (pytest.importorskip(name, reason="needs the extra `dask`") for name in ("dask", "distributed"))
SHOCK = {"ETH": -0.25, "BTC": -0.2}
MODEL = cg.MarginCascade(penalty=0.01, penalty_to_fund=0.5)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers, each a process of its own with one thread."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 60}
    patience = {"distributed.deploy.lost-worker-timeout": "1 hour"}  # else 15 s after a kill it gives up on the place
    with (
        dask.config.set(patience),
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """Tables of a venue of 9,000 accounts, in which some traders have several."""
    frames = cg.generate.perpetuals(9_000, 30, rng=4).to_frames()
    owner = pd.Series(np.arange(9_000), index=frames["accounts"]["trader"])
    rng = np.random.default_rng(0)
    owner[rng.random(9_000) < 0.1] = rng.integers(0, 9_000)
    for name in ("accounts", "positions"):
        number = owner.index.get_indexer(frames[name]["trader"])
        frames[name]["subaccount"] = [f"s{k}" for k in number]
        frames[name]["trader"] = [f"T{k}" for k in owner.to_numpy()[number]]
    return frames


@pytest.fixture(scope="module")
def whole(tables: dict[str, pd.DataFrame]) -> cg.ExposureGraph:
    return cg.ExposureGraph.from_tables(**tables)


@pytest.fixture(scope="module")
def spread(tables: Any, client: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Seven parts on two workers."""
    return cg.distributed.open_dataset(
        cg.distributed.partition(tables, tmp_path_factory.mktemp("data") / "parts", n_parts=7), client
    )


def assert_same(found: cg.CascadeResult, expected: cg.CascadeResult) -> None:
    exact = {"check_exact": True}
    pd.testing.assert_series_equal(found.summary(), expected.summary(), **exact)
    for name in ("assets", "pools", "rounds", "accounts", "traders"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), **exact)
    pd.testing.assert_frame_equal(found.bystanders(), expected.bystanders(), **exact)
    assert found.arrays.closed.tobytes() == expected.arrays.closed.tobytes()
    assert found.solution == expected.solution
    assert repr(found) == repr(expected)


def test_runs_and_equilibria(spread: Any, whole: cg.ExposureGraph, tmp_path: Path):
    trader = whole.traders[5]
    expected = MODEL.run(whole, SHOCK, losses={trader: 100.0}, defaults=[trader])
    found = MODEL.run(spread, SHOCK, losses={trader: 100.0}, defaults={trader})
    assert_same(found, expected)
    found.write_accounts(tmp_path / "accounts")
    files = sorted((tmp_path / "accounts").glob("accounts-*.parquet"))
    written = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    pd.testing.assert_frame_equal(written, expected.accounts.reset_index(), check_exact=True)
    both = MODEL.equilibria(spread, SHOCK)
    ends = MODEL.equilibria(whole, SHOCK)
    assert_same(both.least, ends.least)
    assert_same(both.greatest, ends.greatest)
    assert repr(both) == repr(ends)
    pd.testing.assert_series_equal(both.account_status, ends.account_status)
    assert repr(spread).startswith("<DistributedGraph: 9,000 accounts in 7 parts of ")


def test_two_parts_are_as_good_as_seven(client: Any, tables: Any, whole: cg.ExposureGraph, tmp_path: Path):
    graph = cg.distributed.open_dataset(cg.distributed.partition(tables, tmp_path / "parts", n_parts=2), client)
    assert_same(MODEL.run(graph, SHOCK), MODEL.run(whole, SHOCK))


def kill(client: Any, number: int) -> int:
    """Kill a worker without a warning; return the number of its process."""
    pids = sorted(client.run(os.getpid).values())
    os.kill(pids[number % len(pids)], signal.SIGKILL)
    return pids[number % len(pids)]


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 60
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def wait_for_workers(client: Any, killed: int) -> None:
    """Wait until another worker has taken the place of the one that was killed."""

    def replaced() -> bool:
        pids = client.run(os.getpid, on_error="ignore").values()
        return len(pids) == 2 and killed not in pids

    wait_until(replaced)


@pytest.mark.parametrize("moment", [0, 3, 11, 24, 40])
def test_a_killed_worker_costs_time_not_the_answer(
    client: Any, spread: Any, whole: cg.ExposureGraph, moment: int, monkeypatch: pytest.MonkeyPatch
):
    publish, killed = Run._publish, []

    def publish_and_kill(run: Run, answer: Any) -> None:
        if len(run._published) == moment:
            killed.append(kill(client, moment))
        publish(run, answer)

    monkeypatch.setattr(Run, "_publish", publish_and_kill)
    found = MODEL.run(spread, SHOCK)
    assert len(killed) == 1
    wait_for_workers(client, *killed)
    assert_same(found, MODEL.run(whole, SHOCK))


def test_a_result_outlives_the_workers_that_held_it(client: Any, spread: Any, whole: cg.ExposureGraph):
    found = MODEL.run(spread, SHOCK)
    for number in range(2):
        wait_for_workers(client, kill(client, number))
    assert_same(found, MODEL.run(whole, SHOCK))


def test_sweeps(client: Any):
    whole, rng = cg.generate.perpetuals(600, 8, rng=1), np.random.default_rng(1)
    shocks = pd.DataFrame(rng.normal(0.0, 0.03, (1_030, 2)), columns=["ETH", "BTC"])
    alone = cg.sweep(whole, MODEL, shocks)

    killed = []

    class Executor(cg.distributed.DaskExecutor):
        """Kills a worker after the first result."""

        def map(self, *arguments: Any) -> Iterator[Any]:
            for result in super().map(*arguments):
                yield result
                if not killed:
                    killed.append(kill(client, 0))

    for executor in (cg.distributed.DaskExecutor(client), Executor(client)):
        found = cg.sweep(whole, MODEL, shocks, executor=executor)
        pd.testing.assert_frame_equal(found.scenarios, alone.scenarios, check_exact=True)
        pd.testing.assert_frame_equal(found.traders, alone.traders, check_exact=True)
    wait_for_workers(client, *killed)


class Proxy:
    """A client of which a test replaces a part."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


class Tasks:
    """Tasks, one of which does something when it is asked for."""

    def __init__(self, size: int, at: int, act: Callable[[], object]) -> None:
        self.size, self.at, self.act = size, at, act

    def __iter__(self) -> Iterator[int]:
        for task in range(self.size):
            if task == self.at:
                self.act()
            yield task


def test_what_all_parts_share_is_sent_again_where_its_last_copy_is_lost(client: Any):
    """Dask keeps one copy, and its worker is killed: the executor sends it once more, and every result comes."""
    sent, killed = [], []

    class Counting(Proxy):
        """Counts what is sent."""

        def scatter(self, data: Any, **options: Any) -> Any:
            sent.append(self.client.scatter(data, **options))
            return sent[-1]

    def lose() -> None:
        client.replicate(sent[-1:], n=1)
        (holder,) = client.who_has(sent[-1:])[sent[-1].key]
        killed.append(client.run(os.getpid, workers=[holder])[holder])
        os.kill(killed[-1], signal.SIGKILL)

    found = list(cg.distributed.DaskExecutor(Counting(client)).map(pow, [2], Tasks(12, 6, lose)))
    assert found == [2**task for task in range(12)]
    assert len(sent) == 2
    wait_for_workers(client, *killed)


def test_a_worker_that_is_lost_while_the_graph_is_sent(client: Any):
    """The first attempts to send fail as those of Dask do; then it is sent, and the sweep goes on."""
    attempts = []

    class Failing(Proxy):
        """Fails to send, twice."""

        def scatter(self, data: Any, **options: Any) -> Any:
            attempts.append(options)
            if len(attempts) < 3:
                raise OSError("Timed out trying to connect to a worker")
            return self.client.scatter(data, **options)

    assert list(cg.distributed.DaskExecutor(Failing(client)).map(pow, [2], range(3))) == [1, 2, 4]
    assert len(attempts) == 3


def test_a_client_is_no_executor(client: Any):
    graph = cg.ExposureGraph.from_arrays([[1.0]], price=1.0, assets=["ETH"])
    shocks = pd.DataFrame({"ETH": [-0.1]})
    with pytest.raises(cg.ParameterError, match=r"executor is a Dask Client; give .*DaskExecutor\(client\)"):
        cg.sweep(graph, MODEL, shocks, executor=client)


class Emptied:
    """A client whose workers have all been lost."""

    def scatter(self, data: Any, **options: Any) -> Any:
        """Forget what is sent."""

    def nthreads(self) -> dict[str, int]:
        """Return that nobody is there."""
        return {}

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        """Return what has been cancelled."""
        future: Future[Any] = Future()
        future.cancel()
        return future


def test_a_sweep_that_has_lost_what_all_parts_share():
    with pytest.raises(RuntimeError, match="with checkpoint= continues where it stopped"):
        list(cg.distributed.DaskExecutor(Emptied()).map(pow, [2], range(9)))


def test_what_a_model_raises(spread: Any, whole: cg.ExposureGraph):
    with pytest.raises(cg.ParameterError, match="unknown asset 'nothing'"):
        MODEL.run(spread, {"nothing": -0.1})
    with pytest.raises(cg.ParameterError, match="unknown account 'nobody'"):
        MODEL.run(spread, losses={"nobody": 1.0})
    with pytest.raises(cg.ParameterError, match="defaults='T1' is a text"):
        MODEL.run(spread, defaults="T1")
    with pytest.raises(cg.ParameterError, match="order= needs all accounts in one process"):
        MODEL.run(spread, SHOCK, order=[whole.traders[0]])
    short = cg.MarginCascade(max_rounds=1)
    with pytest.raises(cg.ConvergenceError) as error:
        short.run(spread, SHOCK)
    with pytest.raises(cg.ConvergenceError, match=str(error.value).partition("(")[0]):
        short.run(whole, SHOCK)
    with pytest.warns(cg.ConvergenceWarning):
        found = short.run(spread, SHOCK, on_failure="warn")
    assert found.solution.steps == 1
    with pytest.raises(cg.ParameterError, match="those of a DistributedGraph stay on the workers"):
        cg.blame(found)
    with pytest.raises(AttributeError, match="the rows of a DistributedGraph are on the workers"):
        found.graph.quantity.sum()
    assert_same(MODEL.run(spread, SHOCK), MODEL.run(whole, SHOCK))


def test_what_cannot_be_opened(tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(cg.ParameterError, match="is not a partitioned data set"):
        cg.distributed.open_dataset(tmp_path, client)

    def nobody() -> Any:
        raise ValueError

    monkeypatch.setattr(distributed, "get_client", nobody)
    with pytest.raises(cg.ParameterError, match="there is no Dask client"):
        cg.distributed.open_dataset(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(cg.MissingExtraError, match=r"contagion-graph\[dask\]"):
        cg.distributed.open_dataset(tmp_path)


def test_the_example(capsys: pytest.CaptureFixture[str]):
    dask_cluster.main()
    printed = capsys.readouterr().out
    assert "the same as in one process, to the last bit: True" in printed
    assert "accounts-00003.parquet" in printed
    assert "1,200 scenarios" in printed


def at_scheduler(client: Any) -> set[str]:
    """Return the names of what runs have left with the scheduler."""

    def names(dask_scheduler: Any) -> list[str]:
        extensions = dask_scheduler.extensions
        return [*extensions["variables"].variables, *extensions["queues"].queues]

    return set(client.run_on_scheduler(names))


def playing(client: Any) -> bool:
    """Say whether a worker is at the task of a part."""

    def tasks(dask_worker: Any) -> list[str]:
        known = dask_worker.state.tasks.items()
        return [task.state for key, task in known if str(key).startswith("play-") and task.state != "memory"]

    return any(client.run(tasks).values())


def test_nothing_is_left_behind(client: Any, spread: Any):
    before = at_scheduler(client)  # results in errors that were caught
    result = MODEL.run(spread, SHOCK)
    assert len(at_scheduler(client) - before) > 10
    del result
    wait_until(lambda: at_scheduler(client) <= before)
    least = MODEL.equilibria(spread, SHOCK).least
    assert len(least.accounts) == spread.size
    assert len(at_scheduler(client) - before) > 10  # what a lost worker would need to find it again
    del least
    wait_until(lambda: at_scheduler(client) <= before)


def test_an_interrupted_run_ends_on_the_workers(client: Any, spread: Any, monkeypatch: pytest.MonkeyPatch):
    before, publish = at_scheduler(client), Run._publish

    def interrupted(run: Run, answer: bytes) -> None:
        if len(run._published) == 5:
            raise KeyboardInterrupt
        publish(run, answer)

    monkeypatch.setattr(Run, "_publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        MODEL.run(spread, SHOCK)
    wait_until(lambda: not playing(client) and at_scheduler(client) <= before)


def test_parts_do_not_wait_for_a_client_that_has_gone(client: Any, spread: Any):
    with distributed.Client(client.scheduler.address, set_as_default=False) as other:
        graph = cg.distributed.open_dataset(spread.folder, other)
        given = {"shock": SHOCK, "losses": None, "defaults": None, "revaluation": "incremental", "on_failure": "ignore"}
        run = Run(other, graph._parts, (MODEL, "run", given))
        assert run._messages.get(timeout="60 s")
        assert playing(client)
    wait_until(lambda: not playing(client))


def test_runs_at_the_same_time(spread: Any, whole: cg.ExposureGraph):
    shocks = [{"ETH": -0.2}, {"ETH": -0.25}, {"BTC": -0.25}]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda shock: MODEL.run(spread, shock), shocks))
    for result, shock in zip(found, shocks, strict=True):
        pd.testing.assert_frame_equal(result.accounts, MODEL.run(whole, shock).accounts, check_exact=True)
