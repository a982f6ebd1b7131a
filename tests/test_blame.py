"""Blame and paths against a dense oracle, what they add up to, and cases with a known answer."""

from dataclasses import dataclass, field
from types import ModuleType

import compound_v2 as compound
import eba_2011 as eba
import numpy as np
import pandas as pd
import pytest
from real_data import data_folder
from scipy import sparse

import contagion_graph as cg
from contagion_graph.margin.attribution.replay import net_shares
from tests.markets import run_case
from tests.reference.dense_blame import Blame, all_rounds, dense_blame, dense_paths
from tests.reference.random_markets import Case, mix, random_case
from tests.shared_data import case as reference_case

MARKETS = 200
TOLERANCE = 1e-9
WAYS = ("trader", "asset", "pool", "round", "victim")


@dataclass(frozen=True, eq=False)
class Run:
    """A case, what the oracle says, what the library says, and what a currency figure is compared with."""

    case: Case
    oracle: Blame
    result: cg.CascadeResult
    atol: float
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def blame(self, by: str = "trader") -> pd.DataFrame:
        """Return a table of blame, made once."""
        if by not in self.tables:
            self.tables[by] = cg.blame(self.result, by)
        return self.tables[by]


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    done = []
    for case in map(random_case, range(MARKETS)):
        oracle, result = dense_blame(case), run_case(case)
        scale = result.graph.gross_value.sum() + np.abs(case.market.cash).sum() + np.abs(oracle.outcome.proceeds).sum()
        done.append(Run(case, oracle, result, TOLERANCE * scale))
    return done


def assert_table(table: pd.DataFrame, atol: float, **expected: np.ndarray) -> None:
    """Compare columns, and check that the columns of the table add up."""
    for column, values in expected.items():
        np.testing.assert_allclose(table[column], values, rtol=0, atol=atol, err_msg=column)
    parts = table["self_inflicted"] + table["from_others"] + table["limited_liability"]
    np.testing.assert_allclose(table["total"], parts, rtol=0, atol=atol)
    np.testing.assert_allclose(table["from_others"], table["sales"] + table["shortfalls"], rtol=0, atol=atol)


def off_diagonal(pairs: np.ndarray) -> np.ndarray:
    return pairs - np.diag(np.diag(pairs))


def test_the_markets_meet_every_branch(runs: list[Run]):
    shares = mix([(run.case, run.oracle.outcome) for run in runs])
    assert min(shares.values()) > 0.03
    assert {run.case.rules.liquidation[0] for run in runs} == {"full", "target", "close_factor", "leverage", "repay"}
    with_relief = [run for run in runs if np.abs(run.oracle.relief).sum() > run.atol]
    assert len(with_relief) > MARKETS / 4


def test_the_oracle_adds_up_to_the_indirect_loss_of_every_account(runs: list[Run]):
    for run in runs:
        total = all_rounds(run.oracle).sum(axis=1) + np.sum(run.oracle.relief, axis=0)
        np.testing.assert_allclose(total, run.oracle.outcome.indirect, rtol=0, atol=run.atol)


def test_by_trader_agrees_with_the_oracle(runs: list[Run]):
    for run in runs:
        price = np.sum(run.oracle.price or [np.zeros((1, *np.shape(all_rounds(run.oracle))))], axis=(0, 1))
        everything, relief = all_rounds(run.oracle), np.sum(run.oracle.relief, axis=0)
        sales = off_diagonal(price).sum(axis=0)
        others = off_diagonal(everything).sum(axis=0)
        columns = {"sales": sales, "shortfalls": others - sales, "self_inflicted": np.diag(everything)}
        assert_table(run.blame(), run.atol, **columns, limited_liability=relief)


def test_by_victim_agrees_with_the_oracle(runs: list[Run]):
    for run in runs:
        everything = all_rounds(run.oracle)
        columns = {"self_inflicted": np.diag(everything), "from_others": off_diagonal(everything).sum(axis=1)}
        assert_table(run.blame("victim"), run.atol, **columns, total=run.oracle.outcome.indirect)


def test_by_asset_agrees_with_the_oracle(runs: list[Run]):
    for run in runs:
        table = run.blame("asset")
        assert table.index.tolist() == [*run.result.graph.assets, ""]
        if run.oracle.price:
            price = np.sum(run.oracle.price, axis=0)
            own = np.trace(price, axis1=1, axis2=2)
            assert_table(table.iloc[:-1], run.atol, self_inflicted=own, total=price.sum(axis=(1, 2)))
            assert table["sales"].iloc[-1] == 0.0
            rest = np.sum(run.oracle.shared) + np.sum(run.oracle.penalty) + np.sum(run.oracle.relief)
            assert table["total"].iloc[-1] == pytest.approx(rest, rel=0, abs=run.atol)


