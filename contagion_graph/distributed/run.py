"""A model on all parts of a graph: the task of each part, and the place where they add up."""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, NamedTuple
from uuid import uuid4

import pandas as pd

from contagion_graph._cached import forget
from contagion_graph._solution import Solution
from contagion_graph.distributed.exchange import END, FAILED, Exchange, Line, StoppedError, answer_to
from contagion_graph.distributed.worker_part import Part
from contagion_graph.errors import ContagionError
from contagion_graph.margin.equilibria.result import Equilibria
from contagion_graph.margin.result import CascadeResult


class Head(NamedTuple):
    """What all parts know of a result alike: few numbers, however many the accounts."""

    solution: Solution
    assets: pd.DataFrame
    pools: pd.DataFrame
    rounds: pd.DataFrame
    summary: "pd.Series[float]"


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of a model on one part.

    Parameters
    ----------
    results : tuple of CascadeResult
        One; of equilibria, both ends.
    heads : tuple of Head
        What is the same on all parts, for each result.
    one_sided : bool
        Of equilibria: whether both ends are ones for certain.
    points : DataFrame or None
        Of equilibria: all of them, where they were listed; the accounts of this part.
    """

    results: tuple[CascadeResult, ...]
    heads: tuple[Head, ...]
    one_sided: bool
    points: pd.DataFrame | None


def play(part: Part, run: str, model: Any, method: str, arguments: dict[str, Any]) -> Outcome | Exception:
    """Run a model on one part, while the other parts do the same; the task of a worker.

    What the model refuses to do is returned as the error that says so.
    """
    from distributed import secede

    from contagion_graph.kernels.threads import alone

    alone.enter()
    line = Line(run, part.number)
    secede()  # a worker holds several parts, which wait for each other
    try:
        answer = getattr(model, method)(part.among(Exchange(line.ask, part.block_borders)), **arguments)
        both = isinstance(answer, Equilibria)
        results = (answer.least, answer.greatest) if both else (answer,)
        more = (answer.one_sided, answer.points) if both else (True, None)
        outcome = Outcome(results, tuple(map(head_of, results)), *more)
    except ContagionError as error:  # not raised here: a worker would print it, for every part
        line.end(FAILED)
        return error
    except StoppedError as error:
        return error
    line.end(END)
    return outcome


def head_of(result: CascadeResult) -> Head:
    """Return what all parts know of a result alike, and have the result keep what it cannot find by itself later."""
    head = Head(result.solution, result.assets, result.pools, result.rounds, result.summary())
    forget(result, "accounts")  # can be made anew of the rows that are here, unlike `traders`
    return head


def fetched(client: Any, futures: list[Any], function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Apply a function to each of some objects, where these are."""
    found: list[Any] = client.gather([client.submit(function, each, *arguments, pure=False) for each in futures])
    return found


class Run:
    """The place where the parts of a graph add up while a model runs on them.

    What was published is taken back when the run, and with it all its results, are no longer in use.

    Parameters
    ----------
    client : distributed.Client
        Whose workers hold the parts.
    parts : list of Future
        The parts, in order.
    task : tuple
        Model, method and arguments.
    """

    def __init__(self, client: Any, parts: list[Any], task: tuple[Any, str, dict[str, Any]]) -> None:
        from distributed import Queue

        self.client, self.name = client, f"contagion-graph-{uuid4().hex}"
        self._messages, self._published = Queue(self.name, client=client), list[Any]()
        self._forget = weakref.finalize(self, _take_back, client, self._messages, self._published)
        self.outcomes = [client.submit(play, part, self.name, *task, pure=False) for part in parts]
        for part, outcome in enumerate(self.outcomes):
            outcome.add_done_callback(partial(self._note, part))

    def conduct(self) -> None:
        """Answer the parts until all have finished; an error or interruption stops them.

        Raises
        ------
        Exception
            What the model raised on the first part that failed.
        """
        try:
            self._answer()
        except BaseException:
            self._forget()
            if self.client.status == "running":
                self.client.cancel(self.outcomes)
            raise

    def _answer(self) -> None:
        size, messages = len(self.outcomes), self._received()
        for number in count():
            having: dict[int, list[Any]] = {}
            while len(having) < size:
                part, of, *message = next(messages)
                if of in (number, None):  # a part that starts again sends once more what is long answered
                    having[part] = message
            kinds = [having[part][0] for part in range(size)]
            if FAILED in kinds:
                raise self.outcomes[kinds.index(FAILED)].result()
            if kinds == [END] * size:
                return
            self._publish(answer_to([having[part] for part in range(size)]).tobytes())

    def _received(self) -> Iterator[list[Any]]:
        """Yield the messages of the parts as they come."""
        while True:
            yield self._messages.get()
            yield from self._messages.get(batch=True)

    def _note(self, part: int, outcome: Any) -> None:
        """Have it among the messages that the task of a part has failed for good."""
        if self._forget.alive and self.client.status == "running" and outcome.status != "finished":
            self._messages.put([part, None, FAILED])

    def _publish(self, answer: bytes) -> None:
        from distributed import Variable

        self._published.append(Variable(f"{self.name}-{len(self._published)}", client=self.client))
        self._published[-1].set(answer)


def _take_back(client: Any, messages: Any, published: list[Any]) -> None:
    if client.status == "running":
        for sums in published:
            sums.delete()
        messages.close()
