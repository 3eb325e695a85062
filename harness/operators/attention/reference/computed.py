"""Attention computed in the arithmetic of a dtype: every array that is stored passes through it, and every sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.attention.reference.not_finite import finite
from harness.operators.attention.reference.scores import Block, blocks, rows_of, visible
from harness.operators.reference.arithmetic import Rounded
from harness.operators.reference.computed import Computed

ILL_CONDITIONED = 0.25
"""How far, in logarithms, the sum of a row's weights may move when every score is stored: where it is more, one computation
says little of another. Such rows keep the derived bound alone."""


def compute(
    problem: Problem, inputs: Inputs, rows: np.ndarray, keys: np.ndarray, arithmetic: Rounded
) -> dict[str, Computed]:
    """{"o"}, or {"dq", "dk", "dv"}, computed in `arithmetic`."""
    if problem.direction == "forward":
        return {"o": forward_rows(problem, inputs, rows, arithmetic)}
    return backward_rows(problem, inputs, rows, keys, arithmetic)


def forward_rows(problem: Problem, inputs: Inputs, rows: np.ndarray, arithmetic: Rounded) -> Computed:
    """o for the given query rows of every head, `(batch, q_heads, len(rows), v_head_dim)`."""
    o = np.zeros((problem.batch, problem.q_heads, len(rows), problem.v_head_dim))
    ill_conditioned = np.zeros((*o.shape[:3], 1), bool)
    for block in blocks(problem, rows) if problem.kv_len else ():
        weights = _weights(problem, inputs, arithmetic, block)
        at = block.b, block.h, block.part
        o[at] = arithmetic.stored(arithmetic.product(weights.p, finite(block.keys(inputs.v))))
        ill_conditioned[at] = weights.ill_conditioned
    return Computed(o, ill_conditioned)


@np.errstate(invalid="ignore", over="ignore")
def backward_rows(
    problem: Problem, inputs: Inputs, rows: np.ndarray, keys: np.ndarray, arithmetic: Rounded
) -> dict[str, Computed]:
    """{"dq", "dk", "dv"}: dq for the query rows `rows`, dk and dv for the keys `keys`; each head's part is stored, and so
    is o, from which fused kernels take the sum of p dp."""
    assert inputs.do is not None
    stored, product = arithmetic.stored, arithmetic.product
    heads = (problem.batch, problem.q_heads)
    dq = np.zeros((*heads, problem.q_len, problem.head_dim))
    dk, dv = (np.zeros((*heads, len(keys), width)) for width in (problem.head_dim, problem.v_head_dim))
    ill_conditioned = np.zeros((*heads, problem.q_len, 1), bool)
    for block in blocks(problem, np.arange(problem.q_len)) if problem.kv_len else ():
        q, do = finite(block.queries(inputs.q)), finite(block.queries(inputs.do))
        k, v = finite(block.keys(inputs.k)), finite(block.keys(inputs.v))
        weights = _weights(problem, inputs, arithmetic, block)
        p = weights.p
        mean = arithmetic.total(do * stored(product(p, v)), -1)
        ds = stored(p * (stored(product(do, v.swapaxes(-1, -2))) - mean))
        if weights.slope is not None:
            ds = stored(ds * weights.slope)
        at = block.b, block.h, block.part
        ill_conditioned[at] = weights.ill_conditioned
        dq[at] = stored(problem.scale * product(ds, k))
        dk[block.b, block.h] += problem.scale * product(ds[:, :, keys].swapaxes(-1, -2), q)
        dv[block.b, block.h] += product(p[:, :, keys].swapaxes(-1, -2), do)
    # Every query adds to every key: one ill-conditioned row spoils its key/value head.
    grouped = ill_conditioned.reshape(problem.batch, problem.kv_heads, problem.group * problem.q_len)
    by_head = np.any(grouped, axis=2, keepdims=True)[..., None]
    return {
        "dq": Computed(dq[:, :, rows], ill_conditioned[:, :, rows]),
        "dk": Computed(_over_group(problem, arithmetic, dk), by_head),
        "dv": Computed(_over_group(problem, arithmetic, dv), by_head),
    }


def _over_group(problem: Problem, arithmetic: Rounded, parts: np.ndarray) -> np.ndarray:
    grouped = arithmetic.stored(parts).reshape(problem.batch, problem.kv_heads, problem.group, *parts.shape[2:])
    return arithmetic.stored(grouped.sum(axis=2))


@dataclass(frozen=True)
class _Weights:
    """Of a block: probabilities, the softcap's slope or None, and which rows are ill_conditioned, `(heads, rows, 1)`."""

    p: np.ndarray
    slope: np.ndarray | None
    ill_conditioned: np.ndarray


def _weights(problem: Problem, inputs: Inputs, arithmetic: Rounded, block: Block) -> _Weights:
    """The scale is folded into q and k alike, as PyTorch does, which rounds both once more."""
    stored, root = arithmetic.stored, np.sqrt(abs(problem.scale))
    seen = visible(problem, inputs, block)
    slope = None
    with np.errstate(invalid="ignore", over="ignore"):  # What is not finite makes its row ill_conditioned.
        q = stored(root * block.queries(inputs.q))
        k = stored(np.sign(problem.scale) * root * block.keys(inputs.k))
        s = stored(arithmetic.product(q, k.swapaxes(-1, -2)))
        if problem.softcap is not None:
            s = stored(problem.softcap * arithmetic.evaluated(np.tanh(s / problem.softcap)))
            slope = 1 - np.minimum(np.abs(s / problem.softcap), 1) ** 2
        if inputs.bias is not None:
            bias = rows_of(inputs.bias, problem, block).astype(np.float64)
            seen &= ~np.isneginf(bias)
            s = stored(s + bias)
        s = np.where(seen, s, -np.inf)
        m = s.max(axis=-1, keepdims=True, initial=-np.inf)
        m = np.where(np.isfinite(m), m, 0.0)
        p = arithmetic.evaluated(np.exp(s - m))
        total = arithmetic.total(p, -1)
        error = arithmetic.unit.storage * np.abs(np.where(np.isneginf(s), 0.0, s))
        moved = np.exp(s - m + error).sum(axis=-1, keepdims=True)
        p = stored(p / np.where(total > 0, total, 1.0))
    # A row all of whose scores were stored as -inf has lost them too.
    lost = (total == 0) & seen.any(axis=-1, keepdims=True)
    ill_conditioned = ~np.isfinite(total) | ~(moved <= np.exp(ILL_CONDITIONED) * total) | lost
    return _Weights(p, slope, ill_conditioned)
