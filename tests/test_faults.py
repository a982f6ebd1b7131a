"""Bad input: every fault of every table and argument is named, with rows, labels and the way out, in one error."""

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.errors import nearest

INF, NAN = np.inf, np.nan


def positions(**columns: Any) -> dict[str, Any]:
    return {"trader": ["A", "B"], "asset": ["ETH", "BTC"], "quantity": [1.0, -2.0]} | columns


def assets(**columns: Any) -> dict[str, Any]:
    return {"asset": ["ETH", "BTC"], "price": [100.0, 50.0]} | columns


def faults_of(**tables: Any) -> cg.TableError:
    with pytest.raises(cg.TableError) as caught:
        cg.ExposureGraph.from_tables(**({"positions": positions(), "assets": assets()} | tables))
    return caught.value


def drop(table: dict[str, Any], column: str) -> dict[str, Any]:
    return {name: values for name, values in table.items() if name != column}


def pools(**columns: Any) -> dict[str, Any]:
    return {"pool": ["pool"]} | columns


def accounts(**columns: Any) -> dict[str, Any]:
    return {"trader": ["A", "B"]} | columns


FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "missing column": (
        {"positions": drop(positions(), "quantity")},
        ["positions.quantity: the column is missing", "Add it"],
    ),
    "misspelt column": (
        {"assets": {"asset": ["ETH", "BTC"], "prise": [1.0, 1.0]}},
        ["assets.price: the column is missing (did you mean 'prise'?)"],
    ),
    "text in a number": (
        {"positions": positions(quantity=["1", "two"])},
        [
            "positions.quantity: not a number in 1 row (row 1: 'two', trader 'B', asset 'BTC')",
            "It must be a finite number",
        ],
    ),
    "NaN": (
        {"positions": positions(quantity=[NAN, 1.0])},
        ["positions.quantity: blank or NaN in 1 row (row 0: None, trader 'A', asset 'ETH')"],
    ),
    "infinite quantity": (
        {"positions": positions(quantity=[1.0, -INF])},
        ["positions.quantity: out of range in 1 row (row 1: -inf, trader 'B', asset 'BTC')"],
    ),
    "unknown asset": (
        {"positions": positions(asset=["EHT", "BTC"])},
        [
            "positions.asset: unknown label 'EHT' (did you mean 'ETH'?) in 1 row (row 0: trader 'A'",
            "Add it to table assets",
        ],
    ),
    "price zero": (
        {"assets": assets(price=[0.0, 1.0])},
        ["assets.price: out of range in 1 row (row 0: 0.0, asset 'ETH')"],
    ),
    "price infinite": ({"assets": assets(price=[1.0, INF])}, ["assets.price: out of range in 1 row (row 1: inf"]),
    "negative depth": (
        {"assets": assets(depth=[-1.0, None])},
        ["assets.depth: out of range in 1 row (row 0: -1.0", "above 0"],
    ),
    "depth zero": (
        {"assets": assets(depth=[1.0, 0.0])},
        ["assets.depth: out of range in 1 row (row 1: 0.0, asset 'BTC')"],
    ),
    "duplicate asset": (
        {"assets": assets(asset=["ETH", "ETH"]), "positions": positions(asset=["ETH", "ETH"])},
        ["assets.asset: repeated in 1 row (row 1: asset 'ETH')", "never merged in silence"],
    ),
    "no positions": (
        {"positions": positions(trader=[], asset=[], quantity=[])},
        ["positions: the table has no rows"],
    ),
    "no assets": ({"assets": {"asset": [], "price": []}}, ["assets: the table has no rows"]),
    "wrong dtype": (
        {"positions": positions(quantity=pd.to_datetime(["2026-01-01", "2026-01-02"]))},
        ["positions.quantity: has type timestamp"],
    ),
    "labels of wrong dtype": (
        {"positions": positions(trader=[1.5, 2.5])},
        ["positions.trader: has type double", "Labels are text or integers"],
    ),
    "unknown pool": (
        {"positions": positions(pool=["main", "mian"]), "pools": {"pool": ["main"]}},
        ["positions.pool: unknown label 'mian' (did you mean 'main'?) in 1 row (row 1"],
    ),
    "rate above 1": (
        {"assets": assets(margin_long=[0.1, 1.5])},
        ["assets.margin_long: out of range in 1 row (row 1: 1.5, asset 'BTC')", "from 0 to 1"],
    ),
    "rate below 0": (
        {"assets": assets(margin_short=[-0.1, 0.5])},
        ["assets.margin_short: out of range in 1 row (row 0: -0.1"],
    ),
    "own rate above 1": (
        {"positions": positions(margin=[None, 20.0])},
        ["positions.margin: out of range in 1 row (row 1: 20.0"],
    ),
    "negative share": (
        {"accounts": accounts(share=[1.0, -1.0])},
        ["accounts.share: out of range in 1 row (row 1: -1.0, trader 'B')"],
    ),
    "cash is text": (
        {"accounts": accounts(cash=["1", "much"])},
        ["accounts.cash: not a number in 1 row (row 1: 'much', trader 'B')"],
    ),
    "infinite cash": ({"accounts": accounts(cash=[INF, 0.0])}, ["accounts.cash: out of range in 1 row (row 0: inf"]),
    "negative entry price": (
        {"positions": positions(entry_price=[-1.0, 1.0])},
        ["positions.entry_price: out of range"],
    ),
    "blank label": (
        {"positions": positions(trader=["A", None])},
        ["positions.trader: blank in 1 row (row 1: trader '', asset 'BTC')", "Give every row a label"],
    ),
    "empty label": (
        {"positions": positions(asset=["", "BTC"])},
        ["positions.asset: blank in 1 row (row 0: trader 'A'"],
    ),
    "duplicate account": (
        {"accounts": accounts(trader=["A", "A"])},
        ["accounts.trader: repeated in 1 row (row 1: trader 'A')", "trader x pool x subaccount"],
    ),
    "duplicate position id": (
        {"positions": positions(position=["p", "p"])},
        ["positions.position: repeated in 1 row (row 1"],
    ),
    "blank position id": (
        {"positions": positions(position=["p", None])},
        ["positions.position: blank in 1 row (row 1"],
    ),
    "flag": (
        {"assets": assets(sellable=["yes", "perhaps"])},
        ["assets.sellable: not a flag in 1 row (row 1: 'perhaps', asset 'BTC')"],
    ),
    "negative fund": (
        {"pools": pools(insurance_fund=[-5.0])},
        ["pools.insurance_fund: out of range in 1 row (row 0: -5.0, pool 'pool')"],
    ),
    "pool in one table only": (
        {"positions": positions(pool=["main", "main"]), "accounts": accounts()},
        ["accounts.pool: the column is missing, but positions has it"],
    ),
    "backing of an unknown asset": (
        {"backing": {"asset": ["ETH"], "underlying": ["stETH"], "weight": [1.0]}},
        ["backing.underlying: unknown label 'stETH' (did you mean 'ETH'?)"],
    ),
    "unknown debtor": (
        {"obligations": {"debtor": ["A", "Z"], "creditor": ["B", "B"], "amount": [1.0, -1.0]}},
        [
            "obligations.debtor: unknown label 'Z' in 1 row",
            "obligations.amount: out of range in 1 row (row 1: -1.0, debtor 'Z'",
        ],
    ),
    "column twice": (
        {"positions": pd.DataFrame([["A", "A", "ETH", 1.0]], columns=["trader", "trader", "asset", "quantity"])},
        ["positions: cannot be read (Duplicate column names found"],
    ),
    "not a table": (
        {"positions": 5},
        ["positions: cannot be read (a int is not a table)", "Give a pandas, polars, Arrow"],
    ),
    "a scalar column": (
        {"positions": positions(quantity=3.0)},
        ["positions: cannot be read (a column must hold a sequence"],
    ),
    "unequal columns": ({"positions": positions(quantity=[1.0])}, ["positions: cannot be read"]),
    "no such file": ({"positions": "nowhere.csv"}, ["positions: cannot be read", "nowhere.csv"]),
    "unknown ending": ({"positions": "positions.xlsx"}, ["positions: cannot be read", "neither .csv nor .parquet"]),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_is_named(kind: str):
    tables, expected = FAULTS[kind]
    message = str(faults_of(**tables))
    for text in expected:
        assert text in message


