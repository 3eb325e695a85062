"""Which rows of a long problem are checked: enough to catch what goes wrong at edges, few enough to be quick."""

from __future__ import annotations

import numpy as np

FULL_CHECK_ELEMENTS = 2**25
"""Score elements up to which every row is checked; about eight seconds of float64 work on two cores."""

SPOT_CHECK_ELEMENTS = 2**20
"""The same of a spot check, of which there is one in every process; a quarter of a second."""

TILES = (16, 32, 48, 64, 96, 128, 256, 512, 1024, 4096)
"""Tile lengths that kernels commonly use: the rows on both sides of their first and last edges are checked."""


def sampled_rows(length: int, elements_per_row: int, seed: int = 0, most_elements: int | None = None) -> np.ndarray:
    """Indices of the rows to check, ascending: all of them, or those at edges and a random rest.

    `elements_per_row` is what one row costs over all heads. The first and the last row and the rows beside tile edges
    are always among them.
    """
    affordable = (most_elements or FULL_CHECK_ELEMENTS) // max(1, elements_per_row)
    if length <= affordable:
        return np.arange(length)
    edges = {0, 1, length - 2, length - 1}
    for tile in TILES:
        last = (length - 1) // tile * tile
        edges |= {tile - 1, tile, last - 1, last}
    chosen = np.array(sorted(row for row in edges if 0 <= row < length))
    others = np.setdiff1d(np.arange(length), chosen)
    extra = max(0, min(len(others), affordable - len(chosen)))
    drawn = np.random.default_rng([seed, length]).choice(others, size=extra, replace=False)
    return np.sort(np.concatenate([chosen, drawn]))
