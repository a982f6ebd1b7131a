"""
One market on several workers: a run, both equilibria, and a sweep
==================================================================

A market that is too large for one machine is cut into parts, files that the workers of a Dask cluster read. A model
runs on all parts at once and adds up over them; here two processes of this machine play the cluster, and show that the
answer is that of one process, to the last bit. A cluster of many machines needs another client, and a folder that all
can read.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster

import contagion_graph as cg

SHOCK = {"WETH": -0.3, "WBTC": -0.25}
SCENARIOS = 1_200


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what work comes to, and the seconds it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def on_parts(client: Client, tables: dict[str, Any], folder: Path) -> cg.CascadeResult:
    """Cut the tables into four parts, run the cascade on them, and find both equilibria."""
    data = cg.distributed.partition(tables, folder / "market", n_parts=4)
    graph = cg.distributed.open_dataset(data, client)
    print(graph)
    model = cg.MarginCascade()
    model.run(graph, SHOCK)  # the first run reads the parts
    result, seconds = timed(lambda: model.run(graph, SHOCK))
    print(f"{result}\n  in {seconds:.2f} s on {len(client.nthreads())} workers")
    both, seconds = timed(lambda: model.equilibria(graph, SHOCK))
    print(f"{both}\n  in {seconds:.2f} s")
    result.write_accounts(folder / "accounts")
    print("accounts, written by the workers:", *sorted(path.name for path in (folder / "accounts").iterdir()))
    return result


def in_one_process(tables: dict[str, Any], result: cg.CascadeResult) -> None:
    """Compare with one process."""
    alone = cg.MarginCascade().run(cg.ExposureGraph.from_tables(**tables), SHOCK)
    same = alone.accounts.equals(result.accounts) and alone.assets.equals(result.assets)
    print(f"the same as in one process, to the last bit: {same}")


def sweep(client: Client) -> None:
    """Spread scenarios over the workers: each of them has the whole of a smaller graph."""
    graph = cg.generate.lending(1_000, 10, rng=0)
    shocks = cg.scenarios.draw.grid({"WETH": [-k / 2_000 for k in range(SCENARIOS)]})
    executor = cg.distributed.DaskExecutor(client)
    found, seconds = timed(lambda: cg.sweep(graph, cg.MarginCascade(), shocks, executor=executor))
    print(f"{found}\n  in {seconds:.1f} s")


def main() -> None:
    """Run all three on two processes of this machine."""
    tables = cg.generate.lending(20_000, 20, rng=0).to_frames()
    local = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with tempfile.TemporaryDirectory() as folder, LocalCluster(**local) as cluster, Client(cluster) as client:
        result = on_parts(client, tables, Path(folder))
        in_one_process(tables, result)
        sweep(client)


if __name__ == "__main__":
    main()
