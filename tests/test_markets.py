"""The short way from a random market to a graph is the long one."""

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.markets import graph_of, tables_of
from tests.reference.random_markets import random_case
from tests.reference.small_markets import small_market


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", ["any", "small"])
def test_the_graph_of_a_market_is_that_of_its_tables(kind: str, seed: int):
    rng = np.random.default_rng(seed)
    market = random_case(seed).market if kind == "any" else small_market(rng, one_sided=bool(seed % 2)).market
    found, expected = graph_of(market), cg.ExposureGraph.from_tables(**tables_of(market))
    for name in ("account_index", "assets", "pools", "traders"):
        pd.testing.assert_index_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    for name in ("cash", "price", "depth", "margin_long", "margin_short", "sellable", "insurance_fund", "share"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
    for matrix in ("quantity", "margin_units"):
        for part in ("data", "indices", "indptr"):
            arrays = (getattr(getattr(graph, matrix), part) for graph in (found, expected))
            np.testing.assert_array_equal(*arrays, strict=True)
    for name in ("account", "asset", "quantity", "entry_price", "margin", "own_cash"):
        np.testing.assert_array_equal(getattr(found.records, name), getattr(expected.records, name), strict=True)
    assert found.records.position is found.records.kind is None
    assert found.attributes == expected.attributes == {}
