"""The cheapest plans that keep accounts solvent: top-ups, deleveraging, transfers, and what stops a cascade."""
