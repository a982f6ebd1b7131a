"""A drawing over time, and as it is at one time, with the colours of that time."""

from dataclasses import replace

import numpy as np
import pandas as pd

from contagion_graph.graph.holdings import Array
from contagion_graph.graph_formats.drawing import Drawing
from contagion_graph.graph_formats.style import Looks, one_colour, rgb
from contagion_graph.graph_formats.timeline import CLOSED, STATUS, Timeline
from contagion_graph.solvers.arrays import ratio

# light grey, red, orange, almost black: apart in lightness too
STATUS_COLOUR = np.array([(200, 205, 210), (227, 26, 28), (253, 141, 60), (50, 50, 50)], dtype=np.uint8)
TRADED = (227, 26, 28)
STILL, FALLEN = (107, 174, 214), (8, 29, 88)
TIMES = (
    "Time 0 is before the shock, round t is from t to t + 1, the last time is the end; prices are those at the start. "
    f'Edges of a kind that begins with "closing" are what is traded in the round, {rgb(TRADED)}.'
)


def over_time(drawing: Drawing, timeline: Timeline) -> Drawing:
    """Return a drawing with the edges that stand for what is traded, and with times in its legend."""
    looks, traded = drawing.looks, timeline.edge_end.size - timeline.held
    edge_colour = np.concatenate([looks.edge_colour, one_colour(TRADED, traded)])
    looks = Looks(looks.size, looks.node_colour, edge_colour, f"{looks.legend} {TIMES}")
    return replace(drawing, network=timeline.network, looks=looks)


def at_time(drawing: Drawing, timeline: Timeline, time: int) -> Drawing:
    """Return a drawing as it is at a time: all nodes, the edges that are there, colours by status and by price."""
    network, moves = drawing.network, timeline.moves
    there = timeline.edge_end > time
    there[timeline.held :] = False
    weight, now = network.weight.copy(), moves.round == time
    if timeline.flow.size:
        there[timeline.flow[now]] = True
        weight[timeline.flow[now]] = np.abs(moves.value[now])
    colour, meaning = drawing.looks.node_colour.copy(), f"This is time {time} of 0 to {timeline.end - 1}. "
    sides = []
    for side, start in zip(network.sides, network.starts, strict=False):
        own = slice(int(start), int(start) + len(side.ids))
        known = dict(side.attributes)
        if side.name == "trader":
            status = timeline.status(time)
            colour[own] = STATUS_COLOUR[status]
            known["status"] = pd.Categorical.from_codes(status, pd.Index(STATUS))
            meaning += f"Traders now: {', '.join(f'{STATUS[k]} {rgb(STATUS_COLOUR[k])}' for k in range(CLOSED + 1))}. "
        elif side.name == "asset":
            prices = timeline.rounds.price[:, side.rows]
            known["price_now"], known["change_now"] = prices[time], prices[time] / prices[0] - 1.0
            colour[own], words = _fallen(prices, time)
            meaning += words
        sides.append(replace(side, attributes=known))
    network = replace(
        network,
        sides=tuple(sides),
        source=network.source[there],
        target=network.target[there],
        weight=weight[there],
        attributes={name: pd.Series(values)[there].array for name, values in network.attributes.items()},
        kind=None if network.kind is None else network.kind[there],
    )
    looks = Looks(drawing.looks.size, colour, drawing.looks.edge_colour[there], meaning + TIMES)
    return replace(drawing, network=network, looks=looks)


def _fallen(prices: Array, time: int) -> tuple[Array, str]:
    """Return a colour for each asset, the darker the further its price has fallen, and what it means."""
    fall = np.maximum(1.0 - prices / prices[0], 0.0)
    largest = float(fall.max(initial=0.0))
    share = ratio(fall[time], largest, 0.0)
    colour = np.array(STILL) + share[:, None] * (np.array(FALLEN) - np.array(STILL))
    return colour.round().astype(np.uint8), (
        f"Assets by the fall of their price since before the shock: from {rgb(STILL)} (none) to {rgb(FALLEN)} "
        f"({largest:.0%}). "
    )
