"""The optimum of a small linear programme by trying every vertex, and of one in whole numbers by trying every point."""

from itertools import combinations, product

import numpy as np


def best_vertex(cost: np.ndarray, A: np.ndarray, b: np.ndarray) -> float | None:
    """Return the least cost.x with A x <= b, x >= 0; None where there is no such x. It must be bounded below."""
    k = cost.size
    A, b = np.vstack([A, -np.eye(k)]), np.append(b, np.zeros(k))
    best = None
    for rows in combinations(range(len(b)), k):
        square = A[list(rows)]
        if abs(np.linalg.det(square)) < 1e-12:
            continue
        x = np.linalg.solve(square, b[list(rows)])
        if (A @ x <= b + 1e-9 * np.maximum(1.0, np.abs(b))).all():
            best = min(cost @ x, np.inf if best is None else best)
    return best


def best_point(cost: np.ndarray, A: np.ndarray, b: np.ndarray, most: int) -> float | None:
    """Return the least cost.x with A x <= b and x whole from 0 to `most`; None where there is none."""
    points = np.array(list(product(range(most + 1), repeat=cost.size)), dtype=float)
    allowed = (points @ A.T <= b + 1e-9 * np.maximum(1.0, np.abs(b))).all(axis=1)
    return float((points[allowed] @ cost).min()) if allowed.any() else None
