"""Pictures for papers and pages: one file a family of plots; matplotlib is loaded with the first of them.

Every function takes `ax=`, where to draw, and returns it; None: a new figure. Colours are told apart by colour-blind
readers, and lines, hatches and numbers say the same again in black and white. Labels are text, whatever is in them.
"""

from contagion_graph.plot.channels import waterfall
from contagion_graph.plot.designs import frontier
from contagion_graph.plot.equilibria import tipping
from contagion_graph.plot.exposures import exposure, exposure_curve
from contagion_graph.plot.files import save
from contagion_graph.plot.losses import loss_distribution
from contagion_graph.plot.margins import greeks, margin_scenarios
from contagion_graph.plot.measures import importance
from contagion_graph.plot.network import bipartite
from contagion_graph.plot.rounds import cascade, closed, fund, prices
from contagion_graph.plot.who_pays import adl_policies, waterfall_layers

__all__ = [
    "adl_policies",
    "bipartite",
    "cascade",
    "closed",
    "exposure",
    "exposure_curve",
    "frontier",
    "fund",
    "greeks",
    "importance",
    "loss_distribution",
    "margin_scenarios",
    "prices",
    "save",
    "tipping",
    "waterfall",
    "waterfall_layers",
]
