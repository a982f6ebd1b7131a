"""Scenarios drawn from a model of returns, from history, or laid out: frames of relative price changes.

Every function returns a frame with one row a scenario and one column an asset; -0.3 = falls by 30 %, at least -1.
Models speak of log-returns, r = log(1 + change), so that no price falls below zero; frames hold simple returns. The
same `rng` gives the same scenarios, and the first k of n are those that k alone would be.
"""

from contagion_graph.scenarios.draw.bootstrap import historical
from contagion_graph.scenarios.draw.covariances import covariance
from contagion_graph.scenarios.draw.designed import grid, single_asset, together
from contagion_graph.scenarios.draw.failures import joint_failure
from contagion_graph.scenarios.draw.given_changes import conditional
from contagion_graph.scenarios.draw.parametric import factor, gaussian, student_t

__all__ = [
    "conditional",
    "covariance",
    "factor",
    "gaussian",
    "grid",
    "historical",
    "joint_failure",
    "single_asset",
    "student_t",
    "together",
]
