"""The parts of a sweep, run one after the other or by an executor, and combined in their order."""

import math
import time
from collections.abc import Iterator
from itertools import repeat

import numpy as np
from tqdm import tqdm

from contagion_graph._typing import FloatArray
from contagion_graph.scenarios.checkpoint import Checkpoint, Reached
from contagion_graph.scenarios.estimates import tail_count
from contagion_graph.scenarios.executors import Executor, Here
from contagion_graph.scenarios.tasks import SIZE, Part, Setting, Task, add_tally, least_kept, work

SECONDS = 2.0  # a progress bar that would be gone sooner is not shown
BETWEEN = 10.0  # seconds between two states on disk


def kept_losses(count: int, level: float) -> int:
    """Return how many of a trader's largest losses are kept: those beyond the level, and three standard errors more."""
    tail = tail_count(count, level)
    return min(count, math.ceil(tail + 3.0 * math.sqrt(count * (1.0 - level) * level)) + 1)


def run_all(
    setting: Setting, price: FloatArray, *, store: Checkpoint | None, executor: Executor, progress: bool
) -> Part:
    """Run the tasks that are left, and combine their parts in their order."""
    done, total = Reached(0, None) if store is None else store.load()
    written = time.monotonic()

    def tasks() -> Iterator[Task]:
        for first in range(done, len(price), SIZE):
            yield Task(first, price[first : first + SIZE], least_kept(total))  # of what is done by then

    parts = executor.map(work, repeat(setting), tasks()) if done < len(price) else ()
    with tqdm(total=len(price), initial=done, disable=not progress, delay=SECONDS, unit=" scenarios") as bar:
        for part in parts:
            total = part if total is None else _together(total, part)
            done += len(part.price)
            bar.update(len(part.price))
            del part  # its tails are as large as those of the total, and another part's come next
            if store is not None and (done == len(price) or time.monotonic() - written > BETWEEN):
                store.save(Reached(done, total))
                written = time.monotonic()
    assert total is not None, "a sweep has at least one scenario"
    return total


def _together(total: Part, part: Part) -> Part:
    if total.tally is not None and part.tally is not None:
        add_tally(total.tally, part.tally)
    columns = {name: np.concatenate([total.figures[name], part.figures[name]]) for name in total.figures}
    ends = (np.concatenate([total.price, part.price]), np.concatenate([total.needed, part.needed]))
    return Part(columns, *ends, total.tally)


def state_size(setting: Setting, price: FloatArray) -> int:
    """Return the bytes of the whole state."""
    per_scenario = 8 * (price.shape[1] + len(setting.graph.pools) * len(setting.rules.waterfall) + 14)
    per_trader = 0 if setting.kept is None else 32 + 12 * setting.kept
    return int(per_scenario * len(price) + per_trader * len(setting.graph.traders))


def rerun(setting: Setting, price: FloatArray) -> Part:
    """Run some scenarios again, in this process, without a progress bar."""
    return run_all(setting, price, store=None, executor=Here(), progress=False)
