"""The same cascade with scipy's sparse products, a full pass a round: what one would write without compiled kernels."""

import numpy as np

import contagion_graph as cg


def plain_cascade(graph: cg.ExposureGraph, shock: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return who closes and what is socialised under `MarginCascade()`: one pool, everything sellable."""
    quantity, margin_units, transposed = graph.quantity, graph.margin_units, graph.quantity.T
    shocked = graph.price * (1.0 + np.array([shock.get(asset, 0.0) for asset in graph.assets]))
    base = np.maximum(graph.cash + quantity @ graph.price, 0.0)
    money, price, fund = graph.cash.copy(), shocked, float(graph.insurance_fund[0])
    closed, socialised = np.zeros(len(money), dtype=bool), np.zeros(len(money))
    sold = np.zeros(len(price))
    equity, maintenance = money + quantity @ price, margin_units @ price
    while (breached := ~closed & (equity < maintenance)).any():
        start, sold = sold, sold + transposed @ breached.astype(float)
        x, width = start * graph.price / graph.depth, (sold - start) * graph.price / graph.depth
        mean = np.divide(-np.expm1(-width), width, out=np.ones_like(width), where=width != 0.0)
        price, average = shocked * np.exp(-x - width), shocked * np.exp(-x) * mean
        money[breached] += (quantity @ average)[breached]
        closed |= breached
        equity, maintenance = money + np.where(closed, 0.0, quantity @ price), margin_units @ price
        due = np.maximum(-money[breached], 0.0).sum()
        used = min(due, fund)
        fund -= used
        paid = _water_fill(due - used, np.where(closed, 0.0, base), np.maximum(equity, 0.0))
        socialised, money, equity = socialised + paid, money - paid, equity - paid
    return closed, socialised


def _water_fill(due: float, base: np.ndarray, equity: np.ndarray) -> np.ndarray:
    paid, open_ = np.zeros_like(base), (base > 0.0) & (equity > 0.0)
    while due > 0.0 and open_.any():
        part = np.where(open_, due / base[open_].sum() * base, 0.0)
        short = open_ & (part >= equity)
        if not short.any():
            return paid + part
        paid[short] = equity[short]
        due -= equity[short].sum()
        open_ &= ~short
    return paid
