"""What it takes to compute a cascade again: the model, the shock, the market, the versions."""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.io.summary_text import money
from contagion_graph.margin.result import CascadeResult

PACKAGES = ("contagion-graph", "numpy", "scipy", "pandas", "numba", "matplotlib")
SHOWN = 40  # assets of a shock


def facts_of(result: CascadeResult, further: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """Return what it takes, by heading: further facts of the caller first."""
    model = result.model
    rules = {field.name: repr(getattr(model, field.name)) for field in fields(model)}
    solution = result.solution
    end = f"{solution.status.value} {solution.steps:,} steps, residual {solution.residual:.3g}"
    if solution.error_bound is not None:
        end += f", certified error at most {solution.error_bound:.3g} of the whole"
    return {
        "Given": {str(name): str(value) for name, value in further.items()},
        "Market": {"graph": repr(result.graph).strip("<>"), "SHA-256 of its arrays": fingerprint(result.graph)},
        "Shock": _shock(result),
        type(model).__name__: rules,
        "End": {"solver": end},
        "Versions": {"Python": platform.python_version(), **_versions()},
    }


def fingerprint(graph: ExposureGraph) -> str:
    """Return a hash of what a graph holds: the same for the same market, whatever tables it came from.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> one, other = (cg.ExposureGraph.from_arrays([[q]], price=[1.0]) for q in (1.0, 2.0))
    >>> fingerprint(one) == fingerprint(one.assign(price=1.0)) != fingerprint(other)
    True
    """
    q = graph.quantity
    held = np.stack([np.repeat(np.arange(q.shape[0]), np.diff(q.indptr)), q.indices]).astype(np.int64)
    vectors = (graph.cash, graph.price, graph.depth, graph.insurance_fund, graph.sellable)
    digest = hashlib.sha256(repr(q.shape).encode())
    for array in (held, q.data, graph.margin_units.data, *vectors):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _shock(result: CascadeResult) -> dict[str, str]:
    change = result.arrays.price_shocked / result.graph.price - 1.0
    moved = np.flatnonzero(np.abs(change) > 1e-12)
    shock = {str(result.graph.assets[j]): f"{100.0 * change[j]:+.6g} %" for j in moved[:SHOWN]}
    if moved.size > SHOWN:
        shock[f"and {moved.size - SHOWN:,} more"] = "see the table of assets"
    losses = result.arrays.losses
    if losses.any():
        shock["given losses"] = f"{money(losses.sum())} on {np.count_nonzero(losses):,} accounts"
    return shock or {"none": "no price moved before the first round"}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # matplotlib is an extra
            found[name] = "not installed"
    return found
