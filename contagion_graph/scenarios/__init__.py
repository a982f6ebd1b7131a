"""Scenarios: frames of relative price changes, drawn or laid out, for `cg.sweep`; events that shocks bring about."""

from contagion_graph.scenarios import draw
from contagion_graph.scenarios.events import Event, FundEmpty, LossAbove, ShareClosed, TraderClosed, Uncovered
from contagion_graph.scenarios.executors import Executor
from contagion_graph.scenarios.reverse import ReverseStress
from contagion_graph.scenarios.shock_ladder import ladder
from contagion_graph.scenarios.tipping import TippingPoint

__all__ = [
    "Event",
    "Executor",
    "FundEmpty",
    "LossAbove",
    "ReverseStress",
    "ShareClosed",
    "TippingPoint",
    "TraderClosed",
    "Uncovered",
    "draw",
    "ladder",
]