def test_by_pool_agrees_with_the_oracle(runs: list[Run]):
    for run in runs:
        everything, relief = all_rounds(run.oracle), np.sum(run.oracle.relief, axis=0)
        pool, size = run.result.graph._rows.pool_of, len(run.result.graph.pools)
        total = np.bincount(pool, everything.sum(axis=0) + relief, size)
        own = np.bincount(pool, np.diag(everything), size)
        assert_table(run.blame("pool"), run.atol, self_inflicted=own, total=total)


def test_by_round_agrees_with_the_oracle(runs: list[Run]):
    for run in runs:
        table, oracle = run.blame("round"), run.oracle
        assert table.index.tolist() == list(range(len(run.result.rounds) + 1))
        parts = zip(oracle.price, oracle.shared, oracle.penalty, strict=True)
        caused = [0.0] + [sum(part.sum() for part in one) for one in parts]
        relief = [each.sum() for each in oracle.relief]
        assert_table(table, run.atol, limited_liability=relief, total=np.add(caused, relief))


def test_the_loss_of_one_trader_agrees_with_the_oracle(runs: list[Run]):
    for seed, run in enumerate(runs):
        victim = seed % len(run.case.market.cash)
        row, relief = all_rounds(run.oracle)[victim], np.sum(run.oracle.relief, axis=0)[victim]
        one = np.arange(row.size) == victim
        columns = {"from_others": np.where(one, 0.0, row), "self_inflicted": row * one}
        tables = {by: cg.blame(run.result, by, victim=f"t{victim}") for by in WAYS}
        assert_table(tables["trader"], run.atol, **columns, limited_liability=relief * one)
        for table in tables.values():
            assert table["total"].sum() == pytest.approx(run.oracle.outcome.indirect[victim], rel=0, abs=run.atol)


def test_totals_add_up_to_the_indirect_loss(runs: list[Run]):
    for run in runs:
        tables = {by: run.blame(by) for by in WAYS}
        for column in ("self_inflicted", "from_others", "limited_liability", "total"):
            sums = [table[column].sum() for table in tables.values()]
            np.testing.assert_allclose(sums, sums[0], rtol=0, atol=run.atol)
        assert tables["trader"]["total"].sum() == pytest.approx(
            run.result.accounts["indirect"].sum(), rel=0, abs=run.atol
        )


def test_paths_agree_with_the_oracle(runs: list[Run]):
    found = 0
    for seed, run in enumerate(runs):
        for victim in {seed % len(run.case.market.cash), 0}:
            paths = cg.paths(run.result, f"t{victim}", k=4)
            expected = dense_paths(run.case, run.oracle, victim, 5)
            expected = [(chain, weight) for chain, weight in expected if weight > run.atol]
            weights = [weight for _, weight in expected]
            paths = paths[paths["loss"] > run.atol]
            np.testing.assert_allclose(paths["loss"], weights[: len(paths)], rtol=1e-6, atol=run.atol)
            assert len(paths) >= min(4, len(weights))
            if np.all(np.diff(weights) < -1e-6 * np.abs(weights[:-1])):  # no ties
                assert paths["chain"].tolist() == [chain for chain, _ in expected[: len(paths)]]
                found += sum(len(chain) > 4 for chain in paths["chain"])
    assert found > MARKETS / 4


def test_all_chains_together_are_what_others_cost(runs: list[Run]):
    """Where nobody gains by what others do, the weights of all chains add up to what the trader lost by others."""
    compared = 0
    for run in runs[:60]:
        table = cg.blame(run.result, victim="t0")
        paths = cg.paths(run.result, "t0", k=2_000)
        pairs = np.sum([*run.oracle.price, np.zeros_like(run.oracle.price[0])], axis=0)[:, 0] if run.oracle.price else 0
        if np.min(pairs) >= 0.0 and len(paths) < 2_000:
            assert paths["loss"].sum() == pytest.approx(table["from_others"].sum(), rel=0, abs=run.atol)
            compared += len(paths) > 0
    assert compared > 5


