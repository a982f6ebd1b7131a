"""A Merkle sum tree by recursion: what a node is, word by word."""

from hashlib import sha256


def decimal(sums: list[int]) -> bytes:
    """Return sums as they stand in a hash."""
    return ",".join(str(amount) for amount in sums).encode()


def node(leaves: list[tuple[bytes, list[int]]]) -> tuple[bytes, list[int]]:
    """Return the hash and the sums of the tree over leaves (name, amounts): full pairs first, a lone one moves up."""
    level = [(sha256(b"\x00" + name + b"|" + decimal(amounts)).digest(), amounts) for name, amounts in leaves]
    while len(level) > 1:
        above = []
        for k in range(0, len(level) - 1, 2):
            (one, s), (two, t) = level[k], level[k + 1]
            text = b"\x01" + one + b"|" + decimal(s) + b"|" + two + b"|" + decimal(t)
            above.append((sha256(text).digest(), [a + b for a, b in zip(s, t, strict=True)]))
        level = above + ([level[-1]] if len(level) % 2 else [])
    return level[0]
