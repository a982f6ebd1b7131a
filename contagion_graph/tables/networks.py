"""From checked tables, or plain matrices, to the arrays of a network of obligations, and back to its tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from contagion_graph._typing import FloatArray
from contagion_graph.errors import SHOWN, Faults, OwnDebtWarning, tell
from contagion_graph.solvers.arrays import row_of_cells
from contagion_graph.tables.arrays import TWICE, cells_of, check_cells, in_order, labels_of
from contagion_graph.tables.assemble import check_known
from contagion_graph.tables.checks import check_amounts, read_table
from contagion_graph.tables.labels import labels_of_frame, note_repeated
from contagion_graph.tables.schema import SCHEMAS, Labels, Number, Table
from contagion_graph.tables.vectors import vector

CURRENCY = Number("currency", low=0)
SHARE = Number("share of the issuer's equity", low=0, high=1)
SQUARE = "Give a square matrix, debtors x creditors, sparse or dense, with at least one node."
ROUNDING = 1e-12  # by which shares of one issuer may add up to more than 1
Ranks = tuple[sparse.csr_array, ...]


def network_from_tables(obligations: object, nodes: object, equity_holdings: object) -> dict[str, Any]:
    """Return the fields of a network from tables; raise one error with all faults."""
    faults = Faults()
    sources = {"obligations": obligations, "nodes": nodes, "equity_holdings": equity_holdings}
    tables = {
        name: table
        for name, source in sources.items()
        if (source is not None or name != "equity_holdings") and (table := read_table(name, source, faults)) is not None
    }
    if tables.get("nodes", Table("nodes", 1, frozenset())).size == 0:
        faults.add("nodes", "the table has no rows", "Give at least one node.")
    for name, column in (("obligations", "debtor"), ("obligations", "creditor"),
                         ("equity_holdings", "issuer"), ("equity_holdings", "holder")):  # fmt: skip
        if name in tables and "nodes" in tables:
            check_known(tables[name], column, tables["nodes"].labels["node"].values, "Add it to table nodes.", faults)
    faults.raise_if_any()
    amounts = {f"nodes.{name}": tables["nodes"].numbers[name] for name in ("external_assets", "external_liabilities")}
    check_amounts({**amounts, "obligations.amount": tables["obligations"].numbers["amount"]}, faults)
    faults.raise_if_any()
    known = tables["nodes"].labels["node"]
    index = known.values[known.codes]
    held = tables.get("equity_holdings")
    holdings = None if held is None else _holdings(held, index)
    if holdings is not None:
        _check_holdings(holdings, index, faults)
        faults.raise_if_any()
    return {
        "ranks": ranks_of_table(tables["obligations"], index),
        **{name: tables["nodes"].numbers[name] for name in ("external_assets", "external_liabilities")},
        "nodes": index,
        "equity_holdings": holdings,
    }


def ranks_of_table(table: Table, index: "pd.Index[str]") -> Ranks:
    """Return one matrix debtor x creditor for each rank of a checked table of obligations, the most senior first."""
    ends = (_places(table.labels["debtor"], index), _places(table.labels["creditor"], index))
    return _ranks(ends, table.numbers["amount"], table.numbers["seniority"], len(index))


def ranks_of_frame(frame: pd.DataFrame | None, index: "pd.Index[str]") -> Ranks:
    """Return the same from a frame that was checked before; a single empty matrix without one."""
    if frame is None:
        return (sparse.csr_array((len(index), len(index))),)
    ends = tuple(index.get_indexer(pd.Index(frame[end])) for end in ("debtor", "creditor"))
    return _ranks(ends, frame["amount"].to_numpy(), frame["seniority"].to_numpy(), len(index))


def _places(labels: Labels, index: "pd.Index[str]") -> Any:
    return index.get_indexer(labels.values)[labels.codes]


def _ranks(ends: Any, amount: FloatArray, seniority: FloatArray, n: int) -> Ranks:
    debtor, creditor = (end.astype(np.int32) for end in ends)
    _tell_of_own(int(np.count_nonzero((debtor == creditor) & (amount > 0.0))))
    counts = (debtor != creditor) & (amount > 0.0)
    parts = [counts & (seniority == rank) for rank in np.unique(seniority[counts])] or [counts]
    return tuple(sparse.csr_array((amount[part], (debtor[part], creditor[part])), shape=(n, n)) for part in parts)


def _holdings(table: Table, index: "pd.Index[str]") -> sparse.csr_array:
    ends = (_places(table.labels["issuer"], index), _places(table.labels["holder"], index))
    return sparse.csr_array((table.numbers["share"], ends), shape=(len(index), len(index)))


def network_from_arrays(
    matrices: Sequence[Any], vectors: Mapping[str, Any], *, equity_holdings: Any, nodes: Any
) -> dict[str, Any]:
    """Return the fields of a network from matrices, the most senior rank first, and vectors; raise all faults."""
    faults = Faults()
    named = {"obligations" if k == 0 else f"junior[{k - 1}]": matrix for k, matrix in enumerate(matrices)}
    named |= {} if equity_holdings is None else {"equity_holdings": equity_holdings}
    squares: dict[str, sparse.csr_array] = {}
    for name, matrix in named.items():
        squares[name] = _square(name, matrix, squares["obligations"].shape[0] if squares else None, faults)
    n = squares["obligations"].shape[0]
    given = {name: labels_of_frame(name, matrix, faults) for name, matrix in named.items()}
    index = labels_of("nodes", given["obligations"][0] if nodes is None else nodes, n, faults)
    note_repeated("nodes", index, faults, TWICE)
    for name, matrix in squares.items():
        squares[name] = in_order(name, matrix, given[name], (index, index), faults)
    holdings = squares.pop("equity_holdings", None)
    for name, matrix in squares.items():
        check_cells(name, matrix, CURRENCY, faults, rows=("debtor", index), columns=("creditor", index))
    if holdings is not None:
        check_cells("equity_holdings", holdings, SHARE, faults, rows=("issuer", index), columns=("holder", index))
        _check_holdings(holdings, index, faults)
    numbers = {name: vector(name, value, index, CURRENCY, faults) for name, value in vectors.items()}
    check_amounts({**{name: matrix.data for name, matrix in squares.items()}, **numbers}, faults)
    faults.raise_if_any()
    return {
        "ranks": tuple(_without_diagonal(matrix) for matrix in squares.values()),
        **numbers,
        "nodes": index,
        "equity_holdings": holdings,
    }


def _square(where: str, matrix: Any, size: int | None, faults: Faults) -> sparse.csr_array:
    cells = cells_of(where, matrix, faults, SQUARE)
    expected = cells.shape[0] if size is None else size
    if cells.shape != (expected, expected):
        faults.add(where, f"has shape {cells.shape}, expected ({expected}, {expected})", SQUARE)
        faults.raise_if_any()
    return cells


def _without_diagonal(matrix: sparse.csr_array) -> sparse.csr_array:
    own = row_of_cells(matrix) == matrix.indices
    _tell_of_own(int(np.count_nonzero(matrix.data[own])))
    matrix.data[own] = 0.0
    matrix.eliminate_zeros()
    return matrix


def _tell_of_own(count: int) -> None:
    """Warn of what nodes owe themselves: it cancels, and is left out."""
    if count:
        own = f"{count:,} amounts that nodes owe themselves are" if count > 1 else "what a node owes itself is"
        tell(f"obligations: {own} left out; paid and received, it cancels", OwnDebtWarning)


def _check_holdings(holdings: sparse.csr_array, index: "pd.Index[str]", faults: Faults) -> None:
    """Note the issuers of whose equity more than all is held, and the nodes that hold their own."""
    remedy = "The shares of one issuer that other nodes hold add up to at most 1."
    held = holdings.sum(axis=1)
    for problem, rows in (
        ("more than the whole equity is held", np.flatnonzero(held > 1.0 + ROUNDING)),
        ("a node holds its own equity", np.flatnonzero(holdings.diagonal())),
    ):
        if rows.size:
            shown = [f"{held[row]:g}, issuer {index[row]!r}" for row in rows[:SHOWN]]
            faults.add_rows("equity_holdings", problem, remedy, rows=rows.tolist(), examples=shown)


def network_frames(network: Any) -> dict[str, pd.DataFrame]:
    """Return the tables of a network as pandas frames."""
    nodes = network.nodes
    parts = [(rank, matrix.tocoo()) for rank, matrix in enumerate(network.ranks)]
    frames = [
        pd.DataFrame({"debtor": nodes[part.row], "creditor": nodes[part.col], "amount": part.data, "seniority": rank})
        for rank, part in parts
    ]
    columns = {name: getattr(network, name) for name in SCHEMAS["nodes"].columns if name != "node"}
    tables = {
        "obligations": pd.concat(frames, ignore_index=True).astype({"seniority": np.float64}),
        "nodes": pd.DataFrame({"node": nodes, **columns}),
    }
    if network.equity_holdings is not None:
        held = network.equity_holdings.tocoo()
        tables["equity_holdings"] = pd.DataFrame(
            {"issuer": nodes[held.row], "holder": nodes[held.col], "share": held.data}
        )
    return tables
