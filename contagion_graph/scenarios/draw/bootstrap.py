"""Scenarios from history: blocks of past returns."""

import numpy as np
import pandas as pd

from contagion_graph._typing import Seed
from contagion_graph._validate import check_number, generator_of
from contagion_graph.errors import ParameterError
from contagion_graph.scenarios.draw.history import log_returns
from contagion_graph.scenarios.frame import scenario_frame


def historical(
    prices: pd.DataFrame, n_draws: int, *, horizon: int = 1, block: int = 5, rng: Seed | None = None
) -> pd.DataFrame:
    """Draw scenarios from history by a circular block bootstrap: all assets move as on the days that are drawn.

    A scenario is the return over `horizon` steps, the sum of blocks of `block` consecutive steps with starts drawn at
    random; the first step follows the last. Blocks keep serial dependence: a fall after a fall.

    Parameters
    ----------
    prices : DataFrame
        One row a date, the oldest first, one column an asset. The index is the date, or only a number.
    n_draws : int
        Scenarios.
    horizon : int
        Steps that a scenario covers.
    block : int
        Steps of a block, at most those of the history.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; the same seed draws the same scenarios.

    Returns
    -------
    DataFrame, scenario x asset
        Relative price changes.

    Raises
    ------
    ParameterError
        Prices that are no prices; dates that repeat or do not ascend, or that are a column; a block longer than the
        history.

    References
    ----------
    Politis & Romano (1992), in Exploring the Limits of Bootstrap: the circular block bootstrap.

    Examples
    --------
    >>> import pandas as pd
    >>> prices = pd.DataFrame({"BTC": [100.0, 110.0, 99.0], "ETH": [10.0, 12.0, 9.0]})
    >>> historical(prices, 3, rng=0).round(6).to_numpy().tolist()
    [[-0.1, -0.25], [-0.1, -0.25], [-0.1, -0.25]]
    """
    for name, value in (("n_draws", n_draws), ("horizon", horizon), ("block", block)):
        check_number("historical", name, value, low=1, whole=True)
    returns = log_returns(prices)
    values, block = returns.to_numpy(), min(block, horizon)
    if block > len(values):
        raise ParameterError(f"historical: block is {block}, the history has {len(values)} steps; give a shorter one")
    starts = generator_of("historical", rng).integers(0, len(values), (n_draws, -(-horizon // block)))
    steps = (starts[:, :, None] + np.arange(block)).reshape(n_draws, -1)[:, :horizon] % len(values)
    total = np.zeros((n_draws, values.shape[1]))
    for step in steps.T:
        total += values[step]
    return scenario_frame(np.expm1(total), returns.columns)
