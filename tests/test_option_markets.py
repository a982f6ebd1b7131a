"""Cascades of the random markets of the other tests, with instruments on them, against the dense oracle of these."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.markets import model_of
from tests.option_markets import option_case, run_options
from tests.reference.dense_cascade import dense_cascade

MARKETS = 500
TOLERANCE = 1e-9


@pytest.mark.parametrize("margins", [False, True])
def test_the_library_agrees_with_the_oracle(margins):
    compared = moved = 0
    number = MARKETS if margins else MARKETS // 3
    for seed in range(number):
        drawn = option_case(seed, margins=margins)
        case = drawn.case
        given = case.market, case.rules, case.shock, case.losses, case.defaults, drawn.margin, drawn.instruments
        oracle, result = dense_cascade(*given), run_options(drawn)
        if min(oracle.closest, oracle.closest_jump) < 1e-9 or not oracle.converged:
            continue  # rounding decides
        compared += 1
        assert result.solution.converged
        np.testing.assert_allclose(result.arrays.price_shocked, oracle.price_shocked, rtol=1e-12)
        np.testing.assert_allclose(result.arrays.price_after, oracle.price_after, rtol=TOLERANCE, atol=1e-300)
        assert result.arrays.breach_round.tolist() == oracle.breach_round.tolist()
        scale = drawn.graph.gross_value.sum() + np.abs(drawn.graph.cash).sum() + np.abs(oracle.proceeds).sum()
        for mine, theirs in (
            (result.arrays.proceeds, oracle.proceeds),
            (result.arrays.shortfall, oracle.shortfall),
            (result.arrays.socialised, oracle.socialised),
            (result.arrays.penalty, oracle.penalty),
        ):
            np.testing.assert_allclose(mine, theirs, atol=TOLERANCE * scale)
        np.testing.assert_allclose(result.arrays.closed, oracle.closed, atol=1e-7)
        moved += bool(oracle.rounds) and any(
            oracle.price_after[row.column] != oracle.price_shocked[row.column] for row in drawn.instruments.rows
        )
    assert compared > number * 0.7
    assert moved > number * 0.4


def test_what_always_holds():
    """The loss of an account adds up; units are conserved; what the system loses, somebody bears."""
    for seed in range(200):
        drawn = option_case(seed)
        result = run_options(drawn)
        table, graph = result.accounts, drawn.graph
        scale = graph.gross_value.sum() + np.abs(graph.cash).sum() + np.abs(result.arrays.proceeds).sum()
        parts = table["direct"] + table["impact"] + table["penalty"] + table["socialised"] - table["shortfall"]
        assert table["loss"].to_numpy() == pytest.approx(parts.to_numpy(), abs=TOLERANCE * scale)
        paid = result.pools[["fund_used", "uncovered"]].to_numpy().sum()
        total = table[["direct", "impact", "penalty"]].to_numpy().sum()
        assert table["loss"].sum() + paid == pytest.approx(total, abs=TOLERANCE * scale)
        held, end = graph.quantity.toarray(), result.arrays
        short = end.closed if end.closed_short is None else end.closed_short
        closed = np.where(held < 0.0, short[:, None], end.closed[:, None])
        sold = (held * closed * graph.sellable).sum(axis=0)
        assert end.sold == pytest.approx(sold, abs=1e-9 * np.abs(held).sum())


def test_the_currency_decides_nothing():
    for seed in range(40):
        drawn = option_case(seed, margins=False)
        graph, model = drawn.graph, model_of(replace(drawn.case.rules, sharing=None))
        plain = replace(graph, records=None)
        for times in (2.0**-40, 2.0**40):
            table = plain.instruments.assign(strike=plain.instruments["strike"] * times)
            scaled = replace(
                plain, price=plain.price * times, depth=plain.depth * times, cash=plain.cash * times,
                insurance_fund=plain.insurance_fund * times, instruments=table,
            )  # fmt: skip
            one, two = (model.run(each, drawn.shock, on_failure="ignore") for each in (plain, scaled))
            if one.arrays.breach_round.tolist() != two.arrays.breach_round.tolist():
                continue  # rounding decides
            np.testing.assert_allclose(times * one.accounts["loss"], two.accounts["loss"], rtol=1e-7, atol=1e-6 * times)


def test_a_sweep_has_the_figures_of_single_runs():
    for seed in range(25):
        drawn = option_case(seed)
        graph, model = drawn.graph, model_of(drawn.case.rules)
        rng = np.random.default_rng(seed)
        shocks = pd.DataFrame(rng.uniform(-0.3, 0.2, (4, len(graph.assets))), columns=graph.assets)
        swept = cg.sweep(graph, model, shocks, on_failure="ignore")
        runs = [model.run(graph, shock, on_failure="ignore") for _, shock in shocks.iterrows()]
        for number, alone in enumerate(runs):
            for name in ("closed", "gross_loss", "shortfall", "fund_used"):
                assert swept.scenarios.loc[number, name] == pytest.approx(alone.summary()[name], rel=1e-9, abs=1e-9)
