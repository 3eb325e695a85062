"""nan and infinity among the inputs: where the formula gives no number, and where a kernel need not give one.

What a row sees counts: a nan anywhere in its scores makes the row nan, one in a value makes that column nan. What is hidden
from a row need not be kept out of it, since 0 · nan is nan. See docs/contract.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.operators.attention.problem import Problem
from harness.operators.attention.reference.operands import Operands
from harness.operators.attention.reference.scores import Block, ScoreBlock, rows_of


def finite(x: np.ndarray) -> np.ndarray:
    """`x` with zeros in place of nan and infinity."""
    return np.where(np.isfinite(x), x, 0.0)


def meets(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Boolean, shaped as `left @ right`: whether a True of `left` meets an element of `right` that is nan or infinite."""
    broken = ~np.isfinite(right)
    if not broken.any():
        return np.zeros((*left.shape[:-1], right.shape[-1]), bool)
    return left.astype(np.float64) @ broken.astype(np.float64) > 0


def hidden(problem: Problem, operands: Operands, block: Block, seen: np.ndarray) -> np.ndarray:
    """Boolean (heads, rows, 1): whether a key that the row does not see, or its bias, is nan or infinite."""
    found = meets(~seen, block.keys(operands.k.value).sum(axis=-1, keepdims=True))
    if operands.bias is not None:
        bias = rows_of(operands.bias, problem, block).astype(np.float64)
        found = found | (~seen & ~np.isfinite(bias) & ~np.isneginf(bias)).any(axis=-1, keepdims=True)
    return found


@dataclass(frozen=True)
class Spread:
    """Where nan and infinity of a block go in a backward pass. Boolean arrays, an entry for each head."""

    dq: np.ndarray
    """(heads, rows, 1)"""
    dk: np.ndarray
    """(heads, kv_len, 1)"""
    dv: np.ndarray
    """(heads, kv_len, v_head_dim)"""
    dq_excused: np.ndarray
    """(heads, rows, 1)"""
    keys_excused: np.ndarray
    """(heads, 1, 1): whether dk and dv of the head may be nan anywhere, as each adds up something of every row."""


def spread(scores: ScoreBlock, q: np.ndarray, v: np.ndarray, do: np.ndarray, hidden_keys: np.ndarray) -> Spread:
    """`q` and `do` of the block's rows, `v` of all keys, `hidden_keys` as of `hidden`."""
    some = scores.seen.any(axis=-1, keepdims=True)
    own = ~np.isfinite(do).all(axis=-1, keepdims=True)
    broken = some & (scores.undefined | own | meets(scores.seen, v).any(axis=-1, keepdims=True))
    seen_by = scores.seen.swapaxes(-1, -2)
    unused = ~some & (own | ~np.isfinite(q).all(axis=-1, keepdims=True))
    excused = scores.overflows | hidden_keys | meets(~scores.seen, v).any(axis=-1, keepdims=True) | unused
    return Spread(
        dq=broken,
        dk=(seen_by & broken.swapaxes(-1, -2)).any(axis=-1, keepdims=True),
        dv=meets(seen_by, do) | (seen_by & scores.undefined.swapaxes(-1, -2)).any(axis=-1, keepdims=True),
        dq_excused=excused,
        keys_excused=(excused | broken).any(axis=-2, keepdims=True),
    )
