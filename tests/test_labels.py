"""Whatever has labels is matched by label or refused: every public argument that takes labelled data.

The values are those of the same call with the labels in the order of the graph: that order decides nothing. Arguments
are found in signatures and docstrings, so that a new one has to be added here.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import contagion_graph as cg
from contagion_graph.scenarios import draw
from contagion_graph.synthetic import reconstruct
from tests.public import CLASSES, FUNCTIONS, MADE, METHODS

TRADERS, ASSETS, NODES = ["Ann", "Bob", "Cid"], ["BTC", "ETH"], ["A", "B", "C"]
HELD = [[2.0, 1.0], [1.0, 3.0], [0.5, 1.0]]
MARKET: dict[str, Any] = {"price": [100.0, 10.0], "depth": 1e3, "margin_long": 0.1, "cash": [-150.0, -90.0, -30.0]}
GRAPH = cg.ExposureGraph.from_arrays(HELD, **MARKET, traders=TRADERS, assets=ASSETS, pool=["p", "q", "p"])
MARKET["margin_scenarios"] = {"grid": ["one", "one", "two", "two"], "move": [-0.1, 0.0, -0.5, 0.0]}
OWED = np.array([[0.0, 5.0, 1.0], [2.0, 0.0, 4.0], [3.0, 1.0, 0.0]])
NETWORK = cg.ObligationNetwork.from_arrays(OWED, external_assets=[4.0, 5.0, 6.0], nodes=NODES)
RATIO = cg.named.CapitalRatio(0.05, buffer=0.06, target=0.07)
MODEL, BACKING = cg.MarginCascade(), cg.collateral.Backing.from_graph(GRAPH)
OPPOSED = cg.ExposureGraph.from_arrays([[-2.0], [-1.0], [2.0]], price=9.0, cash=[30.0, 30.0, -20.0], traders=TRADERS)
PLAIN = cg.MarginCascade(waterfall=(cg.InsuranceFund(),))


def arrays(name: str) -> Callable[[Any], Any]:
    """Return a graph as a function of one of its vectors."""

    def call(value: Any) -> Any:
        given: dict[str, Any] = {**MARKET, "pool": ["p", "q", "p"], name: value}
        graph = cg.ExposureGraph.from_arrays(HELD, **given, traders=TRADERS, assets=ASSETS)
        if name == "account_margin":
            return graph.maintenance
        return list(graph.account_index) if name == "pool" else getattr(graph, name)

    return call


def network(name: str) -> Callable[[Any], Any]:
    """Return a network as a function of one of its vectors."""
    return lambda value: getattr(
        cg.ObligationNetwork.from_arrays(OWED, **{"external_assets": 9.0, name: value}, nodes=NODES), name
    )


def distress(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the stress as a function of a parameter of a model."""
    return lambda value: make(value).run(NETWORK, equity_shock={"A": 0.9}).stress


