"""The formula computed in a half type: every array that is stored is rounded to the dtype, sums are not.

What this loses is what the dtype costs. A kernel may lose somewhat more, and the rounding of its result; see
docs/tolerance.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.attention.reference.answer import Part
from harness.operators.attention.reference.not_finite import finite
from harness.operators.attention.reference.roundoff import Roundoff
from harness.operators.attention.reference.scores import Block, blocks, rows_of, visible

DTYPES = ("bfloat16", "float16")

ONCE, REPEATED = 2.0, 1.25
"""Of the error in the half type, how much is admitted: twice that of one computation, which may have been lucky (the rule of
tests/test_flash_attn.py of FlashAttention-2), and a quarter more than the largest of many."""

ILL_CONDITIONED = 0.25
"""How far, in logarithms, the sum of a row's weights may move when every score is stored: where it is more, one computation
says little of another. Such rows keep the derived bound alone."""

DRAWS, MAX_REPEATS = 4096, 32
"""Rows of scores to draw roundings for, so that the largest error is no matter of luck; and the most repetitions for it."""

Stored = Callable[[np.ndarray], np.ndarray]
"""float64 to float64, through the half type."""


@dataclass
class InHalf:
    """An output computed in the half type, float64."""

    value: np.ndarray
    ill_conditioned: np.ndarray
    """Boolean, broadcastable to `value`: the rows whose scores are too large for it to be a yardstick."""


def limits(
    problem: Problem, inputs: Inputs, rows: np.ndarray, keys: np.ndarray, right: dict[str, Part]
) -> dict[str, np.ndarray]:
    """The largest error beyond underflow of an element, by this criterion alone; infinite in ill-conditioned rows.

    Twice the largest error in the half type, or less where it is repeated with other roundings, since rows are few; and one
    unit in the last place of the largest element, since with one key the computation is exact.
    """
    repeats = min(MAX_REPEATS, max(1, DRAWS // max(1, problem.batch * problem.q_heads * len(rows))))
    found = compute(problem, inputs, rows, keys, rounded(problem.dtype))
    counted = {n: ~np.broadcast_to(found[n].ill_conditioned | part.undefined, part.value.shape) for n, part in right.items()}
    largest = {n: _largest(part.value, counted[n]) for n, part in right.items()}
    error = {n: _largest(found[n].value - part.value, counted[n]) for n, part in right.items()}
    for number in range(1, repeats):
        again = compute(problem, inputs, rows, keys, rounded_at_random(problem.dtype, number))
        error = {n: max(error[n], _largest(again[n].value - part.value, counted[n])) for n, part in right.items()}
    unit, factor = Roundoff.of(problem.dtype), max(REPEATED, ONCE / np.sqrt(repeats))
    return {n: np.where(counted[n], factor * error[n] + 2 * unit.storage * largest[n], np.inf) for n in right}


def _largest(x: np.ndarray, counted: np.ndarray) -> float:
    return float(np.abs(x)[counted & np.isfinite(x)].max(initial=0.0))


def rounded(dtype: str) -> Stored:
    """Rounds to nearest, as storing does."""

    def stored(x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return x.astype(NUMPY_DTYPES[dtype]).astype(np.float64)

    return stored


def rounded_at_random(dtype: str, seed: int) -> Stored:
    """Moves each number by up to half a unit in its last place, evenly drawn: a rounding that might as well have been."""
    rng, unit = np.random.default_rng(seed), Roundoff.of(dtype)

    def stored(x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            half_place = np.maximum(
                np.exp2(np.floor(np.log2(np.maximum(np.abs(x), 1e-300)))) * unit.storage, unit.smallest / 2
            )
            moved = x + half_place * rng.uniform(-1, 1, x.shape)
        return np.where((x == 0) | ~np.isfinite(x) | (np.abs(x) == 1), x, moved)

    return stored


def compute(problem: Problem, inputs: Inputs, rows: np.ndarray, keys: np.ndarray, stored: Stored) -> dict[str, InHalf]:
    """{"o"}, or {"dq", "dk", "dv"}, with every array that is stored passed through `stored`."""
    if problem.direction == "forward":
        return {"o": forward_rows(problem, inputs, rows, stored)}
    return backward_rows(problem, inputs, rows, keys, stored)


def forward_rows(problem: Problem, inputs: Inputs, rows: np.ndarray, stored: Stored) -> InHalf:
    """o for the given query rows of every head, `(batch, q_heads, len(rows), v_head_dim)`."""
    o = np.zeros((problem.batch, problem.q_heads, len(rows), problem.v_head_dim))
    ill_conditioned = np.zeros((*o.shape[:3], 1), bool)
    for block in blocks(problem, rows) if problem.kv_len else ():
        weights = _weights(problem, inputs, stored, block)
        at = block.b, block.h, block.part
        o[at] = stored(weights.p @ finite(block.keys(inputs.v)))
        ill_conditioned[at] = weights.ill_conditioned
    return InHalf(o, ill_conditioned)


@np.errstate(invalid="ignore", over="ignore")
def backward_rows(problem: Problem, inputs: Inputs, rows: np.ndarray, keys: np.ndarray, stored: Stored) -> dict[str, InHalf]:
    """{"dq", "dk", "dv"}: dq for the query rows `rows`, dk and dv for the keys `keys`; each head's part is stored, and so
    is o, from which fused kernels take the sum of p dp."""
    assert inputs.do is not None
    heads = (problem.batch, problem.q_heads)
    dq = np.zeros((*heads, problem.q_len, problem.head_dim))
    dk, dv = (np.zeros((*heads, len(keys), width)) for width in (problem.head_dim, problem.v_head_dim))
    ill_conditioned = np.zeros((*heads, problem.q_len, 1), bool)
    for block in blocks(problem, np.arange(problem.q_len)) if problem.kv_len else ():
        q, do = finite(block.queries(inputs.q)), finite(block.queries(inputs.do))
        k, v = finite(block.keys(inputs.k)), finite(block.keys(inputs.v))
        weights = _weights(problem, inputs, stored, block)
        p = weights.p
        ds = stored(p * (stored(do @ v.swapaxes(-1, -2)) - (do * stored(p @ v)).sum(axis=-1, keepdims=True)))
        if weights.slope is not None:
            ds = stored(ds * weights.slope)
        at = block.b, block.h, block.part
        ill_conditioned[at] = weights.ill_conditioned
        dq[at] = stored(problem.scale * (ds @ k))
        dk[block.b, block.h] += problem.scale * (ds[:, :, keys].swapaxes(-1, -2) @ q)
        dv[block.b, block.h] += p[:, :, keys].swapaxes(-1, -2) @ do
    # Every query adds to every key: one ill-conditioned row spoils its key/value head.
    grouped = ill_conditioned.reshape(problem.batch, problem.kv_heads, problem.group * problem.q_len)
    by_head = np.any(grouped, axis=2, keepdims=True)[..., None]
    return {
        "dq": InHalf(dq[:, :, rows], ill_conditioned[:, :, rows]),
        "dk": InHalf(_over_group(problem, stored, dk), by_head),
        "dv": InHalf(_over_group(problem, stored, dv), by_head),
    }


def _over_group(problem: Problem, stored: Stored, parts: np.ndarray) -> np.ndarray:
    grouped = stored(parts).reshape(problem.batch, problem.kv_heads, problem.group, *parts.shape[2:])
    return stored(grouped.sum(axis=2))


@dataclass(frozen=True)
class _Weights:
    """Of a block: probabilities, the softcap's slope or None, and which rows are ill_conditioned, `(heads, rows, 1)`."""

    p: np.ndarray
    slope: np.ndarray | None
    ill_conditioned: np.ndarray


