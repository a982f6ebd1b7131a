"""How long work takes, and how much memory."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def median(work: Callable[[], object], runs: int = 7) -> tuple[float, float, float]:
    """Return the median, least and largest of the seconds that runs of `work` take, after one not counted."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:])), min(seconds[1:]), max(seconds[1:])


def memory(entry: str) -> float:
    """Return what Linux says of the memory of this process [GB]: VmRSS now, VmHWM at the peak.

    Not `getrusage`: there, a child of a large process starts with the peak of its parent.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{entry}:")[1].split()[0]) * 1024 / 1e9


def peak_over(work: Callable[[], object]) -> float:
    """Return the most memory that work needed on top of what the process held before [GB]."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak so far is forgotten
    before = memory("VmRSS")
    work()
    return memory("VmHWM") - before
