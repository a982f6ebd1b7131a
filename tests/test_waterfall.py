"""Who pays what accounts leave unpaid: layers of a waterfall, their sizes, and what is always true of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from tests.markets import graph_of, model_of
from tests.reference.random_markets import Case, random_case
from tests.shared_data import case as reference

OWN, FUND = cg.OwnContribution(), cg.InsuranceFund()


def one_default(loss: float, members: dict[str, float], **contributions: float) -> cg.ExposureGraph:
    """Build a pool in which D, in default, is left with -loss after a fall of half; the others hold cash and gains.

    `members` maps who gains from the fall to how much; None of them owns what falls.
    """
    names = ["D", *members]
    positions = {
        "trader": names,
        "asset": ["X"] * len(names),
        "quantity": [2.0 * loss, *(-2.0 * gain for gain in members.values())],
    }
    cash = [-2.0 * loss, *(2.0 * gain + 1e6 for gain in members.values())]
    accounts = {"trader": names, "cash": cash}
    for name, own in (
        ("initial_margin", contributions.get("im", 0.0)),
        ("fund_contribution", contributions.get("df", 0.0)),
    ):
        share = contributions.get("members_df", 0.0) if name == "fund_contribution" else 0.0
        accounts[name] = [own, *([share] * len(members))]
    return cg.ExposureGraph.from_tables(positions, {"asset": ["X"], "price": [1.0]}, accounts=accounts)


def used_of(result: cg.CascadeResult) -> list[float]:
    return [float(amount) for amount in result.layers["used"]]


def test_the_layers_of_a_teaching_case():
    """Each layer pays up to its capacity, in order."""
    case = reference("ccp_waterfall_teaching")
    (_, im), (_, df), (_, capital), (_, fund) = case["inputs"]["layers"]
    graph = one_default(case["inputs"]["loss"], {"A": 0.0, "B": 0.0}, im=im, df=df, members_df=fund / 2.0)
    waterfall = (OWN, FUND, cg.Purse("skin_in_the_game", amount=capital), cg.Members("fund_contribution"))
    result = cg.MarginCascade(waterfall=waterfall).run(graph, {"X": -0.5}, defaults=["D"])
    used = case["expected"]["used"]
    assert used_of(result) == pytest.approx([used[0] + used[1], 0.0, used[2], used[3]], abs=case["tolerance"])
    assert result.pools["uncovered"].sum() == case["expected"]["remaining"]
    assert result.layers["capacity"].tolist() == [im + df + fund, 0.0, capital, df + fund]  # of all accounts


def test_the_default_at_nasdaq_clearing_in_2018():
    """Capital of 7 million, then 107 of 166 million of the members' fund."""
    case = reference("nasdaq_clearing_2018_waterfall")
    (_, capital), (_, fund) = case["inputs"]["layers"]
    graph = one_default(case["inputs"]["loss_beyond_defaulter_resources"], {"A": 0.0, "B": 0.0}, members_df=fund / 2.0)
    model = cg.MarginCascade(waterfall=(cg.Purse("skin_in_the_game_junior", amount=capital), cg.Members()))
    result = model.run(graph, {"X": -0.5}, defaults=["D"])
    assert used_of(result) == pytest.approx([each[1] for each in case["expected"]["use"]], abs=case["tolerance"])
    members = result.layers.xs("members", level="layer")
    assert (members["used"] / members["capacity"]).item() == pytest.approx(case["expected"]["default_fund_fraction"])
    assert result.traders["socialised"].tolist() == pytest.approx([0.0, 53.5, 53.5])


def test_gains_are_cut_in_one_ratio():
    """After own means, capital and the fund, members give up 19 / 70 of their gains of 40, 25 and 5."""
    case = reference("ccp_waterfall_vmgh_cover2")
    given, expected = case["inputs"], case["expected"]
    gains = {name: gain for name, gain in zip("ABCE", given["vm"], strict=True) if gain > 0.0}
    graph = one_default(-given["vm"][given["defaulter"]], gains, im=given["im"], df=given["own_df"], members_df=10.0)
    (_, capital), (_, fund) = given["layers"]
    waterfall = (OWN, cg.Purse("sitg", amount=capital), cg.Members(cap=fund / 30.0), cg.GainsHaircut())
    result = cg.MarginCascade(waterfall=waterfall).run(graph, {"X": -0.5}, defaults=["D"])
    residual = expected["residual"]
    assert used_of(result) == pytest.approx([15.0, *(each[1] for each in expected["use"]), residual], abs=1e-9)
    paid = result.traders["socialised"].to_numpy()[1:] - 10.0
    kept = np.array([*gains.values()]) - paid
    assert kept == pytest.approx([each for each in expected["vm_paid"] if each > 0.0], abs=1e-9)
    assert residual / sum(gains.values()) == pytest.approx(expected["vmgh_haircut"], abs=case["tolerance"])


