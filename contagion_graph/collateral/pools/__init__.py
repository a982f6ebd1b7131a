"""One pool or many: the same positions under several designs of margining, compared."""
