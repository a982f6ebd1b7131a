"""Fire-sale models of the literature."""
