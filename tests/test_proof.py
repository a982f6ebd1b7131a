"""Proof of solvency: what is committed to is what is owed, and nothing can be changed afterwards."""

import ast
import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion_graph as cg
from contagion_graph.cli.main import main
from contagion_graph.collateral.proof import verify as verifier
from contagion_graph.collateral.proof.merkle_sum_tree import SumLevels
from contagion_graph.collateral.proof.verify import LIMIT, root_of, verify, verify_next
from tests.markets import graph_of
from tests.reference.random_markets import random_case
from tests.reference.sum_tree import node
from tests.shared_data import case

SECRET = bytes(range(32))


def small() -> cg.ExposureGraph:
    """Return five traders, two of them alike, one below zero, one with two accounts."""
    return cg.ExposureGraph.from_arrays(
        [[2.0, 0.0], [2.0, 0.0], [1.5, -3.25], [0.0, 1.0], [-1.0, 0.5], [3.0, 0.0]],
        price=[100.0, 10.0],
        cash=[-50.0, -50.0, 20.0, 0.125, 50.0, 0.0],
        traders=["Ann", "Bob", 'C"l|ëo', "D", "Eve", "Eve"],
        assets=["ETH", "B|T,C"],
        pool=["one", "one", "one", "one", "one", "two"],
    )


@pytest.fixture(scope="module")
def tree() -> cg.SumTree:
    return cg.SumTree.from_graph(small(), secret=SECRET, decimals=4)


def test_the_reference_case():
    figures = case("merkle_sum_tree")
    names, amounts = zip(*figures["inputs"]["users"], strict=True)
    levels = SumLevels.build([name.encode() for name in names], [list(amounts)])
    expected = figures["expected"]
    assert [[piece[:32].hex(), int(piece[33:])] for piece in levels.levels[1]] == expected["level1"]
    assert levels.root == expected["root_hash"]
    assert levels.sums == [expected["root_sum"]]


@pytest.mark.parametrize("size", range(1, 41))
def test_levels_agree_with_the_definition(size: int):
    rng = np.random.default_rng(size)
    quantities = int(rng.integers(1, 4))
    amounts = [[int(x) << int(rng.integers(0, 60)) for x in rng.integers(0, 2**40, size)] for _ in range(quantities)]
    names = [rng.bytes(int(rng.integers(0, 9))) for _ in range(size)]
    levels = SumLevels.build(names, amounts)
    digest, sums = node([(name, [one[k] for one in amounts]) for k, name in enumerate(names)])
    assert (levels.root, levels.sums) == (digest.hex(), sums)


@pytest.mark.parametrize("seed", range(40))
def test_every_account_of_random_graphs_is_counted(seed: int):
    graph = graph_of(random_case(seed).market)
    tree = cg.SumTree.from_graph(graph, decimals=6)
    counted = np.zeros(2)
    for row, account in enumerate(graph.account_index):
        owed, owing = verify(tree.statement, tree.proof(account), root=tree.root)
        equity, cash = graph.equity.iloc[row], graph.cash[row]
        held = graph.quantity[[row]].toarray()[0]
        debt = -np.minimum(held, 0.0) @ graph.price + max(0.0, -cash)
        assert owed == pytest.approx(max(equity, 0.0) * 1e6, abs=0.51, rel=1e-12)
        assert owing == pytest.approx(debt * 1e6, abs=0.51, rel=1e-12)
        counted += owed, owing
        for column in np.flatnonzero(held):
            asset = graph.assets[column]
            sides = verify(tree.statement, tree.proof(account, asset=asset), root=tree.root)
            exact = [max(held[column], 0.0) * 1e6, max(-held[column], 0.0) * 1e6]
            assert sides == pytest.approx(exact, abs=0.51, rel=1e-12)
    assert tree.statement["trees"]["accounts"]["sums"] == pytest.approx(counted.tolist(), rel=1e-12)


