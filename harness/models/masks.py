"""What a model's boolean mask says, in a problem's words: causality, window and padding where it is made of these.

A model hands every layer one mask of all pairs. A kernel that is told "causal" does half of the work, and one that is told
which keys are padding need not read a number for each pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Visible:
    """Which keys queries may attend to."""

    kv_len: int
    """Keys that any query can see by its position; a static cache has room for more, which are left out."""
    causal: str | None = None
    window: tuple[int, int] | None = None
    mask: np.ndarray | None = None
    """What is left to be said: boolean, (batch, 1, 1, kv_len) for padding, else (batch or 1, 1, queries, kv_len)."""

    @property
    def form(self) -> str:
        """The axes of `mask`, as a problem's name has them."""
        assert self.mask is not None
        batch, _, queries, _ = self.mask.shape
        return ("b" if batch > 1 else "1") + "1" + ("q" if queries > 1 else "1") + "k"


def visible(mask: np.ndarray, offset: int) -> Visible:
    """What a boolean mask (batch, 1, queries, keys) says; True = may attend.

    `offset` is the position of the first query less that of the first key: query i is where key i + offset is.
    """
    queries, keys = mask.shape[2:]
    reach = offset + queries
    if 0 < reach < keys and not mask[..., reach:].any():
        mask, keys = mask[..., :reach], reach
    aligned = _alignment(offset, queries, keys)
    seen = np.logical_or.reduce(mask[:, 0], axis=1)
    for causal in (None, aligned):
        for window in (None, _window(mask, offset)):
            if (causal or window) and aligned is None:
                continue  # Such a diagonal no problem has.
            if causal is None and window and offset:
                continue  # A window alone lies around the main one.
            band = _band(queries, keys, offset, causal is not None, window)
            if np.array_equal(mask[:, 0], seen[:, None, :] & band):
                by_position = seen | ~band.any(0)  # What no query can see anyway need not be said.
                return Visible(keys, causal, window, None if by_position.all() else by_position[:, None, None, :])
    same = (mask == mask[:1]).all()
    return Visible(keys, mask=mask[:1] if same else mask)


def of_keys(queries: int, keys: int, offset: int, causal: bool, seen: np.ndarray | None) -> Visible | None:
    """What `visible` says of a mask that is causality, or nothing, and keys that may be `seen`, boolean (batch, keys).

    Without looking at all pairs; None where only that would tell.
    """
    reach = offset + queries
    if causal and 0 < reach < keys:
        keys, seen = reach, None if seen is None else seen[:, :reach]
    aligned = _alignment(offset, queries, keys)
    if causal and aligned is None:
        return None
    hidden = seen is not None and not seen.all()
    padding = seen[:, None, None, :] if seen is not None and hidden else None
    return Visible(keys, aligned if causal and queries > 1 else None, None, padding)


def _alignment(offset: int, queries: int, keys: int) -> str | None:
    """The name of the diagonal on which query i meets key i + offset; None where it has none."""
    if offset == 0:
        return "top-left"
    return "bottom-right" if offset == keys - queries else None


def _window(mask: np.ndarray, offset: int) -> tuple[int, int] | None:
    """(left, right) around the diagonal, as the rows that see fewest keys have it; None where each sees all before it."""
    rows, keys = np.nonzero(np.logical_or.reduce(mask[:, 0]))
    if not len(rows):
        return None
    left, right = int((rows + offset - keys).max()), int((keys - rows - offset).max())
    queries = mask.shape[2]
    unbounded_left, unbounded_right = left >= queries - 1 + offset, right >= mask.shape[3] - 1 - offset
    window = -1 if unbounded_left else left, -1 if unbounded_right or right == 0 else right
    return None if window == (-1, -1) else window


def _band(queries: int, keys: int, offset: int, causal: bool, window: tuple[int, int] | None) -> np.ndarray:
    """Boolean (queries, keys): what causality and window leave."""
    distance = np.arange(keys)[None, :] - (np.arange(queries)[:, None] + offset)
    band = distance <= 0 if causal else np.ones((queries, keys), bool)
    if window:
        left, right = window
        band = band & ((left < 0) | (-distance <= left)) & ((right < 0) | (distance <= right))
    return band
