"""Proof of solvency: Merkle sum trees over what accounts are owed, and their verifier."""
