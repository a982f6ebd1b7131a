"""Collateral validated in real time: the accounts in breach after every event of a stream."""
