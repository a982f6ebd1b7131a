"""How a computation ended."""

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How a computation ended; each value is the sentence to show."""

    CONVERGED = "It came to rest."
    STEP_LIMIT = "It was stopped at the step limit before it came to rest; raise max_rounds, or tol."
    NON_FINITE = "A number became infinite or undefined; look at the scale of the inputs."


@dataclass(frozen=True)
class Solution:
    """The report of a solver.

    Parameters
    ----------
    status : Status
        How it ended.
    steps : int
        Rounds or iterations carried out.
    residual : float
        What was still to be done at the end, as a share of the whole (dimensionless).
    looks : int
        How often a row was looked at.
    contraction : float, optional
        Size of the last step over that of the one before.
    error_bound : float, optional
        Certified: the exact answer differs by no more, as a share of the whole; None where nothing is certified.
    error_estimate : float, optional
        What the steps still to come would add up to if each shrank like the last; no certificate.

    Examples
    --------
    >>> Solution(Status.CONVERGED, steps=3, residual=0.0).converged
    True
    """

    status: Status
    steps: int
    residual: float
    looks: int = 0
    contraction: float | None = None
    error_bound: float | None = None
    error_estimate: float | None = None

    @property
    def converged(self) -> bool:
        """Whether the computation came to rest."""
        return self.status is Status.CONVERGED
