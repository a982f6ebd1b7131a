"""Scenarios: frames of relative price changes, drawn or laid out, for `cg.sweep`."""

from contagion_graph.scenarios import draw
from contagion_graph.scenarios.executors import Executor

__all__ = ["Executor", "draw"]
