"""A block of query rows of some heads in float64: the scores, and how far rounding may move each of them.

The forward and the backward oracle share this; the letters are those of docs/tolerance.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.attention.reference.operands import Operands
from harness.operators.reference.approximate import Approximate, moved
from harness.operators.reference.roundoff import EXP_ULPS, Roundoff

BLOCK_ELEMENTS = 2**20
"""Elements of a (heads, rows, keys) array: 8 MiB in float64, a dozen of which are alive at once."""

SWALLOWED = 2.0**-54
"""A score below this fraction of its bias leaves the sum equal to the bias, in float64 and in every narrower type."""

MAX_DELTA = 1e300
"""Keeps Δ finite where |q||k| overflows float64; such a row is undefined or judged by the reach of its values."""


@dataclass(frozen=True)
class Block:
    """Which rows of which heads: many rows of one head, or all of the chosen rows of many."""

    b: np.ndarray
    h: np.ndarray
    """Batch element and query head of each head of the block."""
    kv: np.ndarray
    """The key/value head that it reads."""
    rows: np.ndarray
    part: slice
    """Where these are among the chosen rows."""

    def queries(self, x: np.ndarray) -> np.ndarray:
        """(heads, rows, dim), float64, of an array shaped as q or o."""
        return x[self.b[:, None], self.h[:, None], self.rows].astype(np.float64)

    def keys(self, x: np.ndarray) -> np.ndarray:
        """(heads, kv_len, dim), float64, of an array shaped as k or v."""
        return x[self.b, self.kv].astype(np.float64)


@dataclass(frozen=True)
class ScoreBlock:
    """A block against all keys. Every array is `(heads, rows, kv_len)`, float64 unless it says otherwise."""

    shifted: np.ndarray
    """Scores minus the largest of the row; -inf where a key has no weight."""
    delta: np.ndarray
    """Δ: the bound on the absolute error of each score; zero where the key is not seen."""
    seen: np.ndarray
    """Boolean: the keys that each row may attend to. A weight may still underflow to zero there."""
    undefined: np.ndarray
    """Boolean (heads, rows, 1): the formula gives no number, since a seen score is nan or +inf, or all of them are -inf."""
    overflows: np.ndarray
    """Boolean (heads, rows, 1): a finite score may lie beyond the accumulator's range, where kernels have an infinity."""
    cap_slope: np.ndarray | None
    """Derivative of the softcap at each score, 1 - tanh²; None without one."""
    cap_slope_error: np.ndarray | None


