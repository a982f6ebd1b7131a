"""The Shapley value of a game, and the shares of traders in the cost of a shock."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from scipy.special import gammaln, stdtrit

from contagion_graph._typing import BoolArray, FloatArray, OnFailure, Seed
from contagion_graph._validate import check_kind, check_number, generator_of
from contagion_graph.errors import ParameterError
from contagion_graph.graph.backing import noted
from contagion_graph.graph.exposure import ExposureGraph
from contagion_graph.graph.scenario import Shock, check_graph
from contagion_graph.importance.absences.coalitions import Game, Measure, Numbers
from contagion_graph.margin.model import MarginCascade
from contagion_graph.tables.vectors import rows_of

EXACT = 15  # players up to which every coalition is valued
SAMPLED = 200  # permutations where there are more and no number is given
CONFIDENCE = 0.95


def shapley_values(
    value: Callable[[BoolArray], float], n_players: int, *, n_permutations: int | None = None, rng: Seed | None = None
) -> pd.DataFrame:
    """Return the Shapley value of a game of n players: the mean contribution to v over all orders of entry.

    phi_i = sum over coalitions S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S)). The values add up to v(all) -
    v(none), symmetric players have equal values, and a player that never adds anything has 0.

    Parameters
    ----------
    value : callable
        v: takes an array of n bools, which players are in the coalition, and returns a number.
    n_players : int
        Number of players.
    n_permutations : int, optional
        Number of random orders of entry, at least 2; each values n + 1 coalitions. None: up to 15 players all 2^n
        coalitions are valued, and the result is exact; beyond, 200 orders.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`; not used where the result is exact.

    Returns
    -------
    DataFrame
        One row a player: shapley; standard_error, 0 where exact; low and high, the 95 % confidence interval by
        Student's t. Sampled values add up to v(all) - v(none) too, but for rounding.

    Raises
    ------
    ParameterError
        No player, or fewer than 2 permutations.

    References
    ----------
    Shapley (1953), Contributions to the Theory of Games II. Castro, Gomez & Tejada (2009), Computers & Operations
    Research 36(5): sampling of orders.

    Examples
    --------
    The cost of a runway that is as long as its largest plane needs (Littlechild & Owen, 1973):

    >>> costs = np.array([1.0, 2.0, 3.0, 7.0])
    >>> runway = lambda planes: costs[planes].max(initial=0.0)
    >>> shapley_values(runway, 4)["shapley"].round(4).tolist()
    [0.25, 0.5833, 1.0833, 5.0833]
    """
    check_kind("shapley_values: value", value, Callable, "a function of who is present")  # type: ignore[arg-type]
    check_number("shapley_values", "n_players", n_players, low=1, whole=True)
    if n_permutations is None and n_players <= EXACT:
        return _table([_exact(value, n_players)])
    draws = SAMPLED if n_permutations is None else n_permutations
    check_number("shapley_values", "n_permutations", draws, low=2, whole=True)
    random = generator_of("shapley_values", rng)
    return _table([_added(value, random.permutation(n_players), n_players) for _ in range(int(draws))])


def _exact(value: Callable[[BoolArray], float], n: int) -> FloatArray:
    """Return the Shapley value from the value of every coalition; bit i of its number: player i is in it."""
    numbers, players = np.arange(2**n), np.arange(n)
    values = np.array([value((number >> players) & 1 == 1) for number in numbers], dtype=np.float64)
    size = ((numbers[:, None] >> players) & 1).sum(axis=1)
    smaller = np.arange(n)
    weight = np.exp(gammaln(smaller + 1) + gammaln(n - smaller) - gammaln(n + 1))  # |S|! (n - |S| - 1)! / n!
    shares = np.empty(n)
    for player in players:
        out = numbers[(numbers >> player) & 1 == 0]
        shares[player] = weight[size[out]] @ (values[out | (1 << player)] - values[out])
    return shares


def _added(value: Callable[[BoolArray], float], order: Numbers, n: int) -> FloatArray:
    """Return the contribution of each player in this order of entry."""
    inside, shares = np.zeros(n, dtype=bool), np.empty(n)
    before = value(inside.copy())
    for player in order:
        inside[player] = True
        after = value(inside.copy())
        shares[player], before = after - before, after
    return shares


def _table(samples: list[FloatArray]) -> pd.DataFrame:
    """Return means of samples with their confidence; a single one is exact."""
    drawn = np.array(samples)
    mean, count = drawn.mean(axis=0), len(samples)
    error = drawn.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.zeros_like(mean)
    reach = stdtrit(count - 1, (1.0 + CONFIDENCE) / 2.0) * error if count > 1 else error
    return pd.DataFrame({"shapley": mean, "standard_error": error, "low": mean - reach, "high": mean + reach})


def shapley(
    graph: ExposureGraph,
    model: MarginCascade,
    shock: Shock,
    *,
    traders: Iterable[object] | None = None,
    measure: Measure = "shortfall",
    n_permutations: int | None = None,
    rng: Seed | None = None,
    on_failure: OnFailure = "raise",
) -> pd.DataFrame:
    """Return each trader's share in the cost of a shock: its Shapley value in the game of traders present.

    v(S) is the measure after the shock where of `traders` only S are present, less the same without the shock, and less
    v of the empty coalition: the losses of those present ("loss"), the shortfalls that closed accounts leave to their
    pools ("shortfall"), or the part of them that neither funds nor members pay ("uncovered"). All other traders are
    always present. An absent trader holds nothing and has no part in loss sharing, as in `knockout`; funds do not
    change. The shares add up to the cost of the shock with all present, less the cost without `traders`.

    Parameters
    ----------
    graph : ExposureGraph
        The positions before the shock.
    model : MarginCascade
        The cascade.
    shock : mapping or Series asset -> relative price change
        -0.30 = falls by 30 %.
    traders : iterable of labels, optional
        The players; None: all traders.
    measure : {"loss", "shortfall", "uncovered"}
        v.
    n_permutations, rng
        As in `shapley_values`: None is exact up to 15 traders, 2^n cascades, and draws 200 orders beyond.
    on_failure : {"raise", "warn", "ignore"}
        What to do where a cascade does not converge: its last state is then used.

    Returns
    -------
    DataFrame
        By trader: shapley, standard_error, low, high [currency], as in `shapley_values`.

    Raises
    ------
    ParameterError
        A model that is no MarginCascade, an unknown measure, trader or asset, no trader, fewer than 2 permutations.
    ConvergenceError
        A cascade did not converge, and `on_failure` is "raise".

    References
    ----------
    Shapley (1953), Contributions to the Theory of Games II; Tarashev, Tsatsaronis & Borio (2016), Review of Finance
    20(3): the attribution of systemic risk.

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0], [5.0]], price=100.0, depth=1e4, margin_long=0.1, cash=[-850.0, -880.0, 0.0],
    ...     traders=["A", "B", "C"], assets=["ETH"],
    ... )
    >>> cg.importance.shapley(graph, cg.MarginCascade(), {"ETH": -0.1})["shapley"].round(2).to_dict()
    {'A': 37.52, 'B': 61.06, 'C': 0.0}
    """
    check_graph(graph)
    chosen = rows_of(traders, graph.traders, "shapley: traders")
    game = Game(graph, model, shock, measure=measure, name="shapley", on_failure=on_failure)
    alone = chosen.size == len(graph.traders)

    def value(present: BoolArray) -> float:
        if alone and not present.any():
            return 0.0
        return game.without(chosen[~present])

    table = shapley_values(value, chosen.size, n_permutations=n_permutations, rng=rng)
    return noted(table.set_axis(graph.traders[chosen].rename("trader")), graph)


def aumann_shapley(
    graph: ExposureGraph,
    model: MarginCascade,
    shock: Shock,
    *,
    traders: Iterable[object] | None = None,
    measure: Measure = "shortfall",
    n_points: int = 16,
    n_permutations: int = 4,
    rng: Seed | None = None,
    on_failure: OnFailure = "raise",
) -> pd.DataFrame:
    """Return each trader's share in the cost of a shock by its marginal contribution, as all grow from 0 to full size.

    phi_i = integral over t in [0, 1] of the derivative of v with respect to trader i's size at t times all sizes: the
    Shapley value with every trader cut into infinitely many equal parts. A trader's size scales its positions, its cash
    and its weight in loss sharing, so that leverage and margins stay; v is that of `shapley`.

    v jumps where an account comes into breach, so quadrature of derivatives does not work. Instead traders grow in
    `n_points` equal steps. In each step every trader grows once, in a random order and, in every other pass, in the
    reverse order. The contributions add up to the cost exactly, for any number of steps; a jump is attributed to the
    trader that causes it.

    Parameters
    ----------
    graph, model, shock, traders, measure
        As in `shapley`; traders that are not named have full size throughout.
    n_points : int
        Steps in which all grow from 0 to full size.
    n_permutations : int
        Passes, an even number from 2 up; each values `n_points` x traders markets.
    rng : None, int, sequence of int, SeedSequence, BitGenerator or Generator
        As in `numpy.random.default_rng`.
    on_failure
        As in `shapley`.

    Returns
    -------
    DataFrame
        By trader: aumann_shapley, standard_error over pairs of passes (NaN for a single pair), low, high [currency],
        the 95 % confidence interval by Student's t. The values add up to the cost within 1e-9 of gross value. Each is
        exact where v is a polynomial of degree 2 in sizes; otherwise the error of a smooth v falls with n_points^-2,
        that of a jump with its size over n_points and the root of passes.

    Raises
    ------
    ParameterError
        As in `shapley`; a number of steps or passes that cannot be; margin tiers.
    ConvergenceError
        A cascade did not converge, and `on_failure` is "raise".

    References
    ----------
    Aumann & Shapley (1974), Values of Non-Atomic Games; Billera & Heath (1982), Mathematics of Operations Research
    7(1).

    Examples
    --------
    >>> import contagion_graph as cg
    >>> graph = cg.ExposureGraph.from_arrays(
    ...     [[10.0], [10.0], [5.0]], price=100.0, depth=1e4, margin_long=0.1, cash=[-850.0, -880.0, 0.0],
    ...     traders=["A", "B", "C"], assets=["ETH"],
    ... )
    >>> shares = cg.importance.aumann_shapley(graph, cg.MarginCascade(), {"ETH": -0.1}, rng=0)
    >>> shares["aumann_shapley"].round(1).to_dict()
    {'A': 40.3, 'B': 58.3, 'C': 0.0}
    """
    check_graph(graph)
    chosen = rows_of(traders, graph.traders, "aumann_shapley: traders")
    check_number("aumann_shapley", "n_points", n_points, low=1, whole=True)
    check_number("aumann_shapley", "n_permutations", n_permutations, low=2, whole=True)
    if n_permutations % 2:
        raise ParameterError(
            f"aumann_shapley: n_permutations is {n_permutations}; passes come in pairs, give an even number"
        )
    game = Game(graph, model, shock, measure=measure, name="aumann_shapley", on_failure=on_failure)
    if game.margins is not None and game.margins.tiers is not None:
        raise ParameterError(
            "aumann_shapley: the graph has margin tiers, and on these a part of an account needs less than its part of "
            "the margin; take shapley, or give graph.assign(margin_tiers=None) with margin_long and margin_short"
        )
    random, size = generator_of("aumann_shapley", rng), np.ones(len(graph.traders))

    def grown(order: list[Numbers]) -> FloatArray:
        shares, size[chosen] = np.zeros(chosen.size), 0.0
        before = game.scaled(size[graph._rows.trader_of])
        for step, entering in enumerate(order, 1):
            for place in entering:
                size[chosen[place]] = step / n_points
                after = game.scaled(size[graph._rows.trader_of])
                shares[place] += after - before
                before = after
        return shares

    samples = []
    for _ in range(n_permutations // 2):
        order = [random.permutation(chosen.size) for _ in range(n_points)]
        samples.append((grown(order) + grown([entering[::-1] for entering in order])) / 2.0)
    table = _table(samples).rename(columns={"shapley": "aumann_shapley"})
    if len(samples) == 1:
        table[["standard_error", "low", "high"]] = np.nan
    return noted(table.set_axis(graph.traders[chosen].rename("trader")), graph)
