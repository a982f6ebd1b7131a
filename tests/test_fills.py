"""Positions that pass from account to account: auto-deleveraging, and take-overs by vaults."""

import numpy as np
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