def _weights(problem: Problem, inputs: Inputs, stored: Stored, block: Block) -> _Weights:
    """The scale is folded into q and k alike, as PyTorch does, which rounds both once more."""
    root = np.sqrt(abs(problem.scale))
    seen = visible(problem, inputs, block)
    slope = None
    with np.errstate(invalid="ignore", over="ignore"):  # What is not finite makes its row ill_conditioned.
        q = stored(root * block.queries(inputs.q))
        k = stored(np.sign(problem.scale) * root * block.keys(inputs.k))
        s = stored(q @ k.swapaxes(-1, -2))
        if problem.softcap is not None:
            s = stored(problem.softcap * np.tanh(s / problem.softcap))
            slope = 1 - np.minimum(np.abs(s / problem.softcap), 1) ** 2
        if inputs.bias is not None:
            bias = rows_of(inputs.bias, problem, block).astype(np.float64)
            seen &= ~np.isneginf(bias)
            s = stored(s + bias)
        s = np.where(seen, s, -np.inf)
        m = s.max(axis=-1, keepdims=True, initial=-np.inf)
        m = np.where(np.isfinite(m), m, 0.0)
        p = np.exp(s - m)
        total = p.sum(axis=-1, keepdims=True)
        error = Roundoff.of(problem.dtype).storage * np.abs(np.where(np.isneginf(s), 0.0, s))
        moved = np.exp(s - m + error).sum(axis=-1, keepdims=True)
        p = stored(p / np.where(total > 0, total, 1.0))
    # A row all of whose scores were stored as -inf has lost them too.
    lost = (total == 0) & seen.any(axis=-1, keepdims=True)
    ill_conditioned = ~np.isfinite(total) | ~(moved <= np.exp(ILL_CONDITIONED) * total) | lost
    return _Weights(p, slope, ill_conditioned)
