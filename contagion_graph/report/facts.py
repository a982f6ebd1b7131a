"""What it takes to compute a cascade again: the model, the shock, the market, the versions."""

import platform
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version

import numpy as np

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
        "Market": {"graph": repr(result.graph).strip("<>"), "SHA-256 of what it holds": result.graph.fingerprint()},
        "Shock": _shock(result),
        type(model).__name__: rules,
        "End": {"solver": end},
        "Versions": {"Python": platform.python_version(), **_versions()},
    }


def _shock(result: CascadeResult) -> dict[str, str]:
    change = result.arrays.price_shocked / result.graph.price - 1.0
    moved = np.flatnonzero(np.abs(change) > 1e-12)
    given = result.arrays.price_given
    passed = np.zeros(change.size, dtype=bool) if given is None else given != result.arrays.price_shocked
    how = np.where(passed, "%, passed down through table backing", "%")
    shock = {str(result.graph.assets[j]): f"{100.0 * change[j]:+.6g} {how[j]}" for j in moved[:SHOWN]}
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
