"""Proof of solvency: what a venue owes, committed to so that every member can check that it was counted."""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from hashlib import shake_256
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_number
from contagion_graph.collateral.proof.merkle_sum_tree import SumLevels
from contagion_graph.collateral.proof.verify import root_of
from contagion_graph.errors import Faults, ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import AccountKey, check_graph
from contagion_graph.tables.vectors import row_of

FORMAT = "solvency statement 1"
ACCOUNTS, BALANCE = "accounts", "balance:"
SECRET = (16, 64)  # bytes, at least and at most
SALT = 32  # bytes
NOTHING = "0" * 64  # what stands for the root before the first
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class _Tree:
    """A tree, the accounts that have a leaf (ascending), which leaf each has, and its amounts."""

    levels: SumLevels
    rows: Ints
    leaf: Ints
    amounts: list[list[int]]

    def __contains__(self, row: int) -> bool:
        place = int(np.searchsorted(self.rows, row))
        return place < self.rows.size and bool(self.rows[place] == row)


@dataclass(frozen=True, eq=False, repr=False)
class SumTree:
    """Merkle sum trees over the accounts of a graph, and the statement that publishes their roots.

    One tree, "accounts", sums over all accounts what each is owed, max(E, 0), and what each owes, the value of its
    short positions plus max(0, -cash). One tree an asset, "balance:ETH", sums the units held long and the units held
    short over its holders. Amounts are whole numbers of 10^-decimals. The statement names the prices, and the root, the
    sums and the number of leaves of every tree; its own root, the SHA-256 of all that, is what the venue publishes. It
    also names the root of the previous statement, so that history cannot be rewritten (docs/proof.md).

    Build it with `from_graph`.

    Parameters
    ----------
    statement : dict
        What is published; plain enough for JSON.
    secret : bytes
        What the salts of the leaves are made of; keep it: with it, and the graph, the same trees are built again.
    account_index : MultiIndex
        The labels of the accounts.

    References
    ----------
    Chalkias, Chatzigiannis & Ji (2022), Broken Proofs of Solvency in Blockchain Custodial Wallets and Exchanges; Hu,
    Zhang & Guo (2019) on hashing both sums.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[2.0], [1.0], [-1.0]], price=[100.0], cash=[-50.0, 0.0, 130.0], traders=["A", "B", "C"], assets=["ETH"]
    ... )
    >>> tree = cg.SumTree.from_graph(graph, decimals=2)
    >>> tree
    <SumTree 0: 3 accounts are owed 280 and owe 150; balances of 1 asset>
    >>> cg.collateral.verify(tree.statement, tree.proof("A"), root=tree.root)
    [15000, 5000]
    >>> cg.collateral.verify(tree.statement, tree.proof("C", asset="ETH"), root=tree.root)
    [0, 100]
    """

    statement: dict[str, Any]
    _: KW_ONLY
    secret: bytes
    account_index: pd.MultiIndex
    _trees: Mapping[str, _Tree] = field(init=False)
    _salts: bytes = field(init=False)

    @classmethod
    def from_graph(
        cls,
        graph: ExposureGraph,
        *,
        assets: Iterable[object] | None = None,
        decimals: int = 8,
        secret: bytes | None = None,
        previous: Mapping[str, Any] | None = None,
    ) -> "SumTree":
        """Build the trees of a graph; `monitor.snapshot()` is one.

        Parameters
        ----------
        graph : ExposureGraph
            At the prices at which solvency is stated.
        assets : iterable of labels, optional
            The assets whose balances get a tree; None: all that are held.
        decimals : int
            Amounts are rounded to the nearest 10^-decimals, of currency and of units.
        secret : bytes, optional
            16 to 64; None draws 32.
        previous : mapping, optional
            The statement before this one, which this one then follows.

        Raises
        ------
        ParameterError
            Unknown assets, an amount that is not finite or too large for exact sums, a short secret, or a `previous`
            that is none.
        """
        check_graph(graph)
        check_number("SumTree", "decimals", decimals, low=0, high=30, whole=True)
        secret = secrets.token_bytes(32) if secret is None else secret
        if not isinstance(secret, bytes) or not SECRET[0] <= len(secret) <= SECRET[1]:
            raise ParameterError("secret must be 16 to 64 random bytes; None draws 32")
        sequence, follows = _place(previous)
        salts = _salts(secret, sequence, len(graph.account_index))
        owners = _owners(graph.account_index, salts)
        columns = _columns(graph, assets)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
            totals = [_owed(graph), _owing(graph)]
        rank = np.frombuffer(salts, dtype=">u8")[:: SALT // 8]
        trees = {ACCOUNTS: _tree(ACCOUNTS, np.arange(len(owners)), totals, owners, rank, decimals)}
        by_asset = graph.quantity.tocsc()
        for column in columns:
            name, (rows, units) = f"{BALANCE}{graph.assets[column]}", _holders(by_asset, column)
            if rows.size:
                sides = [np.maximum(units, 0.0), np.maximum(-units, 0.0)]
                trees[name] = _tree(name, rows, sides, owners, rank, decimals)
        statement = {
            "format": FORMAT,
            "sequence": sequence,
            "previous": follows,
            "decimals": int(decimals),
            "prices": dict(zip(graph.assets.tolist(), map(repr, graph.price.tolist()), strict=True)),
            "trees": {
                name: {"root": tree.levels.root, "sums": tree.levels.sums, "leaves": int(tree.rows.size)}
                for name, tree in trees.items()
            },
        }
        tree = cls(statement, secret=secret, account_index=graph.account_index)
        vars(tree).update(_trees=trees, _salts=salts)
        return tree

    @property
    def root(self) -> str:
        """The SHA-256 of the statement, in hexadecimal: what the venue publishes."""
        return root_of(self.statement)

    def proof(self, account: AccountKey, *, asset: object = None) -> dict[str, Any]:
        """Return what an account needs to check that it was counted; plain enough for JSON, and for its owner only.

        Parameters
        ----------
        account : trader, or (trader, pool, subaccount)
            The account; a trader alone where it has one account.
        asset : label, optional
            Prove its balance of this asset; None: what it is owed and owes.

        Returns
        -------
        dict
            tree, account, salt, amounts, and the path: side, hash and sums of each sibling. `verify.py` checks it.

        Raises
        ------
        ParameterError
            An unknown account, or a trader with several; a balance that the account does not hold, or that the
            statement leaves out.
        """
        row, name = self._row(account), ACCOUNTS if asset is None else f"{BALANCE}{asset}"
        tree = self._trees.get(name)
        if tree is None or row not in tree:
            raise ParameterError(f"account {account!r} has no balance of {asset!r} in this statement")
        owner, place = list(self.account_index[row]), int(np.searchsorted(tree.rows, row))
        return {
            "tree": name,
            "account": owner,
            "salt": self._salts[SALT * row : SALT * (row + 1)].hex(),
            "amounts": [one[place] for one in tree.amounts],
            "path": tree.levels.path(int(tree.leaf[place])),
        }

    def assets_of(self, account: AccountKey) -> list[str]:
        """Return the assets of which the statement holds a balance of an account.

        Parameters
        ----------
        account : trader, or (trader, pool, subaccount)
            The account; a trader alone where it has one account.

        Returns
        -------
        list of str
            Labels; `proof` takes each of them.

        Raises
        ------
        ParameterError
            An unknown account, or a trader with several.
        """
        row = self._row(account)
        names = [name for name, tree in self._trees.items() if row in tree]
        return [name.removeprefix(BALANCE) for name in names if name != ACCOUNTS]

    def _row(self, account: AccountKey) -> int:
        faults = Faults(ParameterError)
        found = row_of("account", account, self.account_index, faults)
        faults.raise_if_any()
        return found[0]

    def __repr__(self) -> str:
        unit, accounts = 10.0 ** self.statement["decimals"], self._trees[ACCOUNTS]
        owed, owing = (amount / unit for amount in accounts.levels.sums)
        assets = len(self._trees) - 1
        return (
            f"<SumTree {self.statement['sequence']}: {accounts.rows.size:,} accounts are owed {owed:,.6g} and owe "
            f"{owing:,.6g}; balances of {assets:,} asset{'' if assets == 1 else 's'}>"
        )


def _place(previous: Mapping[str, Any] | None) -> tuple[int, str]:
    """Return the number of a statement, and the root of the one that it follows."""
    if previous is None:
        return 0, NOTHING
    if not isinstance(previous, Mapping) or previous.get("format") != FORMAT:
        raise ParameterError("previous is no statement; give SumTree.statement, or what was read from its JSON file")
    return previous["sequence"] + 1, root_of(previous)


def _columns(graph: ExposureGraph, assets: Iterable[object] | None) -> list[int]:
    if assets is None:
        return list(range(len(graph.assets)))
    if isinstance(assets, str):
        raise ParameterError(f"assets={assets!r} is a text; give a list of labels")
    faults = Faults(ParameterError)
    columns = [column for asset in assets for column in row_of("assets", asset, graph.assets, faults)]
    faults.raise_if_any()
    return columns


def _owed(graph: ExposureGraph) -> FloatArray:
    """Return max(E, 0) of each account [currency]."""
    return np.maximum(graph._rows.equity, 0.0)


def _owing(graph: ExposureGraph) -> FloatArray:
    """Return the value of short positions plus max(0, -cash) of each account [currency]."""
    value, gross, _ = graph._rows.initial
    return np.maximum(gross - value, 0.0) / 2.0 + np.maximum(-graph.cash, 0.0)


def _holders(by_asset: sparse.csc_array, column: int) -> tuple[Ints, FloatArray]:
    cells = slice(by_asset.indptr[column], by_asset.indptr[column + 1])
    return by_asset.indices[cells].astype(np.int64), by_asset.data[cells]


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _owners(accounts: pd.MultiIndex, salts: bytes) -> list[bytes]:
    """Return for each account its salt and its label, as they stand in a leaf."""
    encoded = [np.array([_encode(label) for label in level], dtype=object) for level in accounts.levels]
    columns = [labels[codes].tolist() for labels, codes in zip(encoded, accounts.codes, strict=True)]
    labels, text, size = map(",".join, zip(*columns, strict=True)), salts.hex(), 2 * SALT
    return [f'"{text[row * size : (row + 1) * size]}",{label}'.encode() for row, label in enumerate(labels)]


def _salts(secret: bytes, sequence: int, size: int) -> bytes:
    """Return the salts of all accounts, one after the other: what SHAKE-256 makes of the number and the secret."""
    return shake_256(b"%d %b" % (sequence, secret)).digest(SALT * size)


def _tree(name: str, rows: Ints, amounts: list[FloatArray], owners: list[bytes], rank: Ints, decimals: int) -> _Tree:
    """Build the tree of some accounts, its leaves in the order of their salts, which says nothing about them."""
    exact = [_exact(name, one, decimals) for one in amounts]
    order, start = np.argsort(rank[rows], kind="stable"), f"[{_encode(name)},".encode()
    names = [start + owners[row] + b"]" for row in rows[order].tolist()]
    levels = SumLevels.build(names, [[one[k] for k in order.tolist()] for one in exact])
    leaf = np.empty(rows.size, dtype=np.int64)
    leaf[order] = np.arange(rows.size)
    return _Tree(levels, rows, leaf, exact)


def _exact(name: str, amounts: FloatArray, decimals: int) -> list[int]:
    """Return amounts as whole numbers of 10^-decimals."""
    scaled = np.rint(amounts * 10.0**decimals)
    if not np.isfinite(scaled).all():
        raise ParameterError(f"SumTree: an amount of {name!r} is not finite; check the scale of the graph")
    return [int(amount) for amount in scaled.tolist()]
