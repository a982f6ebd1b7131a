"""The graphs: who holds what (exposure), who owes whom (obligations), and what hits them (scenario)."""

from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.obligations import ObligationNetwork

__all__ = ["ExposureGraph", "ObligationNetwork"]
