"""Solvers on plain arrays and callables: they know no trader and no asset."""
