"""A progress bar for what takes longer than two seconds."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tqdm import tqdm

PATIENCE = 2.0  # seconds
FORM = "{desc}: |{bar:20}| step {n_fmt} of {total_fmt}, {elapsed}"


@contextmanager
def progress(steps: int, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Lend a function to be called, with a word or two, before each step; the bar is gone in the end.

    It stands on the error stream, and only where that is a terminal.
    """
    hidden = quiet or not sys.stderr.isatty()
    with tqdm(total=steps, file=sys.stderr, disable=hidden, leave=False, delay=PATIENCE, bar_format=FORM) as bar:
        done = Event()
        clock = Thread(target=_tick, args=(bar, done), daemon=True)

        def step(words: str) -> None:
            bar.set_description_str(words, refresh=False)
            bar.update()

        clock.start()
        try:
            yield step
        finally:
            done.set()
            clock.join()


def _tick(bar: "tqdm[object]", done: Event) -> None:
    """Show the bar when patience is over, also in the middle of a long step, and let its clock run."""
    wait = PATIENCE
    while not done.wait(wait):
        bar.refresh()
        wait = 1.0