def flipped(value: Any, rng: np.random.Generator) -> Any:
    """Return a number or a text with one bit changed."""
    if isinstance(value, int):
        return value ^ (1 << int(rng.integers(0, max(value.bit_length(), 1) + 2)))
    raw = bytearray(value.encode())
    raw[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
    return raw.decode(errors="replace")


def leaves_of(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the places of all numbers and texts in nested lists and dicts."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, inner in items for found in leaves_of(inner, (*place, key))]
    return [place] if value != "" else []


def changed(value: Any, place: tuple[Any, ...], rng: np.random.Generator) -> Any:
    """Return a copy with one bit changed at a place."""
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = flipped(inner[place[-1]], rng)
    return value


def test_a_single_changed_bit_fails(tree: cg.SumTree):
    rng = np.random.default_rng(0)
    proofs = [tree.proof("Ann"), tree.proof('C"l|ëo'), tree.proof(("Eve", "two", "")), tree.proof("Bob", asset="ETH")]
    for k in range(1_000):
        proof, statement, root = proofs[k % 4], tree.statement, tree.root
        verify(statement, proof, root=root)
        if k % 10 == 0:
            root = flipped(root, rng)
        elif k % 10 < 4:
            places = leaves_of(statement)
            statement = changed(statement, places[int(rng.integers(len(places)))], rng)
        else:
            places = leaves_of(proof)
            proof = changed(proof, places[int(rng.integers(len(places)))], rng)
        with pytest.raises(ValueError):  # noqa: PT011 - whichever way it fails
            verify(statement, proof, root=root)


def test_a_changed_statement_fails_even_if_its_root_is_computed_anew(tree: cg.SumTree):
    rng, proof = np.random.default_rng(1), tree.proof("Ann")
    for place in leaves_of(tree.statement["trees"]["accounts"]):
        if place[0] == "leaves":
            continue  # nothing that a member can check
        statement = changed(tree.statement, ("trees", "accounts", *place), rng)
        with pytest.raises(ValueError):  # noqa: PT011
            verify(statement, proof, root=root_of(statement))


@pytest.mark.parametrize("one", range(2))
def test_the_order_of_a_path_counts(tree: cg.SumTree, one: int):
    proof = tree.proof("Ann")
    sides = copy.deepcopy(proof)
    sides["path"][one][0] = {"left": "right", "right": "left"}[sides["path"][one][0]]
    swapped = copy.deepcopy(proof)
    swapped["path"][one], swapped["path"][one - 1] = swapped["path"][one - 1], swapped["path"][one]
    shorter = {**proof, "path": proof["path"][:one] + proof["path"][one + 1 :]}
    for wrong in (sides, swapped, shorter, {**proof, "path": [*proof["path"], proof["path"][one]]}):
        with pytest.raises(ValueError, match="root and the sums"):
            verify(tree.statement, wrong, root=tree.root)


def test_a_proof_for_one_tree_is_none_for_another(tree: cg.SumTree):
    with pytest.raises(ValueError, match="root and the sums"):
        verify(tree.statement, {**tree.proof("Ann", asset="ETH"), "tree": "accounts"}, root=tree.root)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda proof: proof["amounts"].__setitem__(0, -1), "whole numbers from 0"),
        (lambda proof: proof["amounts"].__setitem__(0, 15000.0), "whole numbers from 0"),
        (lambda proof: proof["amounts"].__setitem__(0, True), "whole numbers from 0"),
        (lambda proof: proof["amounts"].__setitem__(0, LIMIT), "whole numbers from 0"),
        (lambda proof: proof["amounts"].clear(), "whole numbers from 0"),
        (lambda proof: proof["path"][0][2].__setitem__(0, -5), "whole numbers from 0"),
        (lambda proof: proof["path"][0].__setitem__(2, [1]), "malformed"),
        (lambda proof: proof["path"][0].__setitem__(1, proof["path"][0][1].upper()), "malformed"),
        (lambda proof: proof["path"][0].__setitem__(0, "top"), "malformed"),
        (lambda proof: proof.pop("salt"), "malformed"),
        (lambda proof: proof.__setitem__("tree", "balance:XRP"), "malformed"),
        (lambda proof: proof.__setitem__("path", 7), "malformed"),
        (lambda proof: proof.__setitem__("account", ["Bob", "one", ""]), "root and the sums"),
    ],
)
def test_the_verifier_names_what_is_wrong(tree: cg.SumTree, change, text: str):
    proof = copy.deepcopy(tree.proof("Ann"))
    change(proof)
    with pytest.raises(ValueError, match=text):
        verify(tree.statement, proof, root=tree.root)


def test_changing_one_position_changes_the_root():
    base = small()
    root = cg.SumTree.from_graph(base, secret=SECRET).root
    for cell in range(base.quantity.nnz):
        quantity = base.quantity.copy()
        quantity.data[cell] += 1e-7
        moved = cg.ExposureGraph.from_arrays(
            quantity, price=base.price, cash=base.cash, traders=base.account_index.get_level_values(0),
            assets=base.assets, pool=base.account_index.get_level_values(1),
        )  # fmt: skip
        assert cg.SumTree.from_graph(moved, secret=SECRET).root != root
    assert cg.SumTree.from_graph(small(), secret=SECRET).root == root
    assert cg.SumTree.from_graph(base.assign(price={"ETH": 100.5}), secret=SECRET).root != root
    assert cg.SumTree.from_graph(base.assign(cash={"Ann": -49.0}), secret=SECRET).root != root


