"""The three steps as compiled loops over one row of scores; no tiling, no blocking."""

import math

import numba
import numpy as np


@numba.njit(error_model="numpy", cache=True)
def attend_row(o, q, k, v, scores, scale, softcap, first, last, mask, bias):
    """One query against the keys first..last-1: scores, softmax, weighted sum into `o`.

    `scores` is scratch of at least kv_len elements in the accumulator's dtype; `mask` and `bias` are rows of kv_len
    elements, or empty where there is none; softcap is 0 for none.
    """
    m = -np.inf
    for j in range(first, last):
        s = scores.dtype.type(0)
        for d in range(q.shape[0]):
            s += scale * q[d] * k[j, d]  # Scaled first, since q·k itself may overflow.
        if softcap > 0:
            s = softcap * math.tanh(s / softcap)
        if bias.shape[0] > 0:
            s += bias[j]
        if mask.shape[0] > 0 and not mask[j]:
            s = -np.inf
        scores[j] = s
        m = max(m, scores[j])
    o[:] = 0
    if m == -np.inf:  # Nothing to attend to.
        return
    total = scores.dtype.type(0)
    for j in range(first, last):
        scores[j] = math.exp(scores[j] - m)
        total += scores[j]
    for j in range(first, last):
        weight = scores[j] / total
        for d in range(o.shape[0]):
            o[d] += weight * v[j, d]


@numba.njit(error_model="numpy", cache=True)
def attend_rows(o, q, k, v, scale, softcap, low, high, mask, bias, b, h):
    """Every query of batch element b and head h. `mask` and `bias` are 4-D, their last axis empty for none."""
    kv_len = k.shape[2]
    kv = h // (q.shape[1] // k.shape[1])
    scores = np.empty(kv_len, o.dtype)
    for i in range(q.shape[2]):
        first, last = max(0, i + low), max(0, min(kv_len, i + high + 1))
        attend_row(
            o[b, h, i], q[b, h, i], k[b, kv], v[b, kv], scores, scale, softcap, first, last, mask[b, h, i], bias[b, h, i]
        )


@numba.njit(error_model="numpy", cache=True)
def sequential(o, q, k, v, scale, softcap, low, high, mask, bias):
    """All heads in turn, on one thread. Arrays in the canonical layout; see `attend_rows`."""
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            attend_rows(o, q, k, v, scale, softcap, low, high, mask, bias, b, h)


@numba.njit(error_model="numpy", cache=True, parallel=True)
def parallel(o, q, k, v, scale, softcap, low, high, mask, bias):
    """The heads shared out among the threads."""
    heads = q.shape[1]
    for n in numba.prange(q.shape[0] * heads):
        attend_rows(o, q, k, v, scale, softcap, low, high, mask, bias, n // heads, n % heads)
