"""What a type checker tells a user: every mistake of a script, and the type of what the functions return."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import contagion_graph as cg

START = """
import pandas as pd

import contagion_graph as cg

graph = cg.generate.perpetuals(100, 3, rng=0)
model = cg.MarginCascade(penalty=0.01)
result = model.run(graph, {"ETH": -0.10})
shocks = pd.DataFrame({"ETH": [-0.10, -0.20]})
"""
MISTAKES = """
cg.MarginCascade(liquidatoin=cg.FullLiquidation())
cg.sweep(shocks, model, graph)
cg.EisenbergNoe(tol="small")
result.sumary()
model.run(graph, {"ETH": -0.10}, on_failure="explode")
cg.MarginCascade(max_rounds="many")
cg.indirect_exposure(graph, model)
result.acounts
"""
TUTORIAL = """
network = cg.ObligationNetwork.from_arrays([[0.0, 1.0], [0.5, 0.0]], external_assets=[1.0, 1.0])
both = model.equilibria(graph, {"ETH": -0.10})
exposure = cg.indirect_exposure(graph, model, size=-0.10)
cleared = cg.EisenbergNoe().run(network)
stressed = cg.DebtRank().run(network)
swept = cg.sweep(graph, model, shocks)
tree = cg.SumTree.from_graph(graph)
"""
REVEALED = """
graph.equity
graph.slack
graph.assets
model
result
result.accounts
result.traders
result.assets
result.pools
result.rounds
result.solution
result.model
result.graph
result.summary()
result.to_frames()
result.bystanders()
both
both.least
both.greatest.accounts
both.unique
both.undecided
cg.blame(result)
cg.paths(result, "Bob")
exposure
exposure.to_pandas()
exposure.top(3, not_held=True)
cg.direct_exposure(graph)
cg.marginal_exposure(graph, model)
cg.exposure_to_traders(graph, model)
network.equity
cleared
cleared.model
cleared.solution
stressed
stressed.model
stressed.solution
swept
swept.model
swept.traders
tree
cg.spectral_radius(graph, model)
cg.backbone(graph)
cg.cite(result)
cg.SolvencyMonitor(graph)
cg.importance.hits(graph)
cg.importance.compare(graph, [cg.importance.hits])
cg.scenarios.draw.grid({"ETH": [-0.10]})
cg.plot.cascade(result)
cg.plot.bipartite(result)
cg.generate.lending(100, 3)
cg.named.caccioli()
cg.collateral.top_up(graph, {"ETH": -0.10})
cg.rules.LiquidationRule()
"""


@pytest.fixture(scope="module")
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Return what mypy says of both scripts: the line of the script and the message."""
    folder, cache = tmp_path_factory.mktemp("scripts"), getattr(request.config, "cache", None)
    revealed = "\n".join(f"reveal_type({line})" for line in REVEALED.strip().splitlines())
    scripts = {"mistakes.py": START + MISTAKES, "tutorial.py": START + TUTORIAL + revealed}
    for name, text in scripts.items():
        (folder / name).write_text(text, encoding="utf-8")
    options = [
        "--strict",
        "--config-file=",
        "--follow-imports=silent",
        f"--cache-dir={folder / 'cache' if cache is None else cache.mkdir('mypy')}",
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *(str(folder / name) for name in scripts)],
        cwd=Path(cg.__file__).parent.parent,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    found = re.findall(r"^.*?(mistakes|tutorial)\.py:(\d+): (\w+: .*)$", ran.stdout, re.MULTILINE)
    return [(scripts[f"{name}.py"].splitlines()[int(line) - 1], message) for name, line, message in found]


def test_every_mistake_is_found_and_nothing_else(said: list[tuple[str, str]]):
    mistakes = MISTAKES.strip().splitlines()
    assert {line for line, message in said if message.startswith("error")} == set(mistakes)
    assert len(mistakes) == 8


@pytest.mark.parametrize("line", REVEALED.strip().splitlines())
def test_types_are_concrete(line: str, said: list[tuple[str, str]]):
    revealed = [message for told, message in said if told == f"reveal_type({line})"]
    assert len(revealed) == 1
    assert re.search(r"\bAny\b", revealed[0]) is None
