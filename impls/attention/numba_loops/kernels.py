"""The three steps as compiled loops over one row of scores; no tiling, no blocking."""

import math

import numba
import numpy as np

from .operands import Arrays


@numba.njit(error_model="numpy", cache=True)
def attend_row(row, terms, scores, first, last):
    """One query against the keys first..last-1: scores, softmax, weighted sum into `row.o`.

    `row` is the `Arrays` of the query; `scores` is scratch of at least kv_len elements in the accumulator's dtype.
    """
    m = -np.inf
    for j in range(first, last):
        s = scores.dtype.type(0)
        for d in range(row.q.shape[0]):
            s += terms.scale * row.q[d] * row.k[j, d]  # Scaled first, since q·k itself may overflow.
        if terms.softcap > 0:
            s = terms.softcap * math.tanh(s / terms.softcap)
        if row.bias.shape[0] > 0:
            s += row.bias[j]
        if row.mask.shape[0] > 0 and not row.mask[j]:
            s = -np.inf
        scores[j] = s
        m = max(m, scores[j])
    row.o[:] = 0
    if m == -np.inf:  # Nothing to attend to.
        return
    total = scores.dtype.type(0)
    for j in range(first, last):
        scores[j] = math.exp(scores[j] - m)
        total += scores[j]
    for j in range(first, last):
        weight = scores[j] / total
        for d in range(row.o.shape[0]):
            row.o[d] += weight * row.v[j, d]


@numba.njit(error_model="numpy", cache=True)
def attend_rows(arrays, terms, b, h):
    """Every query of batch element b and head h."""
    o, q, k, v, mask, bias = arrays
    kv_len = k.shape[2]
    kv = h // (q.shape[1] // k.shape[1])
    scores = np.empty(kv_len, o.dtype)
    for i in range(q.shape[2]):
        first, last = max(0, i + terms.low), max(0, min(kv_len, i + terms.high + 1))
        row = Arrays(o[b, h, i], q[b, h, i], k[b, kv], v[b, kv], mask[b, h, i], bias[b, h, i])
        attend_row(row, terms, scores, first, last)


@numba.njit(error_model="numpy", cache=True)
def sequential(arrays, terms):
    """All heads in turn, on one thread."""
    for b in range(arrays.q.shape[0]):
        for h in range(arrays.q.shape[1]):
            attend_rows(arrays, terms, b, h)


@numba.njit(error_model="numpy", cache=True, parallel=True)
def parallel(arrays, terms):
    """The heads shared out among the threads."""
    heads = arrays.q.shape[1]
    for n in numba.prange(arrays.q.shape[0] * heads):
        attend_rows(arrays, terms, n // heads, n % heads)
