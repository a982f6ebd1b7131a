"""Graphs in partitions: too large for the memory of one machine, or spread over the workers of a cluster."""

from contagion_graph.distributed.partition import partition
from contagion_graph.distributed.parts import read_part

__all__ = ["partition", "read_part"]
