"""Distress that spreads along a network: relative losses of equity, from node to node."""
