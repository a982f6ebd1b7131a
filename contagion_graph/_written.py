"""What every writer returns."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Written:
    """The files that were written, and of a graph how much of it they hold.

    Parameters
    ----------
    paths : tuple of Path
        The files.
    nodes, edges : int, optional
        In each of them; None where no graph was written.
    share : float, optional
        How much of `measure` the nodes that were kept stand for, 0 to 1.
    measure : str, optional
        "losses", "gross value" or "open interest", over all traders (or assets); of a network of obligations "assets".

    Examples
    --------
    >>> Written((Path("report.html"),)).path.name
    'report.html'
    """

    paths: tuple[Path, ...]
    _: KW_ONLY
    nodes: int | None = None
    edges: int | None = None
    share: float | None = None
    measure: str | None = None

    @property
    def path(self) -> Path:
        """The first file; the only one, where one was asked for."""
        return self.paths[0]
