"""Bad debt of a lending protocol on real accounts, against a plain loop of what its liquidators do."""

from pathlib import Path

import compound_v2 as compound
import numpy as np
import pytest
from real_data import data_folder

import contagion_graph as cg

CLOSE_FACTOR, BONUS = 0.5, 0.08  # of Compound v2, as examples/compound_v2.py names them


@pytest.fixture(scope="module")
def folder() -> Path:
    """Return where the data is."""
    try:
        return data_folder(compound.DATA)
    except SystemExit as absent:
        pytest.skip(str(absent))


@pytest.fixture(scope="module")
def deep(folder: Path) -> cg.ExposureGraph:
    """Return the accounts of May 2023, in a market whose prices nobody moves."""
    graph = compound.build_graph(folder)
    return graph.assign(depth=np.inf)


def bad_debt(collateral: float, debt: float, weight: float) -> float:
    """Repay half of the debt and seize 1.08 times that, until health is 1, or the debt or the collateral is gone.

    `weight` is the share of the collateral that counts against the debt.
    """
    smallest = 1e-13 * debt  # the rest of a debt that was halved forty times is repaid in one go
    while debt > 0.0 and collateral > smallest and weight * collateral < debt:
        wanted = CLOSE_FACTOR * debt if debt > smallest else debt
        repaid = min(wanted, collateral / (1.0 + BONUS))
        debt, collateral = debt - repaid, collateral - (1.0 + BONUS) * repaid
    return debt if collateral <= smallest else 0.0


@pytest.mark.parametrize(("fall", "expected"), [(0.30, 537.93), (0.43, 4366.26), (0.50, 8195.70)])
def test_bad_debt_is_that_of_the_protocol(deep: cg.ExposureGraph, fall: float, expected: float):
    price = np.where(deep.assets == "ETH", 1.0 - fall, 1.0)
    collateral, debt = deep.quantity.maximum(0.0) @ price, -deep.quantity.minimum(0.0) @ price
    margin = deep.margin_units @ price
    assert not deep.cash.any()
    weight = np.divide(collateral - margin, collateral, out=np.zeros_like(debt), where=collateral > 0.0)
    plain = sum(map(bad_debt, collateral.tolist(), debt.tolist(), weight.tolist()))
    assert plain == pytest.approx(expected, abs=0.005)
    model = cg.MarginCascade(cg.RepayAndSeize(CLOSE_FACTOR, bonus=BONUS), waterfall=(cg.InsuranceFund(),))
    assert model.run(deep, {"ETH": -fall}).summary()["uncovered"] == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize(("fall", "expected"), [(0.30, 538.0), (0.43, 4366.3), (0.50, 8195.8)])
def test_single_positions_that_are_not_netted_leave_a_little_more(folder: Path, fall: float, expected: float):
    """The protocol repays the debt of an asset with other collateral too; a graph nets the two within an account."""
    positions = compound.read_positions(folder)
    value = positions["quantity"] * np.where(positions["asset"] == "ETH", 1.0 - fall, 1.0)
    collateral, debt = (
        side.groupby(positions["trader"]).sum() for side in (value.clip(lower=0.0), -value.clip(upper=0.0))
    )
    left = (debt - collateral / (1.0 + BONUS)).clip(lower=0.0).sum()  # all collateral is seized, with the bonus
    assert left == pytest.approx(expected, abs=0.05)
