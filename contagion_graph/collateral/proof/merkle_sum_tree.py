"""A Merkle sum tree over named amounts: every node hashes the hashes and the sums of both its children.

    leaf = H(00 | name | "|" | a,b,...)        node = H(01 | h_l | "|" | s_l | "|" | h_r | "|" | s_r)

H is SHA-256, 00 and 01 are bytes, hashes 32 bytes, amounts decimal whole numbers. A node without a sibling moves up
unchanged. Both sums stand in the hash: with their total alone, a sum could be understated (Hu, Zhang & Guo 2019).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import add

from contagion_graph.collateral.proof.verify import LIMIT
from contagion_graph.errors import ParameterError

Amounts = Sequence[list[int]]  # one list a quantity, one number a leaf
DIGEST = 32


@dataclass(frozen=True, eq=False)
class SumLevels:
    """The levels of a tree, leaves first; each node is the piece that its parent hashes: hash | sums.

    Parameters
    ----------
    levels : list of list of bytes
        The nodes of each level; the last level is the root alone.

    Examples
    --------
    >>> levels = SumLevels.build([b"alice", b"bob"], [[100, 250]])
    >>> levels.sums, levels.root[:8]
    ([350], '05a884ef')
    """

    levels: list[list[bytes]]

    @classmethod
    def build(cls, names: Sequence[bytes], amounts: Amounts) -> "SumLevels":
        """Hash leaves with these names and amounts, and all nodes above them.

        Parameters
        ----------
        names : sequence of bytes
            What stands for each leaf; at least one.
        amounts : sequence of list of int
            For each quantity that is summed, its amount at each leaf, from 0 up.

        Raises
        ------
        ParameterError
            A negative amount, one that is not whole, a sum of 2^127 or more; the leaf is named.
        """
        _check(names, amounts)
        sums = list(amounts)
        leaves = [
            sha256(b"\0" + name + b"|" + text).digest() + b"|" + text
            for name, text in zip(names, _texts(sums), strict=True)
        ]
        levels = [leaves]
        while len(levels[-1]) > 1:
            below, pairs = levels[-1], len(levels[-1]) // 2
            sums = [[*map(add, one[: 2 * pairs : 2], one[1::2]), *one[2 * pairs :]] for one in sums]
            nodes = [
                sha256(b"\1" + left + b"|" + right).digest() + b"|" + text
                for left, right, text in zip(below[::2], below[1::2], _texts(sums), strict=False)
            ]
            levels.append(nodes + below[2 * pairs :])
        return cls(levels)

    @property
    def root(self) -> str:
        """The hash at the top, in hexadecimal."""
        return self.levels[-1][0][:DIGEST].hex()

    @property
    def sums(self) -> list[int]:
        """The sum of each quantity over all leaves."""
        return _sums_of(self.levels[-1][0])

    def path(self, leaf: int) -> list[list[object]]:
        """Return the siblings on the way from a leaf to the root.

        Parameters
        ----------
        leaf : int
            Its number.

        Returns
        -------
        list of list
            Side, hash and sums of each sibling.
        """
        steps: list[list[object]] = []
        for level in self.levels[:-1]:
            other = leaf ^ 1
            if other < len(level):
                side = "left" if other < leaf else "right"
                steps.append([side, level[other][:DIGEST].hex(), _sums_of(level[other])])
            leaf //= 2
        return steps


def _check(names: Sequence[bytes], amounts: Amounts) -> None:
    if not names or not amounts or any(len(one) != len(names) for one in amounts):
        raise ParameterError(f"a sum tree needs leaves, and of each quantity one amount a leaf, here {len(names)}")
    for one in amounts:
        if set(map(type, one)) == {int} and min(one) >= 0 and sum(one) < LIMIT:
            continue
        for leaf, amount in enumerate(one):
            if type(amount) is not int or not 0 <= amount < LIMIT:
                name = names[leaf].decode(errors="replace")
                problem = f"the amount of leaf {name!r} is {amount!r}"
                raise ParameterError(f"{problem}; it must be a whole number from 0 up, below 2^127; use fewer decimals")
        raise ParameterError("the sum over all leaves reaches 2^127; use fewer decimals")


def _texts(sums: Amounts) -> list[bytes]:
    form = b",".join([b"%d"] * len(sums))
    return list(map(form.__mod__, zip(*sums, strict=True)))


def _sums_of(piece: bytes) -> list[int]:
    return [int(amount) for amount in piece[DIGEST + 1 :].split(b",")]