def test_relabelling_permutes_blame(runs: list[Run]):
    for seed, run in enumerate(runs[:40]):
        rng, case = np.random.default_rng(seed), run.case
        frames = {name: frame.sample(frac=1, random_state=rng) for name, frame in run.result.graph.to_frames().items()}
        again = run.result.model.run(
            cg.ExposureGraph.from_tables(**frames),
            {f"a{k}": change for k, change in enumerate(case.shock)},
            losses={f"t{k}": loss for k, loss in enumerate(case.losses) if loss},
            defaults=[f"t{k}" for k in np.flatnonzero(case.defaults)],
        )
        for by in WAYS:
            table = run.blame(by)
            np.testing.assert_allclose(cg.blame(again, by).loc[table.index], table, rtol=0, atol=run.atol)


def test_what_a_trader_does_to_its_other_accounts_is_its_own(runs: list[Run]):
    """The same markets, two accounts a trader: self-inflicted is then a block, not the diagonal."""
    for run in runs[:60]:
        frames = run.result.graph.to_frames()
        owner = {f"t{k}": f"u{k // 2}" for k in range(len(run.case.market.cash))}
        for name in ("positions", "accounts"):
            frames[name]["subaccount"] = frames[name]["trader"]
            frames[name]["trader"] = frames[name]["trader"].map(owner)
        triple = [(owner[f"t{k}"], f"p{pool}", f"t{k}") for k, pool in enumerate(run.case.market.pool)]
        result = run.result.model.run(
            cg.ExposureGraph.from_tables(**frames),
            {f"a{k}": change for k, change in enumerate(run.case.shock)},
            losses={triple[k]: loss for k, loss in enumerate(run.case.losses) if loss},
            defaults=[triple[k] for k in np.flatnonzero(run.case.defaults)],
        )
        traders = np.arange(len(owner)) // 2
        pairs = pd.DataFrame(all_rounds(run.oracle)).groupby(traders).sum().T.groupby(traders).sum().T.to_numpy()
        labels = [f"u{k}" for k in range(len(pairs))]
        columns = {"self_inflicted": np.diag(pairs), "from_others": off_diagonal(pairs).sum(axis=0)}
        assert_table(cg.blame(result).loc[labels], run.atol, **columns)
        table = cg.blame(result, victim=triple[0]).loc[labels]
        row = pd.Series(all_rounds(run.oracle)[0]).groupby(traders).sum().to_numpy()
        np.testing.assert_allclose(table["self_inflicted"] + table["from_others"], row, rtol=0, atol=run.atol)
        assert table["self_inflicted"].iloc[1:].eq(0.0).all()


def test_in_any_order_of_closing_the_sums_are_exact():
    graph = cg.generate.perpetuals(2_000, 10, rng=3, n_pools=3)
    result = cg.MarginCascade(penalty=0.01).run(graph, {"ETH": -0.2}, order=np.random.default_rng(0))
    assert len(result.rounds) > 100
    assert_sums(result)


def assert_sums(result: cg.CascadeResult) -> None:
    atol = TOLERANCE * result.graph.gross_value.sum()
    indirect = result.traders["indirect"]
    for by in WAYS:
        assert cg.blame(result, by)["total"].sum() == pytest.approx(indirect.sum(), rel=0, abs=atol)
    np.testing.assert_allclose(cg.blame(result, "victim")["total"], indirect, rtol=0, atol=atol)
    for trader in indirect.nlargest(3).index:
        assert cg.blame(result, victim=trader)["total"].sum() == pytest.approx(indirect[trader], rel=0, abs=atol)


@pytest.mark.parametrize("example", [compound, eba])
def test_real_data_add_up(example: ModuleType):
    try:
        folder = data_folder(example.DATA)
    except SystemExit as absent:
        pytest.skip(str(absent))
    if example is eba:
        result = eba.MODEL.run(eba.sovereign_graph(folder), eba.SHOCK)
        table = cg.blame(result)  # no price moves, nothing is shared: all that is indirect is limited liability
        assert table[["self_inflicted", "from_others"]].eq(0.0).all(axis=None)
    else:
        graph = compound.build_graph(folder)
        result = compound.cascades(graph, 0.30, 1.0)[1]
        bystander = compound.bystander_losses(*compound.cascades(graph, 0.30, 1.0)).index[0]
        chains = cg.paths(result, bystander)
        assert chains["chain"].map(lambda chain: chain[-1]).eq(f"trader:{bystander}").all()
        assert chains["chain"].iloc[0][-2] == "asset:COMP"
    assert_sums(result)


