"""Headline figures: gross and net loss, accounts in breach before any shock, and the interval of the fund."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.scenarios import LossAbove, draw, ladder

MODEL = cg.MarginCascade()


def netted() -> cg.ExposureGraph:
    """Longs and shorts that match; the last trader holds both sides in two accounts."""
    held, traders = [[10.0], [-10.0], [5.0], [-5.0]], ["long", "short", "both", "both"]
    pools = ["one", "one", "one", "two"]
    return cg.ExposureGraph.from_arrays(held, price=[100.0], cash=1e4, assets=["ETH"], traders=traders, pool=pools)


def in_breach() -> cg.ExposureGraph:
    """One account below its margin, by 50, one far above."""
    return cg.ExposureGraph.from_arrays(
        [[10.0], [10.0]], price=[100.0], depth=1e4, margin_long=0.1, cash=[-950.0, -100.0], assets=["ETH"]
    )


def test_winners_are_not_added_to_losers():
    """By hand: 10 long lose 10 * 100 * 10 % = 100, 10 short gain 100, who holds both nothing: gross 100, net 0."""
    graph, shocks = netted(), draw.single_asset(["ETH"], [-0.1, 0.2])
    one = MODEL.run(graph, {"ETH": -0.1})
    assert one.summary()[["gross_loss", "gross_indirect", "net_loss"]].tolist() == pytest.approx([100.0, 0.0, 0.0])
    assert "gross loss 100, of which 0 indirect" in repr(one)
    swept = cg.sweep(graph, MODEL, shocks, level=0.5)
    assert swept.scenarios["gross_loss"].tolist() == pytest.approx([100.0, 200.0])
    assert swept.scenarios["net_loss"].tolist() == pytest.approx([0.0, 0.0])
    assert "gross loss mean 150, VaR 200, ES 200; shortfall mean 0, VaR 0, ES 0" in repr(swept)
    assert swept.summary()["gross_loss_mean"] == pytest.approx(150.0)
    assert swept.worst(1).index.tolist() == [1]
    assert swept.distribution().name == "gross_loss"
    assert ladder(graph, MODEL, [-0.1])["ETH"].tolist() == pytest.approx([100.0])
    point = cg.tipping_point(graph, MODEL, {"ETH": -0.1}, event=LossAbove(50.0))
    assert point.size == pytest.approx(0.5, abs=1e-5)
    assert point.jump.loc["gross_loss", "above"] == pytest.approx(50.0, rel=1e-4)


@pytest.mark.parametrize("traders", [200, 12_000])
def test_gross_loss_is_the_sum_over_traders_on_one_thread_and_on_many(traders: int):
    """Against a sum over the table of traders of single runs; passes share threads from 10,000 traders on."""
    graph = cg.generate.perpetuals(traders, 6, rng=0)
    shocks = pd.DataFrame(np.random.default_rng(0).normal(0.0, 0.1, (3, 6)), columns=graph.assets)
    runs = [MODEL.run(graph, shock) for _, shock in shocks.iterrows()]
    expected = [float(run.traders["loss"].clip(lower=0.0).sum()) for run in runs]
    assert [run.summary()["gross_loss"] for run in runs] == pytest.approx(expected, rel=1e-12)
    assert all(run.summary()["gross_loss"] > run.summary()["net_loss"] for run in runs)
    kept, few = (cg.sweep(graph, MODEL, shocks, keep=keep).scenarios for keep in ("traders", "scenarios"))
    pd.testing.assert_frame_equal(kept, few, check_exact=True)
    assert kept["gross_loss"].tolist() == pytest.approx(expected, rel=1e-9)


def test_what_is_in_breach_before_any_shock_is_told_apart():
    """By hand: E = 10 * 100 - 950 = 50 < M = 0.1 * 1,000 = 100."""
    graph, shock = in_breach(), {"ETH": -0.01}
    result = MODEL.run(graph, shock)
    assert result.summary()["breached_before"] == 1.0
    assert "1 of 2 accounts breached (1 before the shock), 1 closed" in repr(result)
    pd.testing.assert_frame_equal(result.baseline.accounts, MODEL.run(graph).accounts)
    assert result.baseline.accounts["breach_round"].tolist() == [1, 0]
    message = "^accounts in breach before any shock: 1. A shock of zero liquidates them too"
    shocks, wide = draw.single_asset(["ETH"], [-0.01]), pd.DataFrame([[0.01]], index=["ETH"], columns=["ETH"])
    for work in (
        lambda: cg.sweep(graph, MODEL, shocks),
        lambda: ladder(graph, MODEL, [-0.01]),
        lambda: cg.tipping_point(graph, MODEL, {"ETH": -0.9}, event=LossAbove(50.0)),
        lambda: cg.reverse_stress(graph, MODEL, wide, event=LossAbove(50.0), n_points=2, n_directions=0, rng=0),
        lambda: cg.indirect_exposure(graph, MODEL, -0.01),
        lambda: cg.exposure_curve(graph, MODEL, "ETH", sizes=[-0.01]),
    ):
        with pytest.warns(cg.InBreachWarning, match=message) as seen:
            found = work()
        assert len(seen) == 1
        if isinstance(found, cg.SweepResult):
            assert found.summary()["breached_before"] == 1.0
            assert found.baseline.summary()["breached"] == 1.0
            assert repr(found).endswith("; 1 in breach before any shock>")


def test_a_tie_is_no_breach():
    """E = M: 10 * 100 - 900 = 100 = 0.1 * 1,000."""
    graph = in_breach().assign(cash=[-900.0, -100.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = cg.sweep(graph, MODEL, draw.single_asset(["ETH"], [0.0]))
    assert result.summary()["breached_before"] == 0.0
    assert "before" not in repr(result)


def test_the_interval_of_a_fund_is_of_order_statistics():
    """Scenario k of 200 needs k: it falls by 10 % and k more; of k = 1 ... 200 the places are 160 +- 1.96 sqrt(32)."""
    graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-900.0], assets=["ETH"])
    graph = graph.assign(insurance_fund=[1e6])
    shocks = draw.single_asset(["ETH"], [-0.1 - 0.001 * k for k in range(1, 201)])
    result = cg.sweep(graph, MODEL, shocks, keep="scenarios")
    spread = 1.959963984540054 * math.sqrt(200 * 0.8 * 0.2)
    low, high = 201 - math.ceil(41 + spread), 201 - (math.floor(41 - spread) + 1)
    assert result.fund_for(0.8).to_numpy().tolist()[0] == pytest.approx([160.0, low, high])
    assert result.fund_for(1.0).to_numpy().tolist()[0] == pytest.approx([200.0, 200.0, 200.0])


def test_the_interval_of_a_fund_covers(monkeypatch: pytest.MonkeyPatch):
    """Of 100 samples of 200 exponential needs about 95 intervals hold the true quantile, ln 10.

    The first sample is swept, and needs what was drawn; the others differ from it in these numbers alone.
    """
    graph = cg.ExposureGraph.from_arrays([[100.0]], price=[1.0], margin_long=0.1, cash=[-90.0], assets=["ETH"])
    rng, inside = np.random.default_rng(0), 0
    needs = [np.minimum(rng.exponential(size=200), 90.0) for _ in range(100)]
    result = cg.sweep(graph, MODEL, draw.single_asset(["ETH"], -0.1 - needs[0] / 100.0), keep="scenarios")
    assert result.fund_needed["pool"].to_numpy() == pytest.approx(needs[0])
    for need in needs:
        monkeypatch.setitem(vars(result), "fund_needed", pd.DataFrame({"pool": need}))  # what the sweep has kept
        found = result.fund_for(0.9)
        inside += found["insurance_fund_low"].iloc[0] <= math.log(10.0) <= found["insurance_fund_high"].iloc[0]
    assert 91 <= inside <= 99