def test_leaves_are_salted(tree: cg.SumTree):
    other = cg.SumTree.from_graph(small(), secret=SECRET[::-1], decimals=4)
    following = cg.SumTree.from_graph(small(), secret=SECRET, decimals=4, previous=tree.statement)

    def leaves(one: cg.SumTree) -> set[bytes]:
        return {piece[:32] for piece in one._trees["accounts"].levels.levels[0]}

    assert len(leaves(tree) | leaves(other) | leaves(following)) == 18  # also for Ann and Bob, who are alike
    assert tree.proof("Ann")["salt"] != tree.proof("Bob")["salt"]
    assert tree.proof("Ann")["salt"] != following.proof("Ann")["salt"]
    drawn = cg.SumTree.from_graph(small()).secret
    assert len(drawn) == 32
    assert drawn != cg.SumTree.from_graph(small()).secret


def test_statements_are_chained(tree: cg.SumTree):
    second = cg.SumTree.from_graph(small().assign(price={"ETH": 90.0}), previous=tree.statement)
    third = cg.SumTree.from_graph(small(), previous=json.loads(json.dumps(second.statement)))
    verify_next(tree.statement, second.statement)
    verify_next(second.statement, third.statement)
    assert [one.statement["sequence"] for one in (tree, second, third)] == [0, 1, 2]
    rewritten = copy.deepcopy(second.statement)
    rewritten["prices"]["ETH"] = "91.0"
    for one, other in ((rewritten, third.statement), (tree.statement, third.statement)):
        with pytest.raises(ValueError, match="does not follow"):
            verify_next(one, other)


