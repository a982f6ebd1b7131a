"""The random interbank networks on which models between banks are compared, ours and those of other libraries."""

import numpy as np
from scipy import sparse

import contagion_graph as cg


def network(n: int, links: int = 10, *, seed: int = 42) -> tuple[cg.ObligationNetwork, np.ndarray]:
    """Return a network of n banks with about so many loans a bank, and losses of 5 % of them.

    Amounts are lognormal; liabilities to others are 5 times those to banks, equity 8 % of all liabilities. One bank in
    twenty loses 1.5 times its equity. Equal arguments give equal networks, in any library.
    """
    rng = np.random.default_rng(seed)
    lender, borrower = rng.integers(0, n, n * links), rng.integers(0, n, n * links)
    apart = lender != borrower
    pairs = np.unique(lender[apart] * n + borrower[apart])
    lender, borrower = pairs // n, pairs % n
    amount = rng.lognormal(0.0, 1.0, pairs.size).round(6)
    lent = np.bincount(lender, amount, minlength=n)
    borrowed = np.bincount(borrower, amount, minlength=n)
    liabilities = np.round(5.0 * borrowed + 1.0, 6)
    equity = np.round(0.08 * (liabilities + borrowed) + 0.1, 6)
    assets = liabilities + borrowed + equity - lent
    lift = np.maximum(0.0, 0.5 - assets)
    assets, liabilities = assets + lift, liabilities + lift
    hit = rng.random(n) < 0.05
    losses = np.where(hit, 1.5 * (assets + lent - liabilities - borrowed), 0.0)
    owed = sparse.csr_array((amount, (borrower.astype(np.int32), lender.astype(np.int32))), shape=(n, n))
    return cg.ObligationNetwork.from_arrays(owed, external_assets=assets, external_liabilities=liabilities), losses
