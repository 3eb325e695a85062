"""The layer as its definition reads, head by head and row by row, in float64: written apart from everything that is
tested."""

import math

import numpy as np


def layer(problem, arrays):
    """out, for arrays of any dtype by name."""
    a = {name: np.asarray(x).astype(np.float64) for name, x in arrays.items() if name != "mask"}
    x, y = a["x"], a.get("y", a["x"])
    out = np.zeros((problem.batch, problem.q_len, problem.out_width))
    for b in range(problem.batch):
        for h in range(problem.q_heads):
            g = h // (problem.q_heads // problem.kv_heads)
            q, k, v = x[b] @ a["wq"][:, h], y[b] @ a["wk"][:, g], y[b] @ a["wv"][:, g]
            if problem.biases:
                q, k, v = q + a["bq"][h], k + a["bk"][g], v + a["bv"][g]
            if problem.cache:
                k, v = np.concatenate([a["k_cache"][b, g], k]), np.concatenate([a["v_cache"][b, g], v])
            o = np.array(
                [row(problem, q[i], k, v, seen(problem, arrays.get("mask"), b, h, i)) for i in range(problem.q_len)]
            )
            out[b] += o.reshape(problem.q_len, -1) @ a["wo"][h]
    return out + a["bo"] if problem.biases else out


def row(problem, q, k, v, keys):
    """o of one query of one head."""
    if not keys:
        return np.zeros(v.shape[1])
    s = [problem.scale * float(q @ k[j]) for j in keys]
    if problem.softcap:
        s = [problem.softcap * math.tanh(t / problem.softcap) for t in s]
    weights = [math.exp(t - max(s)) for t in s]
    return sum(w * v[j] for w, j in zip(weights, keys, strict=True)) / sum(weights)


def seen(problem, mask, b, h, i):
    """The keys that a query may attend to."""
    shift = problem.kv_len - problem.q_len if problem.causal == "bottom-right" else 0
    keys = []
    for j in range(problem.kv_len):
        distance = j - i - shift
        left, right = problem.window or (-1, -1)
        if (problem.causal and distance > 0) or (left >= 0 and distance < -left) or (right >= 0 and distance > right):
            continue
        shape = (problem.batch, problem.q_heads, problem.q_len, problem.kv_len)
        if mask is None or np.broadcast_to(mask, shape)[b, h, i, j]:
            keys.append(j)
    return keys
