"""Graphs in parts with margin tiers and scenario grids: the bits of the whole graph, and its faults."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.option_books import option_market
from tests.test_margin_tables import tables
from tests.test_margins import market
from tests.test_partition import faults_of
from tests.test_parts import assert_same, settled
from tests.together import parts_of, together

MODELS = {
    "whole": cg.MarginCascade(penalty=0.01),
    "target": cg.MarginCascade(cg.TargetMargin(0.1), waterfall=(cg.InsuranceFund(),)),
    "factor": cg.MarginCascade(cg.CloseFactor(0.5)),
}
SHOCK = {"A0": -0.1, "A1": 0.08, "A2": -0.06}


def large(seed: int, on: str) -> dict[str, Any]:
    """Return the tables of 2,000 accounts; those on a grid are all of them, every third, or the first 40."""
    rng = np.random.default_rng([seed, 24])
    graph, _ = market(rng, n=2_000)
    above = graph.maintenance.to_numpy() * rng.uniform(0.01, 1.0, 2_000)
    graph = graph.assign(cash=graph.cash - graph.slack.to_numpy() + above, depth=2.0 * graph.gross_value.sum())
    few = {"mixed": graph.account_margin, "first": np.where(np.arange(2_000) < 40, "wide", ""), "none": [""] * 2_000}
    graph = graph.assign(account_margin=list(few[on]), margin_tiers=None if on == "first" else graph.margin_tiers)
    return graph.to_frames()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("on", ["mixed", "first", "none"])
def test_a_run_on_parts_has_the_bits_of_the_whole(tmp_path: Path, name: str, on: str):
    given, model = large(1, on), MODELS[name]
    graph = cg.ExposureGraph.from_tables(**given)
    parts = parts_of(cg.distributed.partition(given, tmp_path / "parts", n_parts=3))
    assert len(parts) == 3
    whole = model.run(graph, SHOCK)
    assert 10 < (whole.accounts["closed"] > 0.0).sum() < 2_000
    found, _ = together(parts, lambda part: settled(model.run(part, SHOCK)))
    assert_same(found, whole)
    assert (pd.concat([part.maintenance for part in parts]) == graph.maintenance).all()


@pytest.mark.parametrize("on", ["mixed", "first"])
def test_equilibria_are_refused_on_parts_too(tmp_path: Path, on: str):
    parts = parts_of(cg.distributed.partition(large(2, on), tmp_path / "parts", n_parts=3))
    with pytest.raises(cg.ParameterError, match="here margins can only be flat rates"):
        together(parts, lambda part: MODELS["whole"].equilibria(part, SHOCK))


def test_a_part_has_the_tables_of_margins(tmp_path: Path):
    graph = cg.ExposureGraph.from_tables(**tables())
    part = cg.distributed.read_part(cg.distributed.partition(tables(), tmp_path / "parts", n_parts=1), 0)
    pd.testing.assert_frame_equal(part.margin_table(), graph.margin_table())
    pd.testing.assert_frame_equal(part.margin_tiers, graph.margin_tiers)


BAD: dict[str, dict[str, Any]] = {
    "a rate beside tiers": {"positions": {**tables()["positions"], "margin": [0.1, None, None, None, None]}},
    "a rate on a grid": {"positions": {**tables()["positions"], "margin": [None, None, None, 0.2, 0.3]}},
    "no scenarios": {"margin_scenarios": None},
    "not covered": {
        "margin_scenarios": {
            "grid": ["wide", "narrow"], "underlying": ["SOL", "SOL"], "move": [0.0, 0.0]
        }
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_faults_are_those_of_the_whole_tables(tmp_path: Path, name: str):
    given = {key: table for key, table in (tables() | BAD[name]).items() if table is not None}
    expected = faults_of(lambda: cg.ExposureGraph.from_tables(**given))
    assert expected
    assert faults_of(lambda: cg.distributed.partition(given, tmp_path / "parts", n_parts=2)) == expected


@pytest.mark.parametrize("seed", range(4))
def test_options_on_grids_run_on_parts_too(tmp_path: Path, seed: int):
    drawn = option_market(seed, n=1_500, own_depth=False)
    given = drawn.graph.assign(depth={"BTC": 2e6, "ETH": 2e6}).to_frames()
    graph, model = cg.ExposureGraph.from_tables(**given), MODELS["target"]
    parts = parts_of(cg.distributed.partition(given, tmp_path / "parts", n_parts=3))
    for shock in ({"BTC": -0.1, "ETH": 0.05}, drawn.shock):
        whole = model.run(graph, shock)
        assert whole.accounts["closed"].any()
        found, _ = together(parts, lambda part, shock=shock: settled(model.run(part, shock)))
        assert_same(found, whole)
