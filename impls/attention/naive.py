"""The formula in plain Python: the implementation to read first."""

from dataclasses import replace

import numpy as np

from harness.masks import score_shape
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation


@implementation("naive", interpreted=True, framework="numpy", supports=replace(EVERYTHING, gradients=False))
def naive(problem: Problem):
    """Scores, softmax and weighted sum in plain Python loops. Vaswani et al. 2017, eq. 1."""
    import math

    def score(query, key):
        s = problem.scale * sum(x * y for x, y in zip(query, key, strict=True))
        return s if problem.softcap is None else problem.softcap * math.tanh(s / problem.softcap)

    def attend(query, keys, values, bias):
        scores = [score(query, key) + b for key, b in zip(keys, bias, strict=True)]
        m = max(scores, default=-math.inf)
        if m == -math.inf:  # Nothing to attend to.
            return [0.0] * problem.v_head_dim
        weights = [math.exp(s - m) for s in scores]
        total = sum(weights)
        columns = zip(*values, strict=True)
        return [sum(w * x for w, x in zip(weights, column, strict=True)) / total for column in columns]

    def attention(q, k, v, mask=None, bias=None):
        o = np.zeros(problem.o_shape, q.dtype)
        mask, bias = (x if x is None else np.broadcast_to(x, score_shape(problem)) for x in (mask, bias))
        for b in range(problem.batch):
            for h in range(problem.q_heads):
                queries = q[b, h].astype(float).tolist()
                keys = k[b, h // problem.group].astype(float).tolist()
                values = v[b, h // problem.group].astype(float).tolist()
                for i, query in enumerate(queries):
                    seen = [j for j in problem.visible(i) if mask is None or mask[b, h, i, j]]
                    added = [0.0 if bias is None else float(bias[b, h, i, j]) for j in seen]
                    o[b, h, i] = attend(query, [keys[j] for j in seen], [values[j] for j in seen], added)
        return o

    return attention
