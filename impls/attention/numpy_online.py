"""The fused algorithm made readable: softmax over a row that is never there as a whole."""

from dataclasses import replace

import numpy as np

from harness.masks import grouped, in_band
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

BLOCK = 128
"""Keys taken at a time; the workspace is one (Lq, BLOCK) tile of scores a head."""


def online_softmax_step(m, l, o, scores, v):
    """Fold one tile of keys into the running state of every row, in place.

    Invariant: with s the scores seen so far, m = max s, l = Σ exp(s - m), o = Σ exp(s - m) v. A row that has seen no
    admissible key keeps m = -inf, l = 0, o = 0. Milakov and Gimelshein 2018; FlashAttention (Dao et al. 2022), alg. 1.
    """
    m_new = np.maximum(m, scores.max(axis=-1, keepdims=True))
    shift = np.where(m_new == -np.inf, 0, m_new)
    rescale = np.exp(m - shift)
    scores -= shift
    np.exp(scores, out=scores)
    l *= rescale
    l += scores.sum(axis=-1, keepdims=True)
    o *= rescale
    o += scores @ v
    m[...] = m_new


@implementation("numpy-online", framework="numpy", supports=replace(EVERYTHING, gradients=False))
def numpy_online(problem: Problem):
    """Online softmax over blocks of keys; O(Lq) workspace. Dao et al. 2022, alg. 1."""
    heads = (problem.batch, problem.kv_heads, problem.group)

    def attention(q, k, v, mask=None, bias=None):
        wide = np.float64 if q.dtype == np.float64 else np.float32
        queries = (q.astype(wide, copy=False) * wide(problem.scale)).reshape(*heads, problem.q_len, problem.head_dim)
        m = np.full((*heads, problem.q_len, 1), -np.inf, wide)
        l = np.zeros((*heads, problem.q_len, 1), wide)
        o = np.zeros((*heads, problem.q_len, problem.v_head_dim), wide)
        for start in range(0, problem.kv_len, BLOCK):
            keys = np.arange(start, min(start + BLOCK, problem.kv_len))
            seen = in_band(np.arange(problem.q_len)[:, None], keys, *problem.band)
            if not seen.any():
                continue
            block = slice(keys[0], keys[-1] + 1)
            scores = queries @ k[:, :, None, block].astype(wide, copy=False).swapaxes(-1, -2)
            if problem.softcap is not None:
                scores = problem.softcap * np.tanh(scores / problem.softcap)
            if bias is not None:
                scores += _tile(bias, block)
            if mask is not None:
                seen = seen & _tile(mask, block)
            np.copyto(scores, -np.inf, where=~seen)
            online_softmax_step(m, l, o, scores, v[:, :, None, block].astype(wide, copy=False))
        o /= np.where(l == 0, 1, l)
        return o.reshape(problem.o_shape).astype(q.dtype, copy=False)

    def _tile(x, block):
        """The columns `block` of a mask or bias, shaped to broadcast against (B, Hkv, group, Lq, block)."""
        x = grouped(problem, x)
        return x[..., block] if x.shape[-1] > 1 else x

    return attention
