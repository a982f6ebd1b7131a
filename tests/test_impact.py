"""Impacts counted by ways: sums of power series against dense exponentials."""

import numpy as np
import pytest
from scipy.linalg import expm

import contagion_graph as cg
from tests.interbank import coupling_of, network_of, random_network
from tests.reference import slow_distress

distress = cg.distress


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("seed", range(60))
def test_measures_are_those_of_the_exponentials(seed: int, binary: bool):
    network = random_network(seed, 10, insolvent=seed % 3 == 0)
    impact = coupling_of(network).T
    impact = (impact >= 1.0).astype(float) if binary else np.minimum(impact, 1.0)
    susceptibility = slow_distress.susceptibility(impact)
    found = distress.impact_susceptibility(network, binary=binary)
    np.testing.assert_allclose(found, susceptibility, rtol=1e-9, atol=1e-10)
    assert distress.impact_fluidity(network, binary=binary) == pytest.approx(susceptibility.mean(), rel=1e-9, abs=1e-12)
    table = distress.impact_diffusion(network, binary=binary)
    start, between = slow_distress.diffusion(impact)
    np.testing.assert_allclose(table["start"], start, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(table["intermediate"], between, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(table["total"], table["start"] + table["intermediate"])
    np.testing.assert_allclose(distress.communicability(network, binary=binary), expm(impact), rtol=1e-9, atol=1e-9)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    network = random_network(3, 25)
    table = distress.impact_diffusion(network, binary=False)
    monkeypatch.setattr("contagion_graph.distress.walk_measures.NUMBERS", 60)
    np.testing.assert_allclose(distress.impact_diffusion(network, binary=False), table, rtol=1e-12)


def test_networks_without_impacts_have_none():
    network = cg.ObligationNetwork.from_arrays(np.zeros((3, 3)), external_assets=1.0)
    assert distress.impact_susceptibility(network).tolist() == [0.0, 0.0, 0.0]
    assert distress.impact_fluidity(network) == 0.0
    assert distress.impact_diffusion(network).to_numpy().max() == 0.0
    np.testing.assert_array_equal(distress.communicability(network), np.eye(3))


def test_what_is_too_much_is_refused():
    star = np.zeros((701, 701))
    star[0, 1:] = 2.0
    with pytest.raises(cg.ParameterError, match="'0' has direct impacts of 700"):
        distress.impact_susceptibility(network_of(star, np.ones(701)))
    with pytest.raises(cg.ParameterError, match="4,000 rows of 4,000 are too many"):
        distress.communicability(cg.ObligationNetwork.from_arrays(np.zeros((4000, 4000)), external_assets=1.0))
    with pytest.raises(cg.ParameterError, match="nodes: unknown label 'x'"):
        distress.communicability(random_network(0), ["x"])
