"""Fused attention on the CPU: tiles of scores that stay in cache, and the softmax carried along from tile to tile.

FlashAttention-2 (Dao 2023, arXiv 2307.08691), alg. 1. The workspace is a few tiles a thread, whatever the length.
"""

import math

import numba
import numpy as np

TILE_Q = 32
TILE_K = 128
"""Rows and columns of a tile of scores: 16 KiB in float32, beside a transposed tile of keys of TILE_K * D elements."""


@numba.njit(error_model="numpy", cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"})
def score_tile(scores, q, keys_t, rows, columns, scale):
    """scores[:rows, :columns] = scale * q @ keys_t, with keys_t `(D, TILE_K)` so that the inner loop runs along keys."""
    for r in range(rows):
        for c in range(columns):
            scores[r, c] = 0
        for d in range(q.shape[1]):
            x = q[r, d] * scale
            for c in range(columns):
                scores[r, c] += x * keys_t[d, c]


@numba.njit(error_model="numpy", cache=True)
def adjust_row(row, columns, softcap, mask, bias, k0, first, last):
    """Softcap, bias, mask and band on one row of a tile whose first key is k0; keys first..last-1 are visible."""
    if softcap > 0:
        for c in range(columns):
            row[c] = softcap * math.tanh(row[c] / softcap)
    if bias.shape[0] > 0:
        for c in range(columns):
            row[c] += bias[k0 + c]
    if mask.shape[0] > 0:
        for c in range(columns):
            if not mask[k0 + c]:
                row[c] = -np.inf
    for c in range(min(columns, max(0, first - k0))):
        row[c] = -np.inf
    for c in range(max(0, last - k0), columns):
        row[c] = -np.inf


@numba.njit(error_model="numpy", cache=True, fastmath={"contract", "reassoc", "nsz"})
def online_softmax_row(row, columns, m, l, o):
    """Turn a row of scores into weights relative to the new maximum; rescale o. Returns the new (m, l).

    Invariant: m = max s, l = Σ exp(s - m), o = Σ exp(s - m) v over the keys seen; m = -inf, l = 0, o = 0 for none.
    """
    m_new = m
    for c in range(columns):
        m_new = max(m_new, row[c])
    if m_new == -np.inf:
        for c in range(columns):
            row[c] = 0
        return m, l
    if m_new > m:
        rescale = math.exp(m - m_new) if m > -np.inf else row.dtype.type(0)
        l *= rescale
        for d in range(o.shape[0]):
            o[d] *= rescale
    total = row.dtype.type(0)
    for c in range(columns):
        row[c] = math.exp(row[c] - m_new)
        total += row[c]
    return m_new, l + total


@numba.njit(error_model="numpy", cache=True, fastmath={"contract", "reassoc", "nsz"})
def add_weighted_values(o, weights, v, rows, columns):
    """o[:rows] += weights[:rows, :columns] @ v[:columns]."""
    for r in range(rows):
        for c in range(columns):
            w = weights[r, c]
            for d in range(o.shape[1]):
                o[r, d] += w * v[c, d]


@numba.njit(error_model="numpy", cache=True)
def query_tile(o, q, k, v, scale, softcap, low, high, mask, bias, q0):
    """The queries q0 .. q0+TILE_Q-1 of one head: q `(Lq, D)`, k `(Lk, D)`, v `(Lk, Dv)`, o `(Lq, Dv)`."""
    dtype = o.dtype
    rows = min(TILE_Q, q.shape[0] - q0)
    scores = np.empty((TILE_Q, TILE_K), dtype)
    keys_t = np.empty((k.shape[1], TILE_K), dtype)
    acc = np.zeros((TILE_Q, v.shape[1]), dtype)
    m = np.full(TILE_Q, -np.inf, dtype)
    l = np.zeros(TILE_Q, dtype)
    begin = max(0, q0 + low)
    end = min(k.shape[0], q0 + rows + high)
    for k0 in range(begin, end, TILE_K):
        columns = min(TILE_K, end - k0)
        for c in range(columns):
            for d in range(k.shape[1]):
                keys_t[d, c] = k[k0 + c, d]
        score_tile(scores, q[q0 : q0 + rows], keys_t, rows, columns, scale)
        for r in range(rows):
            i = q0 + r
            adjust_row(scores[r], columns, softcap, mask[i], bias[i], k0, i + low, i + high + 1)
            m[r], l[r] = online_softmax_row(scores[r], columns, m[r], l[r], acc[r])
        add_weighted_values(acc, scores, v[k0 : k0 + columns], rows, columns)
    for r in range(rows):
        norm = dtype.type(1) / l[r] if l[r] > 0 else dtype.type(0)
        for d in range(v.shape[1]):
            o[q0 + r, d] = acc[r, d] * norm


@numba.njit(error_model="numpy", cache=True, parallel=True)
def forward(o, q, k, v, scale, softcap, low, high, mask, bias):
    """All query tiles of all heads, shared out among the threads; the latest rows, the longest under a causal mask, first.

    Arrays in the canonical layout. Query i sees key j when low <= j - i <= high; softcap is 0 for none; mask and bias
    are 4-D and broadcast to the scores, their last axis empty for none.
    """
    heads = q.shape[1]
    tiles = (q.shape[2] + TILE_Q - 1) // TILE_Q
    group = heads // k.shape[1]
    for n in numba.prange(q.shape[0] * heads * tiles):
        tile = tiles - 1 - n // (q.shape[0] * heads)
        b, h = n % (q.shape[0] * heads) // heads, n % heads
        kv = h // group
        query_tile(o[b, h], q[b, h], k[b, kv], v[b, kv], scale, softcap, low, high, mask[b, h], bias[b, h], tile * TILE_Q)
