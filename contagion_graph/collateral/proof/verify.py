"""Check that your account is counted in a venue's statement of solvency. Needs Python alone: read, copy, run it.

python verify.py statement.json proof.json ROOT       ROOT: what the venue published, the same to everybody
"""

import hashlib
import json
import sys
from typing import Any

LIMIT = 2**127  # no sum may reach it, so that it is the same number in every language
DECIMALS, STEPS = 30, 64  # at most; a path of 64 steps leads to one of 2^64 leaves
STATEMENT, PROOF = 2**26, 2**16  # characters of a file, at most


def read(path: Any, limit: int) -> Any:
    """Return what a JSON file of at most so many characters holds."""
    with open(path, encoding="utf-8") as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise ValueError(f"it has more than {limit} characters")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def canonical(value: Any) -> bytes:
    """Return the one text of a value: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def root_of(statement: Any) -> str:
    """Return the root of a statement: the SHA-256 of all that it says."""
    return hashlib.sha256(canonical(statement)).hexdigest()


def piece(digest: bytes, sums: Any) -> bytes:
    """Return a node as its parent hashes it: hash | sums. Every sum is a whole number that is not negative."""
    if not sums or any(type(amount) is not int or not 0 <= amount < LIMIT for amount in sums):
        raise ValueError(f"the sums {sums} are not whole numbers from 0 up to below 2^127")
    return digest + b"|" + ",".join(map(str, sums)).encode()


def verify(statement: Any, proof: Any, *, root: str) -> list[int]:
    """Return the amounts that are counted: hashes and sums must lead from the leaf to the root.

    Parameters
    ----------
    statement : dict
        What the venue published, read from statement.json.
    proof : dict
        What the account was given, read from its JSON file.
    root : str
        The root that the venue published, in hexadecimal.

    Returns
    -------
    list of int
        Owed and owing, or units long and short, in whole numbers of 10^-decimals.

    Raises
    ------
    ValueError
        The statement has another root, the proof is malformed, or it does not lead to the root.
    """
    try:
        if root_of(statement) != root:
            raise ValueError("the statement does not have this root")
        if type(statement["decimals"]) is not int or not 0 <= statement["decimals"] <= DECIMALS:
            raise ValueError(f"the statement has decimals {statement['decimals']!r:.40}, not 0 to {DECIMALS}")
        if len(proof["path"]) > STEPS:
            raise ValueError(f"the path has {len(proof['path'])} steps; it has at most {STEPS}")
        tree, sums = statement["trees"][proof["tree"]], proof["amounts"]
        owner = canonical([proof["tree"], proof["salt"], *proof["account"]])
        node = piece(hashlib.sha256(b"\0" + piece(owner, sums)).digest(), sums)
        for side, digest, other_sums in proof["path"]:
            other = piece(bytes.fromhex(digest), other_sums)
            if side not in ("left", "right") or other[:32].hex() != digest or len(other_sums) != len(sums):
                raise ValueError(f"the step {side} {digest} of the path is malformed")
            sums = [one + two for one, two in zip(sums, other_sums)]  # noqa: B905 - of equal length
            both = other + b"|" + node if side == "left" else node + b"|" + other
            node = piece(hashlib.sha256(b"\1" + both).digest(), sums)
        if node != piece(bytes.fromhex(tree["root"]), tree["sums"]):
            raise ValueError("the path does not lead to the root and the sums of the statement")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the proof is malformed: {error!r}") from error
    return list(proof["amounts"])


def verify_next(previous: Any, statement: Any) -> None:
    """Check that a statement is the one that follows `previous`.

    Parameters
    ----------
    previous, statement : dict
        Two statements.

    Raises
    ------
    ValueError
        It is not.
    """
    if statement["previous"] != root_of(previous) or statement["sequence"] != previous["sequence"] + 1:
        raise ValueError("the statement does not follow the previous one")


if __name__ == "__main__":
    print("counted:", verify(read(sys.argv[1], STATEMENT), read(sys.argv[2], PROOF), root=sys.argv[3]))  # noqa: T201
