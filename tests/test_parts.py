"""A model on the parts of a graph comes to what it comes to on the whole graph, to the last bit."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.distributed.run import head_of
from contagion_graph.graph.scenario import scenario
from contagion_graph.rules import SharingRule
from tests.markets import model_of, tables_of
from tests.reference.random_markets import Case, random_case
from tests.together import parts_of, together

CASES = 40


def copied(case: Case, rng: np.random.Generator, times: int) -> tuple[Case, dict[str, Any]]:
    """Return a case with its accounts many times, each with other sizes, and tables in which traders have several."""
    market, n = case.market, len(case.market.cash)
    size = rng.lognormal(0.0, 0.3, (times, n))
    cells = [
        (account + n * k, asset, quantity * size[k, account], *more)
        for k in range(times)
        for account, asset, quantity, *more in market.positions
    ]
    larger = replace(
        market,
        positions=cells,
        cash=(market.cash * size * rng.lognormal(0.0, 0.02, (times, n))).ravel(),
        depth=market.depth * times,
        pool=np.tile(market.pool, times),
        insurance_fund=market.insurance_fund * times,
        share=(market.share * size).ravel(),
    )
    tables = tables_of(larger)
    several = rng.random(times * n) < 0.2
    owner = np.where(several, rng.integers(0, times * n, times * n), np.arange(times * n))
    for table, account in (("accounts", np.arange(times * n)), ("positions", np.array([cell[0] for cell in cells]))):
        tables[table]["trader"] = [f"t{k}" for k in owner[account]]
        tables[table]["subaccount"] = [f"s{k}" for k in account]
    losses, defaults = np.zeros(times * n), rng.random(times * n) < (0.02 if case.defaults.any() else 0.0)
    if case.losses.any():
        losses[rng.integers(0, times * n, 9)] = rng.lognormal(7.5, 1.0, 9)
    return replace(case, market=larger, losses=losses, defaults=defaults), tables


def given(case: Case, graph: cg.ExposureGraph) -> dict[str, Any]:
    """Return the arguments of a run, losses and defaults by trader: they fall on all accounts of it."""
    traders = graph.account_index.get_level_values("trader")
    return {
        "shock": dict(zip(graph.assets, case.shock, strict=True)),
        "losses": {traders[row]: float(case.losses[row]) for row in np.flatnonzero(case.losses)},
        "defaults": [traders[row] for row in np.flatnonzero(case.defaults)],
        "on_failure": "ignore",
    }


def assert_same(found: list[cg.CascadeResult], whole: cg.CascadeResult) -> None:
    """Compare the results on parts, with what each knows of all, with that on the whole graph."""
    exact = {"check_exact": True}
    for name in ("assets", "pools", "rounds"):
        pd.testing.assert_frame_equal(getattr(found[0], name), getattr(whole, name), **exact)
    pd.testing.assert_series_equal(vars(found[0])["head"].summary, whole.summary(), **exact)
    pd.testing.assert_frame_equal(pd.concat([part.accounts for part in found]), whole.accounts, **exact)
    traders = pd.concat([part.traders[part.graph._rows.counted_traders] for part in found])
    pd.testing.assert_frame_equal(traders, whole.traders, **exact)
    assert found[-1].solution == whole.solution


def whole_and_parts(case: Case, tables: dict[str, Any], folder: Path, n: int) -> Any:
    graph = cg.ExposureGraph.from_tables(**tables)
    return (
        graph,
        parts_of(cg.distributed.partition(tables, folder, n_parts=n)),
        model_of(case.rules),
        given(case, graph),
    )


def settled(result: cg.CascadeResult) -> cg.CascadeResult:
    """Compute what asks for sums over all accounts while the parts can add up."""
    vars(result)["head"] = head_of(result)
    return result


def test_random_markets(tmp_path: Path):
    """Runs, and equilibria where the rules have them, with rules, pools, losses and defaults of all kinds."""
    met: dict[str, int] = {"split": 0, "socialised": 0, "equilibria": 0, "points": 0, "two_shares": 0, "refused": 0}
    for seed in range(CASES):
        rng = np.random.default_rng(seed + 500)
        case, tables = copied(random_case(seed), rng, int(rng.integers(20, 90)))
        graph, parts, model, arguments = whole_and_parts(case, tables, tmp_path / str(seed), int(rng.choice([2, 3, 7])))
        whole = model.run(graph, **arguments)
        found, _ = together(parts, lambda part, m=model, a=arguments: settled(m.run(part, **a)))
        assert_same(found, whole)
        met["split"] += len(parts[0].split) > 0
        met["socialised"] += whole.arrays.socialised.any()
        met["two_shares"] += whole.arrays.closed_short is not None
        try:
            both = model.equilibria(graph, **arguments)
        except cg.ParameterError as error:
            met["refused"] += 1
            with pytest.raises(cg.ParameterError, match=str(error)[:30].replace("(", ".")):
                together(parts, lambda part, m=model, a=arguments: m.equilibria(part, **a))
            continue
        ends, _ = together(parts, lambda part, m=model, a=arguments: _both(m.equilibria(part, **a)))
        assert_same([end.least for end in ends], both.least)
        assert_same([end.greatest for end in ends], both.greatest)
        assert {end.one_sided for end in ends} == {both.one_sided}
        met["equilibria"] += 1
        if both.points is not None:
            met["points"] += 1
            pd.testing.assert_frame_equal(pd.concat([end.points for end in ends]), both.points, check_exact=True)
    assert min(met.values()) > 0, met


@pytest.mark.parametrize("scale", [1e-18, 8e16, None])
def test_weights_of_any_scale_hide_no_breach_on_parts(tmp_path: Path, scale: float | None):
    """Token balances as weights; None: each account's weight has a scale of its own."""
    closed = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        case, _ = copied(random_case(seed), rng, 30)
        market, n = case.market, len(case.market.cash)
        weight = 10.0 ** rng.uniform(-18.0, 18.0, n) if scale is None else scale
        case = replace(
            case,
            market=replace(market, share=market.share * weight),
            rules=replace(case.rules, sharing="share"),
            losses=np.zeros(n),
            defaults=np.zeros(n, dtype=bool),
        )
        graph, parts, model, arguments = whole_and_parts(case, tables_of(case.market), tmp_path / str(seed), 3)
        whole = model.run(graph, **arguments, revaluation="full")
        found, _ = together(parts, lambda part, m=model, a=arguments: settled(m.run(part, **a)))
        for name in ("assets", "pools", "rounds"):
            pd.testing.assert_frame_equal(getattr(found[0], name), getattr(whole, name), check_exact=True)
        accounts = pd.concat([part.accounts for part in found])
        pd.testing.assert_frame_equal(accounts, whole.accounts, check_exact=True)
        closed += int(whole.arrays.closed_whole.sum())
    assert closed > 100