def test_the_verifier_stands_alone(tree: cg.SumTree, tmp_path: Path):
    source = Path(verifier.__file__)
    parsed = ast.parse(source.read_text(encoding="utf-8"))
    names = [node for node in ast.walk(parsed) if isinstance(node, ast.Import | ast.ImportFrom)]
    used = {alias.name for node in names if isinstance(node, ast.Import) for alias in node.names}
    used |= {node.module for node in names if isinstance(node, ast.ImportFrom)}
    assert used <= {"hashlib", "json", "sys", "typing"}
    (tmp_path / "verify.py").write_bytes(source.read_bytes())
    (tmp_path / "statement.json").write_text(json.dumps(tree.statement), encoding="utf-8")
    (tmp_path / "proof.json").write_text(json.dumps(tree.proof('C"l|ëo')), encoding="utf-8")
    command = [sys.executable, "-I", "-S", "verify.py", "statement.json", "proof.json"]
    ran = subprocess.run([*command, tree.root], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == "counted: [1375000, 325000]\n"
    ran = subprocess.run([*command, "0" * 64], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "ValueError: the statement does not have this root" in ran.stderr


def test_a_proof_in_a_tree_of_a_million_is_under_4_kb(tree: cg.SumTree):
    proof = tree.proof("Ann")
    step = ["right", "f" * 64, [10**18, 10**18]]  # ten billion at eight decimals
    assert len(json.dumps({**proof, "amounts": [10**18, 10**18], "path": [step] * 20})) < 4096


@pytest.mark.parametrize(
    ("amounts", "text"),
    [
        ([-1, 5], "leaf 'a' is -1"),
        ([5, LIMIT], "leaf 'b' is 1701"),
        ([1.5, 5], "leaf 'a' is 1.5"),
        ([True, 5], "leaf 'a' is True"),
        ([LIMIT - 1, 1], "the sum over all leaves reaches"),
        ([1], "one amount a leaf, here 2"),
    ],
)
def test_leaves_are_checked(amounts: list[Any], text: str):
    with pytest.raises(cg.ParameterError, match=text):
        SumLevels.build([b"a", b"b"], [amounts])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"assets": ["XRP"]}, cg.ParameterError, "unknown label 'XRP'"),
        ({"assets": "ETH"}, cg.ParameterError, "assets='ETH' is a text"),
        ({"decimals": -1}, cg.ParameterError, "decimals is -1"),
        ({"decimals": 1.5}, cg.ParameterError, "decimals is 1.5"),
        ({"decimals": 31}, cg.ParameterError, "decimals is 31"),
        ({"secret": b"short"}, cg.ParameterError, "secret must be 16 to 64 random bytes"),
        ({"secret": "0" * 32}, cg.ParameterError, "secret must be 16 to 64 random bytes"),
        ({"previous": {"root": "00"}}, cg.ParameterError, "previous is no statement"),
    ],
)
def test_bad_input_is_refused_by_name(options: dict[str, Any], error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        cg.SumTree.from_graph(small(), **options)


def test_bad_graphs_and_accounts_are_refused_by_name(tree: cg.SumTree):
    with pytest.raises(cg.ParameterError, match="graph is a dict"):
        cg.SumTree.from_graph({})  # type: ignore[arg-type]
    huge = cg.ExposureGraph.from_arrays([[1e150]], price=[1e149])
    with np.errstate(over="ignore"), pytest.raises(cg.ParameterError, match="'accounts' is not finite"):
        cg.SumTree.from_graph(huge, decimals=30)
    with pytest.raises(cg.ParameterError, match="below 2\\^127; use fewer decimals"):
        cg.SumTree.from_graph(cg.ExposureGraph.from_arrays([[1e30]], price=[1e10]))
    with pytest.raises(cg.ParameterError, match="unknown label 'Anna'"):
        tree.proof("Anna")
    with pytest.raises(cg.ParameterError, match="'Eve' has 2 accounts"):
        tree.proof("Eve")
    with pytest.raises(cg.ParameterError, match=r"'Ann' has no balance of 'B\|T,C'"):
        tree.proof("Ann", asset="B|T,C")
    with pytest.raises(cg.ParameterError, match="no balance of 'ETH' in this statement"):
        cg.SumTree.from_graph(small(), assets=[]).proof("Ann", asset="ETH")


@pytest.mark.parametrize("decimals", [400, 300_000_000, -1, True, 8.0, "8", None])
def test_decimals_outside_of_the_format_are_refused(tree: cg.SumTree, decimals: Any):
    """With 400 decimals every amount would be shown as 0; with 300 million nobody would wait for 10^decimals."""
    statement = {**tree.statement, "decimals": decimals}
    with pytest.raises(ValueError, match=r"decimals .*, not 0 to 30"):
        verify(statement, tree.proof("Ann"), root=root_of(statement))


def test_a_path_longer_than_any_tree_is_refused(tree: cg.SumTree):
    proof = tree.proof("Ann")
    proof["path"] = proof["path"] * 100
    with pytest.raises(ValueError, match=r"the path has .* steps; it has at most 64"):
        verify(tree.statement, proof, root=tree.root)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("[" * 60_000, "nested too deeply"), ('"' + "x" * 70_000 + '"', "more than 65536 characters"), ("[", "Expecting")],
)
def test_files_beyond_the_limits_are_refused(tmp_path: Path, text: str, problem: str):
    (tmp_path / "proof.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        verifier.read(tmp_path / "proof.json", verifier.PROOF)


HOSTILE = "A\x1b[2J\x1b]0;owned\x07\rB\nholds: statement 7\u202e"


def test_a_label_cannot_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What a terminal would obey is written as escapes by every command that prints labels."""
    positions = pd.DataFrame({"trader": [HOSTILE] * 2, "asset": ["ETH", HOSTILE], "quantity": [1.0, 1.0]})
    assets = {"asset": ["ETH", HOSTILE], "price": [100.0, 50.0], "margin_long": 0.1, "depth": 1e3}
    graph = cg.ExposureGraph.from_tables(
        positions, pd.DataFrame(assets), accounts=pd.DataFrame({"trader": [HOSTILE], "cash": [-130.0]})
    )
    folder, out, ticks = tmp_path / "tables", tmp_path / "out", tmp_path / "ticks.csv"
    cg.write_tables(graph, folder)
    pd.DataFrame({"asset": ["ETH", HOSTILE, "ETH"], "price": [80.0, 49.0, -1.0]}).to_csv(ticks, index=False)
    assert main(["prove", str(folder), "--out", str(out), "--trader", HOSTILE]) == 0
    statement = json.loads((out / "statement.json").read_text(encoding="utf-8"))
    proofs = [str(path) for path in sorted(out.glob("proof_*.json"))]
    assert main(["verify", str(out / "statement.json"), *proofs, "--root", root_of(statement)]) == 0
    assert main(["monitor", str(folder), "--prices", str(ticks)]) == 0
    assert main(["run", str(folder), "--shock", "ETH=-50%"]) == 0
    assert main(["run", str(folder), "--shock", f"{HOSTILE}x=-50%"]) == 2
    for text in capsys.readouterr():
        assert HOSTILE[:4].encode("unicode_escape").decode() in text
        assert not set(text) & set("\x1b\x07\r\u202e")
        assert "holds: statement 7" not in [line.strip() for line in text.splitlines()]


def test_a_statement_with_wild_decimals_does_not_hold(
    tree: cg.SumTree, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    statement = {**tree.statement, "decimals": 300_000_000}
    (tmp_path / "statement.json").write_text(json.dumps(statement), encoding="utf-8")
    (tmp_path / "proof.json").write_text(json.dumps(tree.proof("Ann")), encoding="utf-8")
    files = [str(tmp_path / name) for name in ("statement.json", "proof.json")]
    assert main(["verify", *files, "--root", root_of(statement)]) == 1
    assert "does not hold: the statement has decimals 300000000, not 0 to 30" in capsys.readouterr().out
