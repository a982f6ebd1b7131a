"""Positions that pass from account to account: auto-deleveraging, and take-overs by vaults."""

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.shared_data import case as reference

FUND = cg.InsuranceFund()
LEGS = ["round", "bankrupt", "counterparty", "asset", "units", "price", "amount"]


def test_a_hedge_is_taken_away_by_hand():
    """Without its short the second account is long 10 spot alone, and the third one's sale ruins it."""
    case = reference("adl_dehedging_by_hand")
    given, expected = case["inputs"], case["expected"]
    graph = cg.ExposureGraph.from_arrays(
        given["quantity"], price=float(given["price"]), depth=[given["depth"], np.inf], cash=given["cash"],
        margin_long=given["margin_long"], margin_short=given["margin_short"], insurance_fund=given["fund"],
        assets=["spot", "perp"], instruments={"asset": ["perp"], "underlying": ["spot"], "kind": ["linear"]},
    )  # fmt: skip
    for name, waterfall in {"without": (FUND,), "with_adl": (FUND, cg.Deleverage())}.items():
        model = cg.MarginCascade(impact=cg.LinearImpact(), waterfall=waterfall)
        result = model.run(graph, {"spot": given["shock"]})
        end = expected[name]
        assert result.assets["price_after"].tolist() == pytest.approx([end["price_after"]] * 2, abs=1e-9)
        assert len(result.rounds) == end["rounds"]
        assert result.accounts["shortfall"].tolist() == pytest.approx(end["shortfall"], abs=1e-9)
        assert result.pools["fund_used"].sum() == pytest.approx(end["fund_used"], abs=1e-9)
        assert result.accounts["equity_after"].tolist() == pytest.approx(end["equity_after"], abs=1e-9)
        assert result.pools["uncovered"].sum() == pytest.approx(end.get("uncovered", 0.0), abs=1e-9)
    assert result.accounts["transfer"].tolist() == pytest.approx(expected["with_adl"]["transfer"], abs=1e-9)
    assert result.fills[LEGS].to_numpy().tolist() == [[1, "0", "1", "perp", 10.0, 84.0, 40.0]]


@pytest.mark.parametrize("number", range(4))
def test_offsets_of_a_venue(number: int):
    """Fills of a venue's own tests: a position closes against given accounts at bankruptcy prices.

    Where its account still has equity, that is taken off the cash here, so that it is deleveraged; bankruptcy prices of
    a unit and what counterparties get fall by as much. In the last case equity is 0: the price is the mark, and the
    second leg stays, with no one on the other side.
    """
    case = reference("adl_dydx_a")
    given, expected = case["inputs"][number], case["expected"][number]
    btc, usd = given["bankrupt_btc_usd"]
    eth = given.get("bankrupt_eth", 0.0)
    less = max(usd + 50_000.0 * btc + 3_000.0 * eth, 0.0) + 1.0 - float(eth > 0.0)
    graph = cg.ExposureGraph.from_arrays(
        [[btc, eth], *([each, 0.0] for each, _ in given["others_btc_usd"])], price=[50_000.0, 3_000.0],
        margin_long=1.0, margin_short=1.0, cash=[usd - less, *(own for _, own in given["others_btc_usd"])],
    )  # fmt: skip
    # the others would be in breach at margins of 100 %, which are there for the shares of the legs alone
    graph = graph.assign(cash={str(k + 1): own + 1e6 for k, (_, own) in enumerate(given["others_btc_usd"])})
    rank = {str(k + 1): float(place) for place, k in enumerate(given["order"])}
    model = cg.MarginCascade(waterfall=(cg.Deleverage(rank, share="margin"),))
    result = model.run(graph, defaults=["0"])
    legs = result.fills[result.fills["asset"] == "0"]
    assert legs["units"].abs().tolist() == expected["fills"]
    assert legs["counterparty"].tolist() == [str(k + 1) for k in given["order"]]
    others = result.accounts["equity_after"].to_numpy()[1:] - 1e6
    lost = less * np.array(expected["fills"])
    assert (others + lost).tolist() == pytest.approx(expected["usd_after"], abs=case["tolerance"])
    if eth:
        assert result.assets["units_sold"].tolist() == [0.0, expected["bankrupt_eth_after"]]
    else:
        assert result.accounts["equity_after"].iloc[0] == 0.0


