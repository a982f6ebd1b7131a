"""One pool or many: the same positions under other designs of pooling, compared."""