def test_one_error_names_twenty_faults_at_once():
    error = faults_of(
        positions=positions(
            trader=["A", "B", None, "D"],
            asset=["ETH", "BTC", "XRP", "BTC"],
            quantity=["1", "two", "inf", None],
            entry_price=[-1.0, None, None, None],
            margin=[2.0, None, None, None],
            pool=["main", "side", "main", "main"],
            position=["p", "p", "q", None],
        ),
        assets=assets(
            asset=["ETH", "BTC", "BTC"],
            price=[0.0, NAN, 5.0],
            depth=[-1.0, 1.0, 1.0],
            margin_long=[1.5, 0.0, 0.0],
            margin_short=[0.0, -1.0, 0.0],
            sellable=["true", "what", "false"],
        ),
        pools={"pool": ["main"], "insurance_fund": [-1.0]},
        accounts={"trader": ["A", "A"], "pool": ["main", "main"], "cash": ["x", 1.0], "share": [-1.0, INF]},
    )
    kinds = {(fault.where, fault.problem.split(" '")[0]) for fault in error.faults}
    assert len(kinds) >= 20
    assert all(fault.remedy.endswith(".") for fault in error.faults)
    assert str(error).startswith(f"{len(error.faults)} faults (rows count from 0):")


def test_only_the_first_three_rows_are_shown_and_all_are_counted():
    many = {"trader": [f"t{k}" for k in range(10)], "asset": ["ETH"] * 10, "quantity": [NAN] * 10}
    error = faults_of(positions=many)
    assert "blank or NaN in 10 rows (row 0: None, trader 't0'" in str(error)
    assert "row 2" in str(error)
    assert "row 3" not in str(error)
    assert "+7 more" in str(error)
    assert error.faults[0].rows == tuple(range(10))