def toy(policy: cg.Deleverage, pnl: list[float], deficit: float) -> list[float]:
    """Return what winners with these profits give up: units in proportion to them, a deficit of 1 for each unit."""
    units = np.array(pnl)
    graph = cg.ExposureGraph.from_arrays(
        [[deficit], *([-each] for each in units)], price=2.0, cash=[-3.0 * deficit, *(1e4 + 2.0 * units)],
        traders=["bankrupt", *"ABCD"],
    )  # fmt: skip
    result = cg.MarginCascade(waterfall=(policy,)).run(graph, defaults=["bankrupt"])
    return result.accounts["transfer"].iloc[1:].tolist()


def test_a_queue_and_shares_in_proportion():
    """The haircuts of a queue by a given score, and of pro rata, each at most the profit."""
    case = reference("adl_policies_toy")
    given, expected = case["inputs"], case["expected"]
    score = np.array(given["pnl"]) / np.array(given["equity"])
    assert score.tolist() == expected["score_pnlpct_times_leverage"]
    rank = dict(zip("ABCD", np.argsort(np.argsort(-score, kind="stable")).astype(float), strict=True))
    assert toy(cg.Deleverage(rank), given["pnl"], given["deficit"]) == pytest.approx(expected["queue"])
    assert toy(cg.Deleverage("pro_rata"), given["pnl"], given["deficit"]) == pytest.approx(expected["pro_rata"])


def test_a_loss_on_every_unit_of_open_interest():
    """A venue spreads 100 over 5 long and 5 short units, 10 a unit: the bankruptcy price is 10 off the mark."""
    given = reference("drift_bankruptcy_a")
    loss, expected = given["inputs"]["perp"]["loss"], given["expected"]["perp"]
    graph = cg.ExposureGraph.from_arrays([[10.0], [-5.0], [-5.0]], price=100.0, cash=[-1000.0 - loss, 1e3, 1e3])
    result = cg.MarginCascade(waterfall=(cg.Deleverage("pro_rata"),)).run(graph, defaults=["0"])
    assert (result.fills["price"] - result.fills["mark"]).tolist() == [expected["loss_per_unit"]] * 2
    assert result.accounts["transfer"].tolist() == [-loss, loss / 2.0, loss / 2.0]


def test_a_vault_takes_an_account_whole():
    """By hand: equity 1 of a margin of 2; the vault, at f = 2/3, gains 1 and holds the position and the other leg."""
    graph = cg.ExposureGraph.from_tables(
        {"trader": ["A", "A", "V"], "asset": ["X", "Y", "X"], "quantity": [1.0, -1.0, 2.0]},
        {"asset": ["X", "Y"], "price": [10.0, 10.0], "margin_long": [0.1] * 2, "margin_short": [0.1] * 2},
        accounts={"trader": ["A", "V"], "cash": [1.0, 50.0], "vault": [False, True]},
        pools={"pool": ["pool"], "takeover_below": [2.0 / 3.0]},
    )
    result = cg.MarginCascade().run(graph)
    assert result.fills[["kind", "asset", "units", "price"]].to_numpy().tolist() == [
        ["take_over", "X", 1.0, 9.5],
        ["take_over", "Y", -1.0, 10.5],
    ]
    assert result.accounts["equity_after"].tolist() == [0.0, 71.0]
    assert result.accounts["transfer"].tolist() == [1.0, -1.0]
    assert result.assets["units_sold"].tolist() == [0.0, 0.0]
    with pytest.raises(cg.ParameterError, match="column vault out of table accounts, or use run"):
        cg.MarginCascade().equilibria(graph)
    with pytest.raises(cg.ParameterError, match=r"the graph has vaults \(accounts.vault\)"):
        cg.importance.knockout(graph, cg.MarginCascade(), {"X": -0.1})
    with pytest.raises(cg.ParameterError, match="account 'V / pool / ' is a vault, which is never liquidated"):
        cg.MarginCascade().run(graph, defaults=["V"])