def blocks(problem: Problem, rows: np.ndarray) -> Iterator[Block]:
    """`rows` of every head, in blocks of bounded size: of one head, or of all that share some key/value heads."""
    b, h = (x.ravel() for x in np.indices((problem.batch, problem.q_heads)))
    kv = h // problem.group
    widest = max(problem.kv_len, problem.head_dim, problem.v_head_dim)
    per_head = max(1, widest * max(len(rows), problem.kv_len))
    together = BLOCK_ELEMENTS // per_head // problem.group * problem.group or 1
    step = max(1, len(rows) if together > 1 else BLOCK_ELEMENTS // widest)
    for first in range(0, len(b), together):
        heads = slice(first, first + together)
        for start in range(0, len(rows), step):
            part = slice(start, min(start + step, len(rows)))
            yield Block(b[heads], h[heads], kv[heads], rows[part], part)


@np.errstate(invalid="ignore", over="ignore")
def score_block(problem: Problem, operands: Operands, block: Block) -> ScoreBlock:
    """The scores of a block."""
    unit = Roundoff.of(problem.dtype)
    q, k = operands.q.map(block.queries), operands.k.map(block.keys)
    s = problem.scale * (q.value @ k.value.swapaxes(-1, -2))
    delta = _product_error(problem, unit, q, k) + unit.storage * np.abs(s)

    slope = slope_error = None
    if problem.softcap is not None:
        slope, slope_error = _slope(problem.softcap, unit, s, delta)
        s, delta = _capped(problem.softcap, unit, s, delta)
    seen = visible(problem, operands, block)
    if operands.bias is not None:
        bias = rows_of(operands.bias, problem, block).astype(np.float64)
        seen &= ~np.isneginf(bias)
        s, delta = _biased(unit, s, delta, np.where(seen, bias, -np.inf))

    some = seen.any(axis=-1, keepdims=True)
    m = np.where(seen, s, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    broken = np.where(seen, np.isnan(s) | np.isposinf(s), False).any(axis=-1, keepdims=True)
    undefined = some & (broken | ~np.isfinite(m))
    overflows = some & ~undefined & (np.where(seen, s + delta, 0.0).max(axis=-1, keepdims=True) > unit.largest_score)
    counted = seen & ~undefined & np.isfinite(s)
    shifted = np.where(counted, s - np.where(np.isfinite(m), m, 0.0), -np.inf)
    delta = np.where(counted, delta + 2 * unit.accumulator * np.abs(np.where(counted, shifted, 0.0)), 0.0)
    return ScoreBlock(shifted, np.minimum(delta, MAX_DELTA), seen, undefined, overflows, slope, slope_error)


def _product_error(problem: Problem, unit: Roundoff, q: Approximate, k: Approximate) -> np.ndarray:
    """Of scale q·k: the errors of q and k, the sum in any order, the scale folded into both operands, and operands that were
    flushed to zero."""
    abs_q, abs_k = q.size, k.size
    error = (abs_q @ abs_k.swapaxes(-1, -2)) * (unit.gamma(problem.head_dim) + 4 * unit.storage)
    error += unit.smallest * (abs_q.sum(axis=-1, keepdims=True) + abs_k.sum(axis=-1)[:, None])
    error += (1 + unit.storage) * moved(q, k.transposed())
    return abs(problem.scale) * error + problem.head_dim * unit.smallest_product


def _capped(cap: float, unit: Roundoff, s: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c tanh(s / c) and its error: as far as the curve moves within Δ, 4 ulp of tanh, and a storing."""
    capped = cap * np.tanh(s / cap)
    moved = np.maximum(cap * np.tanh((s + delta) / cap) - capped, capped - cap * np.tanh((s - delta) / cap))
    return capped, moved + (EXP_ULPS * unit.accumulator + unit.storage) * np.abs(capped)


def _slope(cap: float, unit: Roundoff, s: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 - tanh²(s / c) and its error; the tanh that is squared has 4 ulp and may have been stored."""
    t = np.tanh(s / cap)
    slope = 1 - t * t
    ends = [1 - np.tanh((s + move) / cap) ** 2 for move in (delta, -delta)]
    moved = np.maximum(*(np.abs(end - slope) for end in ends))
    moved = np.where(np.abs(s) < delta, np.maximum(moved, t * t), moved)  # The slope is largest, 1, at zero.
    return slope, moved + 2 * (EXP_ULPS * unit.accumulator + unit.storage) * t * t + 2 * unit.accumulator


def _biased(unit: Roundoff, s: np.ndarray, delta: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s + bias and its error; `bias` is -inf where a key is not seen.

    A bias that swallows its score in float64 swallows it in every type. Where the largest biases of a row do, those keys
    have the very same score in any arithmetic, and no error: the lowest finite number on all keys gives their mean.
    """
    total = s + bias
    size = np.where(np.isfinite(bias), np.abs(bias), 0.0)
    error = (
        delta
        + unit.accumulator * size
        + (unit.accumulator + unit.storage) * np.where(np.isfinite(total), np.abs(total), 0.0)
    )
    swallowed = (np.abs(s) + delta < SWALLOWED * size) & (bias == bias.max(axis=-1, keepdims=True, initial=-np.inf))
    return total, np.where(swallowed, 0.0, error)


def visible(problem: Problem, inputs: Inputs | Operands, block: Block) -> np.ndarray:
    """(heads, rows, kv_len), True where causality, window and mask let the row attend to the key.

    Written apart from `harness.masks`, as is all that judges implementations.
    """
    distance = np.arange(problem.kv_len) - block.rows[:, None]
    low, high = problem.band
    seen = np.broadcast_to((distance >= low) & (distance <= high), (len(block.b), *distance.shape))
    return seen.copy() if inputs.mask is None else seen & rows_of(inputs.mask, problem, block)


def rows_of(array: np.ndarray, problem: Problem, block: Block) -> np.ndarray:
    """The `(heads, rows, kv_len)` part of a mask or bias that is broadcastable to `(batch, q_heads, q_len, kv_len)`."""
    shape = (problem.batch, problem.q_heads, problem.q_len, problem.kv_len)
    return np.broadcast_to(array, shape)[block.b[:, None], block.h[:, None], block.rows]
