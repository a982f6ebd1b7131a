"""Assets made of other assets: what a token is backed by, what fails with it, and haircuts."""
