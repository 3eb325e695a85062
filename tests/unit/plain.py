"""Attention straight from the words of docs/contract.md: whole matrices, float64, nothing shared with the harness."""

import numpy as np


def sees(i, j, *, q_len, kv_len, causal=None, window=None):
    """Whether causality and the window let query i see key j."""
    diagonal = i + kv_len - q_len if causal == "bottom-right" else i
    if causal and j > diagonal:
        return False
    left, right = window or (-1, -1)
    return not (0 <= left < diagonal - j or 0 <= right < j - diagonal)


def admitted(problem, mask=None, bias=None):
    """(batch, q_heads, q_len, kv_len), True where a query may attend to a key."""
    sizes = {"q_len": problem.q_len, "kv_len": problem.kv_len, "causal": problem.causal, "window": problem.window}
    band = [[sees(i, j, **sizes) for j in range(problem.kv_len)] for i in range(problem.q_len)]
    shape = (problem.batch, problem.q_heads, problem.q_len, problem.kv_len)
    allowed = np.broadcast_to(np.array(band, dtype=bool).reshape(problem.q_len, problem.kv_len), shape)
    if mask is not None:
        allowed = allowed & mask
    if bias is not None:
        allowed = allowed & ~np.isneginf(bias.astype(np.float64))
    return allowed


def attend(problem, q, k, v, mask=None, bias=None):
    """o in float64; a row with nothing to attend to is zero."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = (np.repeat(x, problem.q_heads // problem.kv_heads, axis=1) for x in (k, v))
    scores = problem.scale * np.einsum("bhqd,bhkd->bhqk", q, k)
    if problem.softcap is not None:
        scores = problem.softcap * np.tanh(scores / problem.softcap)
    if bias is not None:
        scores = scores + bias.astype(np.float64)
    allowed = admitted(problem, mask, bias)
    scores = np.where(allowed, scores, -np.inf)
    largest = np.where(allowed.any(axis=-1), scores.max(axis=-1, initial=-np.inf), 0.0)
    weights = np.exp(scores - largest[..., None])
    total = weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhqk,bhkd->bhqd", weights / np.where(total == 0, 1, total), v)


def attend_inputs(problem, inputs):
    """The same for the arrays of `make_inputs`."""
    return attend(problem, inputs.q, inputs.k, inputs.v, inputs.mask, inputs.bias)
