"""Associative recall: pairs of a key and a value, and later keys whose values are asked for.

Multi-query associative recall of Arora et al. 2024 (Zoology, arXiv 2312.04927). `made` is a small one whose questions all
come at the end: its length is how far back a model has to remember. `zoology` is as published: a pair for every sixteen
tokens, and questions that follow them by gaps of a power law.
"""

from __future__ import annotations

import numpy as np

from harness.errors import UserError, unknown_name
from harness.tasks.made import MADE

ZOOLOGY = "zoology"
KINDS = (MADE, ZOOLOGY)

PAIRS = 4
"""Of `made`."""
TOKENS_A_PAIR = 16
"""Of `zoology`: 64 tokens for 4 pairs, 128 for 8, 256 for 16."""
POWER = 0.01
"""Of `zoology`: the n-th gap has the weight n ** (POWER - 1)."""

GAP_TOKEN = 1
"""Fills what is neither key nor value. Token 0 pads; the rest are keys, then values."""
_FIRST_KEY = 2
NOT_ASKED = -100
"""The target of every position but the keys that are asked."""

_MANY = 64
"""Times the numbers wanted: among so many, it is quicker to draw again where two are the same."""


def pairs(data: str, length: int) -> int:
    """Of a sequence."""
    return PAIRS if data == MADE else max(1, length // TOKENS_A_PAIR)


def check(data: str, length: int, symbols: int) -> None:
    """Raise `UserError` for sequences that there are not."""
    if data not in KINDS:
        raise UserError(unknown_name("data", data, list(KINDS), "for recall there are"))
    count = pairs(data, length)
    least = 3 * PAIRS if data == MADE else TOKENS_A_PAIR
    if length < least:
        raise UserError(f"recall needs sequences of {least} tokens or more, not {length}")
    if symbols // 2 - _FIRST_KEY < count:
        least = 2 * (count + _FIRST_KEY)
        raise UserError(f"{count} keys need a vocabulary of {least} tokens or more, not {symbols}")


def sequences(data: str, count: int, length: int, symbols: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, targets), both (count, length): k v k v … then keys again, whose values are the targets.

    Keys and values are drawn anew for each sequence: nothing but the sequence itself tells the values.
    """
    random = np.random.default_rng((seed, length))
    some, middle = pairs(data, length), symbols // 2
    keys = _FIRST_KEY + _distinct(random, (count, some), middle - _FIRST_KEY)
    values = middle + _distinct(random, (count, some), symbols - middle)
    tokens = np.full((count, length), GAP_TOKEN)
    tokens[:, 0 : 2 * some : 2], tokens[:, 1 : 2 * some : 2] = keys, values
    if data == MADE:
        asked = length - some + _distinct(random, (count, some), some)
    else:
        places = (length - 2 * some) // 2
        asked = 2 * some + 2 * _by_weight(random, (count, some), np.arange(1, places + 1) ** (POWER - 1))
    targets = np.full(tokens.shape, NOT_ASKED)
    np.put_along_axis(tokens, asked, keys, axis=1)
    np.put_along_axis(targets, asked, values, axis=1)
    return tokens, targets


def _distinct(random: np.random.Generator, shape: tuple[int, int], below: int) -> np.ndarray:
    """Whole numbers below a limit, no two of a row the same."""
    if below < _MANY * shape[1]:
        return _by_weight(random, shape, np.ones(below))
    drawn = random.integers(below, size=shape)
    while (again := (np.diff(np.sort(drawn)) == 0).any(1)).any():
        drawn[again] = random.integers(below, size=(int(again.sum()), shape[1]))
    return drawn


def _by_weight(random: np.random.Generator, shape: tuple[int, int], weights: np.ndarray) -> np.ndarray:
    """Numbers of weights, each as likely as its weight among those not drawn yet in its row.

    The highest of the logarithms with Gumbel noise: Kool et al. 2019, arXiv 1903.06059.
    """
    noise = random.gumbel(size=(shape[0], len(weights)))
    return np.argsort(-(noise + np.log(weights)), axis=1)[:, : shape[1]]