def test_many_unknown_labels_are_counted():
    many = {"trader": ["A"] * 9, "asset": [f"coin number {k}" for k in range(9)], "quantity": [1.0] * 9}
    message = str(faults_of(positions=many))
    assert "unknown label 'coin number 2'" in message
    assert "6 more unknown labels" in message


def test_a_fault_is_a_value_error_and_a_contagion_error():
    error = faults_of(assets=assets(price=[1.0, -1.0]))
    assert isinstance(error, ValueError)
    assert isinstance(error, cg.ContagionError)


def test_an_unused_column_is_a_warning_with_a_hint():
    with pytest.warns(
        cg.UnusedColumnWarning, match=r"nothing reads column 'entryprice' \(did you mean 'entry_price'\?\)"
    ):
        cg.ExposureGraph.from_tables(positions(entryprice=[1.0, 1.0]), assets())


# --- from_arrays ---

MATRIX = [[1.0, -2.0], [0.0, 3.0]]
ARRAY_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "text matrix": ({"quantity": [["a"]]}, "quantity: is not a matrix of numbers"),
    "no rows": ({"quantity": np.empty((0, 2))}, "quantity: has shape (0, 2)"),
    "three dimensions": ({"quantity": np.ones((2, 2, 2))}, "quantity: "),
    "a vector": ({"quantity": [1.0, 2.0]}, "quantity: has shape (2,)"),
    "infinite quantity": (
        {"quantity": [[INF, 0.0], [0.0, 1.0]]},
        "quantity: not finite in 1 row (row 0: inf, trader 'A', asset 'X')",
    ),
    "NaN quantity": (
        {"quantity": [[1.0, 0.0], [0.0, NAN]]},
        "quantity: not finite in 1 row (row 1: nan, trader 'B', asset 'Y')",
    ),
    "price too short": ({"price": [1.0]}, "price: has shape (1,), expected (2,)"),
    "price zero": ({"price": [1.0, 0.0]}, "price: out of range in 1 row (row 1: 0.0, 'Y')"),
    "price NaN": ({"price": [NAN, 1.0]}, "price: NaN in 1 row (row 0: nan, 'X')"),
    "price text": ({"price": "high"}, "price: 'high' is not numeric"),
    "depth zero": ({"depth": 0.0}, "depth: out of range in 2 rows"),
    "depth NaN": ({"depth": [NAN, 1.0]}, "depth: NaN in 1 row"),
    "margin above 1": ({"margin_long": 1.01}, "margin_long: out of range"),
    "margin below 0": ({"margin_short": [-0.01, 0.0]}, "margin_short: out of range in 1 row (row 0: -0.01, 'X')"),
    "cash infinite": ({"cash": [0.0, INF]}, "cash: out of range in 1 row (row 1: inf, 'B / pool / ')"),
    "cash too long": ({"cash": [0.0, 1.0, 2.0]}, "cash: has shape (3,), expected (2,)"),
    "share negative": ({"share": [1.0, -1.0]}, "share: out of range"),
    "fund negative": ({"insurance_fund": -1.0}, "insurance_fund: out of range in 1 row (row 0: -1.0, 'pool')"),
    "fund of an unknown pool": (
        {"insurance_fund": {"poll": 1.0}},
        "insurance_fund: unknown label 'poll' (did you mean 'pool'?)",
    ),
    "pool too short": ({"pool": ["main"]}, "pool: has 1 labels, expected 2"),
    "traders too short": ({"traders": ["A"]}, "traders: has 1 labels, expected 2"),
    "trader twice": ({"traders": ["A", "A"]}, "traders: repeated in 1 row (row 1: 'A')"),
    "asset twice": ({"assets": ["X", "X"]}, "assets: repeated in 1 row (row 1: 'X')"),
    "sellable": ({"sellable": [True, 7]}, "sellable: out of range in 1 row (row 1: 7.0, 'Y')"),
    "margin of an unknown asset": ({"margin_long": {"Z": 0.1}}, "margin_long: unknown label 'Z'"),
    "mapping with text": ({"price": {"X": "high", "Y": 1.0}}, "price: 'X': 'high' is not a number"),
}


