"""The cascade against the dense oracle on 500 random markets, and what is always true of it."""

from typing import NamedTuple

import numpy as np
import pytest

import contagion_graph as cg
from tests.markets import run_case
from tests.reference.dense_cascade import dense_cascade
from tests.reference.dense_state import Outcome
from tests.reference.random_markets import Case, mix, random_case

MARKETS = 500
TOLERANCE = 1e-9
AT_LEAST = {
    "rounds_3": 0.5,
    "socialised": 0.3,
    "cap_binds": 0.1,
    "uncovered": 0.1,
    "net_buying": 0.2,
    "partial": 0.2,
    "own_margin": 0.1,
    "two_sides": 0.05,
    "curve": 0.25,
    "current_volume": 0.15,
    "alpha": 0.25,
    "several_pools": 0.2,
    "unsellable": 0.1,
    "losses": 0.1,
    "defaults": 0.1,
    "only_negative_cash": 0.1,
    "shock_minus_one": 0.05,
    "infinite_depth": 0.1,
    "finite_depth": 0.5,
}
ACCOUNT_COLUMNS = (
    *("equity_before", "equity_after", "loss", "direct", "impact", "penalty"),
    *("socialised", "shortfall", "standalone", "indirect"),
)
ROUND_COLUMNS = ("closed_value", "shortfall", "fund_used", "socialised", "uncovered")


class Run(NamedTuple):
    """A case, what the oracle says, and what the library says."""

    case: Case
    oracle: Outcome
    result: cg.CascadeResult
    scale: float  # gross value, cash, and what was paid for what closed: what a currency figure is compared with


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    done = []
    for seed in range(MARKETS):
        case = random_case(seed)
        oracle = dense_cascade(case.market, case.rules, case.shock, case.losses, case.defaults)
        result = run_case(case)
        scale = result.graph.gross_value.sum() + np.abs(case.market.cash).sum() + np.abs(oracle.proceeds).sum()
        done.append(Run(case, oracle, result, scale))
    return done


def test_the_markets_meet_every_branch(runs: list[Run]):
    shares = mix([(run.case, run.oracle) for run in runs])
    assert {name: share for name, share in shares.items() if share < AT_LEAST[name]} == {}


@pytest.mark.parametrize("column", ACCOUNT_COLUMNS)
def test_accounts_agree_with_the_oracle(runs: list[Run], column: str):
    for run in runs:
        expected = getattr(run.oracle, column)
        np.testing.assert_allclose(run.result.accounts[column], expected, rtol=0, atol=TOLERANCE * run.scale)


def test_closed_shares_and_breach_rounds_agree_with_the_oracle(runs: list[Run]):
    for run in runs:
        np.testing.assert_allclose(run.result.accounts["closed"], run.oracle.closed, rtol=0, atol=TOLERANCE)
        np.testing.assert_array_equal(run.result.accounts["breach_round"], run.oracle.breach_round)


def test_assets_agree_with_the_oracle(runs: list[Run]):
    for run in runs:
        assets, oracle = run.result.assets, run.oracle
        np.testing.assert_allclose(assets["price_shocked"], oracle.price_shocked, rtol=TOLERANCE)
        np.testing.assert_allclose(assets["price_after"], oracle.price_after, rtol=TOLERANCE, atol=0)
        units = np.abs(run.result.graph.quantity.data).sum()
        np.testing.assert_allclose(assets["units_sold"], oracle.units_sold, rtol=0, atol=TOLERANCE * units)
        np.testing.assert_allclose(assets["value_sold"], oracle.value_sold, rtol=0, atol=TOLERANCE * run.scale)


def test_pools_agree_with_the_oracle(runs: list[Run]):
    for run in runs:
        pairs = {
            "shortfall": run.oracle.pool_shortfall,
            "socialised": run.oracle.pool_socialised,
            "fund_used": run.oracle.fund_used,
            "fund_received": run.oracle.fund_received,
            "fund_after": run.oracle.fund_after,
            "uncovered": run.oracle.uncovered,
        }
        for column, expected in pairs.items():
            np.testing.assert_allclose(run.result.pools[column], expected, rtol=0, atol=TOLERANCE * run.scale)


def test_rounds_agree_with_the_oracle(runs: list[Run]):
    for run in runs:
        rounds = run.result.rounds
        assert rounds["breached"].tolist() == [row["breached"] for row in run.oracle.rounds]
        for column in ROUND_COLUMNS:
            expected = [row[column] for row in run.oracle.rounds]
            np.testing.assert_allclose(rounds[column], expected, rtol=0, atol=TOLERANCE * run.scale)
        moves = [row["largest_move"] for row in run.oracle.rounds]
        np.testing.assert_allclose(rounds["largest_move"], moves, rtol=TOLERANCE, atol=TOLERANCE)


