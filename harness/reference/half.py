"""The formula computed honestly in a half type: every array that is stored is rounded to the dtype, sums are not.

What this loses is what the dtype costs. A kernel may lose twice as much (the rule of FlashAttention's own tests), and the
rounding of its result; see docs/tolerance.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.inputs import NUMPY_DTYPES, Inputs
from harness.problem import Problem
from harness.reference.roundoff import Roundoff
from harness.reference.scores import row_blocks, rows_of, visible

DTYPES = ("bfloat16", "float16")

FACTOR = 2.0
"""Of the honest error, how much is admitted (tests/test_flash_attn.py of FlashAttention-2)."""


COARSE = 0.25
"""Of the error that storing a score may cause in it: where it is more, a weight moves by over a quarter, and one honest
computation says little of another. Such rows keep the derived bound alone."""


@dataclass
class Honest:
    """An output computed in the half type, float64."""

    value: np.ndarray
    coarse: np.ndarray
    """Boolean, broadcastable to `value`: the rows whose scores are too large for it to be a yardstick."""

    def limit(self, problem: Problem, right: np.ndarray) -> np.ndarray:
        """The largest error that an element may have, by this criterion alone; infinite for coarse rows.

        Twice the honest computation's largest error, and one unit in the last place of the largest element, since an
        honest computation may be lucky (with one key it is exact).
        """
        unit = Roundoff.of(problem.dtype)
        counted = ~np.broadcast_to(self.coarse, right.shape)
        error = float(np.abs(self.value - right)[counted].max(initial=0.0))
        largest = float(np.abs(right)[counted].max(initial=0.0))
        return np.where(counted, FACTOR * error + 2 * unit.storage * largest + unit.smallest, np.inf)


class _Stored:
    """Rounds to a problem's dtype, and computes on in float64."""

    def __init__(self, dtype: str):
        self._dtype = NUMPY_DTYPES[dtype]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return x.astype(self._dtype).astype(np.float64)


def forward_rows(problem: Problem, inputs: Inputs, rows: np.ndarray) -> Honest:
    """o for the given query rows of every head, `(batch, q_heads, len(rows), v_head_dim)`."""
    stored = _Stored(problem.dtype)
    o = np.zeros((problem.batch, problem.q_heads, len(rows), problem.v_head_dim))
    coarse = np.zeros((*o.shape[:3], 1), bool)
    for b, h, done, block in _blocks(problem, rows):
        part = slice(done, done + len(block))
        weights = _weights(problem, inputs, stored, b, h, block)
        o[b, h, part] = stored(weights.p @ inputs.v[b, h // problem.group].astype(np.float64))
        coarse[b, h, part] = weights.coarse
    return Honest(o, coarse)


def backward_rows(problem: Problem, inputs: Inputs, rows: np.ndarray, keys: np.ndarray) -> dict[str, Honest]:
    """{"dq", "dk", "dv"}: dq for the query rows `rows`, dk and dv for the keys `keys`; each head's part is stored, and so
    is o, from which fused kernels take the sum of p dp."""
    assert inputs.do is not None
    stored = _Stored(problem.dtype)
    heads = (problem.batch, problem.q_heads)
    dq = np.zeros((*heads, problem.q_len, problem.head_dim))
    dk, dv = (np.zeros((*heads, len(keys), width)) for width in (problem.head_dim, problem.v_head_dim))
    coarse = np.zeros((*heads, problem.q_len, 1), bool)
    for b, h, done, block in _blocks(problem, np.arange(problem.q_len)):
        part = slice(done, done + len(block))
        q, do = (x[b, h, part].astype(np.float64) for x in (inputs.q, inputs.do))
        k, v = (x[b, h // problem.group].astype(np.float64) for x in (inputs.k, inputs.v))
        weights = _weights(problem, inputs, stored, b, h, block)
        p = weights.p
        ds = stored(p * (stored(do @ v.T) - (do * stored(p @ v)).sum(axis=1, keepdims=True)))
        if weights.slope is not None:
            ds = stored(ds * weights.slope)
        coarse[b, h, part] = weights.coarse
        dq[b, h, part] = stored(problem.scale * (ds @ k))
        dk[b, h] += problem.scale * (ds[:, keys].T @ q)
        dv[b, h] += p[:, keys].T @ do
    # Every query adds to every key: one coarse row spoils its key/value head.
    by_head = np.any(coarse.reshape(problem.batch, problem.kv_heads, -1), axis=2)[:, :, None, None]
    return {
        "dq": Honest(dq[:, :, rows], coarse[:, :, rows]),
        "dk": Honest(_over_group(problem, stored, dk), by_head),
        "dv": Honest(_over_group(problem, stored, dv), by_head),
    }


def _over_group(problem: Problem, stored: _Stored, parts: np.ndarray) -> np.ndarray:
    grouped = stored(parts).reshape(problem.batch, problem.kv_heads, problem.group, *parts.shape[2:])
    return stored(grouped.sum(axis=2))


def _blocks(problem: Problem, rows: np.ndarray) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """(b, h, rows before, rows) for every head and block of its rows."""
    for b in range(problem.batch if problem.kv_len else 0):
        for h in range(problem.q_heads):
            done = 0
            for block in row_blocks(rows, problem.kv_len):
                yield b, h, done, block
                done += len(block)


@dataclass(frozen=True)
class _Weights:
    """Of a block of rows: probabilities, the softcap's slope or None, and which rows are coarse, `(rows, 1)`."""

    p: np.ndarray
    slope: np.ndarray | None
    coarse: np.ndarray


def _weights(problem: Problem, inputs: Inputs, stored: _Stored, b: int, h: int, rows: np.ndarray) -> _Weights:
    """The scale is folded into k, as many do."""
    q = inputs.q[b, h, rows].astype(np.float64)
    k = inputs.k[b, h // problem.group].astype(np.float64)
    with np.errstate(invalid="ignore"):  # The scale may take k beyond the dtype; such rows are coarse.
        s = stored(q @ stored(problem.scale * k).T)
    slope = None
    if problem.softcap is not None:
        t = np.tanh(s / problem.softcap)
        slope = 1 - t * t
        s = stored(problem.softcap * t)
    if inputs.bias is not None:
        s = stored(s + rows_of(inputs.bias, problem, b, h, rows).astype(np.float64))
    s = np.where(visible(problem, inputs, b, h, rows), s, -np.inf)
    size = np.abs(s).max(axis=1, keepdims=True, initial=0.0, where=np.isfinite(s) | np.isnan(s) | (s > 0))
    coarse = ~(size * Roundoff.of(problem.dtype).storage <= COARSE)
    m = s.max(axis=1, keepdims=True, initial=-np.inf)
    p = np.exp(s - np.where(np.isfinite(m), m, 0.0))
    total = p.sum(axis=1, keepdims=True)
    return _Weights(stored(p / np.where(total > 0, total, 1.0)), slope, coarse)