@pytest.mark.parametrize("kind", ARRAY_FAULTS)
def test_each_argument_of_from_arrays_is_checked(kind: str):
    changed, expected = ARRAY_FAULTS[kind]
    arguments: dict[str, Any] = {"quantity": MATRIX, "price": [10.0, 20.0], "traders": ["A", "B"], "assets": ["X", "Y"]}
    with pytest.raises(cg.TableError) as caught:
        cg.ExposureGraph.from_arrays(**(arguments | changed))
    assert expected in str(caught.value)


def test_from_arrays_names_all_faults_at_once():
    with pytest.raises(cg.TableError) as caught:
        cg.ExposureGraph.from_arrays(MATRIX, price=[0.0, 1.0], depth=-1.0, margin_long=2.0, cash=[NAN, 0.0], share=-1.0)
    assert {fault.where for fault in caught.value.faults} == {"price", "depth", "margin_long", "cash", "share"}


# --- run, assign, rules ---

GRAPH = cg.ExposureGraph.from_arrays(MATRIX, price=[10.0, 20.0], traders=["Ann", "Bob"], assets=["ETH", "BTC"])
RUN_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown asset": ({"shock": {"EHT": -0.1}}, "shock: unknown asset 'EHT' (did you mean 'ETH'?)"),
    "below -1": ({"shock": {"ETH": -1.1}}, "shock: asset 'ETH' changes by -1.1"),
    "NaN": ({"shock": {"ETH": NAN}}, "shock: asset 'ETH' changes by nan"),
    "infinite": ({"shock": {"BTC": INF}}, "shock: asset 'BTC' changes by inf"),
    "text": ({"shock": {"BTC": "-30%"}}, "shock: asset 'BTC' changes by '-30%'"),
    "not a mapping": ({"shock": [-0.1, 0.0]}, "shock is a list"),
    "loss of nobody": ({"losses": {"Anne": 1.0}}, "losses: unknown account 'Anne' (did you mean 'Ann'?)"),
    "negative loss": ({"losses": {"Ann": -1.0}}, "losses: 'Ann' loses -1.0"),
    "NaN loss": ({"losses": {"Ann": NAN}}, "losses: 'Ann' loses nan"),
    "default of nobody": ({"defaults": ["Bop"]}, "defaults: unknown account 'Bop' (did you mean 'Bob'?)"),
    "default of an unknown account": ({"defaults": [("Ann", "side", "")]}, "defaults: unknown account 'Ann / side / '"),
    "default of half a triple": ({"defaults": [("Ann", "pool")]}, "defaults: unknown account 'Ann / pool'"),
    "default of a text": ({"defaults": "Ann"}, "defaults='Ann' is a text"),
    "default of a number": ({"defaults": 1}, "defaults=1 is no list"),
    "on_failure": ({"on_failure": "explode"}, "on_failure is 'explode'"),
}


