"""Synthetic markets: seeded venues, and networks reconstructed from row and column sums."""
