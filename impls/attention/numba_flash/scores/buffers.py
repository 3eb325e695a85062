"""The memory in which a tile's scores are made."""

from typing import NamedTuple

import numpy as np


class Buffers(NamedTuple):
    """What a tile's scores are made from, and where."""

    queries: np.ndarray
    """The tile's queries along the lanes, times `Call.query_scale`."""
    s: np.ndarray
    """Scores (keys, lanes), and then weights."""
    slope: int
    """The address for the slope of the softcap, or zero."""
    copied: np.ndarray
    """Room for keys that cannot be read where they lie."""
    scratch: np.ndarray
    """Room for packing: see `layout.packing.pack_lanes`."""