def layered(case: Case, seed: int) -> tuple[cg.ExposureGraph, cg.MarginCascade, dict[str, object]]:
    """Return a random market with own contributions, and a model with up to six layers."""
    rng = np.random.default_rng([seed, 5])
    graph = graph_of(case.market)
    n, size = len(graph.cash), float(graph.gross_value.mean())
    accounts = {
        name: np.where(rng.random(n) < 0.6, rng.exponential(0.05 * size, n), 0.0)
        for name in ("initial_margin", "fund_contribution")
    }
    frames = graph.to_frames()
    frames["accounts"] = frames["accounts"].assign(**accounts)
    graph = cg.ExposureGraph.from_tables(**frames)
    layers = [FUND, cg.Purse("capital", amount=0.01 * size), cg.Members(cap=rng.uniform(0.1, 1.0)),
              cg.Members(name="assessments"), cg.GainsHaircut(), cg.ProRata("equity")]  # fmt: skip
    rest = [layer for layer in layers[:-1] if rng.random() < 0.7]
    rng.shuffle(rest)
    waterfall = (OWN, *rest, *layers[-1:]) if rng.random() < 0.7 else (*rest,)
    scenario = {
        "losses": {f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
        "defaults": [f"t{k}" for k in np.flatnonzero(case.defaults)],
    }
    model = replace(model_of(case.rules), waterfall=waterfall)
    return graph, model, {"shock": dict(zip(graph.assets, case.shock, strict=True)), **scenario}


def test_what_is_always_true_of_a_waterfall():
    """Accounts, pools and layers add up; a layer pays only when the ones before it are empty, or nobody can pay."""
    reached = dict.fromkeys(("own", "fund", "purse", "members"), 0)
    for seed in range(400):
        case = random_case(seed)
        graph, model, scenario = layered(case, seed)
        result = model.run(graph, **scenario)
        accounts, pools, layers, size = result.accounts, result.pools, result.layers, float(graph.gross_value.sum())
        parts = accounts["direct"] + accounts["impact"] + accounts["penalty"] + accounts["socialised"]
        np.testing.assert_allclose(accounts["loss"], parts - accounts["shortfall"], atol=1e-9 * size)
        used = layers["used"].unstack("layer")
        covered = used.sum(axis=1).reindex(pools.index).fillna(0.0) if used.size else 0.0
        np.testing.assert_allclose(pools["shortfall"], covered + pools["uncovered"], atol=1e-9 * size)
        names = [layer.name for layer in model.members]
        members = used[names].sum(axis=1).sum() if names else 0.0
        assert accounts["socialised"].sum() == pytest.approx(members, abs=1e-9 * size)
        if "own_used" in accounts:
            own = accounts.groupby(level="pool", sort=False)["own_used"].sum()
            np.testing.assert_allclose(own, used["own_contribution"].reindex(own.index), atol=1e-9 * size)
            assert (accounts["own_used"] <= accounts["shortfall"] * (1 + 1e-12)).all()
        assert (layers["used"] <= layers["capacity"] + 1e-9 * size).all()
        for layer in model.waterfall:
            reached[layer.kind] += bool(used[layer.name].sum() > 0.0)
        not_lost = used.sum(axis=None) - members + pools["uncovered"].sum() if used.size else pools["uncovered"].sum()
        total = accounts[["direct", "impact", "penalty"]].sum(axis=None)
        assert accounts["loss"].sum() + not_lost == pytest.approx(total, abs=1e-9 * size)
    assert min(reached.values()) > 60, reached


def test_members_without_a_cap_of_two_layers_are_one():
    """Two layers of members with the same weights, the first with a cap, take what one without a cap takes."""
    compared = 0
    for seed in range(150):
        case = random_case(seed)
        graph, scenario = layered(case, seed)[::2]
        one = replace(model_of(case.rules), waterfall=(FUND, cg.ProRata("open_interest")))
        two = replace(one, waterfall=(FUND, cg.Members("open_interest", cap=1e-3), cg.ProRata("open_interest")))
        first, second = one.run(graph, **scenario), two.run(graph, **scenario)
        if any(trade.capped.size for trade in first.arrays.trades):
            continue  # a member that has paid all it has in one layer pays no more in it, but in the next
        compared += bool(second.layers.xs("pro_rata", level="layer")["used"].sum() > 0.0)
        np.testing.assert_allclose(first.accounts, second.accounts, rtol=1e-9, atol=1e-9 * graph.gross_value.sum())
    assert compared > 10


def test_full_revaluation_has_the_same_bits():
    for seed in range(100):
        graph, model, scenario = layered(random_case(seed), seed)
        some, all_ = model.run(graph, **scenario), model.run(graph, **scenario, revaluation="full")
        assert some.accounts.equals(all_.accounts)
        assert some.layers.equals(all_.layers)


def test_a_sweep_takes_any_waterfall():
    """Its figures are those of the runs one by one."""
    graph = contributing()
    model = cg.MarginCascade(waterfall=(OWN, FUND, cg.Members(), cg.GainsHaircut(), cg.ProRata()))
    shocks = pd.DataFrame(np.outer([-0.05, -0.15, -0.3], np.ones(5)), columns=graph.assets)
    table = cg.sweep(graph, model, shocks, level=0.5).scenarios
    for row, shock in zip(table.itertuples(), shocks.to_dict("records"), strict=True):
        result = model.run(graph, dict(shock)).summary()
        for name in ("gross_loss", "net_loss", "shortfall", "fund_used", "socialised", "uncovered"):
            assert getattr(row, name) == pytest.approx(result[name], rel=1e-9), name


def test_blame_adds_up_under_any_waterfall():
    """What members pay in every layer is caused by those that left it to them."""
    for seed in range(40):
        graph, model, scenario = layered(random_case(seed), seed)
        result = model.run(graph, **scenario)
        total = cg.blame(result, by="trader")["total"].sum()
        assert total == pytest.approx(result.accounts["indirect"].sum(), abs=1e-9 * graph.gross_value.sum())


def contributing(n: int = 400) -> cg.ExposureGraph:
    """Build a venue whose accounts have put something into a default fund."""
    frames = cg.generate.perpetuals(n, 5, rng=3).to_frames()
    frames["accounts"] = frames["accounts"].assign(fund_contribution=np.linspace(0.0, 50.0, len(frames["accounts"])))
    return cg.ExposureGraph.from_tables(**frames)


def test_covers_and_the_layer_reached():
    """What the one and the two traders leave to others that leave most, and who pays last, against single runs."""
    graph = contributing()
    model = cg.MarginCascade(waterfall=(OWN, cg.Purse("capital", amount=50.0), FUND, cg.Members(cap=2.0)))
    falls = [0.0, -0.05, -0.12, -0.2, -0.3, -0.5]
    shocks = pd.DataFrame(np.outer(falls, np.ones(5)), columns=graph.assets)
    table, reached = cg.sweep(graph, model, shocks).scenarios, set()
    for row, shock in zip(table.itertuples(), shocks.to_dict("records"), strict=True):
        result = model.run(graph, shock)
        due = (result.accounts["shortfall"] - result.accounts["own_used"]).groupby("trader").sum().nlargest(2)
        assert row.cover_1 == pytest.approx(due.iloc[0])
        assert row.cover_2 == pytest.approx(due.sum())
        used = result.layers["used"].groupby("layer", sort=False).sum()
        last = [name for name, amount in used.items() if amount > 0.0]
        expected = "uncovered" if result.pools["uncovered"].any() else (last or [""])[-1]
        assert row.layer_reached == expected
        reached.add(expected)
    assert len(reached) > 2


def test_a_purse_that_suffices():
    """With the amount that the sweep names nothing passes the purse, and with a little less something does."""
    graph = contributing()
    layers = OWN, cg.Purse("capital", amount=50.0), cg.Members(cap=0.5), cg.ProRata()
    shocks = pd.DataFrame(np.outer([-0.12, -0.2, -0.3], np.ones(5)), columns=graph.assets)
    swept = cg.sweep(graph, cg.MarginCascade(waterfall=layers), shocks)
    for level, row in ((1.0, 2), (0.6, 1)):
        amount = swept.fund_for(level, layer="capital")["capital"].item()
        for size, suffices in ((amount, True), (amount * (1.0 - 1e-6), False)):
            waterfall = (OWN, cg.Purse("capital", amount=size), *layers[2:])
            result = cg.MarginCascade(waterfall=waterfall).run(graph, dict(shocks.iloc[row]))
            assert (result.accounts["socialised"].sum() == 0.0) == suffices
    with pytest.raises(
        cg.ParameterError, match=r"layer is 'insurance_fund'; the waterfall has the purses \['capital'\]"
    ):
        swept.fund_for(1.0)


TABLE = pd.DataFrame(
    {
        "pool": ["p", "p", "p", "p", "q", "q", "q", "q"],
        "rank": [4, 1, 2, 3, 10, 20, 30, 40],
        "layer": [
            "all",
            "own_contribution",
            *["capital", "insurance_fund"],
            *["own_contribution", "capital"],
            *["insurance_fund", "all"],
        ],
        "kind": ["members", "own", "purse", "purse", "own", "purse", "purse", "members"],
        "amount": [np.nan, np.nan, 5.0, np.nan, np.nan, 7.0, np.nan, np.nan],
        "base": ["equity", "", "", "", "", "", "", "equity"],
    }
)


def two_pools(layers: pd.DataFrame) -> cg.ExposureGraph:
    return cg.ExposureGraph.from_tables(
        {"trader": ["A", "B"], "asset": ["X", "X"], "quantity": [1.0, 2.0], "pool": ["p", "q"]},
        {"asset": ["X"], "price": [10.0]},
        accounts={"trader": ["A", "B"], "pool": ["p", "q"], "cash": [0.0, 0.0], "fund_contribution": [1.0, 2.0]},
        pools={"pool": ["p", "q"], "insurance_fund": [3.0, 4.0]},
        layers=layers,
    )


def test_a_waterfall_from_a_table(tmp_path):
    graph = two_pools(TABLE)
    purse = cg.Purse("capital", amount={"p": 5.0, "q": 7.0})
    assert cg.waterfall_of(graph) == (OWN, purse, FUND, cg.Members("equity", cap=np.inf, name="all"))
    result = cg.MarginCascade(waterfall=cg.waterfall_of(graph)).run(graph)
    assert result.layers["capacity"].tolist() == [1.0, 5.0, 3.0, np.inf, 2.0, 7.0, 4.0, np.inf]
    cg.write_tables(graph, tmp_path / "tables")
    part = cg.distributed.partition(graph.to_frames(), tmp_path / "parts", n_parts=1)
    for other in (
        cg.ExposureGraph.from_tables(**graph.to_frames()),
        cg.read_tables(tmp_path / "tables"),
        cg.ExposureGraph.from_networkx(graph.to_networkx(nodes="positions")),
        cg.distributed.read_part(part, 0),
    ):
        assert cg.waterfall_of(other) == cg.waterfall_of(graph)
    assert cg.waterfall_of(graph.subset(pools=["q"]))[1] == cg.Purse("capital", amount={"q": 7.0})


def test_tables_that_are_no_waterfall_are_refused_with_the_row():
    with pytest.raises(cg.TableError, match=r"layers.pool: unknown label 'r'"):
        two_pools(TABLE.assign(pool=["r"] * 8, layer=range(8)))
    wrong = {
        "other layers than pool 'p'": TABLE[:7],
        "layers.kind of layer 'all' is 'clients'": TABLE.replace({"kind": {"members": "clients"}}),
        "layers.layer is 'defaulter'; a layer of kind own": TABLE.replace({"layer": {"own_contribution": "defaulter"}}),
        "base is 'size'": TABLE.replace({"base": {"equity": "size"}}),
    }
    for message, table in wrong.items():
        with pytest.raises(cg.ParameterError, match=message):
            cg.waterfall_of(two_pools(table))
    with pytest.raises(cg.ParameterError, match="the graph has no table layers"):
        cg.waterfall_of(contributing(10))
