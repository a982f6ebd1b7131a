"""The random markets of the cascade with options and futures on their assets, at flat rates, on tiers and on grids."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import contagion_graph as cg
from tests.markets import graph_of, model_of
from tests.reference.dense_state import Floats, Ints, Margin
from tests.reference.instruments import Instrument, Instruments, instruments_of
from tests.reference.margins import grid_margin, tier_margin
from tests.reference.random_markets import Case, random_case

NAMES = {1: "call", -1: "put", 0: "linear"}


class OptionCase(NamedTuple):
    """A case with instruments: its graph, its margins and instruments as the oracle takes them, and the shock."""

    case: Case
    graph: cg.ExposureGraph
    margin: Margin | None
    instruments: Instruments
    shock: dict[str, float]


def option_case(seed: int, *, margins: bool = True) -> OptionCase:
    """Draw a market of the cascade's tests, and instruments on its assets that its accounts hold too."""
    rng = np.random.default_rng([seed, 11])
    case = _without_own_margins(random_case(seed), rng)
    market, m = case.market, len(case.market.price)
    k = int(rng.integers(1, 7))
    rows, price = [], market.price.tolist()
    for column in range(m, m + k):
        underlying, kind = int(rng.integers(0, m)), int(rng.choice([1, -1, 0], p=[0.4, 0.4, 0.2]))
        u = market.price[underlying]
        row = Instrument(
            column, underlying, kind, ratio=float(rng.choice([1.0, 0.1, 1.003])) if kind == 0 else 1.0,
            strike=float(u * rng.uniform(0.7, 1.4)), years=float(rng.uniform(0.01, 1.0)),
            vol=float(rng.uniform(0.2, 1.5)), pass_through=float(rng.choice([1.0, 0.0, rng.random()])),
        )  # fmt: skip
        rows.append(row)
        price.append(row.value(u, row.vol) * float(rng.choice([1.0, rng.uniform(0.9, 1.1)])) + 1e-3 * u)
    positions = list(market.positions)
    for account in np.flatnonzero(rng.random(len(market.cash)) < 0.7).tolist():
        for column in rng.choice(np.arange(m, m + k), min(k, int(rng.integers(1, 4))), replace=False).tolist():
            units = float(rng.choice([-1.0, 1.0]) * rng.lognormal(8.5, 0.7) / market.price[rows[column - m].underlying])
            positions.append((account, column, units, None, 0.1))
    cash = market.cash.copy()
    for account, column, units, _, _ in positions[len(market.positions) :]:
        cash[account] -= units * price[column] * rng.uniform(0.9, 1.0)  # so that equity stays where it was, about
    depth = np.append(market.depth, np.where(rng.random(k) < 0.6, np.inf, np.median(market.depth) * rng.random(k)))
    depth[~(depth > 0.0)] = 1.0
    market = replace(
        market, positions=positions, cash=cash, price=np.array(price), depth=depth,
        sellable=np.append(market.sellable, market.sellable[[row.underlying for row in rows]] | (rng.random(k) < 0.5)),
    )  # fmt: skip
    own = np.where(rng.random(k) < 0.2, rng.uniform(-0.5, 0.5, k), 0.0)
    case = replace(case, market=market, shock=np.append(case.shock, own), rules=_for(case.rules, m + k))
    vol_shock = np.where(rng.random(m + k) < 0.4, rng.uniform(-0.4, 1.0, m + k), 0.0)
    vol_shock[[j for j in range(m + k) if j not in {row.underlying for row in rows if row.kind}]] = 0.0
    after = instruments_of(rows, market.price).shocked(case.shock, vol_shock)
    graph = replace(graph_of(market), instruments=_table(rows))
    graph, margin = _with_margins(graph, rows, after, rng) if margins else (graph, None)
    shock = dict(zip(graph.assets, case.shock, strict=True))
    shock |= {f"vol:{graph.assets[j]}": float(vol_shock[j]) for j in np.flatnonzero(vol_shock)}
    return OptionCase(case, graph, margin, after, shock)