def test_identity_of_each_account(runs: list[Run]):
    for run in runs:
        a = run.result.accounts
        explained = a["direct"] + a["impact"] + a["penalty"] + a["socialised"] - a["shortfall"]
        np.testing.assert_allclose(a["loss"], explained, rtol=0, atol=TOLERANCE * run.scale)


def test_identity_of_the_system(runs: list[Run]):
    for run in runs:
        a, p = run.result.accounts.sum(), run.result.pools.sum()
        assert a["loss"] + p["fund_used"] + p["uncovered"] == pytest.approx(
            a["direct"] + a["impact"] + a["penalty"], rel=0, abs=TOLERANCE * run.scale
        )


def test_identities_of_each_pool(runs: list[Run]):
    for run in runs:
        p, tolerance = run.result.pools, {"rtol": 0, "atol": TOLERANCE * run.scale}
        np.testing.assert_allclose(p["fund_after"], p["fund_before"] - p["fund_used"] + p["fund_received"], **tolerance)
        np.testing.assert_allclose(p["shortfall"], p["fund_used"] + p["socialised"] + p["uncovered"], **tolerance)
        cost = run.result.accounts.groupby(level="pool", sort=False)[["direct", "impact", "penalty"]].sum().sum(axis=1)
        spent = (p["assets_before"] - p["assets_after"] + p["fund_received"]).loc[cost.index]
        np.testing.assert_allclose(spent, cost, **tolerance)


def test_it_ends_where_nobody_who_could_sell_is_in_breach(runs: list[Run]):
    """The definition of the end: unless the last partial closings were negligible, E >= M for all who have to sell."""
    ended = [run for run in runs if run.result.solution.residual == 0.0]
    assert len(ended) > MARKETS / 2
    for run in ended:
        graph, end = run.result.graph, run.result.arrays
        kept = np.where(graph.sellable, 0.0, end.price_after)
        sellable = np.where(graph.sellable, end.price_after, 0.0)
        held = graph.quantity.toarray()
        short = end.closed if end.closed_short is None else end.closed_short
        left = np.where(held < 0, 1 - short[:, None], 1 - end.closed[:, None])
        margin = graph._rows.valuation(kept)[2] + (graph.margin_units.toarray() * left) @ sellable
        slack = run.result.accounts["equity_after"].to_numpy() - margin
        to_sell = ~end.closed_whole & (graph._rows.valuation(sellable)[1] > 0)
        assert slack[to_sell].min(initial=0.0) >= -TOLERANCE * run.scale


def test_closed_shares_stay_shares_and_nobody_ends_below_zero(runs: list[Run]):
    for run in runs:
        accounts = run.result.accounts
        assert accounts["closed"].between(0.0, 1.0).all()
        assert accounts["equity_after"].min() >= -TOLERANCE * run.scale
        assert (accounts[["socialised", "shortfall", "penalty"]] >= 0.0).all(axis=None)


def test_relabelling_permutes_the_result(runs: list[Run]):
    for seed, run in enumerate(runs[:100]):
        rng = np.random.default_rng(seed)
        frames = {name: frame.sample(frac=1, random_state=rng) for name, frame in run.result.graph.to_frames().items()}
        model, case = run.result.model, run.case
        again = model.run(
            cg.ExposureGraph.from_tables(**frames),
            {f"a{k}": change for k, change in enumerate(case.shock)},
            losses={f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
            defaults=[f"t{k}" for k in np.flatnonzero(case.defaults)],
        )
        moved = again.accounts.loc[run.result.accounts.index]
        np.testing.assert_allclose(moved["loss"], run.result.accounts["loss"], rtol=0, atol=TOLERANCE * run.scale)
        np.testing.assert_allclose(moved["closed"], run.result.accounts["closed"], rtol=0, atol=TOLERANCE)


def test_scaling_the_currency_scales_the_result(runs: list[Run]):
    for run in runs[:100]:
        factor = 1024.0 * 3.0
        graph, end = run.result.graph, run.result.arrays
        frames = graph.to_frames()
        frames["positions"]["entry_price"] *= factor
        frames["assets"][["price", "depth"]] *= factor
        frames["pools"]["insurance_fund"] *= factor
        frames["accounts"]["cash"] *= factor
        again = run.result.model.run(
            cg.ExposureGraph.from_tables(**frames),
            dict(zip(graph.assets, run.case.shock, strict=True)),
            losses={account: factor * loss for account, loss in zip(graph.account_index, end.losses, strict=True)},
            defaults=[f"t{k}" for k in np.flatnonzero(run.case.defaults)],
        )
        expected = factor * run.result.accounts["loss"]
        np.testing.assert_allclose(again.accounts["loss"], expected, rtol=0, atol=TOLERANCE * factor * run.scale)
        assert again.rounds["breached"].tolist() == run.result.rounds["breached"].tolist()