def valued(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the equities as a function of a parameter of a valuation."""
    return lambda value: cg.NetworkValuation(make(value)).run(NETWORK, losses={"A": 1.0}).stress


def run(name: str) -> Callable[[Any], Any]:
    """Return losses of a cascade as a function of an argument of `run`."""
    return lambda value: MODEL.run(GRAPH, **{"shock": {"BTC": -0.1}, name: value}).accounts["loss"]


def monitored(prices: Any) -> Any:
    """Return the equities after prices."""
    monitor = cg.SolvencyMonitor(GRAPH)
    monitor.prices(prices)
    return monitor.snapshot().equity


FALL, SHARES, TIE = [-0.2, -0.5], [0.1, 0.2, 0.3], {"BTC": -0.01, "ETH": -0.02}
CLOSED = GRAPH.equity * [0.0, 0.0, 0.0] + [0.2, 0.5, 1.0]
# the call, its labels, one value a label
CASES: dict[str, tuple[Callable[[Any], Any], list[Any], list[Any]]] = {
    **{
        f"ExposureGraph.from_arrays({name})": (arrays(name), ASSETS, values)
        for name, values in {
            **{"price": [100.0, 10.0], "depth": [1e3, 1e4], "sellable": [True, False]},
            **{"margin_long": [0.1, 0.2], "margin_short": [0.1, 0.2]},
        }.items()
    },
    **{f"ExposureGraph.from_arrays({name})": (arrays(name), TRADERS, [1.0, 2.0, 3.0]) for name in ("cash", "share")},
    "ExposureGraph.from_arrays(pool)": (arrays("pool"), TRADERS, ["p", "q", "p"]),
    "ExposureGraph.from_arrays(account_margin)": (arrays("account_margin"), TRADERS, ["one", "", "two"]),
    "ExposureGraph.from_arrays(asset_group)": (arrays("asset_group"), ASSETS, ["one", "two"]),
    "ExposureGraph.from_arrays(insurance_fund)": (arrays("insurance_fund"), ["p", "q"], [1.0, 2.0]),
    "ExposureGraph.assign(**vectors)": (lambda value: GRAPH.assign(cash=value).cash, TRADERS, [1.0, 2.0, 3.0]),
    **{
        f"ObligationNetwork.from_arrays({name})": (network(name), NODES, [1.0, 2.0, 3.0])
        for name in ("external_assets", "external_liabilities")
    },
    "ObligationNetwork.per_node(value)": (lambda value: NETWORK.per_node("x", value), NODES, [1.0, 2.0, 3.0]),
    "MarginCascade.run(shock)": (run("shock"), ASSETS, FALL),
    "MarginCascade.run(losses)": (run("losses"), TRADERS, [30.0, 20.0, 10.0]),
    "MarginCascade.equilibrium_near(shock)": (
        lambda value: MODEL.equilibrium_near(GRAPH, value, closed=[0.0, 0.0, 0.0]).accounts["loss"],
        ASSETS,
        [-0.01, -0.02],
    ),
    "MarginCascade.equilibrium_near(closed)": (
        lambda value: PLAIN.equilibrium_near(GRAPH, {"BTC": -0.5}, closed=value).accounts["loss"],
        list(GRAPH.account_index),
        [1.0, 1.0, 1.0],
    ),
    "spectral_radius(shock)": (
        lambda value: cg.spectral_radius(GRAPH, PLAIN, value, closed=[0.1, 0.1, 0.1]),
        ASSETS,
        FALL,
    ),
    "spectral_radius(closed)": (
        lambda value: cg.spectral_radius(GRAPH, PLAIN, closed=value),
        list(GRAPH.account_index),
        [0.1, 0.2, 0.3],
    ),
    "CommonAssetClearing.run(shock)": (
        lambda value: cg.CommonAssetClearing().run(GRAPH, value).clearing.assets,
        ASSETS,
        FALL,
    ),
    "CommonAssetClearing.run(losses)": (
        lambda value: cg.CommonAssetClearing().run(GRAPH, losses=value).clearing.assets,
        TRADERS,
        [3.0, 2.0, 1.0],
    ),
    **{
        f"{model}.run(losses)": (
            lambda value, model=model: getattr(cg, model)().run(NETWORK, losses=value).loss,
            NODES,
            [1.0, 2.0, 3.0],
        )
        for model in ("EisenbergNoe",)
    },
    "RogersVeraart.run(losses)": (
        lambda value: cg.RogersVeraart(alpha=0.5, beta=0.5).run(NETWORK, losses=value).loss,
        NODES,
        [1.0, 2.0, 3.0],
    ),
    **{
        f"{type(model).__name__}.run({name})": (
            lambda value, model=model, name=name: model.run(NETWORK, **{name: value}).stress,
            NODES,
            SHARES,
        )
        for model in (
            cg.DebtRank(),
            cg.Furfine(),
            cg.ThresholdCascade(),
            cg.NetworkValuation(cg.distress.RecoveryValue()),
        )
        for name in ("equity_shock", "losses")
    },
    "Furfine(recovery)": (distress(lambda value: cg.Furfine(recovery=value)), NODES, SHARES),
    "ThresholdCascade(recovery)": (distress(lambda value: cg.ThresholdCascade(recovery=value)), NODES, SHARES),
    "ThresholdCascade(threshold)": (distress(lambda value: cg.ThresholdCascade(threshold=value)), NODES, SHARES),
    "distress.RecoveryValue(recovery)": (
        valued(lambda value: cg.distress.RecoveryValue(recovery=value)),
        NODES,
        SHARES,
    ),
    **{
        f"distress.{name}(recovery)": (
            valued(lambda value, name=name: getattr(cg.distress, name)(0.3, recovery=value)),
            NODES,
            SHARES,
        )
        for name in ("MertonValue", "BlackCoxValue", "RecoveryMertonValue")
    },
    "distress.MertonValue(volatility)": (valued(cg.distress.MertonValue), NODES, SHARES),
    "distress.asset_volatility(equity_volatility)": (
        lambda value: cg.distress.asset_volatility(NETWORK, value),
        NODES,
        SHARES,
    ),
    "single_defaults(weights)": (
        lambda value: cg.single_defaults(NETWORK, cg.DebtRank(), weights=value),
        NODES,
        [1.0, 2.0, 3.0],
    ),
    **{
        f"distress.many_shocks({name})": (
            lambda value, name=name: cg.distress.many_shocks(NETWORK, cg.DebtRank(), **{name: {"one": value}}),
            NODES,
            SHARES,
        )
        for name in ("equity_shocks", "losses")
    },
    "named.farmer(shock)": (
        lambda value: cg.named.farmer(GRAPH.assign(cash=-50.0), RATIO, value).assets,
        ASSETS,
        FALL,
    ),
    "named.farmer(repayable)": (
        lambda value: cg.named.farmer(GRAPH.assign(cash=-50.0), RATIO, TIE, repayable=value).assets,
        TRADERS,
        SHARES,
    ),
    "named.greenwood_landier_thesmar(shock)": (
        lambda value: cg.named.greenwood_landier_thesmar(GRAPH, value).direct,
        ASSETS,
        [-0.02, -0.01],
    ),
    "named.greenwood_landier_thesmar(leverage)": (
        lambda value: cg.named.greenwood_landier_thesmar(GRAPH, TIE, leverage=value).asset_sales,
        TRADERS,
        [1.0, 2.0, 3.0],
    ),
    "importance.debtrank(shock)": (lambda value: cg.importance.debtrank(GRAPH, value), ASSETS, [-0.02, -0.01]),
    "importance.debtrank(equity_shock)": (
        lambda value: cg.importance.debtrank(GRAPH, equity_shock=value),
        TRADERS,
        SHARES,
    ),
    "importance.debtrank(slope)": (
        lambda value: cg.importance.debtrank(GRAPH, TIE, slope=value),
        TRADERS,
        SHARES,
    ),
    "importance.knockout(shock)": (lambda value: cg.importance.knockout(GRAPH, MODEL, value), ASSETS, FALL),
    "importance.shapley(shock)": (
        lambda value: cg.importance.shapley(GRAPH, MODEL, value, n_permutations=2, rng=0).values,
        ASSETS,
        FALL,
    ),
    "marginal_exposure(shock)": (
        lambda value: cg.marginal_exposure(GRAPH, PLAIN, value).to_pandas(),
        ASSETS,
        [-0.02, -0.01],
    ),
    "look_through(shock)": (
        lambda value: cg.look_through(GRAPH, PLAIN, value).effective.to_pandas(),
        ASSETS,
        [-0.02, -0.01],
    ),
    "exposure_to_traders(shock)": (
        lambda value: cg.exposure_to_traders(GRAPH, PLAIN, value),
        ASSETS,
        [-0.02, -0.01],
    ),
    "collateral.deleverage(cost)": (
        lambda value: cg.collateral.deleverage(GRAPH.assign(cash=[-205.0, -125.0, -58.0]), cost=value).table,
        ASSETS,
        [0.01, 0.02],
    ),
    "collateral.deleverage(lots)": (
        lambda value: cg.collateral.deleverage(GRAPH.assign(cash=[-195.0, -121.0, -55.0]), lots=value).table,
        ASSETS,
        [0.01, 0.02],
    ),
    "collateral.haircuts(volatility)": (
        lambda value: cg.collateral.haircuts(GRAPH, volatility=value, delay=0.1),
        ASSETS,
        [0.5, 0.9],
    ),
    "collateral.stabilise(shock)": (
        lambda value: cg.collateral.stabilise(GRAPH.assign(cash=[-150.0, -90.0, -30.0]), PLAIN, value).summary(),
        ASSETS,
        [-0.01, -0.02],
    ),
    "collateral.Backing.pass_down(shock)": (lambda value: BACKING.pass_down(value).shock, ASSETS, FALL),
    "collateral.Backing.with_share(holdings)": (
        lambda value: BACKING.with_share("BTC", value, supply=1.0).units.toarray(),
        ASSETS,
        [0.0, 10.0],
    ),
    "SolvencyMonitor.prices(prices)": (monitored, ASSETS, [90.0, 9.0]),
    "SolvencyMonitor.runway_along(direction)": (
        lambda value: cg.SolvencyMonitor(GRAPH).runway_along(value).move,
        ASSETS,
        FALL,
    ),
    "SolvencyMonitor.fund_runway(direction)": (
        lambda value: cg.SolvencyMonitor(GRAPH).fund_runway(MODEL, value),
        ASSETS,
        FALL,
    ),
    "adl_policies(shock)": (
        lambda value: cg.adl_policies(GRAPH, PLAIN, value, policies=["profit"]).policies["shortfall"],
        ASSETS,
        [-0.9, -0.8],
    ),
    "tipping_point(direction)": (
        lambda value: cg.tipping_point(GRAPH, PLAIN, value, event=cg.scenarios.ShareClosed(0.5)).size,
        ASSETS,
        FALL,
    ),
    "scenarios.draw.conditional(given)": (
        lambda value: draw.conditional(COVARIANCE, value, 3, rng=0),
        ASSETS,
        FALL,
    ),
    "scenarios.draw.factor(specific)": (
        lambda value: draw.factor(LOADINGS, FACTORS, value, 3, rng=0),
        [*ASSETS, "SOL"],
        [0.1, 0.2, 0.3],
    ),
    **{
        f"reconstruct.maximum_entropy({name})": (
            lambda value, name=name: reconstruct.maximum_entropy(
                **{"row_sums": pd.Series([2.0, 2.0, 2.0], NODES), "column_sums": pd.Series([2.0, 2.0, 2.0], NODES)}
                | {name: value}
            ).loc[NODES, NODES],
            NODES,
            [1.0, 2.0, 3.0],
        )
        for name in ("row_sums", "column_sums")
    },
    "Purse(amount)": (
        lambda value: (
            cg.MarginCascade(waterfall=(cg.Purse("capital", amount=value),)).run(GRAPH).layers["capacity"].to_numpy()
        ),
        ["p", "q"],
        [3.0, 4.0],
    ),
    "Deleverage(rank)": (
        lambda value: (
            cg.MarginCascade(waterfall=(cg.Deleverage(value),))
            .run(OPPOSED, defaults=["Cid"])
            .fills["counterparty"]
            .tolist()
        ),
        TRADERS,
        [2.0, 1.0, 3.0],
    ),
    "SquareRootImpact(coefficient)": (
        lambda value: (
            cg.MarginCascade(impact=cg.SquareRootImpact(value)).run(GRAPH, {"BTC": -0.5}).assets["price_after"]
        ),
        ASSETS,
        [0.1, 0.2],
    ),
    "named.breuer_summer_urosevic(coefficient)": (
        lambda value: (
            cg.named.breuer_summer_urosevic(9.0, coefficient=value).run(GRAPH, {"BTC": -0.5}).assets["price_after"]
        ),
        ASSETS,
        [0.1, 0.2],
    ),
    "OrderBookImpact(levels)": (
        lambda value: (
            cg.MarginCascade(impact=cg.OrderBookImpact(value)).run(GRAPH, {"BTC": -0.5}).assets["price_after"]
        ),
        ASSETS,
        [[(0.1, 0.9)], [(0.1, 0.8)]],
    ),
    "named.CapitalRatio(weights)": (
        lambda value: (
            cg.named.farmer(
                GRAPH.assign(cash=-50.0), cg.named.CapitalRatio(0.05, buffer=0.06, target=0.07, weights=value), TIE
            ).assets
        ),
        ASSETS,
        [0.5, 1.0],
    ),
}
COVARIANCE = pd.DataFrame(
    [[0.04, 0.01, 0.0], [0.01, 0.09, 0.02], [0.0, 0.02, 0.05]], [*ASSETS, "SOL"], [*ASSETS, "SOL"]
)
LOADINGS = pd.DataFrame({"market": [1.0, 1.5, 2.0], "metal": [0.0, 0.2, 0.1]}, index=[*ASSETS, "SOL"])
FACTORS = pd.DataFrame([[0.01, 0.0], [0.0, 0.02]], index=["market", "metal"], columns=["market", "metal"])
# the call, a frame whose columns (and rows) are labels
FRAMES: dict[str, tuple[Callable[[Any], Any], pd.DataFrame]] = {
    "ExposureGraph.from_arrays(quantity)": (
        lambda frame: cg.ExposureGraph.from_arrays(frame, **MARKET, traders=TRADERS, assets=ASSETS).quantity.toarray(),
        pd.DataFrame(HELD, TRADERS, ASSETS),
    ),
    **{
        f"ObligationNetwork.from_arrays({name})": (
            lambda frame, name=name: (
                cg.ObligationNetwork.from_arrays(
                    **{"obligations": OWED} | {name: [frame] if name == "junior" else frame},
                    external_assets=5.0,
                    nodes=NODES,
                )
                .balance_sheets.assign(held=0.0)
                .to_numpy()
            ),
            pd.DataFrame(OWED, NODES, NODES),
        )
        for name in ("obligations", "junior")
    },
    "ObligationNetwork.from_arrays(equity_holdings)": (
        lambda frame: cg.ObligationNetwork.from_arrays(
            OWED, external_assets=5.0, nodes=NODES, equity_holdings=frame
        ).equity_holdings.toarray(),  # type: ignore[union-attr]
        pd.DataFrame(OWED / 10.0, NODES, NODES),
    ),
    "reconstruct.maximum_entropy(forbidden)": (
        lambda frame: reconstruct.maximum_entropy(
            pd.Series([2.0, 3.0, 4.0], NODES), pd.Series([4.0, 3.0, 2.0], NODES), forbidden=frame
        ),
        pd.DataFrame(OWED == 5.0, NODES, NODES),
    ),
    "scenarios.draw.factor(loadings)": (
        lambda frame: draw.factor(frame, FACTORS, {"BTC": 0.0, "ETH": 0.0, "SOL": 0.0}, 3, rng=0)[[*ASSETS, "SOL"]],
        LOADINGS,
    ),
    "sweep(scenarios)": (
        lambda frame: cg.sweep(GRAPH, MODEL, frame.set_axis([0, 1], axis=0)).scenarios,
        pd.DataFrame([FALL, [-0.1, 0.0]], ["one", "two"], ASSETS),
    ),
}
# the call, of a square frame: its rows may stand in another order than its columns
SQUARES: dict[str, Callable[[Any], Any]] = {
    "scenarios.draw.gaussian(covariance)": lambda frame: draw.gaussian(frame, 3, rng=0),
    "scenarios.draw.student_t(covariance)": lambda frame: draw.student_t(frame, 3, rng=0),
    "scenarios.draw.conditional(covariance)": lambda frame: draw.conditional(frame, {"BTC": -0.1}, 3, rng=0),
    "scenarios.draw.factor(factor_covariance)": lambda frame: draw.factor(
        COVARIANCE.rename(columns={"SOL": "market"})[["market"]].assign(BTC=1.0, ETH=0.5, SOL=0.1)[[*ASSETS, "SOL"]],
        frame,
        {"BTC": 0.0, "ETH": 0.0, "SOL": 0.0},
        3,
        rng=0,
    ),
    "reverse_stress(covariance)": lambda frame: (
        cg.reverse_stress(
            GRAPH,
            PLAIN,
            frame.drop(index="SOL", columns="SOL"),
            event=cg.scenarios.ShareClosed(0.5),
            n_points=1,
            n_directions=0,
            rng=0,
        ).shock
    ),
}
# the call, and labels without values: one alone, several
LISTS: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "subset(traders)": (lambda given: GRAPH.subset(traders=given).equity, ["Ann", "Cid"]),
    "run(defaults)": (lambda given: MODEL.run(GRAPH, defaults=given).accounts["loss"], ["Ann", "Cid"]),
    "knockout(traders)": (
        lambda given: cg.importance.knockout(GRAPH, MODEL, TIE, traders=given).sort_index(), ["Ann", "Cid"]
    ),
    "debtrank_impact(traders)": (
        lambda given: cg.importance.debtrank_impact(GRAPH, traders=given).sort_index(), ["Ann", "Cid"]
    ),
    "indirect_exposure(assets)": (
        lambda given: cg.indirect_exposure(GRAPH, MODEL, -0.3, assets=given).to_pandas().sort_index(axis=1), ASSETS
    ),
    "indirect_exposure(traders)": (
        lambda given: cg.indirect_exposure(GRAPH, MODEL, -0.3, traders=given).to_pandas().sort_index(), ["Ann", "Cid"]
    ),
    "ladder(assets)": (
        lambda given: cg.scenarios.ladder(GRAPH, MODEL, [-0.3], assets=given).sort_index(axis=1), ASSETS
    ),
    "single_defaults(nodes)": (
        lambda given: cg.single_defaults(NETWORK, cg.DebtRank(), nodes=given).sort_index(), ["A", "C"]
    ),
    "communicability(nodes)": (lambda given: cg.distress.communicability(NETWORK, given).sort_index(), ["A", "C"]),
}  # fmt: skip
OTHERS = {  # arguments that take no data by label of a graph, or refuse another order (tested where they live)
    **dict.fromkeys(("plot.exposure(matrix)", "plot.exposure_curve(table)", "plot.tipping(equilibria)"), "a result"),
    **dict.fromkeys(("plot.loss_distribution(losses)", "to_latex(table)", "importance.compare(measures)"), "a result"),
    **dict.fromkeys(
        ("write_gexf(size)", "write_graphml(size)", "write_gephi_csv(size)"), "a measure, test_gexf_options"
    ),
    **dict.fromkeys((f"ScenarioMargin({name})" for name in ("move", "vol_factor", "weight")), "no labels"),
    **dict.fromkeys(("ScenarioMargin(arrays)", "TieredMargin(tiers)"), "names the assets, test_margins"),
    "TieredMargin.of_notional(notional)": "no labels",
    **dict.fromkeys(
        (f"ExposureGraph.{name}(payoffs)" for name in ("assign", "from_arrays", "from_tables")),
        "names the assets, test_instruments",
    ),
    **dict.fromkeys(
        (
            f"pricing.EuropeanOption.{name}({each})"
            for name in ("price", "delta", "gamma", "vega", "theta", "implied_vol")
            for each in ("u", "vol", "value")
        ),
        "no labels",
    ),
    **dict.fromkeys(("pricing.inverse_perpetual(contracts)", "pricing.inverse_perpetual(entry)"), "no labels"),
    "venues.dydx(liquidity_tiers)": "names the assets",
    "adl_policies(policies)": "names the policies",
    **dict.fromkeys(("write_report(facts)", "to_latex(units)", "cite(*used)"), "no labels"),
    **dict.fromkeys(
        ("critical_notional(depth)", "critical_notional(margin)", "critical_notional(penalty)"), "no graph"
    ),
    **dict.fromkeys(("scenarios.draw.covariance(prices)", "scenarios.draw.historical(prices)"), "names the assets"),
    **dict.fromkeys(("scenarios.draw.grid(changes)", "scenarios.draw.together(*frames)"), "names the assets"),
    **dict.fromkeys(
        (f"scenarios.draw.joint_failure({name})" for name in ("failures", "probability")), "names failures"
    ),
    **dict.fromkeys((f"ExposureGraph.from_arrays({name})" for name in ("traders", "assets")), "labels"),
    **dict.fromkeys(("ObligationNetwork.from_arrays(nodes)", "rules.read_by_asset(value)"), "labels"),
    "collateral.haircuts(delay)": "by chain: a label of a column",
    "collateral.compare_pooling(scenarios)": "as sweep",
    **dict.fromkeys(("distributed.partition(tables)", "SumTree.from_graph(previous)"), "names of tables"),
}
LABELLED = re.compile(r"mapping|series|dataframe|matri|array_like", re.IGNORECASE)


def arguments() -> list[str]:
    """Return the public arguments whose documented type can have labels."""
    found = []
    for name, thing in {**FUNCTIONS, **METHODS, **CLASSES}.items():
        if name in MADE:
            continue
        document = ClassDoc(thing) if inspect.isclass(thing) else FunctionDoc(thing)
        for parameter in document["Parameters"]:
            if LABELLED.search(parameter.type):
                found += [f"{name}({each.strip()})" for each in parameter.name.split(",")]
    return found


def same(one: Any, other: Any) -> None:
    """Compare what a call returns."""
    if isinstance(one, list):
        assert one == other
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
    else:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_every_argument_that_can_have_labels_is_listed():
    assert sorted(set(arguments()) - {*CASES, *FRAMES, *SQUARES, *OTHERS}) == []
    assert SQUARES.keys() <= set(arguments())


@pytest.mark.parametrize("name", CASES)
def test_the_order_of_labels_decides_nothing(name: str):
    call, labels, values = CASES[name]
    plain = call(dict(zip(labels, values, strict=True)))
    index = pd.MultiIndex.from_tuples(labels) if isinstance(labels[0], tuple) else pd.Index(labels)
    series = pd.Series(values, index)
    for permuted in (dict(zip(labels[::-1], values[::-1], strict=True)), series, series[::-1]):
        same(call(permuted), plain)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("label", ["Z", None, float("nan"), True])
def test_a_foreign_label_or_what_is_none_is_refused_by_name(name: str, label: Any):
    call, labels, values = CASES[name]
    with pytest.raises(cg.ContagionError) as caught:
        call(pd.Series([*values, values[0]], pd.Index([*labels, label], dtype=object)))
    assert str(label) in str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_a_label_that_repeats_is_refused_by_name(name: str):
    call, labels, values = CASES[name]
    with pytest.raises(cg.ContagionError) as caught:
        call(pd.Series([*values, values[0]], pd.Index([*labels, labels[0]])))
    assert str(labels[0] if isinstance(labels[0], str) else labels[0][0]) in str(caught.value)


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_matched_by_label(name: str):
    call, frame = FRAMES[name]
    same(call(frame.iloc[:, ::-1]), call(frame))
    if list(frame.index) in (TRADERS, NODES):
        same(call(frame.iloc[::-1]), call(frame))
        same(call(frame.iloc[::-1, ::-1]), call(frame))


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("label", ["Z", None, True, "repeated"])
def test_frames_with_other_columns_are_refused_by_name(name: str, label: Any):
    call, frame = FRAMES[name]
    other = frame.columns[1] if label == "repeated" else label
    with pytest.raises(cg.ContagionError) as caught:
        call(frame.set_axis(pd.Index([other, *frame.columns[1:]], dtype=object), axis=1))
    assert str(other) in str(caught.value)
    if list(frame.index) in (TRADERS, NODES):
        other = frame.index[1] if label == "repeated" else label
        with pytest.raises(cg.ContagionError) as caught:
            call(frame.set_axis(pd.Index([other, *frame.index[1:]], dtype=object), axis=0))
        assert str(other) in str(caught.value)


def test_a_frame_gives_its_labels_where_no_others_are_given():
    """BTC at 1,000 and ETH at 100, 1 and 2 units: 1,200; read by position it was 2,100."""
    frame = pd.DataFrame([[1.0, 2.0]], columns=["BTC", "ETH"], index=["Ann"])
    given = cg.ExposureGraph.from_arrays(frame, price={"ETH": 100.0, "BTC": 1000.0})
    assert (given.assets.tolist(), given.traders.tolist(), given.equity.tolist()) == (["BTC", "ETH"], ["Ann"], [1200.0])
    other = cg.ExposureGraph.from_arrays(frame, price=[100.0, 1000.0], assets=["ETH", "BTC"])
    assert other.equity.tolist() == [1200.0]
    owed = pd.DataFrame([[5.0, 0.0], [0.0, 1.0]], index=["a", "b"], columns=["b", "a"])  # a owes b 5, b owes a 1
    network = cg.ObligationNetwork.from_arrays(owed, external_assets=10.0)
    assert dict(zip(network.nodes, network.claims, strict=True)) == {"a": 1.0, "b": 5.0}


def test_a_frame_that_is_only_numbered_has_no_labels():
    graph = cg.ExposureGraph.from_arrays(pd.DataFrame([[1.0, 2.0]]), price=1.0, assets=["ETH", "BTC"])
    assert graph.quantity.toarray().tolist() == [[1.0, 2.0]]


def test_a_label_as_number_and_as_text_is_refused():
    with pytest.raises(cg.TableError, match="a label as number and as text"):
        cg.ExposureGraph.from_arrays([[1.0], [2.0]], price=1.0, traders=[1, "1"])
    with pytest.raises(cg.ContagionError, match="1 and '1'"):
        cg.MarginCascade().run(cg.ExposureGraph.from_arrays([[1.0, 1.0]], price=1.0), {0: -0.1, "1": -0.1, 1: -0.2})


@pytest.mark.parametrize("name", SQUARES)
def test_rows_of_a_square_frame_are_matched_to_its_columns(name: str):
    """Another order of the columns is another order of the assets, and of what is drawn; that of the rows is none."""
    call = SQUARES[name]
    same(call(COVARIANCE.iloc[::-1]), call(COVARIANCE))
    same(call(COVARIANCE.iloc[[1, 2, 0]]), call(COVARIANCE))


@pytest.mark.parametrize("name", SQUARES)
@pytest.mark.parametrize("label", ["Z", "ETH"])
def test_rows_that_are_no_columns_are_refused_by_name(name: str, label: str):
    call = SQUARES[name]
    with pytest.raises(cg.ContagionError, match=label):
        call(COVARIANCE.set_axis([label, "ETH", "SOL"], axis=0))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_labels_in_any_order_and_container(name: str):
    call, labels = LISTS[name]
    plain = call(labels)
    for given in (labels[::-1], tuple(labels), np.array(labels), pd.Index(labels), pd.Series(labels), iter(labels)):
        same(call(given), plain)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("label", ["Zed", None, float("nan"), True])
def test_a_label_of_a_list_that_is_none_is_refused_by_name(name: str, label: Any):
    call, labels = LISTS[name]
    with pytest.raises(cg.ContagionError) as caught:
        call([*labels, label])
    assert str(label) in str(caught.value)


@pytest.mark.parametrize("name", ["pagerank", "birank", "cohits"])
def test_a_prior_is_matched_by_label(name: str):
    """A pair, of traders and of assets."""
    measure = getattr(cg.importance, name)
    weights = dict(zip(TRADERS, [1.0, 2.0, 3.0], strict=True))
    sides = dict(zip(ASSETS, [1.0, 4.0], strict=True))
    plain = measure(GRAPH, prior=(weights, sides))
    back = {label: weights[label] for label in reversed(TRADERS)}
    for given in (back, pd.Series(back)):
        same(measure(GRAPH, prior=(given, pd.Series(sides)[::-1])), plain)
    for label in ("Zed", None, True):
        with pytest.raises(cg.ContagionError, match=str(label)):
            measure(GRAPH, prior=({**weights, label: 1.0}, None))
    with pytest.raises(cg.ContagionError, match="Ann"):
        measure(GRAPH, prior=(pd.Series([1.0, 2.0], ["Ann", "Ann"]), None))
