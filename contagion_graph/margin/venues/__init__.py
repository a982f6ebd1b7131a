"""Margins and rules of venues, as they publish them."""
