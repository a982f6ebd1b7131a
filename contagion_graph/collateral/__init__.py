"""Collateral at work: whether it is all there, and how that can be proven."""
