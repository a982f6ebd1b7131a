"""Graphs in partitions: too large for the memory of one machine, or spread over the workers of a cluster."""

from contagion_graph.distributed.dataset import read_part
from contagion_graph.distributed.executor import DaskExecutor
from contagion_graph.distributed.graph import DistributedGraph, open_dataset
from contagion_graph.distributed.partitioning import partition
from contagion_graph.distributed.result import DistributedResult

__all__ = ["DaskExecutor", "DistributedGraph", "DistributedResult", "open_dataset", "partition", "read_part"]