def test_what_deleveraging_cannot_do_is_refused_by_name():
    graph = cg.ExposureGraph.from_arrays([[1.0], [-1.0]], price=10.0, cash=[-9.5, 12.0])
    model = cg.MarginCascade(waterfall=(FUND, cg.Deleverage()))
    with pytest.raises(cg.ParameterError, match="take Deleverage out of the waterfall"):
        model.equilibria(graph)
    with pytest.raises(cg.ParameterError, match="layers other than the insurance fund"):
        cg.importance.knockout(graph, model, {"0": -0.1})
    with pytest.raises(cg.ParameterError, match=r"result\.fills says who took what from whom"):
        cg.blame(model.run(graph, {"0": -0.1}))
    grid = {"margin_scenarios": {"grid": ["pm"] * 2, "move": [-0.1, 0.0]}, "account_margin": ["pm", "pm"]}
    with pytest.raises(cg.ParameterError, match="need margins of rates or tiers, not of grids"):
        model.run(cg.ExposureGraph.from_arrays([[1.0], [-1.0]], price=10.0, **grid))
    tables = graph.to_frames()
    tables["accounts"]["vault"] = True
    with pytest.raises(cg.ParameterError, match="has several vaults"):
        model.run(cg.ExposureGraph.from_tables(**tables))


def test_policies_on_one_market():
    """Columns by their definitions, on a venue with hundreds of fills."""
    graph = cg.generate.perpetuals(800, 8, rng=2)
    shock = dict.fromkeys(graph.assets, -0.35)
    found = cg.adl_policies(graph, cg.MarginCascade(), shock, policies=["profit", "pro_rata", "random"], top=3)
    without = cg.MarginCascade().run(graph, shock)
    assert found.results["none"].accounts.equals(without.accounts)
    for name in ("profit", "pro_rata", "random"):
        row, result = found.policies.loc[name], found.results[name]
        paid = dict.fromkeys(graph.traders, 0.0)
        for fill in result.fills.itertuples():
            paid[fill.counterparty] += fill.units * (fill.price - fill.mark)
        paid = pd.Series(paid)
        assert row["taken"] == pytest.approx(paid.sum()) == pytest.approx(found.taken[name].sum())
        assert row["counterparties"] == (found.taken[name] > 0.0).sum()
        assert row["top_share"] == pytest.approx(paid.nlargest(3).sum() / paid.sum())
        ordered = np.sort(paid.to_numpy())
        pairs = np.abs(ordered[:, None] - ordered[None]).sum()
        assert row["gini"] == pytest.approx(pairs / (2.0 * ordered.size * ordered.sum()))
        assert row["closed_by_it"] - row["spared"] == row["closed"] - found.policies.loc["none", "closed"]
        assert row["shortfall_by_it"] == pytest.approx(row["shortfall"] - found.policies.loc["none", "shortfall"])
        assert len(result.fills) > 100
    assert found.policies.loc["pro_rata", "regret"] == 0.0
    assert found.policies.loc["random", "regret"] > 0.1
    with pytest.raises(cg.ParameterError, match="give some, each once, and none called 'none'"):
        cg.adl_policies(graph, cg.MarginCascade(), shock, policies=["profit", "profit"])


