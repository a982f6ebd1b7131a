"""Clearing: what everybody pays when not everybody can pay all that is due."""
