"""Scenarios: drawn, and run by the thousand."""

from contagion_graph.scenarios import draw
from contagion_graph.scenarios.executors import Executor
from contagion_graph.scenarios.sweep import sweep
from contagion_graph.scenarios.sweep_result import SweepResult

__all__ = ["Executor", "SweepResult", "draw", "sweep"]
