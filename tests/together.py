"""The parts of a graph in threads of one process, which add up without a cluster."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from contagion_graph.distributed.exchange import Exchange, answer_to
from contagion_graph.distributed.worker_part import Part, load


class Meeting:
    """Where the parts meet to add up, and how often they did."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, action=self._answer, timeout=60.0)
        self.messages: list[Any] = [None] * size
        self.number = 0

    def _answer(self) -> None:
        self.answer, self.number = answer_to(self.messages), self.number + 1

    def ask(self, number: int, message: list[Any]) -> Any:
        """Wait for the messages of all parts; return what they come to."""
        self.messages[number] = message
        self.barrier.wait()
        return self.answer.copy()


def parts_of(folder: Path) -> list[Part]:
    """Read all parts of a data set."""
    return [load(str(folder), number) for number in range(len(list(folder.glob("part-*"))))]


def together(parts: list[Part], work: Any) -> tuple[list[Any], int]:
    """Return what work(part) comes to on every part at once, and how often they met."""
    meeting = Meeting(len(parts))

    def one(part: Part) -> Any:
        try:
            return work(part.among(Exchange(partial(meeting.ask, part.number), part.block_borders)))
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(len(parts)) as pool:
        tasks = [pool.submit(one, part) for part in parts]
    for task in tasks:
        if task.exception() is not None and not isinstance(task.exception(), threading.BrokenBarrierError):
            raise task.exception()
    return [task.result() for task in tasks], meeting.number