def test_the_toy_market():
    """The shock takes the fifth account, its sales the third, the shortfall of the fifth the first."""
    given = reference_case("unified_cascade_toy")["inputs"]
    price = np.array(given["p0"])
    names = {"margin_long": "mm", "cash": "cash", "insurance_fund": "fund", "share": "soc_base"}
    options = {name: given[other] for name, other in names.items()}
    graph = cg.ExposureGraph.from_arrays(given["H"], price=price, depth=price / np.array(given["alpha"]), **options)
    model = cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.ProRata("share")), penalty=given["fee"])
    result = model.run(graph, {str(k): -fall for k, fall in enumerate(given["shock"])})
    table = cg.blame(result, victim="0")
    assert table.index[table["from_others"] > 0].tolist() == ["2", "4"]
    assert table["total"].sum() == pytest.approx(result.traders["indirect"]["0"], abs=1e-9)
    chains = cg.paths(result, "0", k=10)
    assert chains["chain"].iloc[0][:2] == ("asset:0", "trader:4")
    assert ("asset:0", "trader:4", "pool:pool", "trader:0") in chains["chain"].tolist()
    assert ("asset:0", "trader:4", "asset:0", "trader:2", "asset:1", "trader:0") in chains["chain"].tolist()
    assert chains["loss"].sum() == pytest.approx(table["from_others"].sum(), abs=1e-9)
    assert chains["share"].tolist() == pytest.approx((chains["loss"] / table["total"].sum()).tolist())


def two_assets(cash: tuple[float, ...] = (-95.0, 0.0, 50.0)) -> cg.ExposureGraph:
    """Return a market in which A holds X and Y and is in breach when X falls, B holds Y, and C nothing that moves."""
    held, labels = [[9.0, 2.0], [0.0, 4.0], [0.0, 0.0]], {"traders": ["A", "B", "C"], "assets": ["X", "Y"]}
    return cg.ExposureGraph.from_arrays(held, price=10.0, depth=100.0, margin_long=0.1, cash=cash, **labels)


def test_one_closing_account_is_the_source_of_everything():
    result = cg.MarginCascade(penalty=0.02).run(two_assets(), {"X": -0.2})
    assert result.rounds["breached"].tolist() == [1]
    table = cg.blame(result)
    assert table.loc[["B", "C"]].eq(0.0).all(axis=None)
    assert table.loc["A", "total"] == pytest.approx(result.accounts["indirect"].sum())
    others = result.traders.loc[["B", "C"], "indirect"].sum()
    assert table.loc["A", "from_others"] == pytest.approx(others)
    assert table.loc["A", "shortfalls"] == pytest.approx(result.accounts["socialised"].sum()) != 0.0
    assert table.loc["A", "self_inflicted"] == pytest.approx(result.traders.loc["A", ["impact", "penalty"]].sum())


def test_limited_liability_is_what_the_shock_took_beyond_equity_less_the_shortfall():
    """A: equity 15, direct loss 18 (3 beyond), then impact: what it cannot pay is not its loss."""
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(two_assets(), {"X": -0.2})
    a = result.traders.loc["A"]
    assert (a["equity_before"], a["direct"]) == pytest.approx((15.0, 18.0))
    table = cg.blame(result, victim="A")
    assert a["loss"] == pytest.approx(15.0)
    assert a["indirect"] == pytest.approx(0.0)
    assert table.loc["A", "self_inflicted"] == pytest.approx(a["impact"])
    assert table.loc["A", "limited_liability"] == pytest.approx(3.0 - a["shortfall"]) == pytest.approx(-a["impact"])
    by_round = cg.blame(result, "round", victim="A")["limited_liability"]
    assert by_round.tolist() == pytest.approx([3.0, -a["shortfall"]])


def test_an_account_under_water_before_the_shock_is_relieved_of_its_old_deficit():
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(two_assets(cash=(-115.0, 0.0, 0.0)))
    a, table = result.traders.loc["A"], cg.blame(result, victim="A")
    assert (a["equity_before"], a["equity_after"], a["indirect"]) == (-5.0, 0.0, -5.0)
    assert table.loc["A", "self_inflicted"] == pytest.approx(a["impact"])
    assert table["total"].sum() == pytest.approx(-5.0)
    assert cg.paths(result, "B")["chain"].tolist() == [("trader:A", "asset:Y", "trader:B")]
    assert cg.paths(result, "B")["share"].tolist() == pytest.approx([1.0])
    assert cg.paths(result, "A").empty


