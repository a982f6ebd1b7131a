"""The most likely shock that brings an event about: the nearest one at which it happens, in standard deviations."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from contagion_graph._result import Result
from contagion_graph._solution import Solution
from contagion_graph._typing import FloatArray, OnFailure, Seed
from contagion_graph._validate import check_number, generator_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.margin.model import MarginCascade
from contagion_graph.margin.prepare import warn_in_breach
from contagion_graph.margin.result import CascadeResult
from contagion_graph.scenarios.draw.covariances import root_of
from contagion_graph.scenarios.events import Event
from contagion_graph.scenarios.frame import changes_of
from contagion_graph.scenarios.trials import Trials, figures_of
from contagion_graph.solvers.ray_search import bisect, ray_search

GAIN = 1e-4  # a direction is better if it needs a norm smaller by this share
WORTHWHILE = 0.99  # turns that make the norm this much smaller are repeated with the same step
LARGEST_STEP, MIDDLE_STEP, SMALLEST_STEP = 0.5, 0.12, 0.01  # of a change of direction [radians]
BEST, SIMPLE = "most likely", ("single asset", "principal component")
NULL = 1e-12  # a principal component with this share of the largest variance has none; a return with it of the largest


@dataclass(frozen=True, eq=False, repr=False)
class ReverseStress(Result):
    """The most likely shock found that brings an event about, beside the best simple ones.

    Parameters
    ----------
    model : MarginCascade
        The model that was run.
    shocks : DataFrame, kind x asset
        Relative price changes: "most likely", and "single asset" and "principal component" where such a shock brings
        the event about. Without rows: not found.
    norm : Series by kind
        sqrt(x' C^-1 x), x = log(1 + shock): standard deviations from no change at all.
    results : dict of kind to CascadeResult
        The cascade that each of them sets off; "baseline" is the one without a shock.
    solution : Solution
        How the search ended: its steps are cascades.

    Examples
    --------
    >>> import pandas as pd
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays([[10.0]], price=[100.0], cash=[-900.0], assets=["ETH"])
    >>> matrix, event = pd.DataFrame([[0.01]], index=["ETH"], columns=["ETH"]), cg.scenarios.ShareClosed(1.0)
    >>> cg.reverse_stress(graph, cg.MarginCascade(), matrix, event=event, rng=0)
    <ReverseStress: norms most likely 1.05; single asset 1.05; principal component 1.05; accounts closed: 1>
    >>> cg.reverse_stress(graph, cg.MarginCascade(), matrix, event=event, limit=0.1, rng=0).found
    False
    """

    model: MarginCascade
    shocks: pd.DataFrame
    norm: "pd.Series[float]"
    results: dict[str, CascadeResult]
    solution: Solution

    @property
    def found(self) -> bool:
        """Whether a shock up to the limit brings the event about."""
        return len(self.norm) > 0

    @property
    def shock(self) -> "pd.Series[float]":
        """The most likely shock, ready for `model.run`; NaN: not found."""
        return pd.Series(self.shocks.reindex([BEST]).iloc[0], name="shock")

    @cached_property
    def figures(self) -> pd.DataFrame:
        """Breached and closed accounts, gross_loss, shortfall, fund_used, uncovered: baseline and each kind."""
        return figures_of(self.results)

    def summary(self) -> "pd.Series[float]":
        """Return the main figures.

        Returns
        -------
        Series
            found, cascades (run in the search), and the norm of each kind of shock.
        """
        figures = {"found": self.found, "cascades": self.solution.steps, **self.norm}
        return pd.Series(figures, name="summary", dtype=float)

    def _tables(self) -> dict[str, pd.DataFrame]:
        shocks = self.shocks.rename_axis(index="kind", columns=None)
        return {"shocks": shocks, "norm": self.norm.rename_axis("kind").to_frame(), "figures": self.figures}

    def __repr__(self) -> str:
        if not self.found:
            return "<ReverseStress: not found up to the limit>"
        norms = "; ".join(f"{kind} {norm:.3g}" for kind, norm in self.norm.items())
        closed = float(self.results[BEST].summary()["closed"])
        return f"<ReverseStress: norms {norms}; accounts closed: {closed:,.0f}>"


def reverse_stress(
    graph: ExposureGraph,
    model: MarginCascade,
    covariance: pd.DataFrame,
    *,
    event: Event,
    limit: float = 20.0,
    n_points: int = 16,
    n_directions: int = 16,
    rng: Seed | None = None,
    on_failure: OnFailure = "raise",
) -> ReverseStress:
    """Find the most likely shock that brings an event about: the one of smallest Mahalanobis norm.

    min sqrt(x' C^-1 x) over log-returns x = log(1 + shock) after which the event happens. With C = A A' and x = A z the
    norm is |z|. Along rays (single assets, single assets with the others at their conditional mean, principal
    components, random directions) the least norm is found by a scan and bisection. From the best ray of each of these
    the direction is turned, along the axes of random frames, by steps that shrink when turns no longer help; the best
    of them is turned on by small steps. Every norm has been verified by running its shock; that no smaller one exists
    is not proven.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shock.
    model : MarginCascade
        The rules.
    covariance : DataFrame, asset x asset
        Of log-returns, as in `scenarios.draw`; assets that it lacks do not change.
    event : FundEmpty, Uncovered, ShareClosed, TraderClosed, LossAbove, or function (result, baseline) -> bool
        What must happen, as in `tipping_point`.
    limit : float
        Largest norm tried, above 0.
    n_points : int
        Sizes of the scan along a ray; one where larger shocks can only bring the event on (see `tipping_point`).
    n_directions : int
        Random rays to start from.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed finds the same shock.
    on_failure : {"raise", "warn", "ignore"}
        What to do about a cascade that does not converge.

    Returns
    -------
    ReverseStress
        With `found` False where no ray brings the event about up to the limit.

    Raises
    ------
    ParameterError
        A covariance that is none, is zero, or has assets that the graph does not have; an event that happens without a
        shock or cannot happen on this graph.
    ConvergenceError
        A cascade did not converge.

    Warns
    -----
    InBreachWarning
        Accounts that are in breach before any shock.

    References
    ----------
    Breuer, Jandacka, Rheinberger & Summer (2009), International J. of Central Banking 5(3): plausibility of a scenario
    by its Mahalanobis distance.

    Examples
    --------
    >>> import pandas as pd
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0, 10.0]], price=[100.0, 100.0], margin_long=0.0, cash=[-1800.0], assets=["BTC", "ETH"]
    ... )
    >>> matrix = pd.DataFrame([[0.01, 0.0], [0.0, 0.01]], index=graph.assets, columns=graph.assets)
    >>> found = cg.reverse_stress(graph, cg.MarginCascade(), matrix, event=cg.scenarios.ShareClosed(1.0), rng=0)
    >>> found.shock.round(2).tolist()
    [-0.1, -0.1]
    >>> found.norm.round(2).to_dict()
    {'most likely': 1.49, 'single asset': 2.23, 'principal component': 2.23}
    """
    check_number("reverse_stress", "limit", limit, low=0, above=True)
    check_number("reverse_stress", "n_points", n_points, low=1, whole=True)
    check_number("reverse_stress", "n_directions", n_directions, low=0, whole=True)
    generator = generator_of("reverse_stress", rng)
    trials = Trials("reverse_stress", graph, model, event, on_failure)
    warn_in_breach(graph, model)
    root = _root_on(graph, covariance)
    rays = _Rays(trials, root, int(n_points), float(limit))
    best = rays.best(_starts(root, int(n_directions), generator), generator)
    changes = [rays.change(z) for z in best.values()]
    shocks = pd.DataFrame(changes, index=list(best), columns=graph.assets, dtype=float)
    results = {"baseline": trials.baseline, **{kind: trials.run(rays.change(z)) for kind, z in best.items()}}
    norm = pd.Series({kind: _norm(z) for kind, z in best.items()}, name="norm", dtype=float)
    solution = trials.solution(found=bool(best), width=GAIN if best else 0.0, certain=False)
    return ReverseStress(model, shocks, norm, results, solution)


class _Rays:
    """Rays in the space of uncorrelated returns z of variance 1, x = A z."""

    def __init__(self, trials: Trials, root: FloatArray, n_points: int, limit: float) -> None:
        self.trials, self.root, self.n_points, self.limit = trials, root, n_points, limit

    def change(self, z: FloatArray) -> FloatArray:
        """Return the relative price changes exp(A z) - 1."""
        return np.asarray(np.expm1(self.returns(z)))

    def returns(self, z: FloatArray) -> FloatArray:
        """Return A z; what is rounding beside the largest is 0, so that a single asset moves alone."""
        x: FloatArray = self.root @ z
        return np.where(np.abs(x) > NULL * np.abs(x).max(), x, 0.0)

    def happens(self, z: FloatArray) -> bool:
        """Say whether they bring the event about."""
        return self.trials.happens(self.change(z))

    def nearest(self, ray: FloatArray, limit: float) -> FloatArray | None:
        """Return the first point of a ray, up to a norm, at which the event happens."""
        points = 1 if self.trials.certain(self.returns(ray)) else self.n_points
        found = ray_search(lambda size: self.happens(size * ray), 0.0, limit, n_points=points, tol=GAIN * limit)
        return None if found is None else found[1] * ray

    def best(self, rays: Iterator[tuple[str, FloatArray]], generator: np.random.Generator) -> dict[str, FloatArray]:
        """Return the most likely point found, and the nearest ones of simple kinds; empty: no ray has one."""
        starts = self.best_of_each(rays)
        if not starts:
            return {}
        turned = [
            self.turned(point, generator, largest=LARGEST_STEP, smallest=MIDDLE_STEP) for point in starts.values()
        ]
        nearest = self.turned(min(turned, key=_norm), generator, largest=MIDDLE_STEP, smallest=SMALLEST_STEP)
        return {BEST: nearest, **{kind: starts[kind] for kind in SIMPLE if kind in starts}}

    def best_of_each(self, starts: Iterator[tuple[str, FloatArray]]) -> dict[str, FloatArray]:
        """Return the nearest point of each kind of ray: a ray is tried as far as the best one of its kind so far."""
        best: dict[str, FloatArray] = {}
        for kind, ray in starts:
            point = self.nearest(ray, _norm(best[kind]) if kind in best else self.limit)
            if point is not None:
                best[kind] = point
        return best

    def turned(
        self, point: FloatArray, generator: np.random.Generator, *, largest: float, smallest: float
    ) -> FloatArray:
        """Turn the direction of a point as long as the event happens at a smaller norm, by steps that shrink."""
        step = largest if point.size > 1 else 0.0
        while step >= smallest:
            better = self._turns(point, step, generator)
            step = step if _norm(better) < WORTHWHILE * _norm(point) else step / 2.0
            point = better
        return point

    def _turns(self, point: FloatArray, step: float, generator: np.random.Generator) -> FloatArray:
        """Try a turn one way, else the other, along each axis of a random frame."""
        frame, _ = np.linalg.qr(generator.standard_normal((point.size, point.size)))
        for axis in frame.T:
            radius = _norm(point)
            for turn in (step * axis, -step * axis):
                ray = point / radius + turn
                nearer = self._nearer(ray / _norm(ray), radius * (1.0 - GAIN))
                if nearer is not None:
                    point = nearer
                    break
        return point

    def _nearer(self, ray: FloatArray, high: float) -> FloatArray | None:
        """Return where the event begins on a ray, if it happens at this norm: steps that double, then bisection."""
        if not self.happens(high * ray):
            return None
        tol = gap = GAIN * high
        low = high - gap
        while low > 0.0 and self.happens(low * ray):
            gap *= 2.0
            high, low = low, max(low - gap, 0.0)
        return bisect(lambda size: self.happens(size * ray), low, high, tol)[1] * ray


def _starts(root: FloatArray, directions: int, generator: np.random.Generator) -> Iterator[tuple[str, FloatArray]]:
    """Yield unit rays and their kind; of the two signs of a ray the one by which more prices fall comes first."""
    k = root.shape[1]
    inverse = np.linalg.pinv(root)
    rays: list[tuple[str, FloatArray]] = [("principal component", ray) for ray in np.eye(k)]
    for asset in np.flatnonzero(root.any(axis=1)):
        rays.append(("conditional", root[asset]))
        alone: FloatArray = np.asarray(inverse[:, asset], dtype=np.float64)
        if np.allclose(root @ alone, np.eye(len(root))[asset], atol=1e-9):  # else others must move with it
            rays.append(("single asset", alone))
    rays += [("random", ray) for ray in generator.standard_normal((directions, k))]
    for kind, ray in rays:
        unit = ray / _norm(ray)
        falls = -unit if (root @ unit).sum() > 0.0 else unit
        yield kind, falls
        yield kind, -falls


def _root_on(graph: ExposureGraph, covariance: Any) -> FloatArray:
    """Return A, C = A A', on the assets of a graph, without components that have no variance."""
    some, assets = root_of(covariance)
    changes_of(pd.DataFrame(0.0, index=[0], columns=assets), graph)  # refuses assets that the graph does not have
    variance = (some**2).sum(axis=0)
    kept = variance > NULL * variance.max()
    if not kept.any():
        raise ParameterError("reverse_stress: the covariance is zero; no shock is possible")
    root = np.zeros((len(graph.assets), int(kept.sum())))
    root[graph.assets.get_indexer(assets)] = some[:, kept]
    return root


def _norm(z: FloatArray) -> float:
    return float(np.linalg.norm(z))
