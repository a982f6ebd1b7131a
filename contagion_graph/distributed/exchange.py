"""How the parts of a graph add up: every part sends its sums, and one place returns the total to all of them.

The totals of a run are published under their number for as long as its result is in use. A part that is lost with its
worker is read again and starts again: it finds all totals that are known, and waits for other parts only after these.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any

import numpy as np

from contagion_graph._typing import FloatArray
from contagion_graph.distributed.worker_part import Apart
from contagion_graph.graph.collectives import WHOLE
from contagion_graph.state import Array

TOTAL, GATHER, END, FAILED = "total", "gather", "end", "failed"
PATIENCE = 1.0  # seconds between two checks whether the answer is still wanted
NOTHING = np.empty((0, 0))


class StoppedError(Exception):
    """The run was given up: its client has gone, was interrupted, or another part failed."""


Message = list[Any]  # kind, first chunk, shape of the sums of chunks, those sums, further numbers


class Exchange:
    """The `Collectives` of one part.

    Parameters
    ----------
    ask : callable
        Takes a message, returns the answer to those of all parts.
    borders : ndarray, shape (65,)
        Blocks at which the chunks begin and end in this part.
    """

    def __init__(self, ask: Callable[[Message], Array], borders: Array) -> None:
        held = np.flatnonzero(np.diff(borders))
        self._ask, self._chunks = ask, slice(held[0], held[-1] + 1) if held.size else slice(0, 0)

    def __reduce__(self) -> tuple[type[Apart], tuple[()]]:
        return Apart, ()  # nothing to add up with where a result is taken to

    def total(self, parts: Array, counts: Any = ()) -> Array:
        """Return the sums of the chunks of all parts, one after the other, then those of the counts."""
        return self._ask(_message(TOTAL, int(self._chunks.start), parts[self._chunks], counts))

    def gather(self, values: Array) -> Array:
        """Return the values of all parts, in their order."""
        return self._ask(_message(GATHER, 0, NOTHING, values))


class Line:
    """The line from the task of a part to the place that answers.

    Parameters
    ----------
    run : str
        The name of the run.
    part : int
        The number of the part.
    """

    def __init__(self, run: str, part: int) -> None:
        from distributed import Queue, get_client, get_worker

        self._run, self._part, self._number, self._open = run, part, 0, True
        self._client, self._worker = get_client(), get_worker()
        self._task = self._worker.get_current_task()
        self._messages = Queue(run, client=self._client)
        self._messages.close()  # it stays as long as the run wants it, whichever workers are lost

    def ask(self, message: Message) -> Array:
        """Send a message, and wait for the answer to those of all parts."""
        from distributed import Variable

        if not self._open:
            return Apart().total(NOTHING)
        if self._cancelled:
            raise StoppedError
        self._messages.put([self._part, self._number, *message])
        answer = self._awaited(Variable(f"{self._run}-{self._number}", client=self._client))
        self._number += 1
        return np.frombuffer(answer).copy()

    def _awaited(self, answer: Any) -> bytes:
        """Wait for an answer, unless the client has gone, was interrupted, or knows that another part has failed."""
        loop: Any = self._client.loop
        waiting = asyncio.run_coroutine_threadsafe(answer.get(asynchronous=True), loop.asyncio_loop)
        while not wait([waiting], PATIENCE).done:
            if self._cancelled:
                answer.set(b"")  # else the scheduler would wait for ever
                waiting.result()
                answer.delete()
                raise StoppedError
        data: bytes = waiting.result()
        return data

    @property
    def _cancelled(self) -> bool:
        task = self._worker.state.tasks.get(self._task)
        return task is None or task.state == "cancelled"

    def end(self, kind: str) -> None:
        """Say that this part has finished, or has failed."""
        self._open = False
        self._messages.put([self._part, self._number, *_message(kind, 0, NOTHING, ())])


def _message(kind: str, start: int, parts: Array, numbers: Any) -> Message:
    return [kind, start, list(parts.shape), parts.tobytes(), np.asarray(numbers, dtype=np.float64).tobytes()]


def answer_to(messages: list[Message]) -> FloatArray:
    """Return the answer to what all parts have sent, in their order.

    Raises
    ------
    RuntimeError
        They have not asked for the same: a rule has asked on some parts only.

    Examples
    --------
    >>> import numpy as np
    >>> ones = np.ones((1, 2)).tobytes()
    >>> answer_to([["total", chunk, [1, 2], ones, np.array([3.0]).tobytes()] for chunk in range(4)]).tolist()
    [4.0, 4.0, 12.0]
    """
    if len({(kind, shape[-1]) for kind, _, shape, *_ in messages}) > 1:
        raise RuntimeError("the parts of a graph ask for different sums; a rule must ask on all parts alike")
    parts = [np.frombuffer(data).reshape(shape) for _, _, shape, data, _ in messages]
    counts = [np.frombuffer(data) for *_, data in messages]
    if messages[0][0] == GATHER:
        return np.concatenate(counts)
    chunks = max(start + len(part) for (_, start, *_), part in zip(messages, parts, strict=True))
    whole = np.zeros((chunks, parts[0].shape[1]))
    for (_, start, *_), part in zip(messages, parts, strict=True):
        whole[start : start + len(part)] += part
    return WHOLE.total(whole, np.sum(counts, axis=0))