def test_a_venue_with_many_assets_and_pools():
    graph = cg.generate.perpetuals(3_000, 200, rng=5, n_pools=3)
    result = cg.MarginCascade(penalty=0.01).run(graph, {"ETH": -0.3, "BTC": -0.2})
    assert_sums(result)
    victim = result.traders["indirect"].idxmax()
    chains = cg.paths(result, victim, k=20)
    assert len(chains) == 20
    assert chains["loss"].is_monotonic_decreasing
    assert {chain[0] for chain in chains["chain"]} <= {"asset:ETH", "asset:BTC"}
    assert chains["loss"].sum() <= cg.blame(result, victim=victim)["from_others"].clip(lower=0.0).sum()


def test_longs_and_shorts_that_cancel_move_no_price():
    """A sells what B buys back in the same round: nobody causes anything, and C loses nothing."""
    margins = {"margin_long": 0.1, "margin_short": 0.1, "cash": [-105.0, 108.0, 0.0], "traders": ["A", "B", "C"]}
    held = [[10.0, 1.0], [-10.0, 0.0], [5.0, 0.0]]
    graph = cg.ExposureGraph.from_arrays(held, price=10.0, depth=100.0, **margins)
    result = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).run(graph)
    assert result.rounds["breached"].tolist() == [2]
    assert result.arrays.sold.tolist() == [0.0, 1.0]
    table = cg.blame(result)
    assert table.loc["B"].eq(0.0).all()
    assert table["from_others"].abs().max() == 0.0
    assert table["total"].sum() == pytest.approx(result.traders["indirect"].sum())


@pytest.mark.parametrize(
    ("units", "shares"),
    [
        ([6.0, 2.0], [0.75, 0.25]),
        ([-6.0, -2.0], [0.75, 0.25]),
        ([6.0, -2.0], [1.5, -0.5]),
        ([3.0, 1.0, -3.9], [0.75, 0.25, 0.0]),
        ([3.0, 1.0, -4.1], [0.0, 0.0, 1.0]),
        ([3.0, 1.0, -4.0], [0.375, 0.125, 0.5]),
        ([0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_net_shares(units: list[float], shares: list[float]):
    found = net_shares(sparse.csr_array(np.array(units)[:, None]))
    assert found.toarray()[:, 0].tolist() == pytest.approx(shares)


def test_a_round_records_nothing_of_the_length_of_all_accounts():
    graph = cg.generate.perpetuals(20_000, 10, rng=1)
    result = cg.MarginCascade(liquidation=cg.TargetMargin(0.1)).run(graph, {"ETH": -0.05})
    for trade, breached in zip(result.arrays.trades, result.rounds["breached"], strict=True):
        assert trade.rows.size == breached
        arrays = list(vars(trade).values())
        assert max(array.size for array in arrays) == max(breached, len(graph.assets))
        assert all(array.base is None or array.base.size <= 4 * breached for array in arrays)
    assert trade != result.arrays.trades[0]
    assert trade == trade  # noqa: PLR0124
    assert trade != "a round"


def test_what_has_no_rounds_is_refused():
    graph = two_assets()
    both = cg.MarginCascade(waterfall=(cg.InsuranceFund(),)).equilibria(graph, {"X": -0.2})
    for function in (cg.blame, lambda result: cg.paths(result, "A")):
        with pytest.raises(cg.ParameterError, match=r"equilibrium has no rounds.*MarginCascade\.run"):
            function(both.least)
    with pytest.raises(cg.ParameterError, match="result is a Equilibria"):
        cg.blame(both)


def test_arguments_are_checked():
    result = cg.MarginCascade().run(two_assets(), {"X": -0.2})
    with pytest.raises(cg.ParameterError, match="by is 'account'; it must be one of trader, asset, pool"):
        cg.blame(result, "account")  # type: ignore[arg-type]
    with pytest.raises(cg.ParameterError, match="victim: unknown label 'D'"):
        cg.blame(result, victim="D")
    with pytest.raises(cg.ParameterError, match="trader: unknown label 'D'"):
        cg.paths(result, "D")
    with pytest.raises(cg.ParameterError, match="k"):
        cg.paths(result, "A", k=0)


def test_nothing_happened_nobody_is_to_blame():
    result = cg.MarginCascade().run(two_assets(cash=(0.0, 0.0, 0.0)))
    for by in WAYS:
        assert cg.blame(result, by).eq(0.0).all(axis=None)
    assert cg.paths(result, "B").empty
