"""The bits of the reference markets: a change that is meant to leave the numbers alone leaves every bit alone.

Penalties are charged whole (`penalty_cap=None`) and `RepayAndSeize` is left out: the digests are older than the cap of
penalties, and than repayments that go on until the collateral is gone.
"""

import hashlib
import platform
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import contagion_graph as cg
from tests.markets import graph_of, model_of, run_case
from tests.reference.random_markets import Case, random_case

PATH = "0ba96e04c0042176c9731f39f03d7c478dcf08569d7dd272a839fef5d36f092e"
EQUILIBRIA = "891c4262c6de4aa613abf6707dc7fc041435c43e19f5c37174ce881c9f19b03f"
MANY = "c94fb249299c5d418b0e52edc249ce089b1b61f167b54de5d1c183abf9ce15c1"
SEEDS = range(400)
DIGITS = 6  # of what is drawn: the last bits of a logarithm differ between machines
EXACT = ("linear", "SquareRootImpact", "OrderBookImpact")  # curves without an exponential, whose last bit differs too
ENDS = ("least", "greatest")
ARRAYS = ("price_shocked", "price_after", "sold", "value_sold", "proceeds", "penalty", "socialised", "shortfall")
ARRAYS += ("closed", "breach_round", "pool_shortfall", "fund_used", "fund_received", "uncovered")


def rounded(value: Any) -> Any:
    """Return what is drawn with `DIGITS` significant digits, however deep it lies."""
    if is_dataclass(value):
        return replace(value, **{entry.name: rounded(getattr(value, entry.name)) for entry in fields(value)})
    if isinstance(value, np.ndarray) and value.dtype == float:
        return np.array([rounded(float(one)) for one in value])
    if isinstance(value, list | tuple):
        return type(value)(rounded(one) for one in value)
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def curve_of(case: Case) -> str:
    """Return the name of the impact of a case."""
    return case.rules.impact if isinstance(case.rules.impact, str) else type(case.rules.impact).__name__


def reference_cases() -> list[Case]:
    """Draw the markets, with inputs of few digits."""
    drawn = [random_case(seed) for seed in SEEDS]
    kept = [case for case in drawn if curve_of(case) in EXACT and case.rules.liquidation[0] != "repay"]
    kept = [replace(case, rules=replace(case.rules, penalty_cap=None)) for case in kept]
    return [
        replace(
            case,
            market=rounded(case.market),
            rules=case.rules if not isinstance(case.rules.impact, str) else rounded(case.rules),
            shock=rounded(case.shock),
            losses=rounded(case.losses),
        )
        for case in kept
    ]


def digest(results: Any) -> str:
    """Return the SHA-256 of every array of every result."""
    hashed = hashlib.sha256()
    for result in results:
        for name in ARRAYS:
            hashed.update(np.ascontiguousarray(getattr(result.arrays, name)).tobytes())
    return hashed.hexdigest()


x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="compilers of other processors fuse products and sums")


@x86
def test_the_bits_of_the_path():
    cases = reference_cases()
    assert len(cases) > 150
    assert digest(run_case(case) for case in cases) == PATH


@x86
def test_the_bits_of_the_equilibria():
    cases = [case for case in reference_cases() if has_plain_equilibria(case)]
    assert len(cases) > 30
    pairs = [equilibria_of(case) for case in cases]
    assert digest(getattr(pair, end) for pair in pairs for end in ENDS) == EQUILIBRIA


def has_plain_equilibria(case: Case) -> bool:
    """Say whether the static map is defined, and iterated without a linear solver, whose bits are the machine's own."""
    rules = case.rules
    return rules.volume == "initial" and rules.alpha is None and rules.liquidation[0] in ("full", "close_factor")


def equilibria_of(case: Case) -> Any:
    """Return the equilibria of a case, without its losses and defaults."""
    graph = graph_of(case.market)
    shock = dict(zip(graph.assets, case.shock, strict=True))
    return model_of(case.rules).equilibria(graph, shock, on_failure="ignore")


@x86
def test_the_bits_of_many_accounts():
    """More accounts than one chunk and one thread take, so that the compiled variant with threads runs too."""
    graph, shock = many_accounts()
    rules = [cg.FullLiquidation(), cg.TargetMargin(buffer=0.25), cg.CloseFactor(factor=0.5, full_below=0.75)]
    models = [
        cg.MarginCascade(liquidation=rule, impact=cg.LinearImpact(), penalty=0.0078125, penalty_cap=None)
        for rule in rules
    ]
    results = [model.run(graph, shock) for model in models]
    assert all(0.01 < (result.arrays.closed > 0).mean() < 0.9 for result in results)
    assert digest(results) == MANY


def many_accounts(n: int = 30_000, m: int = 12) -> tuple[cg.ExposureGraph, dict[str, float]]:
    """Draw a market of whole numbers and binary fractions: no logarithm, so the same on every machine."""
    rng = np.random.default_rng(7)
    price = rng.integers(1, 200, m) / 4.0
    units = np.where(rng.random((n, m)) < 0.3, rng.integers(-20, 100, (n, m)), 0).astype(float)
    gross = np.abs(units * price).sum(axis=1)
    graph = cg.ExposureGraph.from_arrays(
        sparse.csr_array(units),
        price=price,
        depth=np.abs(units * price).sum(axis=0) * 2.0,
        margin_long=0.125,
        margin_short=0.125,
        cash=np.round(-(units * price).sum(axis=1) + gross * rng.integers(16, 96, n) / 128.0),
        insurance_fund=1000.0,
    )
    return graph, dict.fromkeys(graph.assets, -0.0625)
