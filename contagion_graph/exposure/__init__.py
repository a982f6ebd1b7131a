"""Exposures of traders: direct, and through the reactions of others."""