def _both(both: Any) -> Any:
    settled(both.least)
    settled(both.greatest)
    return both


@pytest.mark.parametrize(
    ("liquidation", "depth"), [(cg.TargetMargin(), 2.0), (cg.LeverageTarget(cap=13.0, target=11.0), 5.0)]
)
def test_newtons_method_adds_up_too(tmp_path: Path, liquidation: Any, depth: float, monkeypatch: pytest.MonkeyPatch):
    """A smooth rule near its critical size needs more steps than iteration is given."""
    monkeypatch.setattr("contagion_graph.margin.equilibria.fixed_points.PATIENCE", 3)
    rng = np.random.default_rng(3)
    quantity = rng.lognormal(3.0, 1.0, (1_500, 4))
    cash = -(quantity.sum(axis=1)) * rng.uniform(0.84, 0.93, 1_500)
    graph = cg.ExposureGraph.from_arrays(
        quantity, price=1.0, depth=quantity.sum(axis=0) * depth, margin_long=0.1, cash=cash
    )
    graph = cg.ExposureGraph.from_tables(**graph.to_frames())
    parts = parts_of(cg.distributed.partition(graph.to_frames(), tmp_path / "parts", n_parts=5))
    model = cg.MarginCascade(liquidation=liquidation, waterfall=(cg.InsuranceFund(),))
    whole = model.equilibria(graph, {"0": -0.03})
    ends, _ = together(parts, lambda part: _both(model.equilibria(part, {"0": -0.03})))
    assert_same([end.least for end in ends], whole.least)
    assert_same([end.greatest for end in ends], whole.greatest)
    assert whole.least.solution.steps > 3


