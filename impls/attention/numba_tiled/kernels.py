"""FlashAttention-2 (Dao 2023) in compiled loops over tiles of queries and keys: no score matrix, forward or backward.

Every kernel takes the tuple `operands`: q, k, v, mask, bias, softcap, low, high. q, k and v are contiguous, in the canonical
layout and the accumulator's dtype; q carries the scale. mask and bias have four axes, some of size 1; softcap 0 is none.
Query i may see key j when low <= j - i <= high. Both passes use the same tiles, so their scores agree to the last bit.
"""

import math

import numba
import numpy as np

from harness.masks import broadcast_element

element = numba.njit(broadcast_element)
TILE = 32
"""Queries and keys of a tile. OpenBLAS computes products of up to 2^18 multiply-adds, here up to a head size of 256, on the
thread that asks; larger ones it shares out among threads of its own, which would stand in the way of the kernel's."""


@numba.njit(error_model="numpy", cache=True)
def tiles_in_band(start, length, low, high):
    """Where the tiles of keys begin that the queries at `start` may see; tiles of queries for keys with (-high, -low)."""
    return range(max(0, start + low) // TILE * TILE, min(length, start + TILE + high), TILE)


@numba.njit(error_model="numpy", cache=True)
def score_tile(operands, b, h, q0, k0):
    """(s, slope), both (queries, keys): scores, -inf where a key is hidden, and the softcap's slope there."""
    q, k, _, mask, bias, softcap, low, high = operands
    kv = h // (q.shape[1] // k.shape[1])
    s = np.dot(q[b, h, q0 : q0 + TILE], k[b, kv, k0 : k0 + TILE].T)
    slope = np.ones_like(s)
    for r, c in np.ndindex(s.shape):
        i, j = q0 + r, k0 + c
        if softcap > 0:
            t = math.tanh(s[r, c] / softcap)
            s[r, c], slope[r, c] = softcap * t, 1 - t * t
        added = element(bias, b, h, i, j)
        visible = low <= j - i <= high and element(mask, b, h, i, j) and added != -np.inf
        s[r, c] = s[r, c] + added if visible else -np.inf
    return s, slope


@numba.njit(error_model="numpy", cache=True)
def online_softmax_step(m, l, o, s, v):
    """Fold one tile of keys into the running state of its queries, in place; s becomes the weights.

    Invariant: with s the scores seen so far, m = max s, l = Σ exp(s - m), o = Σ exp(s - m) v. A query that has seen no
    visible key keeps m = -inf, l = 0, o = 0.
    """
    for r in range(s.shape[0]):
        m_new = max(m[r], s[r].max())
        shift = m_new if m_new != -np.inf else s.dtype.type(0)
        rescale = math.exp(m[r] - shift)
        s[r] = np.exp(s[r] - shift)
        m[r], l[r] = m_new, rescale * l[r] + s[r].sum()
        o[r] *= rescale
    o += np.dot(s, v)


@numba.njit(error_model="numpy", cache=True, parallel=True)
def forward(o, softmax_state, operands):
    """o, and m and ln l of every row as `softmax_state` (B, Hq, Lq, 2); a row that sees no key has zeros. Algorithm 1."""
    q, k, v, low, high = operands[0], operands[1], operands[2], operands[6], operands[7]
    heads, group, tiles = q.shape[1], q.shape[1] // k.shape[1], (q.shape[2] + TILE - 1) // TILE
    for n in numba.prange(q.shape[0] * heads * tiles):
        b, h, q0 = n // tiles // heads, n // tiles % heads, n % tiles * TILE
        acc = o[b, h, q0 : q0 + TILE]
        m, l = np.full(acc.shape[0], -np.inf, o.dtype), np.zeros(acc.shape[0], o.dtype)
        acc[:] = 0
        for k0 in tiles_in_band(q0, k.shape[2], low, high):
            s, _ = score_tile(operands, b, h, q0, k0)
            online_softmax_step(m, l, acc, s, v[b, h // group, k0 : k0 + TILE])
        m[l == 0], l[l == 0] = 0, 1
        acc /= l.reshape(-1, 1)
        softmax_state[b, h, q0 : q0 + TILE] = np.column_stack((m, np.log(l)))


@numba.njit(error_model="numpy", cache=True)
def gradient_tile(operands, do, row_state, b, h, q0, k0):
    """(p, ds), both (queries, keys): weights, and gradients of q·k; `row_state` (B, Hq, Lq, 3) is m, ln l and D = Σ do·o.

    m and ln l are subtracted one after the other: in their sum, the log-sum-exp, a large m leaves nothing of ln l.
    """
    v, rows = operands[2], row_state[b, h, q0 : q0 + TILE]
    s, slope = score_tile(operands, b, h, q0, k0)
    p = np.exp((s - rows[:, :1]) - rows[:, 1:2])
    dp = np.dot(do[b, h, q0 : q0 + TILE], v[b, h // (do.shape[1] // v.shape[1]), k0 : k0 + TILE].T)
    return p, p * (dp - rows[:, 2:]) * slope


@numba.njit(error_model="numpy", cache=True, parallel=True)
def backward(dq, dk, dv, do, row_state, operands):
    """dq by the scaled q, a tile of queries at a time; then dk and dv, a tile of keys at a time. Algorithm 2, twice."""
    q, k, low, high = operands[0], operands[1], operands[6], operands[7]
    heads, group, tiles = q.shape[1], q.shape[1] // k.shape[1], (q.shape[2] + TILE - 1) // TILE
    for n in numba.prange(q.shape[0] * heads * tiles):
        b, h, q0 = n // tiles // heads, n // tiles % heads, n % tiles * TILE
        for k0 in tiles_in_band(q0, k.shape[2], low, high):
            _, ds = gradient_tile(operands, do, row_state, b, h, q0, k0)
            dq[b, h, q0 : q0 + TILE] += np.dot(ds, k[b, h // group, k0 : k0 + TILE])
    kv_heads, kv_tiles = k.shape[1], (k.shape[2] + TILE - 1) // TILE
    for n in numba.prange(k.shape[0] * kv_heads * kv_tiles):
        b, kv, k0 = n // kv_tiles // kv_heads, n // kv_tiles % kv_heads, n % kv_tiles * TILE
        for h in range(kv * group, (kv + 1) * group):
            for q0 in tiles_in_band(k0, q.shape[2], -high, -low):
                p, ds = gradient_tile(operands, do, row_state, b, h, q0, k0)
                dk[b, kv, k0 : k0 + TILE] += np.dot(ds.T, q[b, h, q0 : q0 + TILE])
                dv[b, kv, k0 : k0 + TILE] += np.dot(p.T, do[b, h, q0 : q0 + TILE])
