"""The graph of a report: which traders and assets it shows, where they stand, and their state in each round."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.graph_formats.core import Rows, core_of, share_of_loss
from contagion_graph.io.summary_text import money
from contagion_graph.margin.result import CascadeResult
from contagion_graph.plot.rounds import price_changes
from contagion_graph.solvers.arrays import largest

TRADERS, ASSETS, EDGES, STEPS = 150, 24, 2000, 200  # at most, so that a phone draws them
NAMED = 15  # traders whose names always stand beside them
GAP, ASSET_GAP = 30.0, 46.0  # between neighbours on a ring, in pixels at zoom 1
WIDE = 1.35  # width over height of a ring: screens are wide
LEAST, MOST = 8.0, 30.0  # diameter of a trader


def view_of(result: CascadeResult) -> dict[str, Any]:
    """Return the core of a cascade as plain lists and numbers: nodes with places, edges, and one step a round.

    Half of the traders are those with the most closed, the others those with the largest losses. Assets are those of
    which these traders hold most.
    """
    rows, columns, held = core_of(result, TRADERS, ASSETS)
    order = np.argsort(columns)
    columns, held = columns[order], held[:, order]
    angle, inner = _asset_ring(len(columns))
    changes, numbers = _steps(result)
    return {
        "traders": _traders(result, rows, _around(result, rows, held, angle, inner)),
        "assets": _assets(result, columns, _polar(np.full(len(columns), inner), angle)),
        "edges": _edges(held),
        "steps": [
            {"round": number, "changes": _digits(change[columns]), "words": _words(result, number)}
            for number, change in zip(numbers, changes, strict=True)
        ],
        "named": min(NAMED, len(rows)),
        "note": _note(result, rows, len(columns)),
    }


def _asset_ring(count: int) -> tuple[FloatArray, float]:
    """Return the angles of the assets and the radius of their ring."""
    inner = 0.0 if count == 1 else max(50.0, ASSET_GAP * count / (2.0 * np.pi))
    return 2.0 * np.pi * np.arange(count) / count, inner


def _around(result: CascadeResult, rows: Rows, held: sparse.csr_array, angle: FloatArray, inner: float) -> FloatArray:
    """Return places around the assets: rings filled in the order of breach, on each beside the asset held most."""
    size = abs(held).tocsr()
    filled = np.diff(size.indptr) > 0
    main = np.zeros(len(rows))
    main[filled] = angle[np.asarray(size.argmax(axis=1))[filled]]
    first = result.traders["breach_round"].to_numpy()[rows]
    late = np.where(first > 0, first, np.inf)
    places, radius = np.zeros((len(rows), 2)), inner + 2.0 * GAP
    for group in (np.argsort(late, kind="stable")[: (first > 0).sum()], np.flatnonzero(first == 0)):
        start = 0
        while start < group.size:
            ring = group[start : start + int(2.0 * np.pi * radius / GAP)]
            start += ring.size
            ring = ring[np.argsort(main[ring], kind="stable")]
            turn = 2.0 * np.pi * (np.arange(ring.size) + 0.5) / ring.size
            places[ring] = _polar(np.full(ring.size, radius), turn)
            radius += GAP
    return places


def _records(table: pd.DataFrame) -> Iterator[Any]:
    return table.itertuples()


def _polar(radius: FloatArray, angle: FloatArray) -> FloatArray:
    return np.column_stack([WIDE * radius * np.cos(angle), radius * np.sin(angle)])


def _traders(result: CascadeResult, rows: Rows, places: FloatArray) -> list[dict[str, Any]]:
    table = result.traders.iloc[rows]
    part = np.sqrt(np.maximum(table["loss"], 0.0) / max(table["loss"].max(), 1e-300)).to_numpy()
    return [
        {
            "label": str(trader.Index),
            "x": round(float(x), 1),
            "y": round(float(y), 1),
            "size": round(LEAST + (MOST - LEAST) * float(share), 1),
            "round": int(trader.breach_round),
            "whole": trader.closed == 1.0,
            "words": _about(trader),
        }
        for trader, (x, y), share in zip(_records(table), places, part, strict=True)
    ]


def _about(trader: Any) -> str:
    lost = f"Loses {money(trader.loss)}" if trader.loss >= 0.0 else f"Gains {money(-trader.loss)}"
    cause = f"{lost}, of which {money(trader.indirect)} indirect."
    if not trader.breach_round:
        return f"{cause} Never in breach."
    return f"{cause} In breach from round {trader.breach_round}; {trader.closed:.0%} closed."


def _assets(result: CascadeResult, columns: Rows, places: FloatArray) -> list[dict[str, Any]]:
    table = result.assets.iloc[columns]
    return [
        {
            "label": str(asset.Index),
            "x": round(float(x), 1),
            "y": round(float(y), 1),
            "words": (
                f"Price {money(asset.price_before)} before, {money(asset.price_shocked)} after the shock, "
                f"{money(asset.price_after)} at the end; sold, net: {money(asset.value_sold)}."
            ),
        }
        for asset, (x, y) in zip(_records(table), places, strict=True)
    ]


def _edges(held: sparse.csr_array) -> list[list[float]]:
    """Return trader, asset, value and width of the largest holdings."""
    cells = held.tocoo()
    kept = np.sort(largest(np.abs(cells.data), EDGES))
    value = cells.data[kept]
    width = 0.5 + 5.0 * np.sqrt(np.abs(value) / max(np.abs(value).max(initial=0.0), 1e-300))
    rows = zip(cells.row[kept].tolist(), cells.col[kept].tolist(), _digits(value), width.round(1).tolist(), strict=True)
    return [list(row) for row in rows]


def _steps(result: CascadeResult) -> tuple[FloatArray, list[int]]:
    """Return the change of prices at each step, and its round: 0, the shock, then all or evenly spaced ones."""
    changes = price_changes(result)
    if result.arrays.trades is None:
        changes = np.vstack([changes, result.arrays.price_after / result.graph.price - 1.0])
    kept = np.unique(np.linspace(0, len(changes) - 1, min(len(changes), STEPS)).round().astype(np.int64))
    return changes[kept], kept.tolist()


def _words(result: CascadeResult, number: int) -> str:
    if number == 0:
        return "Round 0: the shock. No account has been closed yet."
    if result.arrays.trades is None:
        return "The equilibrium."
    row: Any = result.rounds.loc[number]
    return (
        f"Round {number} of {len(result.rounds)}: {row['breached']:,.0f} account{'' if row['breached'] == 1 else 's'} "
        f"in breach, {money(row['closed_value'])} worth of positions closed, shortfall {money(row['shortfall'])}."
    )


def _note(result: CascadeResult, rows: Rows, n_assets: int) -> str:
    everyone = len(result.graph.traders)
    if len(rows) == everyone:
        return f"All {everyone:,} traders and {n_assets:,} of {len(result.graph.assets):,} assets."
    return (
        f"{len(rows):,} of {everyone:,} traders (half with the most closed, the others with the largest losses), with "
        f"{share_of_loss(result, rows):.0%} of all losses, and {n_assets:,} of {len(result.graph.assets):,} assets."
    )


def _digits(values: FloatArray) -> list[float]:
    """Return numbers with six digits, which is what a page can show."""
    return [float(f"{value:.6g}") for value in values]