@pytest.mark.parametrize("kind", RUN_FAULTS)
def test_each_argument_of_run_is_checked(kind: str):
    arguments, expected = RUN_FAULTS[kind]
    with pytest.raises(cg.ContagionError) as caught:
        cg.MarginCascade().run(GRAPH, arguments.pop("shock", None), **arguments)
    assert expected in str(caught.value)


def test_run_wants_a_graph():
    with pytest.raises(cg.ParameterError, match="graph is a dict"):
        cg.MarginCascade().run({}, {})  # type: ignore[arg-type]


RULE_FAULTS: dict[str, tuple[Any, str]] = {
    "buffer": (lambda: cg.TargetMargin(-0.1), "TargetMargin: buffer is -0.1"),
    "buffer NaN": (lambda: cg.TargetMargin(NAN), "TargetMargin: buffer is nan"),
    "buffer text": (lambda: cg.TargetMargin("big"), "TargetMargin: buffer is 'big'"),
    "factor 0": (lambda: cg.CloseFactor(0.0), "CloseFactor: factor is 0.0"),
    "factor above 1": (lambda: cg.CloseFactor(1.5), "CloseFactor: factor is 1.5"),
    "full_below": (lambda: cg.CloseFactor(0.5, full_below=2), "CloseFactor: full_below is 2"),
    "base": (lambda: cg.ProRata("volume"), "ProRata: base is 'volume'"),
    "penalty": (lambda: cg.MarginCascade(penalty=1.5), "MarginCascade: penalty is 1.5"),
    "penalty_to_fund": (lambda: cg.MarginCascade(penalty_to_fund=-1), "MarginCascade: penalty_to_fund is -1"),
    "tol": (lambda: cg.MarginCascade(tol=NAN), "MarginCascade: tol is nan"),
    "max_rounds": (lambda: cg.MarginCascade(max_rounds=0), "MarginCascade: max_rounds is 0"),
    "max_rounds half": (lambda: cg.MarginCascade(max_rounds=2.5), "MarginCascade: max_rounds is 2.5"),
    "liquidation": (lambda: cg.MarginCascade(liquidation="full"), "MarginCascade: liquidation is 'full'"),
    "impact class": (lambda: cg.MarginCascade(impact=cg.LinearImpact), "MarginCascade: impact is <class"),
    "waterfall": (lambda: cg.MarginCascade(waterfall="equity"), "MarginCascade: waterfall is 'equity'"),
    "waterfall of a class": (lambda: cg.MarginCascade(waterfall=(cg.ProRata,)), "that is a class, not a layer"),
    "waterfall of no layer": (
        lambda: cg.MarginCascade(waterfall=("equity",)),
        "waterfall has 'equity'; it has no kind",
    ),
    "a layer twice": (
        lambda: cg.MarginCascade(waterfall=(cg.Members(), cg.Members())),
        "each is there once, by its own name",
    ),
    "own contributions late": (
        lambda: cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.OwnContribution())),
        "OwnContribution is the first",
    ),
    "share missing": (
        lambda: cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.ProRata("share"))).run(GRAPH),
        "needs column share",
    ),
    "profit missing": (
        lambda: cg.MarginCascade(waterfall=(cg.InsuranceFund(), cg.ProRata("profit"))).run(GRAPH),
        "needs entry prices",
    ),
}


