"""Associative recall: pairs of a key and a value, a gap, and then keys whose values are asked for.

Multi-query associative recall of Arora et al. 2024 (Zoology, arXiv 2312.04927), with the length of the gap as its one
parameter: how far back does a model remember?
"""

from __future__ import annotations

import numpy as np

PAIRS = 4
SYMBOLS = 128
"""Tokens in all: 0 pads, 1 fills the gap; the rest are keys, then values."""

GAP_TOKEN = 1
_FIRST_KEY = 2
NOT_ASKED = -100
"""The target of every position but the keys that are asked."""


def length(gap: int) -> int:
    """Tokens of a sequence with such a gap."""
    return 2 * PAIRS + gap + PAIRS


def sequences(count: int, gap: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, targets), both (count, length): k v k v … then the gap, then the keys in another order.

    Keys and values are drawn anew for each sequence: nothing but the sequence itself tells the values.
    """
    random = np.random.default_rng((seed, gap))
    middle = SYMBOLS // 2
    keys = _FIRST_KEY + _distinct(random, count, middle - _FIRST_KEY)
    values = middle + _distinct(random, count, SYMBOLS - middle)
    tokens = np.full((count, length(gap)), GAP_TOKEN)
    tokens[:, 0 : 2 * PAIRS : 2], tokens[:, 1 : 2 * PAIRS : 2] = keys, values
    order = np.argsort(random.random((count, PAIRS)), axis=1)
    tokens[:, -PAIRS:] = np.take_along_axis(keys, order, axis=1)
    targets = np.full(tokens.shape, NOT_ASKED)
    targets[:, -PAIRS:] = np.take_along_axis(values, order, axis=1)
    return tokens, targets


def _distinct(random: np.random.Generator, count: int, among: int) -> np.ndarray:
    return np.argsort(random.random((count, among)), axis=1)[:, :PAIRS]
