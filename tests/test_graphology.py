"""GEXF files, read back by graphology-gexf under Node as what was written."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import contagion_graph as cg
from contagion_graph.graph_formats.columns import plain
from tests import hostile
from tests.reference import plain_network
from tests.test_gexf import SEEDS

NODE = Path(__file__).parent / "node"


def need_node() -> None:
    """Skip where the Node packages are not installed, unless they are required."""
    if (NODE / "node_modules" / "graphology-gexf").is_dir():
        return
    reason = f"no Node packages; install them by: npm ci --prefix {NODE}"
    if "node" in os.environ.get("CONTAGION_GRAPH_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, dict[str, Any]]]:
    """Write every hostile graph and result, and read all files in one run of Node."""
    need_node()
    folder = tmp_path_factory.mktemp("gexf")
    sources = [hostile.result(seed) if seed % 2 else hostile.graph(seed) for seed in SEEDS]
    paths = [cg.write_gexf(source, folder / f"{k}.gexf").paths[0] for k, source in enumerate(sources)]
    run = subprocess.run(
        ["node", "read_gexf.js", *map(str, paths)], cwd=NODE, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return list(zip(sources, map(json.loads, run.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_graphology_reads_back_what_was_written(read: list[tuple[Any, dict[str, Any]]], seed: int):
    source, found = read[seed]
    nodes = plain_network.nodes(source)
    assert {plain(node) for node, _ in found["nodes"]} == set(nodes)
    for node, data in found["nodes"]:
        known = {plain(name): value for name, value in data.items() if name not in ("x", "y", "z", "color", "size")}
        expected = nodes[plain(node)]
        assert known.keys() == expected.keys()
        for name, value in expected.items():
            assert_value(known[name], value)
        assert data["color"].startswith("rgb(")
        assert {"x", "y", "size"} <= data.keys()
    amounts = plain_network.edges(source.graph if isinstance(source, cg.CascadeResult) else source)
    rows = []
    for one, other, data in found["edges"]:
        trader, asset = sorted((plain(one), plain(other)), key=lambda node: nodes[node]["side"], reverse=True)
        rows.append((trader, asset, data["quantity"], data["value"]))
        assert data["weight"] == float(str(np.float32(max(abs(data["value"]), np.finfo(np.float32).tiny))))
        assert data["kind"] == data["position_kind"]
    expected_rows = sorted(
        (trader, asset, row["quantity"], row["value"]) for (trader, asset, *_), row in amounts.items()
    )
    assert [row[:2] for row in sorted(rows)] == [row[:2] for row in expected_rows]
    np.testing.assert_allclose([row[2:] for row in sorted(rows)], [row[2:] for row in expected_rows], rtol=1e-12)


def assert_value(found: Any, expected: Any) -> None:
    """Compare values as far as JavaScript can hold them: numbers are doubles, and it does not know INF."""
    if isinstance(expected, bool):
        assert found is expected
    elif isinstance(expected, float) and np.isinf(expected):
        assert found == {"number": "NaN"}
    elif isinstance(expected, int | float):
        assert found == pytest.approx(float(expected), rel=1e-12)
    else:
        assert plain(found) == expected
