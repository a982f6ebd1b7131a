"""Graphs and results whose labels and attributes break careless writers."""

import datetime as dt
from functools import cache

import numpy as np
import pandas as pd

import contagion_graph as cg

LABELS = [
    "quote \" and apostrophe '",
    "less < more > and & ]]>",
    "bell \x07, escape \x1b, unit \x1f",
    "<script>alert(1)</script>",
    "tab\tnewline\nreturn\r end",
    " leading and trailing ",
    "emoji 🧨👩‍👩‍👧 and \U0001f1fa\U0001f1f3",
    "עברית العربية \u202eright to left\u202c",
    "long " + "x" * 9_995,
    "nan",
    "None",
    "007",
    "1e5",
    "-3.14",
    "=1+1",
    "@sum",
    "trader:A",
    "_x0007_ and _x005F_",
    "\ufffe\uffff\x0b\x0c",
    "combining a\u0301 \u0000nul",
    "&amp;&#10;",
    "true",
    "INF",
    "A",
]
# None stands for what is missing
VALUES = {
    "number": [np.nan, np.inf, -np.inf, 0.1, -0.0, 5e-324, 1.7976931348623157e308],
    "whole": pd.array([2**63 - 1, None, -(2**63), 0, 1], dtype="Int64"),
    "flag": np.array([True, False, None], dtype=object),
    "text": ["", "nan", None, "a\x00b", "<&>", "0"],
    "day": [dt.date(2020, 2, 29), None],
    "moment": pd.to_datetime(["2020-02-29T12:30:00.000001", None]),
    "label": ["taken", "names"],
    "loss": [1.5, 2.5],
    "weird <name> & \x07": [1, 2],
}


def table(rng: np.random.Generator, size: int) -> pd.DataFrame:
    """Return columns of hostile values, each repeated to so many rows from a random one on."""
    start = int(rng.integers(10))
    return pd.DataFrame(
        {name: pd.Series(values).iloc[(start + np.arange(size)) % len(values)].array for name, values in VALUES.items()}
    )


@cache
def graph(seed: int) -> cg.ExposureGraph:
    """Return a random graph with hostile labels, equal ones on both sides, and hostile attributes."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    traders, assets = (rng.permutation(LABELS)[:size].tolist() for size in (n, m))
    assets[0] = traders[0]
    assets = list(dict.fromkeys(assets))
    size = int(rng.integers(1, 30))
    entry = rng.uniform(5, 20, size)
    positions = pd.DataFrame(
        {
            "trader": rng.choice(traders, size),
            "asset": rng.choice(assets, size),
            "quantity": rng.choice(
                [-3.0, -1.0, 0.0, 1e-300, 2.0, 5.0, 1e12], size, p=[0.2, 0.2, 0.1, 0.05, 0.2, 0.2, 0.05]
            ),
            "entry_price": np.where(rng.random(size) < 0.5, np.nan, entry),
        }
    )
    if seed % 3 == 0:
        positions["kind"] = rng.choice(['"perp" <1>', "swap", "bell \x07"], size)
    if seed % 4 == 0:
        positions["position"] = [f"{label} {k}" for k, label in enumerate(rng.choice(LABELS, size))]
    held = pd.DataFrame({"trader": traders, "cash": rng.uniform(0, 50, n)})
    if seed % 2:
        held = pd.concat([held, table(rng, n)], axis=1)
    listed = pd.DataFrame({"asset": assets, "price": 10.0, "depth": 100.0, "margin_long": 0.1, "margin_short": 0.1})
    listed["sellable"] = rng.random(len(assets)) < 0.8
    return cg.ExposureGraph.from_tables(positions, pd.concat([listed, table(rng, len(assets))], axis=1), accounts=held)


@cache
def result(seed: int) -> cg.CascadeResult:
    """Return a cascade on a hostile graph."""
    market = graph(seed)
    rules = [cg.FullLiquidation(), cg.TargetMargin(0.1), cg.CloseFactor(0.5)]
    model = cg.MarginCascade(liquidation=rules[seed % 3], impact=cg.LinearImpact(), penalty=0.01)
    return model.run(market, {market.assets[0]: -0.3}, on_failure="ignore")
