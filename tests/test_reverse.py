"""Tipping points against fine scans, most likely shocks against grids of directions; the scans are run by `sweep`."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import reverse_stress as example

import contagion_graph as cg
from contagion_graph.scenarios import FundEmpty, LossAbove, ShareClosed, TraderClosed, Uncovered, ladder

Oracle = Callable[[pd.DataFrame], "pd.Series[bool]"]
CALM = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))


def market(seed: int, accounts: int, assets: int, *, two_sided: bool = False) -> cg.ExposureGraph:
    """Draw accounts above their margin; each asset is held on one side, or each position takes its own."""
    rng = np.random.default_rng(seed)
    side = rng.choice([-1.0, 1.0], (accounts if two_sided else 1, assets))
    held = rng.lognormal(2.0, 1.0, (accounts, assets)) * (rng.random((accounts, assets)) < 0.6) * side
    held[:, 0] += side[:, 0]
    gross = np.abs(held)
    cash = 0.1 * gross.sum(axis=1) * (1.2 + rng.lognormal(0.0, 0.7, accounts)) - held.sum(axis=1)
    depth = 1.0 + gross.sum(axis=0) * rng.lognormal(1.0, 0.5, assets)
    return cg.ExposureGraph.from_arrays(
        held, price=1.0, depth=depth, margin_long=0.1, margin_short=0.1, cash=cash, insurance_fund=0.01 * gross.sum()
    )


def covariance(seed: int, graph: cg.ExposureGraph, factors: int = 2) -> pd.DataFrame:
    """Draw a covariance with violent common moves, so that a few standard deviations do it."""
    rng, m = np.random.default_rng(seed), len(graph.assets)
    loading = rng.normal(0.6, 0.3, (m, factors))
    return pd.DataFrame(0.01 * (loading @ loading.T + 0.5 * np.eye(m)), index=graph.assets, columns=graph.assets)


def swept(model: cg.MarginCascade, graph: cg.ExposureGraph, shocks: np.ndarray) -> pd.DataFrame:
    """Run shocks by `sweep`, the first of all being none, and return their figures less its own."""
    rows = np.vstack([np.zeros(len(graph.assets)), shocks])
    figures = cg.sweep(graph, model, pd.DataFrame(rows, columns=graph.assets), keep="scenarios", level=0.5).scenarios[
        ["gross_loss", "closed", "fund_used", "uncovered"]
    ]
    return (figures - figures.iloc[0]).iloc[1:]


def cases(seed: int, graph: cg.ExposureGraph) -> list[tuple[object, Oracle]]:
    """Return events and how a sweep shows them."""
    loss, fund = 0.1 * float(graph.equity.sum()), float(graph.insurance_fund.sum())
    return [
        (LossAbove(loss), lambda figures: figures["gross_loss"] > loss),
        (FundEmpty(), lambda figures: figures["fund_used"] >= fund * (1.0 - 1e-12)),
        (Uncovered(0.5), lambda figures: figures["uncovered"] > 0.5),
        (ShareClosed(0.5), lambda figures: figures["closed"] >= 0.5 * len(graph.account_index)),
    ]


def direction(seed: int, graph: cg.ExposureGraph, *, hurts: bool) -> np.ndarray:
    size = np.random.default_rng(seed).uniform(0.1, 0.9, len(graph.assets))
    sign = (
        np.sign(graph.quantity.sum(axis=0)) if hurts else np.random.default_rng(seed + 1).choice([-1.0, 1.0], size.size)
    )
    return -size * np.where(sign == 0.0, 1.0, sign)


def test_certified_tipping_points_agree_with_a_fine_scan_on_60_markets():
    sizes, found = np.arange(1, 25) / 24.0, 0
    for seed in range(60):
        graph = market(seed, 2 + seed % 7, 1 + seed % 3)
        change = direction(seed, graph, hurts=True)
        point = cg.tipping_point(graph, CALM, pd.Series(change, index=graph.assets), event=ShareClosed(0.5), tol=1e-3)
        happens = cases(seed, graph)[-1][1](swept(CALM, graph, np.outer(sizes, change))).to_numpy()
        if not point.found:
            assert not happens.any()
            continue
        found += 1
        low, high = point.interval
        assert point.certified
        assert 0.0 < high - low <= 1e-3
        assert not happens[sizes <= low].any()
        assert happens[sizes >= high].all()
        below, above = (each.arrays.closed_whole.sum() for each in (point.below, point.above))
        assert below < 0.5 * len(graph.account_index) <= above
    assert found > 40


def test_scanned_tipping_points_agree_with_a_fine_scan_on_40_markets():
    sizes, found, missed = np.arange(1, 37) / 36.0, 0, 0
    for seed in range(40):
        graph = market(seed, 2 + seed % 7, 1 + seed % 3, two_sided=True)
        model = cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.ProRata("equity"))[: 1 + seed % 2], penalty=0.01)
        change = direction(seed, graph, hurts=False)
        event, oracle = cases(seed, graph)[seed % 3]
        shock = pd.Series(change, index=graph.assets)
        point = cg.tipping_point(graph, model, shock, event=event, n_points=12, tol=1e-3)
        happens = oracle(swept(model, graph, np.outer(sizes, change))).to_numpy()
        first = sizes[happens.argmax()] if happens.any() else None
        if not point.found:
            assert not happens[2::3].any()  # the sizes of the scan itself
            missed += first is not None
            continue
        found += 1
        low, high = point.interval
        assert not point.certified
        assert not event(point.below, point.baseline)
        assert event(point.above, point.baseline)
        assert not happens[2::3][sizes[2::3] < low].any()
        missed += not low - 1e-9 <= first <= high + 1.0 / 36.0
    assert found > 15
    assert missed <= 1  # a stretch that ends again before the next size of the scan


def directions_of(assets: int) -> np.ndarray:
    """Return a fine grid of unit vectors: 5 degrees apart on the circle, about 12 on the sphere."""
    if assets == 2:
        angle = np.deg2rad(np.arange(0.0, 360.0, 5.0))
        return np.column_stack([np.cos(angle), np.sin(angle)])
    k = np.arange(260) + 0.5  # a Fibonacci spiral
    angle, height = np.pi * (1.0 + 5.0**0.5) * k, 1.0 - 2.0 * k / 260
    wide = np.sqrt(1.0 - height**2)
    return np.column_stack([wide * np.cos(angle), wide * np.sin(angle), height])


@pytest.mark.parametrize("seed", range(10))
def test_no_direction_of_a_fine_grid_needs_a_norm_over_one_percent_smaller(seed: int):
    graph = market(seed, 4 + seed % 4, 2 + seed % 2, two_sided=seed >= 6)
    model = cg.MarginCascade() if seed >= 6 else CALM
    event, oracle = cases(seed, graph)[0 if seed >= 6 else -1]
    matrix = covariance(seed, graph)
    found = cg.reverse_stress(graph, model, matrix, event=event, n_points=8, n_directions=4, rng=0)
    root = np.linalg.cholesky(matrix.to_numpy())
    exact = np.linalg.solve(root, np.log1p(found.shocks.to_numpy()).T).T
    np.testing.assert_allclose(np.linalg.norm(exact, axis=1), found.norm, rtol=1e-8)
    assert all(event(model.run(graph, shock), model.run(graph)) for _, shock in found.shocks.iterrows())
    assert found.norm.min() == found.norm["most likely"]
    assert (np.count_nonzero(found.shocks.loc["single asset":"single asset"], axis=1) == 1).all()
    norm = found.norm["most likely"]
    radii = (0.99,) if seed < 6 else (0.99, 0.8)
    points = np.vstack([radius * norm * directions_of(len(graph.assets)) for radius in radii])
    assert not oracle(swept(model, graph, np.expm1(points @ root.T))).any()


def test_50_assets_no_shock_near_the_optimum_at_99_percent_of_its_norm_does_it():
    rng = np.random.default_rng(1)
    held = rng.lognormal(1.0, 1.0, (8, 50)) * (rng.random((8, 50)) < 0.3)
    cash = held.sum(axis=1) * (-0.9 + 0.15 * rng.random(8) + 0.02)
    graph = cg.ExposureGraph.from_arrays(
        held, price=1.0, depth=1.0 + 4.0 * held.sum(axis=0), margin_long=0.1, cash=cash
    )
    own = pd.DataFrame(0.01 * np.eye(50), index=graph.assets, columns=graph.assets)  # no asset, no component is close
    matrix, event = own + 0.1 * covariance(1, graph, factors=3), ShareClosed(0.25)
    found = cg.reverse_stress(graph, CALM, matrix, event=event, n_points=1, n_directions=2, rng=0)
    assert event(CALM.run(graph, found.shock), CALM.run(graph))
    root = np.linalg.cholesky(matrix.to_numpy())
    z = np.linalg.solve(root, np.log1p(found.shock.to_numpy()))
    width = np.repeat([0.003, 0.01, 0.03, 0.1], 250)[:, None]
    anywhere = width * rng.standard_normal((1_000, 50))
    axes = np.vstack([root / np.linalg.norm(root, axis=1, keepdims=True), np.eye(50)])
    towards_assets = np.vstack([turn * axes for angle in (0.02, 0.05, 0.1, 0.2, 0.4) for turn in (angle, -angle)])
    near = z / np.linalg.norm(z) + np.vstack([anywhere, towards_assets])
    assert near.shape == (2_000, 50)
    near *= 0.99 * np.linalg.norm(z) / np.linalg.norm(near, axis=1, keepdims=True)
    assert (swept(CALM, graph, np.expm1(near @ root.T))["closed"] < 2).all()


def test_an_event_takes_the_gross_loss_of_the_summary():
    for seed in range(30):
        graph = market(seed, 3 + seed % 5, 2, two_sided=True)
        result = cg.MarginCascade().run(graph, {"0": -0.3})
        loss = result.summary()["gross_loss"]
        baseline = cg.MarginCascade().run(graph)
        more = loss - baseline.summary()["gross_loss"]
        assert LossAbove(max(more * 0.999, 0.0))(result, baseline) == (more > 0.0)
        assert not LossAbove(abs(more) * 1.001)(result, baseline)


def test_a_loss_above_all_equity_is_not_searched():
    """No account ends below 0, so that no trader loses more than it has."""
    for seed in range(20):
        graph = market(seed, 4, 2, two_sided=seed % 2 == 1)
        equity = float(graph.equity.clip(lower=0.0).sum())
        model, matrix = cg.MarginCascade(), covariance(seed, graph)
        none = cg.reverse_stress(graph, model, matrix, event=LossAbove(equity * 1.001), rng=0)
        assert not none.found
        assert none.solution.steps == 1
        shocks = np.vstack([np.full(2, -1.0), np.random.default_rng(seed).uniform(-1.0, 2.0, (50, 2))])
        swept = cg.sweep(graph, model, pd.DataFrame(shocks, columns=graph.assets), keep="scenarios", level=0.5)
        assert (swept.scenarios["gross_loss"] <= equity * (1.0 + 1e-12)).all()
    point = cg.tipping_point(ann_and_bob(), CALM, {"ETH": -1.0}, event=LossAbove(190.0))
    assert point.found  # they own 150 + 250


def ann_and_bob(**changes: object) -> cg.ExposureGraph:
    return cg.ExposureGraph.from_arrays(
        [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, assets=["ETH"], traders=["Ann", "Bob"],
        **{"cash": [-850.0, -750.0], **changes},
    )  # fmt: skip


def test_the_tipping_point_of_two_accounts_by_hand():
    """Ann is closed where 900 (1 - 0.2 t) = 850, Bob, after her 10 units, where 900 (1 - 0.2 t) exp(-0.1) = 750."""
    graph = ann_and_bob()
    for trader, share, size in (("Ann", 0.5, (1 - 850 / 900) / 0.2), ("Bob", 1.0, (1 - 750 / 900 * np.exp(0.1)) / 0.2)):
        for event in (TraderClosed(trader), ShareClosed(share)):
            point = cg.tipping_point(graph, CALM, {"ETH": -0.2}, event=event)
            assert point.certified
            assert point.interval[0] <= size <= point.size
            assert point.size == pytest.approx(size, abs=1e-6)
    none = cg.tipping_point(graph, CALM, {"ETH": 0.2}, event=TraderClosed("Ann"))
    assert not none.found
    assert none.above is None
    assert none.interval[0] == 1.0
    assert np.isnan(none.size)
    assert none.solution.status is cg.Status.NOT_FOUND
    assert none.jump.columns.tolist() == ["baseline", "below"]
    assert repr(none) == "<TippingPoint: not found in the direction given, by a scan; 0 accounts closed>"


def test_what_makes_a_tipping_point_uncertain():
    certain = {"model": CALM, "graph": ann_and_bob(), "event": ShareClosed(0.5)}
    short = cg.ExposureGraph.from_arrays([[10.0], [-5.0]], price=[100.0], margin_long=0.1, margin_short=0.1,
                                         cash=[-850.0, 900.0], assets=["ETH"])  # fmt: skip
    for change in (
        {"model": cg.MarginCascade()},
        {"model": cg.MarginCascade(waterfall=(cg.InsuranceFund(),), liquidation=cg.TargetMargin())},
        {"model": cg.MarginCascade(waterfall=(cg.InsuranceFund(),), impact=cg.LinearImpact(volume="current"))},
        {"graph": short},
        {"event": LossAbove(150.0)},
        {"event": lambda result, _: result.arrays.closed.sum() > 0.0},
    ):
        point = cg.tipping_point(direction={"ETH": -0.5}, **{**certain, **change})
        assert not point.certified


def test_accounts_that_are_closed_without_a_shock_do_not_count():
    graph = ann_and_bob(cash=[-950.0, -750.0])
    point = cg.tipping_point(graph, CALM, {"ETH": -0.5}, event=ShareClosed(0.5))
    assert point.jump.loc["closed"].tolist() == [1.0, 1.0, 2.0]
    with pytest.raises(cg.ParameterError, match="all accounts of 'Ann' are closed even without a shock"):
        cg.tipping_point(graph, CALM, {"ETH": -0.5}, event=TraderClosed("Ann"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event": "fund empty"}, "give one of scenarios.FundEmpty"),
        ({"event": FundEmpty}, "give one of scenarios.FundEmpty"),
        ({"event": FundEmpty()}, "no pool has an insurance fund left"),
        ({"event": TraderClosed("Anne")}, "unknown trader 'Anne'.*did you mean 'Ann'"),
        ({"event": lambda result, baseline: True}, "happens without a shock too"),
        ({"direction": {"ETH": 0.0}}, "direction changes no price"),
        ({"direction": {"ETH": -1.5}}, "changes by -1.5"),
        ({"direction": {"EHT": -0.5}}, "unknown asset 'EHT'.*did you mean 'ETH'"),
        ({"direction": {"ETH": float("nan")}}, "changes by nan"),
        ({"model": None}, "model is a NoneType"),
        ({"graph": None}, "graph is a NoneType"),
        ({"n_points": 0}, "n_points is 0"),
        ({"tol": 0.0}, "tol is 0.0"),
    ],
)
def test_tipping_point_refuses_by_name(change: dict, message: str):
    given = {"model": CALM, "graph": ann_and_bob(), "direction": {"ETH": -0.5}, "event": ShareClosed(0.5)}
    with pytest.raises((cg.ParameterError, cg.TableError), match=message):
        cg.tipping_point(**{**given, **change})


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (None, {}, "covariance must be a frame"),
        ([[np.nan]], {}, "covariance of 'ETH' and 'ETH' is nan"),
        ([[0.0]], {}, "the covariance is zero"),
        ([[0.01]], {"limit": 0.0}, "limit is 0.0"),
        ([[0.01]], {"n_points": 0}, "n_points is 0"),
        ([[0.01]], {"n_directions": -1}, "n_directions is -1"),
        ([[0.01]], {"rng": "x"}, "rng is 'x'"),
    ],
)
def test_reverse_stress_refuses_by_name(matrix: list | None, options: dict, message: str):
    frame = None if matrix is None else pd.DataFrame(matrix, index=["ETH"], columns=["ETH"])
    with pytest.raises(cg.ParameterError, match=message):
        cg.reverse_stress(ann_and_bob(), CALM, frame, event=ShareClosed(0.5), **options)


def test_reverse_stress_refuses_assets_that_the_graph_does_not_have():
    frame = pd.DataFrame(np.eye(2), index=["ETH", "BTC"], columns=["ETH", "BTC"])
    with pytest.raises(cg.ParameterError, match="unknown asset 'BTC'"):
        cg.reverse_stress(ann_and_bob(), CALM, frame, event=ShareClosed(0.5), rng=0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ShareClosed(0.0), "ShareClosed: share is 0.0"),
        (lambda: ShareClosed(1.5), "ShareClosed: share is 1.5"),
        (lambda: LossAbove(-1.0), "LossAbove: amount is -1.0"),
        (lambda: Uncovered(float("nan")), "Uncovered: above is nan"),
    ],
)
def test_events_refuse_what_no_event_is(build: Callable[[], object], message: str):
    with pytest.raises(cg.ParameterError, match=message):
        build()


def test_one_asset_is_solved_by_hand_and_out_of_reach_is_not_found():
    graph, frame = ann_and_bob(), pd.DataFrame([[0.01]], index=["ETH"], columns=["ETH"])
    found = cg.reverse_stress(graph, CALM, frame, event=TraderClosed("Ann"), rng=0)
    assert found.norm.to_numpy() == pytest.approx(-np.log(850 / 900) / 0.1, rel=3e-3)
    none = cg.reverse_stress(graph, CALM, frame, event=TraderClosed("Ann"), limit=0.5, rng=0)
    assert not none.found
    assert none.solution.status is cg.Status.NOT_FOUND
    assert none.shocks.empty
    assert none.shock.isna().all()
    assert none.shock.index.tolist() == ["ETH"]
    assert set(none.to_frames()) == {"summary", "shocks", "norm", "figures"}


def test_a_singular_covariance_allows_what_it_allows():
    """Two assets that move as one: no shock to one alone exists, and the only direction is the common one."""
    graph = market(3, 5, 2)
    matrix = pd.DataFrame(0.01 * np.ones((2, 2)), index=graph.assets, columns=graph.assets)
    found = cg.reverse_stress(graph, CALM, matrix, event=ShareClosed(0.2), rng=0)
    assert found.norm.index.tolist() == ["most likely", "principal component"]
    assert found.shock.iloc[0] == pytest.approx(found.shock.iloc[1])


def test_the_same_seed_finds_the_same_shock():
    graph = market(5, 4, 2)
    one, other = (
        cg.reverse_stress(graph, CALM, covariance(5, graph), event=ShareClosed(0.5), n_points=4, rng=7)
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(one.shocks, other.shocks, check_exact=True)


def test_a_ladder_is_the_cascades_one_by_one_less_the_one_without_a_shock():
    graph, sizes = market(4, 6, 3, two_sided=True).assign(cash=market(4, 6, 3, two_sided=True).cash - 1.0), [-0.4, 0.2]
    model = cg.MarginCascade()
    for column in ("gross_loss", "net_loss", "closed", "fund_used"):
        table = ladder(graph, model, sizes, column=column)
        before = model.run(graph).summary()[column]
        for size in sizes:
            for asset in graph.assets:
                after = model.run(graph, {asset: size}).summary()[column]
                assert table.loc[size, asset] == pytest.approx(after - before, rel=1e-9, abs=1e-8)
    assert ladder(graph, model, sizes, assets=["1"]).columns.tolist() == ["1"]
    for options, message in (({"column": "rounds"}, "column is 'rounds'"), ({"assets": []}, "one asset")):
        with pytest.raises(cg.ParameterError, match=message):
            ladder(graph, model, sizes, **options)
    with pytest.raises(cg.ParameterError, match="at least one size"):
        ladder(graph, model, [])


def test_the_example_reports_shocks_that_do_it(capsys: pytest.CaptureFixture[str]):
    found, point = example.main()
    assert found.norm["most likely"] <= found.norm.min()
    assert found.figures.loc["closed", "most likely"] > found.figures.loc["closed", "baseline"]
    printed = capsys.readouterr().out
    for text in ("most likely", "principal component", "tips at", f"{point.size:.1%}"):
        assert text in printed
