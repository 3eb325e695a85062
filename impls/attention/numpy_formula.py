"""The formula as matrix products: what most people write first, forward and backward."""

from typing import NamedTuple

import numpy as np

from harness.masks import band_mask, grouped
from harness.problem import Problem
from harness.registry import EVERYTHING, Differentiable, implementation


class _Saved(NamedTuple):
    """What the backward pass needs of the forward one; the heads are grouped as in `_grouped_heads`."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    p: np.ndarray
    cap_slope: np.ndarray | None


@implementation("numpy", framework="numpy", supports=EVERYTHING)
def numpy_attention(problem: Problem):
    """Three matrix steps in place on one score matrix; O(Lq·Lk) workspace. Vaswani et al. 2017, eq. 1."""

    def forward(q, k, v, mask=None, bias=None):
        dtype = q.dtype
        q, k, v = (_wide(x) for x in (q, k, v))
        q, k, v = _grouped_heads(q, problem.kv_heads), k[:, :, None], v[:, :, None]
        scores = (q * q.dtype.type(problem.scale)) @ k.swapaxes(-1, -2)  # q·k itself may overflow.
        cap_slope = None
        if problem.softcap is not None:
            scores /= problem.softcap
            np.tanh(scores, out=scores)
            cap_slope = 1 - scores**2 if problem.direction == "backward" else None
            scores *= problem.softcap
        if bias is not None:
            scores += grouped(problem, bias)
        for visible in (band_mask(problem), grouped(problem, mask)):
            if visible is not None:
                np.copyto(scores, -np.inf, where=~visible)
        p = _softmax_in_place(scores)
        o = (p @ v).reshape(problem.o_shape).astype(dtype, copy=False)
        return o, _Saved(q, k, v, p, cap_slope)

    def backward(saved, do):
        dtype = do.dtype
        do = _grouped_heads(_wide(do), problem.kv_heads)
        dv = (saved.p.swapaxes(-1, -2) @ do).sum(axis=2)
        ds = do @ saved.v.swapaxes(-1, -2)
        ds -= (ds * saved.p).sum(axis=-1, keepdims=True)
        ds *= saved.p
        if saved.cap_slope is not None:
            ds *= saved.cap_slope
        ds *= problem.scale
        dq = (ds @ saved.k).reshape(problem.q_shape)
        dk = (ds.swapaxes(-1, -2) @ saved.q).sum(axis=2)
        return tuple(x.astype(dtype, copy=False) for x in (dq, dk, dv))

    if problem.direction == "backward":
        return Differentiable(forward, backward)
    return lambda q, k, v, **extras: forward(q, k, v, **extras)[0]


def _wide(x):
    """`x` in at least float32, for scores and sums."""
    return x.astype(np.float32) if x.dtype.itemsize < 4 else x


def _grouped_heads(x, kv_heads):
    """(B, Hq, L, D) as (B, Hkv, group, L, D): consecutive query heads share a key/value head."""
    b, heads, *rest = x.shape
    return x.reshape(b, kv_heads, heads // kv_heads, *rest)


def _softmax_in_place(scores):
    """Softmax over the last axis; rows of -inf become zeros."""
    m = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    m[m == -np.inf] = 0
    scores -= m
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    scores /= total
    return scores
