"""The types that modules and users name: arrays, seeds, what to do on failure."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
IntArray = np.ndarray[Any, np.dtype[np.int32]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

Seed = int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator
OnFailure = Literal["raise", "warn", "ignore"]