def test_few_exchanges_a_round(tmp_path: Path):
    graph = cg.generate.perpetuals(2_000, 10, rng=2)
    parts = parts_of(cg.distributed.partition(graph.to_frames(), tmp_path / "parts", n_parts=3))
    found, met = together(parts, lambda part: cg.MarginCascade().run(part, {"ETH": -0.3, "BTC": -0.3}))
    rounds = len(found[0].rounds)
    assert rounds > 3
    assert met <= 8 * rounds
    _, met = together(parts, lambda part: scenario(part, defaults=graph.traders[:300]))
    assert met == 1


class AboveMean(SharingRule):
    """A sharing rule of one's own: who holds more than the mean shares losses."""

    def weights(self, graph: cg.ExposureGraph, price_shocked: Any) -> Any:
        """Return gross values above the mean of all accounts."""
        gross = graph._rows.initial.gross
        return np.where(gross > graph.total(gross) / graph.total(np.ones_like(gross)), gross, 0.0)


def test_a_rule_may_add_up(tmp_path: Path):
    graph = cg.generate.perpetuals(2_000, 10, rng=2)
    model, shock = cg.MarginCascade(waterfall=(cg.InsuranceFund(), AboveMean())), {"ETH": -0.5, "BTC": -0.5}
    whole = model.run(graph, shock)
    assert whole.arrays.socialised.any()
    parts = parts_of(cg.distributed.partition(graph.to_frames(), tmp_path / "parts", n_parts=3))
    found, _ = together(parts, lambda part: settled(model.run(part, shock)))
    assert_same(found, whole)


def test_parts_ask_alike(tmp_path: Path):
    graph = cg.generate.perpetuals(2_000, 10, rng=2)
    parts = parts_of(cg.distributed.partition(graph.to_frames(), tmp_path / "parts", n_parts=3))

    def uneven(part: Any) -> None:
        part.total(part.cash) if part.number == 1 else part._rows.column_sums(part.quantity, part.cash)

    with pytest.raises(RuntimeError, match="a rule must ask on all parts alike"):
        together(parts, uneven)


def test_a_part_by_itself_does_not_add_up(tmp_path: Path):
    graph = cg.generate.perpetuals(2_000, 10, rng=2)
    part = parts_of(cg.distributed.partition(graph.to_frames(), tmp_path / "parts", n_parts=3))[1]
    with pytest.raises(RuntimeError, match="not all rows of its graph"):
        cg.MarginCascade().run(part, {"ETH": -0.3})
    assert {each.name for each in fields(part)} > {each.name for each in fields(graph)}


def test_faults_are_those_of_the_whole_graph(tmp_path: Path):
    graph = cg.generate.perpetuals(2_000, 10, rng=2)
    parts = parts_of(cg.distributed.partition(graph.to_frames(), tmp_path / "parts", n_parts=3))
    model, somebody = cg.MarginCascade(), graph.traders[1_999]
    for arguments in (
        *({"losses": {label: 1.0}} for label in ("nobody", f"{somebody}x", f"{graph.traders[3]}x", "é")),
        *({"losses": {somebody: -1.0}}, {"shock": {"nothing": -0.1}}, {"defaults": [f"{somebody}x", "nobody"]}),
    ):
        with pytest.raises(cg.ParameterError) as fault:
            model.run(graph, **arguments)
        with pytest.raises(cg.ParameterError) as faults:
            together(parts, lambda part, a=arguments: model.run(part, **a))
        assert str(faults.value) == str(fault.value)
    whole = model.run(graph, {}, losses={somebody: 50.0}, defaults=[somebody])
    found, _ = together(parts, lambda part: settled(model.run(part, {}, losses={somebody: 50.0}, defaults=[somebody])))
    assert_same(found, whole)
