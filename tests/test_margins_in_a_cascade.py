"""Cascades with margin tiers and scenario grids against the dense oracle, and what holds of them."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.state import nothing_closed
from tests.margin_books import case_of, with_margins
from tests.markets import graph_of, model_of
from tests.reference.dense_cascade import dense_cascade
from tests.reference.dense_state import Outcome
from tests.reference.random_markets import Case

MARKETS = 500
TOLERANCE = 1e-9


class Run(NamedTuple):
    """A case, what the oracle says, what the library says, and the size that currency figures are compared with."""

    case: Case
    oracle: Outcome
    result: cg.CascadeResult
    scale: float


def run(case: Case, graph: cg.ExposureGraph, **options: Any) -> cg.CascadeResult:
    return model_of(case.rules).run(
        graph,
        dict(zip(graph.assets, case.shock, strict=True)),
        losses={f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
        defaults=[f"t{k}" for k in np.flatnonzero(case.defaults)],
        **options,
    )


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    done = []
    for seed in range(MARKETS):
        case = case_of(seed)
        graph, margin = with_margins(case, seed)
        oracle = dense_cascade(case.market, case.rules, case.shock, case.losses, case.defaults, margin)
        result = run(case, graph, on_failure="ignore")
        scale = graph.gross_value.sum() + np.abs(case.market.cash).sum() + np.abs(oracle.proceeds).sum()
        done.append(Run(case, oracle, result, scale))
    return done


def test_the_library_agrees_with_the_oracle(runs: list[Run]):
    compared = 0
    for _, oracle, result, scale in runs:
        if min(oracle.closest, oracle.closest_jump) < 1e-10:
            continue  # rounding decides
        compared += 1
        ends = result.accounts
        assert result.solution.converged == oracle.converged
        assert ends["breach_round"].tolist() == oracle.breach_round.tolist()
        for column, expected in (
            ("penalty", oracle.penalty),
            ("socialised", oracle.socialised),
            ("shortfall", oracle.shortfall),
        ):
            assert ends[column].to_numpy() == pytest.approx(expected, abs=TOLERANCE * scale), column
        assert result.assets["price_after"].to_numpy() == pytest.approx(oracle.price_after, rel=1e-8, abs=1e-300)
        assert result.arrays.closed == pytest.approx(oracle.closed_long, abs=1e-8)
    assert compared > 0.9 * MARKETS


def test_the_markets_meet_what_they_should(runs: list[Run]):
    """Accounts on tiers above the first, on grids, closed in part there, and several rounds."""
    met = {"rounds": 0, "grid in part": 0, "tier in part": 0, "upper tier": 0, "other breaches": 0}
    for case, _, result, _ in runs[:200]:
        on, closed = result.graph.account_margin != "", result.arrays.closed
        part = (closed > 0.0) & (closed < 1.0)
        met["rounds"] += len(result.rounds) >= 3
        met["grid in part"] += bool((part & on).any())
        met["tier in part"] += bool((part & ~on).any())
        table = result.graph.margin_table()
        met["upper tier"] += bool(((table["margin"] == "tiers") & (table["piece"] > 0)).any())
        flat = run(case, result.graph.assign(margin_tiers=None, account_margin=None), on_failure="ignore")
        met["other breaches"] += flat.arrays.breach_round.tolist() != result.arrays.breach_round.tolist()
    assert {name: count for name, count in met.items() if count < 30} == {}


def test_losses_add_up(runs: list[Run]):
    """Loss = direct + impact + penalty + socialised - shortfall, and over all accounts what funds and nobody paid."""
    for _, _, result, scale in runs:
        table = result.accounts
        parts = table["direct"] + table["impact"] + table["penalty"] + table["socialised"] - table["shortfall"]
        assert table["loss"].to_numpy() == pytest.approx(parts.to_numpy(), abs=1e-9 * scale)
        paid = result.pools[["fund_used", "uncovered"]].to_numpy().sum()
        total = table[["direct", "impact", "penalty"]].to_numpy().sum()
        assert table["loss"].sum() + paid == pytest.approx(total, abs=1e-9 * scale)


@pytest.mark.parametrize("rule", ["full", "target", "close_factor"])
def test_tiers_and_grids_that_are_flat_rates_give_the_cascade_of_flat_rates(rule: str):
    """One tier an asset, and a grid with one move up and down in which nothing nets."""
    for seed in range(60):
        case, rng = case_of(seed), np.random.default_rng(seed)
        liquidation = {"full": ("full",), "target": ("target", 0.1), "close_factor": ("close_factor", 0.5, 0.9)}[rule]
        case = replace(case, rules=replace(case.rules, liquidation=liquidation))
        graph, rate = graph_of(case.market), float(rng.uniform(0.02, 0.3))
        units = graph.margin_units.copy()
        units.data = rate * np.abs(graph.quantity.data)
        flat = replace(graph, margin_units=units)
        tiers = pd.DataFrame({"asset": graph.assets, "lower": 0.0, "rate": rate})
        grid = {"grid": "pm", "underlying": "", "vol_factor": 1.0, "weight": 1.0, "contingency": 0.0}
        scenarios = pd.DataFrame({"move": [-rate, 0.0, rate], **grid})
        on = pd.Index(rng.choice(["", "pm"], len(graph.account_index)).tolist(), dtype="str")
        other = replace(flat, margin_tiers=tiers, margin_scenarios=scenarios, account_margin=on)
        one, two = run(case, flat, on_failure="ignore"), run(case, other, on_failure="ignore")
        if one.arrays.breach_round.tolist() != two.arrays.breach_round.tolist():
            continue  # rounding decides: of equal amounts in sums of other orders
        scale = flat.gross_value.sum() + np.abs(case.market.cash).sum()
        np.testing.assert_allclose(two.accounts["loss"], one.accounts["loss"], atol=1e-8 * scale)


BOOK: dict[str, Any] = {
    "price": [100.0, 50.0], "assets": ["X", "Y"], "traders": ["A", "B"], "depth": np.inf,
    "margin_tiers": {"asset": ["X", "X", "X"], "lower": [0.0, 2_000.0, 6_000.0], "rate": [0.02, 0.1, 0.3]},
    "margin_scenarios": {"grid": ["pm"] * 3, "move": [-0.2, 0.0, 0.2]},
    "account_margin": ["", "pm"], "asset_group": ["one", "one"],
}  # fmt: skip


@pytest.mark.parametrize("buffer", [0.0, 0.25])
def test_an_account_that_closes_to_a_target_ends_there(buffer: float):
    """The prices stay: after one round equity is (1 + b) times what tiers, and a grid, ask of what is left."""
    graph = cg.ExposureGraph.from_arrays([[90.0, 30.0], [80.0, -60.0]], cash=[-9_600.0, -4_500.0], **BOOK)
    model = cg.MarginCascade(cg.TargetMargin(buffer), penalty=0.01, waterfall=(cg.InsuranceFund(),))
    result = model.run(graph)
    assert len(result.rounds) == 1
    closed = result.arrays.closed
    assert ((closed > 0.05) & (closed < 0.95)).all()
    left = cg.ExposureGraph.from_arrays(
        graph.quantity.toarray() * (1.0 - closed)[:, None],
        cash=graph.cash + result.arrays.proceeds - result.arrays.penalty,
        **BOOK,
    )  # fmt: skip
    assert left.equity.to_numpy() == pytest.approx((1.0 + buffer) * left.maintenance.to_numpy())


def test_an_account_closes_whole_where_no_share_reaches_the_target():
    """A penalty that takes more than the margin that is freed."""
    graph = cg.ExposureGraph.from_arrays([[10.0, 0.0], [1.0, 0.0]], cash=[-985.0, 0.0], **BOOK)
    result = cg.MarginCascade(cg.TargetMargin(), penalty=0.05).run(graph)
    assert result.accounts["closed"].tolist() == [1.0, 0.0]


def test_a_hedge_is_margined_as_one_book():
    """Long X and short Y in one group: the fall of both costs nothing; apart, the account is liquidated."""
    graph = cg.ExposureGraph.from_arrays([[0.0, 0.0], [50.0, -100.0]], cash=[0.0, 300.0], **BOOK)
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
    assert model.run(graph, {"X": -0.1, "Y": -0.1}).accounts["closed"].tolist() == [0.0, 0.0]
    assert model.run(graph, {"X": -0.1}).accounts["closed"].tolist() == [0.0, 1.0]
    apart = graph.assign(asset_group=["X", "Y"])
    assert model.run(apart, {"X": -0.1, "Y": -0.1}).accounts["closed"].tolist() == [0.0, 1.0]


def test_both_modes_of_revaluation_and_one_account_at_a_time():
    case = case_of(3)
    graph, _ = with_margins(case, 3)
    one, two = (run(case, graph, revaluation=mode, on_failure="ignore") for mode in ("incremental", "full"))
    assert one.arrays.closed.tobytes() == two.arrays.closed.tobytes()
    ordered = run(case, graph, order=["t1", "t0"], on_failure="ignore")
    assert ordered.rounds["breached"].max() <= max(1, case.defaults.sum())


def test_the_currency_and_labels_decide_nothing():
    for seed in range(20):
        case = case_of(seed)
        graph, _ = with_margins(case, seed)
        shock = dict(zip(graph.assets, case.shock, strict=True))
        model = replace(
            model_of(case.rules), impact=cg.ExponentialImpact(), waterfall=(cg.InsuranceFund(), cg.ProRata("equity"))
        )
        plain = cg.ExposureGraph.from_arrays(
            graph.quantity, price=graph.price, depth=graph.depth, cash=graph.cash, insurance_fund=100.0,
            traders=graph.traders, assets=graph.assets, sellable=graph.sellable, margin_tiers=graph.margin_tiers,
            margin_scenarios=graph.margin_scenarios, account_margin=graph.account_margin, asset_group=graph.asset_group,
        )  # fmt: skip
        tiers = plain.margin_tiers.assign(lower=plain.margin_tiers["lower"] * 8.0)
        scaled = plain.assign(
            price=plain.price * 8.0,
            depth=plain.depth * 8.0,
            cash=plain.cash * 8.0,
            insurance_fund=800.0,
            margin_tiers=tiers,
        )
        one, two = model.run(plain, shock, on_failure="ignore"), model.run(scaled, shock, on_failure="ignore")
        assert (8.0 * one.accounts["loss"]).to_numpy() == pytest.approx(two.accounts["loss"].to_numpy(), rel=1e-12)
        frames = {name: frame[::-1] for name, frame in plain.to_frames().items() if name != "margin_scenarios"}
        turned = cg.ExposureGraph.from_tables(**frames, margin_scenarios=plain.margin_scenarios)
        other = model.run(turned, shock, on_failure="ignore").accounts["breach_round"].reindex(plain.account_index)
        assert other.tolist() == one.accounts["breach_round"].tolist()


def test_results_are_used_as_all_others(tmp_path: Any):
    graph = cg.ExposureGraph.from_arrays(
        [[90.0, 30.0], [80.0, -60.0]], cash=[-9_000.0, -4_500.0], **{**BOOK, "depth": 1e5}
    )
    result = cg.MarginCascade().run(graph, {"X": -0.05})
    assert result.solution.converged
    assert cg.blame(result)["total"].sum() == pytest.approx(result.traders["indirect"].sum())
    assert cg.write_report(result, tmp_path / "report.html").paths[0].exists()
    assert cg.write_gexf(result, tmp_path / "graph.gexf").paths[0].exists()


class Half(cg.FullLiquidation):
    """Closes half, and says nothing of margins."""

    def closed_share(self, accounts: Any) -> Any:  # noqa: D102
        return 0.5 + 0.0 * accounts.equity


class HalfOfAny(Half):
    """Closes half, whatever the margin."""

    any_margin = True


def test_rules_that_declare_nothing_of_margins_are_refused():
    graph = cg.ExposureGraph.from_arrays([[90.0, 30.0], [80.0, -60.0]], cash=[-9_600.0, -4_500.0], **BOOK)
    for rule in (Half(), cg.RepayAndSeize(0.5)):
        with pytest.raises(cg.ParameterError, match=f"{type(rule).__name__}, which does not declare any_margin = True"):
            cg.MarginCascade(rule).run(graph)
    assert cg.MarginCascade(HalfOfAny()).run(graph, on_failure="ignore").arrays.closed.max() > 0.0


def test_the_slope_of_a_margin_is_that_of_its_differences():
    """Tiers, grids and flat rates, with what cannot be sold: M(theta) is convex, and its slope a subgradient."""
    for seed in range(40):
        case = case_of(seed)
        graph, margin = with_margins(case, seed)
        whole = nothing_closed(*graph.quantity.shape)._replace(sellable=graph.sellable.astype(float))
        rows = np.flatnonzero(np.diff(graph.quantity.indptr))
        share, other = np.random.default_rng(seed).random((2, rows.size))
        (value, relief), (beyond, _) = (
            graph._margins.of(graph.price, whole._replace(next=each), rows, graph._rows.row_borders)
            for each in (share, other)
        )
        sold = graph.quantity.toarray()[rows] * graph.sellable
        expected = margin(graph.quantity.toarray()[rows] - share[:, None] * sold, graph.price, rows)
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-9)
        assert (beyond >= value - relief * (other - share) - 1e-9 * (1.0 + value)).all()


# --- what runs cascades -----------------------------------------------------------------------------------------------


def markets(number: int) -> list[tuple[cg.ExposureGraph, cg.MarginCascade]]:
    """Return markets with tiers and grids, at a depth at which little moves prices far."""
    found = []
    for seed in range(number):
        case = case_of(seed)
        graph, _ = with_margins(case, seed)
        found.append((graph.assign(depth=graph.depth * 5.0), model_of(case.rules)))
    return found


def test_a_sweep_has_the_figures_of_single_runs():
    for graph, model in markets(30):
        rng = np.random.default_rng(1)
        shocks = pd.DataFrame(rng.uniform(-0.4, 0.2, (5, len(graph.assets))), columns=graph.assets)
        swept = cg.sweep(graph, model, shocks, on_failure="ignore")
        for number, shock in shocks.iterrows():
            alone = model.run(graph, shock, on_failure="ignore").summary()
            for name in ("closed", "gross_loss", "shortfall", "fund_used"):
                assert swept.scenarios.loc[number, name] == pytest.approx(alone[name], rel=1e-12)


def test_indirect_exposure_is_what_cascades_of_single_assets_cost():
    """Also where an asset alone brings nobody into breach, which is known without a run."""
    found = 0
    for graph, model in markets(30):
        exposure = cg.indirect_exposure(graph, model, -0.2, on_failure="ignore").to_pandas()
        before = model.run(graph, on_failure="ignore").traders["indirect"]
        for asset in graph.assets:
            alone = model.run(graph, {asset: -0.2}, on_failure="ignore").traders["indirect"]
            expected = (alone - before).reindex(exposure.index)
            scale = graph.gross_value.sum() + np.abs(graph.cash).sum()
            np.testing.assert_allclose(exposure[asset], expected, atol=1e-9 * scale)
            found += bool((expected > 1e-9 * scale).any())
    assert found > 30


def test_searches_find_where_an_event_begins():
    found = 0
    for graph, model in markets(30):
        event = cg.scenarios.ShareClosed(0.5)
        shock = pd.Series(-1.0, index=graph.assets)
        try:
            point = cg.tipping_point(graph, model, shock, event=event, on_failure="ignore")
        except cg.ParameterError:  # it happens without a shock
            continue
        if not point.found:
            continue
        found += 1
        assert point.solution.error_bound is None, "more of a shock can end a breach of a hedged book"
        baseline = model.run(graph, on_failure="ignore")
        assert event(model.run(graph, shock * point.size, on_failure="ignore"), baseline)
    assert found > 5


def test_curves_and_exposure_to_traders_are_what_runs_say():
    for graph, model in markets(10):
        asset, name = graph.assets[0], graph.traders[0]
        curve = cg.exposure_curve(graph, model, asset, sizes=[-0.3, -0.1], on_failure="ignore")
        scale = graph.gross_value.sum() + np.abs(graph.cash).sum()
        before = model.run(graph, on_failure="ignore").traders["loss"]
        for size in (-0.3, -0.1):
            expected = model.run(graph, {asset: size}, on_failure="ignore").traders["loss"] - before
            np.testing.assert_allclose(curve["loss"].loc[size], expected, atol=1e-9 * scale)
        table = cg.exposure_to_traders(graph, model, k=len(graph.traders), traders=[name], on_failure="ignore")
        runs = [model.run(graph, defaults=given, on_failure="ignore").traders["loss"] for given in ([name], None)]
        assert len(table)
        for victim, value in zip(table["trader"], table["loss"], strict=True):
            assert value == pytest.approx((runs[0] - runs[1])[victim], abs=1e-9 * scale)
