"""How a computation ended."""

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How a computation ended; each value is the sentence to show."""

    CONVERGED = "Converged."
    STEP_LIMIT = "Stopped at the step limit before it converged."
    UNBOUNDED = "There is none with finite prices: what crowds of shorts buy back exceeds what is for sale."
    NON_FINITE = "A number became infinite or undefined; look at the scale of the inputs."
    NOT_FOUND = "No solution was found from this start."


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
    revaluations : int
        How often an account was valued again.
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
    revaluations: int = 0
    contraction: float | None = None
    error_bound: float | None = None
    error_estimate: float | None = None

    @property
    def converged(self) -> bool:
        """Whether the computation converged."""
        return self.status is Status.CONVERGED


EXACT = Solution(Status.CONVERGED, steps=0, residual=0.0, error_bound=0.0)  # of what is computed by a formula