def run_options(drawn: OptionCase, **options: Any) -> cg.CascadeResult:
    """Run the library's cascade of a market with instruments."""
    case = drawn.case
    return model_of(case.rules).run(
        drawn.graph, drawn.shock, losses={f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
        defaults=[f"t{k}" for k in np.flatnonzero(case.defaults)], on_failure="ignore", **options,
    )  # fmt: skip


def _without_own_margins(case: Case, rng: np.random.Generator) -> Case:
    if case.rules.liquidation[0] not in ("leverage", "repay"):
        return case
    return replace(case, rules=replace(case.rules, liquidation=("target", float(rng.uniform(0.0, 0.5)))))


def _for(rules, m):
    """Put plain curves in the place of those that are bound to assets."""
    return rules if isinstance(rules.impact, str) else replace(rules, impact="linear", volume="initial")


def _table(rows: list[Instrument]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "asset": [f"a{row.column}" for row in rows],
            "underlying": [f"a{row.underlying}" for row in rows],
            "kind": [NAMES[row.kind] for row in rows],
            "ratio": [row.ratio for row in rows],
            "strike": [row.strike if row.kind else np.nan for row in rows],
            "expiry": [row.years if row.kind else np.nan for row in rows],
            "vol": [row.vol if row.kind else np.nan for row in rows],
            "pass_through": [row.pass_through for row in rows],
        }
    )


class Grid(NamedTuple):
    """A scenario grid, and the instruments that it values."""

    rows: list[Instrument]
    move: Floats
    vol_factor: Floats
    weight: Floats
    contingency: float

    def gains(self, price: Floats) -> Floats:
        """Return what a unit of each column gains in each scenario."""
        found = price[:, None] * self.move * self.weight
        for row in self.rows:
            u = float(price[row.underlying])
            for s in range(self.move.size):
                moved = row.value(u * (1.0 + self.move[s]), row.vol * self.vol_factor[s])
                found[row.column, s] = self.weight[s] * (moved - row.value(u, row.vol))
        return found

    def short_options(self, left: Floats, price: Floats) -> float:
        """Return what net short options cost, by underlying, strike and expiry."""
        nets: dict[tuple[int, float, float], float] = {}
        for row in self.rows:
            if row.kind:
                key = (row.underlying, row.strike, row.years)
                nets[key] = nets.get(key, 0.0) + left[row.column]
        return sum(self.contingency * float(price[key[0]]) * max(0.0, -net) for key, net in nets.items())


def _with_margins(
    graph: cg.ExposureGraph, rows: list[Instrument], after: Instruments, rng: np.random.Generator
) -> tuple[cg.ExposureGraph, Margin]:
    """Put a part of the accounts on a grid, and some assets on tiers; return also the margin from the definition."""
    n, m = graph.quantity.shape
    underlying = list(range(m))
    for row in rows:
        underlying[row.column] = row.underlying
    move = np.concatenate([[0.0], rng.uniform(-0.3, 0.3, 5)])
    vol_factor, weight = rng.uniform(0.6, 1.6, 6), rng.uniform(0.3, 1.0, 6)
    contingency = float(rng.choice([0.0, 0.01]))
    grid = Grid(after.rows, move, vol_factor, weight, contingency)
    on = rng.choice(["", "pm"], n, p=[0.5, 0.5])
    value = graph._rows.initial.gross.mean() + 1.0
    tiers = {
        asset: [(0.0, 0.05), (float(value * 0.2), 0.12), (float(value), 0.3)]
        for asset in graph.assets[rng.random(m) < 0.4]
    }
    flat, held = graph.margin_units.toarray(), graph.quantity.toarray()
    rate = np.divide(flat, np.abs(held), out=np.zeros_like(flat), where=held != 0)
    table = {"grid": "pm", "underlying": "", "move": move, "vol_factor": vol_factor, "weight": weight}
    graph = replace(
        graph,
        margin_tiers=pd.DataFrame(
            [(asset, *pair) for asset, pairs in tiers.items() for pair in pairs], columns=["asset", "lower", "rate"]
        ),
        margin_scenarios=pd.DataFrame(table | {"contingency": contingency}),
        account_margin=pd.Index(on.tolist(), dtype="str"),
    )

    names, listed = list(graph.assets), on.tolist()
    known: dict[bytes, Floats] = {}  # of the last prices: searches ask for many margins at the same ones

    def margin(left: Floats, price: Floats, accounts: Ints) -> Floats:
        if price.tobytes() not in known:
            known.clear()
            known[price.tobytes()] = grid.gains(price)
        found, block = np.zeros(len(left)), known[price.tobytes()]
        for k, i in enumerate(accounts):
            if listed[i]:
                found[k] = grid_margin(left[k], block, underlying) + grid.short_options(left[k], price)
                continue
            for j in np.flatnonzero(left[k]):
                notional, asset = abs(left[k, j]) * price[j], names[j]
                found[k] += tier_margin(notional, tiers[asset]) if asset in tiers else rate[i, j] * notional
        return found

    return graph, margin
