"""Tables that an object hands out are the caller's own: what a notebook does to one changes no other and no figure."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg

VENUE = cg.generate.perpetuals(60, 4, rng=0)
MODEL = cg.MarginCascade()
SHOCK = {VENUE.assets[0]: -0.4}
OWED = cg.ObligationNetwork.from_arrays([[0.0, 8.0], [1.0, 0.0]], external_assets=5.0, nodes=["A", "B"])
PEGGED = cg.ExposureGraph.from_tables(
    {"trader": ["A", "B"], "asset": ["W", "X"], "quantity": [1.0, 1.0]},
    {"asset": ["W", "X"], "price": [1.0, 1.0], "sector": ["a", "b"]},
    accounts={"trader": ["A", "B"], "cash": [0.0, 1.0], "region": ["EU", "US"]},
    backing={"asset": ["W"], "underlying": ["X"], "weight": [0.9]},
    obligations={"debtor": ["A"], "creditor": ["B"], "amount": [1.0]},
)
THIN = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], margin_long=0.1, cash=[-950.0], traders=["A"])
OBJECTS: dict[str, Callable[[], Any]] = {
    "graph": lambda: PEGGED,
    "network": lambda: OWED,
    "cascade": lambda: MODEL.run(VENUE, SHOCK),
    "equilibria": lambda: MODEL.equilibria(VENUE, SHOCK),
    "sweep": lambda: cg.sweep(VENUE, MODEL, cg.scenarios.draw.single_asset(VENUE.assets, [-0.3, -0.1])),
    "clearing": lambda: cg.EisenbergNoe().run(OWED),
    "distress": lambda: cg.DebtRank().run(OWED, equity_shock={"A": 0.5}),
    "comparison": lambda: cg.importance.compare(VENUE, [cg.importance.degree, cg.importance.strength]),
    "plan": lambda: cg.collateral.deleverage(THIN),
    "backed prices": lambda: cg.collateral.Backing.from_graph(PEGGED).pass_down({"X": -0.1}),
}


def tables(source: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name of every public attribute that is a table, and of every table in a public dict."""
    for name in dir(type(source)) + list(vars(source)):
        if not name.startswith("_") and not callable(getattr(source, name)):
            value = getattr(source, name)
            if isinstance(value, pd.DataFrame | pd.Series):
                yield name, lambda name=name: getattr(source, name)
            elif isinstance(value, dict):
                for key, entry in value.items():
                    if isinstance(entry, pd.DataFrame | pd.Series):
                        yield f"{name}[{key!r}]", lambda name=name, key=key: getattr(source, name)[key]


def spoil(table: Any) -> None:
    """Do to a table what a notebook would."""
    if isinstance(table, pd.Series):
        table.iloc[:] = table.iloc[::-1].to_numpy()
        table.index = range(len(table))
        return
    for column in table.columns:
        if len(table) and pd.api.types.is_float_dtype(table[column]):
            table[column] /= 1000.0
            table.loc[table.index[0], column] = np.pi
    table["new"] = 1
    table.columns = [f"{column}!" for column in table.columns]


@pytest.mark.parametrize("name", OBJECTS)
def test_no_table_of_an_object_changes(name: str):
    source = OBJECTS[name]()
    found = dict(tables(source))
    before = {key: get().copy(deep=True) for key, get in found.items()}
    assert before, "nothing was tested"
    for get in found.values():
        spoil(get())
    for key, get in found.items():
        assert get().equals(before[key]), key
        assert get().index.equals(before[key].index), key


def test_traders_stay_where_accounts_are_sorted():
    """Sorting `accounts` in place gave every trader the loss of another, and blame, GEXF and the report with it."""
    result = MODEL.run(VENUE, SHOCK)
    expected = MODEL.run(VENUE, SHOCK).traders["loss"]
    accounts = result.accounts
    accounts["loss"] /= 1000.0
    accounts.index = accounts.index[::-1]
    pd.testing.assert_series_equal(result.traders["loss"], expected)


def test_a_copy_shares_memory_until_it_is_written_to():
    result = MODEL.run(VENUE, SHOCK)
    one, other = result.accounts["loss"].to_numpy(), result.accounts["loss"].to_numpy()
    assert np.shares_memory(one, other)
