"""Random books and networks, the same ones in other units, orders, labels and parts, and answers as cells by label."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import contagion_graph as cg

SPLIT = 4  # parts of a trader or node: a power of two, so that parts are exact
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Book:
    """A graph as plain arrays: a accounts of t traders in v pools, m assets; the shock, and the model."""

    quantity: Floats  # (a, m)
    cash: Floats
    share: Floats
    trader: tuple[str, ...]  # (a,)
    pool: tuple[str, ...]
    price: Floats  # (m,)
    depth: Floats
    margin: Floats
    shock: Floats
    assets: tuple[str, ...]
    fund: dict[str, float]
    owed: dict[tuple[str, str], float]
    backing: dict[tuple[str, str], float]
    model: cg.MarginCascade

    def graph(self) -> cg.ExposureGraph:
        """Return the graph, read from tables."""
        row, column = np.nonzero(self.quantity)
        owed = {} if not self.owed else {"obligations": _pairs(self.owed, "debtor", "creditor", "amount")}
        backing = {} if not self.backing else {"backing": _pairs(self.backing, "asset", "underlying", "weight")}
        return cg.ExposureGraph.from_tables(
            positions={
                "trader": [self.trader[i] for i in row],
                "pool": [self.pool[i] for i in row],
                "asset": [self.assets[j] for j in column],
                "quantity": self.quantity[row, column],
            },
            assets={
                "asset": list(self.assets), "price": self.price, "depth": self.depth, "margin_long": self.margin,
                "margin_short": self.margin,
            },
            pools={"pool": list(self.fund), "insurance_fund": list(self.fund.values())},
            accounts={
                "trader": list(self.trader), "pool": list(self.pool), "cash": self.cash, "share": self.share,
            },
            **owed, **backing,
        )  # fmt: skip

    def size(self) -> float:
        """Return the gross value, and the cash of all accounts [currency]: rounding is a share of it."""
        return float((np.abs(self.quantity) @ self.price + np.abs(self.cash)).sum())

    def units(self) -> float:
        """Return the largest number of units that an account holds: rounding is a share of it."""
        return float(np.abs(self.quantity).max())

    def changes(self, size: float = 1.0) -> dict[str, float]:
        """Return the shock by asset."""
        return dict(zip(self.assets, (size * self.shock).tolist(), strict=True))

    def frame(self) -> pd.DataFrame:
        """Return three scenarios."""
        return pd.DataFrame([self.changes(size) for size in (1.0, 0.5, 0.1)])

    def covariance(self) -> pd.DataFrame:
        """Return a covariance of log-returns that depends on no label."""
        matrix = 0.01 * (np.diag(1.0 + np.abs(self.shock)) + np.outer(self.shock, self.shock))
        return pd.DataFrame(matrix, self.assets, self.assets)

    # --- the same book ------------------------------------------------------------------------------------------------

    def in_currency(self, c: float) -> "Book":
        """Return the book in a currency of which c are one unit of the present one."""
        return replace(
            self, cash=self.cash * c, price=self.price * c, depth=self.depth * c,
            fund={name: fund * c for name, fund in self.fund.items()},
            owed={pair: amount * c for pair, amount in self.owed.items()},
        )  # fmt: skip

    def in_units(self, c: float) -> "Book":
        """Return the book with the first asset, and the weights of loss sharing, in smaller or larger units."""
        unit = np.ones(len(self.assets))
        unit[0] = c
        return replace(self, quantity=self.quantity * unit, price=self.price / unit, share=self.share * c)

    def permuted(self, rng: np.random.Generator) -> "Book":
        """Return the book with accounts, assets, pools and debts in another order."""
        a, m = rng.permutation(len(self.cash)), rng.permutation(len(self.price))
        return replace(
            self, quantity=self.quantity[np.ix_(a, m)], cash=self.cash[a], share=self.share[a],
            trader=tuple(self.trader[i] for i in a), pool=tuple(self.pool[i] for i in a), price=self.price[m],
            depth=self.depth[m], margin=self.margin[m], shock=self.shock[m], assets=tuple(self.assets[j] for j in m),
            fund=dict(reversed(self.fund.items())), owed=dict(reversed(self.owed.items())),
            backing=dict(reversed(self.backing.items())),
        )  # fmt: skip

    def renamed(self, names: dict[str, str]) -> "Book":
        """Return the book with other labels."""
        return replace(
            self, trader=tuple(names[each] for each in self.trader), pool=tuple(names[each] for each in self.pool),
            assets=tuple(names[each] for each in self.assets),
            fund={names[pool]: fund for pool, fund in self.fund.items()},
            owed={(names[one], names[other]): amount for (one, other), amount in self.owed.items()},
            backing={(names[one], names[other]): weight for (one, other), weight in self.backing.items()},
        )  # fmt: skip

    def labels(self) -> list[str]:
        """Return all labels."""
        return sorted({*self.trader, *self.pool, *self.assets})

    def split(self) -> "Book":
        """Return the book with each trader as `SPLIT` traders of the same positions, a part of each."""
        part, k = np.repeat(np.arange(len(self.cash)), SPLIT), range(SPLIT)
        return replace(
            self, quantity=self.quantity[part] / SPLIT, cash=self.cash[part] / SPLIT, share=self.share[part] / SPLIT,
            trader=tuple(f"{name}/{r}" for name in self.trader for r in k), pool=tuple(np.repeat(self.pool, SPLIT)),
            owed=_split(self.owed),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Net:
    """A network of obligations as plain arrays: n nodes, ranks of debts; what is lost."""

    ranks: tuple[Floats, ...]  # each (n, n)
    outside: Floats
    other: Floats  # external liabilities
    lost: Floats
    nodes: tuple[str, ...]

    def network(self) -> cg.ObligationNetwork:
        """Return the network."""
        return cg.ObligationNetwork.from_arrays(
            self.ranks[0], external_assets=self.outside, external_liabilities=self.other, nodes=list(self.nodes),
            junior=list(self.ranks[1:]),
        )  # fmt: skip

    def size(self) -> float:
        """Return what all nodes own [currency]: rounding is a share of it."""
        return float(self.outside.sum() + sum(rank.sum() for rank in self.ranks))

    def units(self) -> float:
        """Return 1, the largest share."""
        return 1.0

    def losses(self) -> dict[str, float]:
        """Return what nodes lose, by node."""
        return dict(zip(self.nodes, self.lost.tolist(), strict=True))

    def hit(self) -> dict[str, float]:
        """Return shares of equity that nodes lose: those that lose anything, 60 %."""
        return {node: 0.6 for node, lost in self.losses().items() if lost > 0.0}

    def in_currency(self, c: float) -> "Net":
        """Return the network in another currency."""
        ranks = tuple(rank * c for rank in self.ranks)
        return replace(self, ranks=ranks, outside=self.outside * c, other=self.other * c, lost=self.lost * c)

    def permuted(self, rng: np.random.Generator) -> "Net":
        """Return the network with its nodes in another order."""
        a = rng.permutation(len(self.nodes))
        return replace(
            self, ranks=tuple(rank[np.ix_(a, a)] for rank in self.ranks), outside=self.outside[a], other=self.other[a],
            lost=self.lost[a], nodes=tuple(self.nodes[i] for i in a),
        )  # fmt: skip

    def renamed(self, names: dict[str, str]) -> "Net":
        """Return the network with other labels."""
        return replace(self, nodes=tuple(names[node] for node in self.nodes))

    def labels(self) -> list[str]:
        """Return all labels."""
        return sorted(self.nodes)

    def split(self) -> "Net":
        """Return the network with each node as `SPLIT` nodes: each owes each part of a creditor the same."""
        part = np.repeat(np.arange(len(self.nodes)), SPLIT)
        return replace(
            self, ranks=tuple(rank[np.ix_(part, part)] / SPLIT**2 for rank in self.ranks),
            outside=self.outside[part] / SPLIT, other=self.other[part] / SPLIT, lost=self.lost[part] / SPLIT,
            nodes=tuple(f"{name}/{r}" for name in self.nodes for r in range(SPLIT)),
        )  # fmt: skip


def _pairs(values: dict[tuple[str, str], float], one: str, other: str, value: str) -> dict[str, list[Any]]:
    return {one: [pair[0] for pair in values], other: [pair[1] for pair in values], value: list(values.values())}


def _split(owed: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    parts = range(SPLIT)
    return {(f"{d}/{r}", f"{c}/{s}"): x / SPLIT**2 for (d, c), x in owed.items() for r in parts for s in parts}


# --- strategies: the shape is drawn by hypothesis, generic values by a seed, so that ties are rare --------------------

LIQUIDATION = (
    cg.FullLiquidation(), cg.TargetMargin(0.1), cg.CloseFactor(0.5), cg.RepayAndSeize(0.5, bonus=0.05),
    cg.LeverageTarget(6.0, target=5.0),
)  # fmt: skip
IMPACT = (
    cg.ExponentialImpact(), cg.LinearImpact(), cg.LinearImpact(volume="current"), cg.SquareRootImpact(0.2),
    cg.FloorExponentialImpact(0.4),
)  # fmt: skip
FUND = cg.InsuranceFund()
WATERFALLS = (
    (FUND,),
    *((FUND, cg.ProRata(base)) for base in ("equity", "deposits", "profit", "open_interest", "share")),
)


@st.composite
def models(draw: Any) -> cg.MarginCascade:
    """Draw the rules of a cascade."""
    return cg.MarginCascade(
        draw(st.sampled_from(LIQUIDATION)), impact=draw(st.sampled_from(IMPACT)),
        waterfall=draw(st.sampled_from(WATERFALLS)), penalty=draw(st.sampled_from([0.0, 0.02])),
        penalty_to_fund=draw(st.sampled_from([0.0, 0.5])), penalty_cap=draw(st.sampled_from(["equity", None])),
    )  # fmt: skip


@st.composite
def books(draw: Any) -> Book:
    """Draw a book: one- or two-sided, one or two pools, with or without obligations and a backing."""
    traders, m, pools = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    two_sided, wide = draw(st.booleans()), draw(st.booleans())
    owing, backed = draw(st.booleans()), draw(st.booleans()) and m > 1
    a = traders * pools
    side = rng.choice([-1.0, 1.0], (a if two_sided else 1, m), p=[0.3, 0.7])
    price = rng.lognormal(1.0, 4.0 if wide else 1.0, m)
    value = rng.lognormal(3.0, 3.0 if wide else 1.0, (a, m)) * (rng.random((a, m)) < 0.7) * side
    value[:, 0] += rng.lognormal(2.0, 0.5, a) * side[:, 0]
    margin, gross = rng.uniform(0.02, 0.15, m), np.abs(value)
    cash = (gross @ margin) * rng.uniform(1.05, 4.0, a) - value.sum(axis=1)
    names = [f"t{k}" for k in range(traders)]
    owed = {
        (one, other): float(rng.lognormal(0.0, 1.0))
        for one in names for other in names if owing and one != other and rng.random() < 0.5
    }  # fmt: skip
    return Book(
        quantity=value / price, cash=cash, share=rng.lognormal(0.0, 1.0, a), price=price,
        depth=(gross.sum(axis=0) + 1.0) * rng.lognormal(0.7, 0.5, m), margin=margin, shock=rng.uniform(-0.4, 0.1, m),
        trader=tuple(names[k // pools] for k in range(a)), pool=tuple(f"p{k % pools}" for k in range(a)),
        assets=tuple(f"a{j}" for j in range(m)), owed=owed,
        fund={f"p{k}": float(gross.sum() * rng.lognormal(-5.0, 1.0)) for k in range(pools)},
        backing={("a0", "a1"): 0.7} if backed else {}, model=draw(models()),
    )  # fmt: skip


@st.composite
def networks(draw: Any) -> Net:
    """Draw a network: sparse or dense, one or two ranks, with losses that some nodes cannot bear."""
    n, ranks = draw(st.integers(1, 6)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    dense = draw(st.sampled_from([0.3, 0.8]))
    owed = [rng.lognormal(0.0, 1.0, (n, n)) * (rng.random((n, n)) < dense) for _ in range(ranks)]
    for rank in owed:
        np.fill_diagonal(rank, 0.0)
    whole = sum(owed)
    other = rng.lognormal(0.0, 1.0, n) * (rng.random(n) < 0.5)
    short = np.maximum(whole.sum(axis=1) + other - whole.sum(axis=0), 0.0)
    outside = short + rng.uniform(0.05, 1.0, n)
    lost = outside * rng.uniform(0.2, 0.9, n) * (rng.random(n) < 0.6)
    return Net(tuple(owed), outside, other, lost, tuple(f"n{k}" for k in range(n)))


# --- answers as cells -------------------------------------------------------------------------------------------------

Cell = tuple[str, ...]


def cells(answer: Any, where: Cell = ()) -> Iterator[tuple[Cell, Any]]:
    """Yield every number and text of an answer, and its labels: of rows, columns and tables."""
    inner = items(answer)
    if inner is None:
        yield where, answer
        return
    for label, value in inner:
        yield from cells(value, (*where, *map(str, label if isinstance(label, tuple) else (label,))))


def items(answer: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return the labels and values that an answer is made of; None: it is one value."""
    answer = answer.to_frames() if hasattr(answer, "to_frames") else answer
    if isinstance(answer, list | tuple | np.ndarray):
        return enumerate(answer)
    if isinstance(answer, pd.DataFrame):
        texts = [name for name in answer if answer[name].dtype.kind not in "fiub"]
        if isinstance(answer.index, pd.RangeIndex) and texts:  # rows are told apart by the labels in them
            answer = answer.set_index(texts)
    return answer.items() if isinstance(answer, dict | pd.DataFrame | pd.Series) else None
