"""Networks from row and column sums: possible bilateral obligations where only the totals of each node are known.

Bilateral data are confidential; totals are published. A reconstruction adds an assumption, not information: maximum
entropy spreads every total as evenly as possible, minimum density concentrates it on as few links as possible. Real
networks lie between. In the first, losses are small and reach many nodes, in the second they are large and reach few
(Mistrulli 2011; Anand, Craig & von Peter 2015), so both together bound what the totals allow better than either.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from contagion_graph._solution import Solution, Status
from contagion_graph._typing import BoolArray, FloatArray, OnFailure, Seed
from contagion_graph._validate import check_number, generator_of
from contagion_graph.errors import SHOWN, ConvergenceError, Faults, ParameterError
from contagion_graph.solvers.arrays import ratio
from contagion_graph.solvers.iteration import check_on_failure, conclude, iterate
from contagion_graph.tables.labels import labels_of_frame, note_repeated, places_of, text_index
from contagion_graph.tables.schema import Number
from contagion_graph.tables.vectors import vector

BALANCED = 1e-9  # by how much, as a share, the totals of rows and columns may differ
NOTHING = 1e-12  # of the sum of all totals: what is left of a total when it counts as used up
Forbidden = Literal["diagonal"] | ArrayLike | None


def maximum_entropy(
    row_sums: Any,
    column_sums: Any,
    *,
    forbidden: Forbidden = "diagonal",
    tol: float = 1e-12,
    max_iter: int = 100_000,
    on_failure: OnFailure = "raise",
) -> pd.DataFrame:
    """Return the maximum-entropy matrix with given row and column sums and zeros.

    X_ij = u_i v_j where a link is allowed, 0 elsewhere, found by scaling rows and columns in turn until both sums hold
    (iterative proportional fitting, RAS). Suited to a neutral starting point, to exposures of large, diversified banks,
    and to a trader x asset matrix of holdings. Less suited to contagion: every link that is allowed is there, so that
    all share the losses, and the probability of large cascades is usually understated.

    Parameters
    ----------
    row_sums, column_sums : array_like, or mapping or Series by label, shape (n,) and (m,)
        Totals, >= 0, with equal sums [currency, or any unit]. A mapping or Series gives the labels.
    forbidden : "diagonal", None, or bool array_like or DataFrame of shape (n, m)
        Where there can be no link: on the diagonal (no node lends to itself; columns that have labels are put in the
        order of the rows); nowhere; or where the array is True.
    tol : float
        By how much a row or column sum may be off, as a share of the sum of all.
    max_iter : int
        The most iterations, each of which scales all rows, then all columns.
    on_failure : {"raise", "warn", "ignore"}
        What to do where the sums are still off by more after `max_iter`.

    Returns
    -------
    DataFrame, shape (n, m)
        Rows and columns as labelled, or numbered "0", "1", ...

    Raises
    ------
    ParameterError
        Totals that are negative, not finite or do not add up to the same; a shape that does not fit.
    ConvergenceError
        No matrix with these zeros has these sums, or it is approached too slowly.

    References
    ----------
    Bacharach (1965), International Economic Review 6(3). Upper & Worms (2004), European Economic Review 48(4).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> cg.reconstruct.maximum_entropy([2.0, 1.0, 1.0], [1.0, 1.0, 2.0]).round(3).values.tolist()
    [[0.0, 0.603, 1.397], [0.397, 0.0, 0.603], [0.603, 0.397, 0.0]]
    >>> cg.reconstruct.maximum_entropy([2.0, 1.0], [1.0, 2.0], forbidden=None).round(3).values.tolist()
    [[0.667, 1.333], [0.333, 0.667]]
    """
    check_number("maximum_entropy", "tol", tol, low=0, above=True, high=1)
    check_number("maximum_entropy", "max_iter", max_iter, low=1, whole=True)
    check_on_failure(on_failure)
    rows, columns, allowed, labels = _margins(row_sums, column_sums, forbidden)
    whole = rows.sum() or 1.0
    matrix = allowed * (rows[:, None] / whole) * columns
    matrix *= ratio(columns, matrix.sum(axis=0), 0.0)

    def change(_: int) -> tuple[float, bool]:
        off = float(np.abs(matrix.sum(axis=1) - rows).max() / whole)
        return off, off <= tol

    def advance(_: int) -> None:
        np.multiply(matrix, ratio(rows, matrix.sum(axis=1), 0.0)[:, None], out=matrix)
        np.multiply(matrix, ratio(columns, matrix.sum(axis=0), 0.0), out=matrix)

    solution, _ = iterate(change, advance, max_steps=max_iter)
    where = f"maximum_entropy: after {solution.steps:,} iterations sums are off by {solution.residual:.2g} of the whole"
    remedy = (
        "No matrix with these zeros has these sums, or it has more zeros: allow more links; or raise max_iter or tol."
    )
    conclude(solution, on_failure, where, remedy)
    return pd.DataFrame(matrix, *labels)


def minimum_density(
    row_sums: Any,
    column_sums: Any,
    *,
    forbidden: Forbidden = "diagonal",
    n_tries: int = 100,
    rng: Seed | None = None,
) -> pd.DataFrame:
    """Return a minimum-density matrix with given row and column sums and zeros, by a heuristic.

    Each try fills links one after the other with all that both totals have left, so that each link uses up one of them:
    at most n + m - 1 links. A total is matched with one of its own size, which saves a link, else with probability in
    proportion to max(r_i / c_j, c_j / r_i) with one of a very different size: small banks deal with large ones. The try
    with the fewest links is returned. Suited to the other extreme of what the totals allow, and to sparse networks with
    core and periphery of small banks. Less suited to exposures of large banks, which it makes few and large, so that
    the size of single losses is usually overstated. The minimum is not proven: finding it is NP-hard. Different `rng`
    give different networks of about the same density; draw several.

    Parameters
    ----------
    row_sums, column_sums, forbidden
        As in `maximum_entropy`.
    n_tries : int
        How many matrices to draw.
    rng : seed or Generator, optional
        As `numpy.random.default_rng` takes it; None: a new seed each time.

    Returns
    -------
    DataFrame, shape (n, m)
        Rows and columns as labelled, or numbered "0", "1", ...

    Raises
    ------
    ParameterError
        As in `maximum_entropy`.
    ConvergenceError
        No try could use up all totals without a forbidden link; there is then no matrix to return.

    References
    ----------
    Anand, Craig & von Peter (2015), Quantitative Finance 15(4): 625-636; the weights of a link are those of equation 9,
    the greedy filling with restarts stands for their Markov chain.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> matrix = cg.reconstruct.minimum_density([4.0, 3.0, 1.0], [1.0, 4.0, 3.0], rng=0)
    >>> int((matrix > 0).sum().sum()), matrix.sum(axis=1).tolist()
    (3, [4.0, 3.0, 1.0])
    """
    check_number("minimum_density", "n_tries", n_tries, low=1, whole=True)
    rows, columns, allowed, labels = _margins(row_sums, column_sums, forbidden)
    generator, best = generator_of("minimum_density", rng), None
    fewest = max(np.count_nonzero(rows), np.count_nonzero(columns))
    for _ in range(n_tries):
        matrix = _filled(rows, columns, allowed, generator)
        if matrix is not None and (best is None or np.count_nonzero(matrix) < np.count_nonzero(best)):
            best = matrix
        if best is not None and np.count_nonzero(best) == fewest:
            break
    if best is None:
        raise ConvergenceError(
            f"minimum_density: none of {n_tries} tries met the totals without a forbidden link; allow more links, or "
            "raise n_tries",
            Solution(Status.NOT_FOUND, n_tries, 1.0),
        )
    return pd.DataFrame(best, *labels)


def _filled(rows: FloatArray, columns: FloatArray, allowed: BoolArray, rng: np.random.Generator) -> FloatArray | None:
    """Fill links with all that both their totals have left; None where only forbidden ones remain."""
    left, free = rows.copy(), columns.copy()
    nothing, matrix = NOTHING * rows.sum(), np.zeros(allowed.shape)
    while (open_rows := np.flatnonzero(left > nothing)).size:
        i = rng.choice(open_rows)
        partners = np.flatnonzero(allowed[i] & (free > nothing))
        if partners.size == 0:
            if not _rerouted(matrix, i, left, free, allowed):
                return None
            continue
        alike = partners[np.abs(free[partners] - left[i]) <= nothing]
        weight = np.maximum(left[i] / free[partners], free[partners] / left[i])
        j = alike[0] if alike.size else rng.choice(partners, p=weight / weight.sum())
        amount = min(left[i], free[j])
        matrix[i, j] += amount
        left[i] -= amount
        free[j] -= amount
    return matrix


def _rerouted(matrix: FloatArray, i: int, left: FloatArray, free: FloatArray, allowed: BoolArray) -> bool:
    """Use up what row i has left through a link (k, l) that is there: i takes over l, and k turns to an open column."""
    j = int(np.argmax(free))
    detours = np.where(allowed[i] & allowed[:, [j]], matrix, 0.0)
    detours[i] = 0.0
    k, l = np.unravel_index(np.argmax(detours), matrix.shape)  # noqa: E741 - the paper's letters
    amount = min(left[i], free[j], detours[k, l])
    matrix[k, l] -= amount
    matrix[i, l] += amount
    matrix[k, j] += amount
    left[i] -= amount
    free[j] -= amount
    return bool(amount > 0.0)


def _margins(
    row_sums: Any, column_sums: Any, forbidden: Forbidden
) -> tuple[FloatArray, FloatArray, BoolArray, tuple["pd.Index[str]", "pd.Index[str]"]]:
    """Return checked totals, where links are allowed, and the labels of rows and columns."""
    faults, kind = Faults(ParameterError), Number("total", low=0)
    indexes, totals = [], []
    for name, sums in (("row_sums", row_sums), ("column_sums", column_sums)):
        series = pd.Series(sums) if isinstance(sums, Mapping) else sums
        labels = text_index(
            series.index if isinstance(sums, Mapping | pd.Series) else pd.RangeIndex(np.size(sums)), name, faults
        )
        note_repeated(name, labels, faults, "Give every label one total.")
        numbers = vector(name, np.asarray(series), labels, kind, faults)
        if not numbers.size:
            faults.add(name, "is empty", "Give at least one total.")
        indexes.append(labels)
        totals.append(numbers)
    if isinstance(forbidden, str) and all(isinstance(sums, Mapping | pd.Series) for sums in (row_sums, column_sums)):
        places = places_of("column_sums", indexes[1], indexes[0], faults)  # the diagonal is that of equal labels
        if places is not None:
            totals[1], indexes[1] = totals[1][places], indexes[0]
    faults.raise_if_any()
    rows, columns = totals
    if abs(rows.sum() - columns.sum()) > BALANCED * rows.sum():
        faults.add(
            "column_sums", f"add up to {columns.sum():g}, row_sums to {rows.sum():g}", "Both must add up to the same."
        )
    allowed = _allowed(forbidden, (indexes[0], indexes[1]), faults)
    faults.raise_if_any()
    for name, sums, links, labels in (
        ("row_sums", rows, allowed @ columns, indexes[0]),
        ("column_sums", columns, allowed.T @ rows, indexes[1]),
    ):
        for place in np.flatnonzero(sums > links + BALANCED * rows.sum())[:SHOWN]:
            problem = f"{labels[place]!r} has {sums[place]:g}, those that it may deal with have {links[place]:g}"
            faults.add(name, problem, "Allow more links, or lower the total.")
    faults.raise_if_any()
    _keep_for(rows, columns, allowed)
    _keep_for(columns, rows, allowed.T)
    return rows, columns * (rows.sum() / (columns.sum() or 1.0)), allowed, (indexes[0], indexes[1])


def _keep_for(rows: FloatArray, columns: FloatArray, allowed: BoolArray) -> None:
    """Where a row needs all that its possible partners have, they can have no other."""
    needs = (rows > 0.0) & (rows >= allowed @ columns - BALANCED * rows.sum())
    for i in np.flatnonzero(needs):
        own = allowed[i].copy()
        allowed[:, own] = False
        allowed[i, own] = True


def _allowed(forbidden: Forbidden, indexes: "tuple[pd.Index[str], pd.Index[str]]", faults: Faults) -> BoolArray:
    shape = len(indexes[0]), len(indexes[1])
    if forbidden is None:
        return np.ones(shape, dtype=bool)
    if isinstance(forbidden, str):
        if forbidden != "diagonal" or shape[0] != shape[1]:
            remedy = "It is None, a bool array, or 'diagonal' for a square matrix."
            faults.add("forbidden", f"is {forbidden!r} for {shape[0]} rows and {shape[1]} columns", remedy)
            return np.ones(shape, dtype=bool)
        return ~np.eye(shape[0], dtype=bool)
    mask = np.asarray(forbidden)
    if mask.shape != shape or mask.dtype != bool:
        faults.add("forbidden", f"has shape {mask.shape} and type {mask.dtype}", f"Give bools of shape {shape}.")
        return np.ones(shape, dtype=bool)
    given = labels_of_frame("forbidden", forbidden, faults)
    for axis, places in enumerate(
        places_of("forbidden", labels, index, faults) for labels, index in zip(given, indexes, strict=True)
    ):
        mask = mask if places is None else mask.take(places, axis=axis)
    return ~mask
