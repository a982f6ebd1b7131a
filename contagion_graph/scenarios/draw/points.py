"""Standard normal points: drawn, in antithetic pairs, or from a Sobol sequence."""

from typing import Literal, get_args

import numpy as np
from scipy import special
from scipy.stats import qmc

from contagion_graph._typing import FloatArray
from contagion_graph._validate import check_choice, check_number

Points = Literal["random", "antithetic", "sobol"]


def check_points(owner: str, n_draws: int, points: Points) -> None:
    """Refuse a number of scenarios that is none, and points that do not exist."""
    check_number(owner, "n_draws", n_draws, low=1, whole=True)
    check_choice(f"{owner}: points", points, get_args(Points))


def normal(n_draws: int, size: int, points: Points, generator: np.random.Generator) -> FloatArray:
    """Return points of the standard normal distribution, shape (n_draws, size).

    Antithetic: point 2k + 1 is point 2k with its sign changed. Sobol: scrambled, so that estimates are unbiased.

    Examples
    --------
    >>> import numpy as np
    >>> normal(4, 2, "antithetic", np.random.default_rng(0)).sum(axis=0).tolist()
    [0.0, 0.0]
    """
    if points == "random":
        return generator.standard_normal((n_draws, size))
    if points == "antithetic":
        half = generator.standard_normal((-(-n_draws // 2), size))
        return np.stack([half, -half], axis=1).reshape(-1, size)[:n_draws]
    return np.asarray(special.ndtri(uniform(n_draws, size, generator)))


def uniform(n_draws: int, size: int, generator: np.random.Generator) -> FloatArray:
    """Return scrambled Sobol points in the open unit cube, shape (n_draws, size)."""
    sequence = qmc.Sobol(size, scramble=True, seed=generator)
    points = sequence.random_base2(max(n_draws - 1, 1).bit_length())[:n_draws]
    inside: FloatArray = np.clip(points, 2.0**-60, 1.0 - 2.0**-53)
    return inside
