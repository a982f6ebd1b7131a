"""What public functions say of a book or a network, in which unit, and which ways of writing it change the answer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import contagion_graph as cg
from tests.books import Book, Cell

importance, collateral, named, distress = cg.importance, cg.collateral, cg.named, cg.distress
# Counted in another currency, and in parts: amounts are multiplied and add up; numbers stay and add up; shares stay.
MONEY, NUMBER, SHARE = "money", "number", "share"
# columns that are no amounts of money, wherever they stand
SHARES = {
    *("breach_round", "breached", "changed", "kink", "closed", "largest_move", "largest_fall", "rounds", "round"),
    *("solvency_before", "solvency_after", "default_round", "defaults", "additional_defaults", "recovery", "leverage"),
    *("stress", "uncapped", "given_stress", "additional_stress", "sold_share", "acted", "failed", "error_bound"),
    *("indirect_vulnerability", "ratio_before", "ratio_after", "marked_down", "connectedness"),
}
NUMBERS = {"units_sold", "table units_sold", "systemicness"}
COUNTED = {"table rounds", "rounds", "defaults", "additional_defaults", "stress"}  # more parts, larger counts
PER_UNIT = {
    "price_before",
    "price_after",
    "price_shocked",
    "price_given",
    "units_sold",
    "table units_sold",
}  # of an asset


class Says(NamedTuple):
    """What a function says of a book or network, in which unit, and what does not hold: transformation to reason."""

    call: Callable[..., Any]
    unit: str = MONEY
    but: dict[str, str] = {}  # noqa: RUF012 # never changed


PARTS = {"parts": "traders are its nodes: more of them are another graph"}
PER_PRICE = {"units": "a derivative by the price of one unit"}
ORDER = {"order": "random draws go by the order of labels"}
DRAWS = {**PARTS, **ORDER}
CLOSED = cg.scenarios.ShareClosed(0.3)
PLAIN = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))
RATIO = named.CapitalRatio(0.02, buffer=0.05, target=0.06)


def shocked(graph: cg.ExposureGraph, book: Book) -> cg.ExposureGraph:
    """Return the graph after a small fall of all prices: some accounts are below their margin."""
    return graph.assign(price=graph.price * 0.96, backing=None)


def eligible(book: Book) -> dict[str, list[Any]]:
    """Return cash, and the first asset by label, as what can be added."""
    return {"asset": ["", chosen(book)], "cost": [0.02, 0.01]}


def routes(book: Book) -> dict[str, list[Any]]:
    """Return routes between all pools."""
    pairs = [(one, other) for one in book.fund for other in book.fund if one != other]
    return {
        "from_pool": [one for one, _ in pairs],
        "to_pool": [other for _, other in pairs],
        "fee": [0.01] * len(pairs),
    }


def tables(result: Any) -> dict[str, pd.DataFrame]:
    """Return the tables of a result but for its summary."""
    return {f"table {name}": frame for name, frame in result.to_frames().items() if name != "summary"}


def amounts(result: cg.CascadeResult) -> dict[str, pd.DataFrame]:
    """Return the tables of a cascade; rounds, where accounts close whole: rounding may add one where they do not."""
    frames = tables(result)
    if result.model.closes_whole:
        return frames
    drop = {"breach_round", "breached", "rounds"}
    return {
        name: frame.drop(columns=drop & set(frame.columns), errors="ignore")
        for name, frame in frames.items() if name != "table rounds"
    }  # fmt: skip


def chosen(book: Book) -> str:
    """Return an asset that does not depend on labels or their order."""
    return book.assets[int(np.argmax(book.margin))]


OF_BOOKS: dict[str, Says] = {
    "MarginCascade.run": Says(lambda g, b: amounts(b.model.run(g, b.changes()))),
    "MarginCascade.equilibria": Says(
        lambda g, b: _ends(b.model.equilibria(g, b.changes())),
        but={"parts": "of a netted book all equilibria are found where few accounts are undecided; else bounds"},
    ),
    "MarginCascade.equilibrium_near": Says(
        lambda g, b: PLAIN.equilibrium_near(g, b.changes(), closed=PLAIN.equilibria(g, b.changes()).least.arrays.closed)
        .accounts["loss"]
    ),
    "CascadeResult.bystanders": Says(lambda g, b: b.model.run(g, b.changes()).bystanders()["loss"].sum()),
    "blame": Says(lambda g, b: cg.blame(b.model.run(g, b.changes())), but=PARTS),
    "sweep": Says(lambda g, b: _swept(cg.sweep(g, b.model, b.frame()))),
    "scenarios.ladder": Says(lambda g, b: cg.scenarios.ladder(g, b.model, [-0.3, -0.1])),
    "tipping_point": Says(
        lambda g, b: cg.tipping_point(g, b.model, b.changes(), event=CLOSED, n_points=4).size,
        SHARE,
    ),
    "spectral_radius": Says(lambda g, b: cg.spectral_radius(g, b.model, b.changes()), SHARE),
    "ScenarioMargin.maintenance": Says(lambda g, b: cg.ScenarioMargin(move=[-0.2, 0.0, 0.1]).maintenance(g)),
    "ScenarioMargin.margin_table": Says(
        lambda g, b: cg.ScenarioMargin(move=[-0.2, 0.0, 0.1]).margin_table(g)["cost"].sum()
    ),
    "TieredMargin.margin_table": Says(
        lambda g, b: cg.TieredMargin({chosen(b): [(0.0, 0.1)]}).margin_table(g)["cost"].sum()
    ),
    "TieredMargin.maintenance": Says(lambda g, b: cg.TieredMargin({chosen(b): [(0.0, 0.1)]}).maintenance(g)),
    "direct_exposure": Says(lambda g, b: cg.direct_exposure(g).to_pandas()),
    "indirect_exposure": Says(lambda g, b: cg.indirect_exposure(g, b.model, -0.3).to_pandas()),
    "exposure_curve": Says(
        lambda g, b: cg.exposure_curve(g, b.model, chosen(b), sizes=[-0.2, -0.4])[["loss", "indirect"]]
    ),
    "marginal_exposure": Says(
        lambda g, b: cg.marginal_exposure(g, b.model, b.changes(0.1)).to_pandas(), NUMBER, PER_PRICE
    ),
    "look_through": Says(lambda g, b: cg.look_through(g, b.model, size=-0.3).effective.to_pandas(), NUMBER, PER_PRICE),
    "exposure_to_traders": Says(
        lambda g, b: cg.exposure_to_traders(g, b.model, b.changes(), k=999)["loss"].sum(), but=PARTS
    ),
    "collateral.top_up": Says(lambda g, b: collateral.top_up(shocked(g, b), eligible(b)).total),
    "collateral.deleverage": Says(lambda g, b: collateral.deleverage(shocked(g, b)).total),
    "collateral.transfer": Says(lambda g, b: collateral.transfer(shocked(g, b), routes(b)).total),
    "collateral.stabilise": Says(
        lambda g, b: collateral.stabilise(g, b.model, b.changes(0.3)).summary()[["total", "uncovered"]], but=PARTS
    ),
    "collateral.pooling": Says(lambda g, b: collateral.pooling(g, "unified").slack),
    "collateral.compare_pooling": Says(
        lambda g, b: collateral.compare_pooling(g, b.model, b.frame(), designs=["pool", "unified"])
        .table.drop(columns="accounts"), but=PARTS
    ),
    "collateral.haircuts": Says(lambda g, b: collateral.haircuts(g, volatility=0.5, delay=0.1), SHARE),
    "named.farmer": Says(lambda g, b: tables(named.farmer(g, RATIO, b.changes(0.2)))),
    "named.greenwood_landier_thesmar": Says(lambda g, b: named.greenwood_landier_thesmar(g, b.changes(0.2)).traders),
    "named.caccioli_stability": Says(lambda g, b: named.caccioli_stability(g), SHARE, PARTS),
    "named.with_market_depth": Says(lambda g, b: pd.Series(named.with_market_depth(g, 0.5).depth, g.assets)),
    "named.without_margins": Says(lambda g, b: named.without_margins(g).slack),
    "CommonAssetClearing.run": Says(lambda g, b: tables(cg.CommonAssetClearing().run(g, b.changes(0.2)))),
    "CommonAssetClearing.equilibria": Says(
        lambda g, b: cg.CommonAssetClearing().equilibria(g, b.changes(0.2)).greatest.banks
    ),
    **{
        f"importance.{name}": Says(lambda g, b, name=name: getattr(importance, name)(g), unit, PARTS)
        for name, unit in {
            **dict.fromkeys(("degree", "betweenness", "coreness", "sinkrank", "concentration", "hits", "katz"), SHARE),
            **dict.fromkeys(("eigenvector", "pagerank", "birank", "cohits", "debtrank_impact"), SHARE),
            **dict.fromkeys(("strength", "closeness", "indirect_contagion_index"), MONEY),
            "endogenous_risk_index": SHARE,
        }.items()
    },
    "importance.fitness_complexity": Says(lambda g, b: importance.fitness_complexity(g, n_iter=5), SHARE, PARTS),
    "importance.debtrank": Says(lambda g, b: importance.debtrank(g, b.changes(0.3)), SHARE, PARTS),
    "importance.systemicness": Says(lambda g, b: importance.systemicness(g, b.changes(0.2)), SHARE, PARTS),
    "importance.indirect_vulnerability": Says(
        lambda g, b: importance.indirect_vulnerability(g, b.changes(0.2)), SHARE, PARTS
    ),
    "importance.knockout": Says(lambda g, b: importance.knockout(g, b.model, b.changes()), but=PARTS),
    "importance.shapley": Says(lambda g, b: importance.shapley(g, b.model, b.changes())["shapley"], but=PARTS),
    "importance.aumann_shapley": Says(
        lambda g, b: importance.aumann_shapley(g, b.model, b.changes(), n_points=2, n_permutations=2, rng=0), but=DRAWS
    ),
    "importance.overlap": Says(lambda g, b: importance.overlap(g).to_pandas(), SHARE, PARTS),
    "importance.overlap_pairs": Says(
        lambda g, b: np.sort(importance.overlap_pairs(g, k=99)["overlap"]), SHARE, PARTS
    ),
    "importance.compare": Says(
        lambda g, b: importance.compare(g, [importance.degree, importance.hits]).table, SHARE, PARTS
    ),
    "importance.stability": Says(
        lambda g, b: importance.stability(g, importance.hits, n_draws=2, rng=0).nodes, SHARE, DRAWS
    ),
    "backbone": Says(lambda g, b: cg.backbone(g, significance=0.5).equity),
    "reverse_stress": Says(
        lambda g, b: cg.reverse_stress(
            g, b.model, b.covariance(), event=CLOSED, n_points=2, n_directions=0, rng=0, limit=4.0
        ).norm,
        SHARE,
        ORDER,
    ),
    "ExposureGraph.to_frames": Says(
        lambda g, b: {name: getattr(g, name) for name in ("equity", "maintenance", "slack", "gross_value")}
    ),
    "ExposureGraph.subset": Says(lambda g, b: g.subset(assets=[chosen(b)]).equity),
    "ExposureGraph.assign": Says(lambda g, b: g.assign(price=g.price / 2.0).equity),
    "ExposureGraph.from_networkx": Says(
        lambda g, b: cg.ExposureGraph.from_networkx(g.to_networkx(nodes="positions")).slack
    ),
    "ExposureGraph.total": Says(lambda g, b: g.total(g.equity.to_numpy())),
    "collateral.Backing.pass_down": Says(
        lambda g, b: collateral.Backing.from_graph(g).pass_down(b.changes()).shock, SHARE
    ),
    "collateral.Backing.effective_holdings": Says(
        lambda g, b: collateral.Backing.from_graph(g).effective_holdings(g).to_pandas(), NUMBER, PER_PRICE
    ),
    "SolvencyMonitor.runway": Says(lambda g, b: cg.SolvencyMonitor(g).runway()[["fall", "rise"]], SHARE),
    "SolvencyMonitor.runway_along": Says(
        lambda g, b: cg.SolvencyMonitor(g.assign(backing=None)).runway_along(b.changes()).move, SHARE
    ),
    "SolvencyMonitor.snapshot": Says(lambda g, b: cg.SolvencyMonitor(g).snapshot().slack),
}  # fmt: skip
CLEARING = {
    "EisenbergNoe.run": cg.EisenbergNoe(),
    "RogersVeraart.run": cg.RogersVeraart(alpha=0.7, beta=0.8),
}
STRESS = {
    "DebtRank.run": cg.DebtRank(),
    "Furfine.run": cg.Furfine(recovery=0.3),
    "ThresholdCascade.run": cg.ThresholdCascade(recovery=0.3),
    "NetworkValuation.run": cg.NetworkValuation(distress.EisenbergNoeValue()),
}
OF_NETWORKS: dict[str, Says] = {
    **{name: Says(lambda n, b, m=model: m.run(n, losses=b.losses()).nodes) for name, model in CLEARING.items()},
    **{
        name.replace("run", "equilibria"): Says(
            lambda n, b, m=model: m.equilibria(n, losses=b.losses()).least.nodes
        )
        for name, model in CLEARING.items()
    },
    **{name: Says(lambda n, b, m=model: m.run(n, losses=b.losses()).nodes) for name, model in STRESS.items()},
    "ClearingResult.flows": Says(lambda n, b: _flows(cg.EisenbergNoe().run(n, losses=b.losses()).flows()), but=PARTS),
    "single_defaults": Says(lambda n, b: cg.single_defaults(n, cg.DebtRank()), but=PARTS),
    "distress.many_shocks": Says(lambda n, b: distress.many_shocks(n, cg.DebtRank(), losses={"one": b.losses()})),
    "distress.uniform_shocks": Says(lambda n, b: distress.uniform_shocks(n, cg.DebtRank(), [0.1, 0.5])),
    "distress.stress_blocks": Says(
        lambda n, b: pd.concat(list(distress.stress_blocks(n, cg.DebtRank()))), SHARE, PARTS
    ),
    "distress.asset_volatility": Says(lambda n, b: distress.asset_volatility(n, 0.3), SHARE),
    "distress.communicability": Says(lambda n, b: distress.communicability(n), SHARE, PARTS),
    "distress.impact_diffusion": Says(lambda n, b: distress.impact_diffusion(n), SHARE, PARTS),
    "distress.impact_fluidity": Says(lambda n, b: distress.impact_fluidity(n), SHARE, PARTS),
    "distress.impact_susceptibility": Says(lambda n, b: distress.impact_susceptibility(n), SHARE, PARTS),
    "distress.spectral_radius": Says(lambda n, b: distress.spectral_radius(n), SHARE),
    "ObligationNetwork.to_frames": Says(lambda n, b: n.balance_sheets, but={}),
    "ObligationNetwork.from_networkx": Says(
        lambda n, b: cg.ObligationNetwork.from_networkx(n.to_networkx()).balance_sheets
    ),
}  # fmt: skip


def _ends(both: cg.Equilibria) -> dict[str, Any]:
    return {"least": both.least.accounts["loss"], "greatest": both.greatest.accounts["loss"]}


def _swept(swept: cg.SweepResult) -> dict[str, Any]:
    columns = ["gross_loss", "net_loss", "shortfall", "uncovered", "socialised", "fund_used"]
    return {"traders": swept.traders["expected_loss"], "scenarios": swept.scenarios[columns].to_numpy()}


def _flows(flows: Any) -> Any:
    return np.sort(flows.data) if hasattr(flows, "data") else flows


def kind(cell: Cell, unit: str) -> str:
    """Say what a cell is: an amount, a number or a share."""
    return NUMBER if NUMBERS & set(cell) else SHARE if SHARES & set(cell) else unit


DEAR = {
    *("reverse_stress", "collateral.compare_pooling", "collateral.stabilise", "tipping_point", "collateral.pooling"),
    *("ExposureGraph.from_networkx", "importance.aumann_shapley", "importance.shapley"),
}
# Public functions and methods that say nothing of a book, or are tested where they live: a name, or the start of some.
ELSEWHERE = {
    start: reason
    for reason, starts in {
        "pictures, files and texts": "plot. write_ to_latex cite read_tables",
        "no book": "rules. set_threads get_threads critical_notional importance.shapley_values "
        "TieredMargin.of_notional",
        "rules": "FullLiquidation. TargetMargin. CloseFactor. LeverageTarget. RepayAndSeize. TransferSlice.",
        "layers: test_waterfall, test_fills": "Members. GainsHaircut. ProRata. adl_policies AdlComparison. "
        "waterfall_of",
        "impacts": "LinearImpact. ExponentialImpact. FloorExponentialImpact. SquareRootImpact. ConstantProductImpact. "
        "OrderBookImpact.",
        "they make books": "generate. reconstruct.",
        "one instrument by itself: test_instruments": "pricing.",
        "margins of venues, in their currency: test_venues": "venues.",
        "draws and events": "scenarios.draw. scenarios.Executor. scenarios.FundEmpty. scenarios.TraderClosed.",
        "models": "named.breuer_summer_urosevic named.caccioli named.cont_schaanning named.huang",
        "bytes: test_proof": "collateral.verify SumTree.",
        "the bits of one process: test_parts, test_dask, test_partition": "distributed.",
        "events: test_monitor, against the graph of the same accounts": "SolvencyMonitor.",
        "other forms of what from_networkx and to_frames have": "ExposureGraph. ObligationNetwork.",
        "results: what to_frames has": "CascadeResult. ClearingResult. CommonAssetResult. DistressResult. SweepResult. "
        "collateral.BackedPrices. collateral.Plan. collateral.PoolingComparison. collateral.Stabilisation. "
        "importance.Comparison. importance.OverlapMatrix. importance.Stability. named.RegulatedBanks. "
        "named.VulnerableBanks. scenarios.ReverseStress. scenarios.TippingPoint.",
        "test_aggregate": "collateral.Backing.",
        "of one trader: test_blame, where paths add up to blame": "paths",
        "valuations: test_network_valuation": "distress.BlackCoxValue. distress.DebtRankValue. distress.MertonValue. "
        "distress.EisenbergNoeValue. distress.RecoveryMertonValue. distress.RecoveryValue. "
        "distress.RogersVeraartValue.",
    }.items()
    for start in starts.split()
}
