"""Assets made of other assets: what backs a token, which failures follow from a failure, and haircuts."""
