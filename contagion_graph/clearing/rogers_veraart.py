"""Rogers and Veraart (2013): a default costs part of what there is to pay with."""

from dataclasses import dataclass

from contagion_graph._validate import check_number
from contagion_graph.clearing.model import ClearingModel


@dataclass(frozen=True, kw_only=True)
class RogersVeraart(ClearingModel):
    """Clearing with costs of default: a node that cannot pay everything has only part of its assets to pay with.

    With assets e_i + y_i, y_i = sum_j of what others pay to it, and all it owes, due_i,

        p_i = due_i                                        if e_i + y_i >= due_i
        p_i = alpha e_i + beta y_i                         else

    shared by the same ranking as in `EisenbergNoe`, which is alpha = beta = 1. Payments jump where a node defaults, so
    the least and the greatest clearing vector often differ.

    Parameters
    ----------
    seniority, method, tol, max_iter
        As in `EisenbergNoe`.
    alpha, beta : float
        Shares of external assets, and of what other nodes pay, that a default leaves, in [0, 1].

    References
    ----------
    Rogers & Veraart (2013), Management Science 59(4): 882-898, definition 2.1, theorems 3.1 and 3.7.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> network = cg.ObligationNetwork.from_arrays([[0.0, 4.0], [0.0, 0.0]], external_assets=2.0)
    >>> cg.RogersVeraart(alpha=0.5, beta=1.0).run(network).nodes.loc["0", ["payments", "default_costs"]].tolist()
    [1.0, 1.0]
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("alpha", "beta"):
            check_number("RogersVeraart", name, getattr(self, name), low=0, high=1)

    @property
    def remains(self) -> tuple[float, float]:
        """The shares of external assets, and of what other nodes pay, that a default leaves."""
        return self.alpha, self.beta
