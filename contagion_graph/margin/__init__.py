"""The margin cascade: breach, liquidation, price impact, loss sharing, and around again."""
