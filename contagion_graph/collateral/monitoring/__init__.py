"""Collateral validated in real time: who is in breach after every event of a stream."""
