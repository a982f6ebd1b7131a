"""The example of banks that owe each other: totals held, models ordered, a report printed; skipped without the data."""

import runpy
from pathlib import Path

import interbank as example
import numpy as np
import pandas as pd
import pytest
from real_data import data_folder

import contagion_graph as cg


@pytest.fixture(scope="module")
def banks() -> pd.DataFrame:
    try:
        return example.read_banks(data_folder(example.DATA))
    except SystemExit as absent:
        pytest.skip(str(absent))


@pytest.mark.parametrize("rebuild", example.REBUILD)
def test_a_rebuilt_network_has_the_published_totals(banks: pd.DataFrame, rebuild: str):
    network = example.network_of(banks, rebuild)
    np.testing.assert_allclose(network.owed, banks["owed"], rtol=1e-9)
    np.testing.assert_allclose(network.claims, banks["lent"], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(network.equity, banks["equity"], rtol=1e-6)
    cleared = cg.EisenbergNoe().run(network, losses=banks["losses"])
    distress = cg.DebtRank().run(network, losses=banks["losses"])
    lost = banks["equity"] - cleared.equity
    assert (distress.loss >= lost - 1e-6 * banks["assets"]).all()  # DebtRank bounds the losses of clearing
    assert cleared.summary()["fundamental"] == 20


def test_few_links_are_few_and_losses_spread_further(banks: pd.DataFrame):
    spread, few = (example.network_of(banks, rebuild) for rebuild in example.REBUILD)
    assert few.obligations.nnz <= 2 * len(banks) - 1 < spread.obligations.nnz == len(banks) * (len(banks) - 1)


def test_the_example_prints_its_report(banks: pd.DataFrame, capsys: pytest.CaptureFixture[str]):
    runpy.run_path(str(Path(example.__file__)), run_name="__main__")
    report = capsys.readouterr().out
    assert report.count("<ClearingResult: ") == report.count("<DistressResult: ") == 2
    assert "88 nodes, 7,656 obligations" in report