@pytest.mark.parametrize("kind", RULE_FAULTS)
def test_each_parameter_of_a_rule_is_checked(kind: str):
    build, expected = RULE_FAULTS[kind]
    with pytest.raises(cg.ParameterError) as caught:
        build()
    assert expected in str(caught.value)


WITH_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown vector": ({"prices": 1.0}, "assign cannot change ['prices']"),
    "price": ({"price": {"ETH": 0.0}}, "price: out of range in 1 row (row 0: 0.0, 'ETH')"),
    "label": ({"depth": {"EHT": 1.0}}, "depth: unknown label 'EHT' (did you mean 'ETH'?)"),
    "cash": ({"cash": {"Nobody": 1.0}}, "cash: unknown label 'Nobody'"),
    "fund": ({"insurance_fund": [1.0, 2.0]}, "insurance_fund: has shape (2,), expected (1,)"),
}


@pytest.mark.parametrize("kind", WITH_FAULTS)
def test_each_argument_of_with_is_checked(kind: str):
    vectors, expected = WITH_FAULTS[kind]
    with pytest.raises(cg.ContagionError) as caught:
        GRAPH.assign(**vectors)
    assert expected in str(caught.value)


def test_a_subset_names_what_it_does_not_know():
    with pytest.raises(cg.ParameterError, match="traders: unknown label 'Anne'"):
        GRAPH.subset(traders=["Anne"])
    with pytest.raises(cg.ParameterError, match="the subset is empty"):
        GRAPH.subset(assets=[])


def test_exports_name_what_they_can_do():
    with pytest.raises(cg.ParameterError, match="it is 'positions' or 'bipartite'"):
        GRAPH.to_networkx(nodes="traders")  # type: ignore[arg-type]
    with pytest.raises(cg.ParameterError, match="weight value or quantity"):
        GRAPH.to_scipy(weight="price")


def test_a_blank_label_of_an_array_is_named_and_counted_once():
    with pytest.raises(cg.TableError, match=r"traders: blank in 1 row \(row 1: ''\)\. Give"):
        cg.ExposureGraph.from_arrays([[1.0], [2.0]], price=1.0, traders=["A", ""])


def test_a_hint_among_a_million_labels_takes_no_time():
    """A typing error anywhere is found, in texts that begin alike too; without the bound it took a minute."""
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 16, (100_000, 40))
    addresses = ["0x" + "".join(each) for each in np.array(list("0123456789abcdef"))[digits]]
    numbered = [f"trader{k}" for k in range(1_000_000)]
    began = time.process_time()
    for known, label, meant in (
        (addresses, addresses[7][:-1] + "z", addresses[7]),
        (addresses, "0x" + addresses[8][3:], addresses[8]),
        (addresses, addresses[9][:20] + addresses[9][21:], addresses[9]),
        (addresses, addresses[5].upper(), addresses[5]),
        (numbered, "tradr777", "trader777"),
        (numbered, "Trader777777", "trader777777"),
    ):
        assert nearest(label, known) == f" (did you mean {meant!r}?)"
    assert nearest("gold", numbered) == ""
    assert time.process_time() - began < 20.0