def test_fills_do_not_depend_on_units_of_currency():
    graph = cg.generate.perpetuals(300, 5, rng=4)
    model, shock = cg.MarginCascade(waterfall=(FUND, cg.Deleverage(), cg.ProRata())), dict.fromkeys(graph.assets, -0.35)
    plain = model.run(graph, shock)
    frames = graph.to_frames()
    for factor in (2.0**-40, 2.0**40):
        scaled = {name: frame.copy() for name, frame in frames.items()}
        for table, column in (("assets", "price"), ("assets", "depth"), ("positions", "entry_price")):
            scaled[table][column] *= factor
        scaled["accounts"]["cash"] *= factor
        scaled["pools"]["insurance_fund"] *= factor
        result = model.run(cg.ExposureGraph.from_tables(**scaled), shock)
        assert result.fills[["bankrupt", "counterparty", "asset", "units"]].equals(
            plain.fills[["bankrupt", "counterparty", "asset", "units"]]
        )
        np.testing.assert_allclose(result.fills["amount"], plain.fills["amount"] * factor, rtol=1e-12)
    assert len(plain.fills) > 50


def test_tiers_that_are_flat_rates_change_nothing():
    """One tier an asset, at the rate of the graph: the same fills; two tiers: margins follow what has passed."""
    frames = cg.generate.perpetuals(300, 4, rng=5).to_frames()
    frames["positions"] = frames["positions"].drop(columns="margin", errors="ignore")
    frames["assets"] = frames["assets"].assign(margin_long=0.05, margin_short=0.05)
    flat, shock = cg.ExposureGraph.from_tables(**frames), dict.fromkeys(frames["assets"]["asset"], -0.3)
    model = cg.MarginCascade(waterfall=(FUND, cg.Deleverage("hyperliquid", share="margin"), cg.ProRata()))
    one = flat.assign(margin_tiers={"asset": flat.assets, "lower": [0.0] * 4, "rate": [0.05] * 4})
    first, second = model.run(flat, shock), model.run(one, shock)
    assert len(first.fills) > 50
    pd.testing.assert_frame_equal(first.fills, second.fills)
    pd.testing.assert_frame_equal(first.accounts, second.accounts)
    half = float(flat.gross_value.median())
    two = flat.assign(
        margin_tiers={"asset": [*flat.assets] * 2, "lower": [0.0] * 4 + [half] * 4, "rate": [0.05] * 4 + [0.1] * 4}
    )
    result = model.run(two, shock)
    held, arrays = result.arrays.passed.quantity.toarray(), result.arrays
    left = np.abs(held) * (1.0 - arrays.closed[:, None]) * arrays.price_after
    margin = (0.05 * left + 0.05 * np.maximum(left - half, 0.0)).sum(axis=1)
    slack = result.accounts["equity_after"].to_numpy() - margin
    assert (slack[arrays.closed < 1.0] > -1e-6 * half).all()


def test_what_shows_a_result_shows_fills(tmp_path):
    """The page, its text and the bars by channel: channels with transfers add up to the loss."""
    graph = cg.generate.perpetuals(300, 5, rng=4)
    waterfall = (cg.Purse("capital", amount=100.0), FUND, cg.Deleverage(trigger="fund"), cg.ProRata())
    result = cg.MarginCascade(waterfall=waterfall).run(graph, dict.fromkeys(graph.assets, -0.35))
    assert len(result.fills) > 20
    traders = result.traders
    parts = traders[["direct", "impact", "penalty", "socialised", "transfer"]].sum(axis=1) - traders["shortfall"]
    np.testing.assert_allclose(parts, traders["loss"], atol=1e-6)
    bars = cg.plot.waterfall(result).patches
    assert sum(bar.get_width() for bar in bars[:-1]) == pytest.approx(bars[-1].get_width())
    page = cg.write_report(result, tmp_path / "report.html").paths[0].read_text(encoding="utf-8")
    for words in ("Layers of the waterfall", "Positions that passed from account to account", "capital 100"):
        assert words in page
    assert "counterparty" in page
    cg.write_tables(result, tmp_path / "tables")
    written = pd.read_csv(tmp_path / "tables" / "fills.csv")
    assert written["amount"].sum() == pytest.approx(result.fills["amount"].sum())
