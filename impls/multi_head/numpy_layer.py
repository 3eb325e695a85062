"""The layer as its definition has it, stage by stage, and the way back."""

import numpy as np

from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import Differentiable, implementation

from ..attention.numpy_formula import numpy_attention


@implementation("numpy", operator=MULTI_HEAD, framework="numpy", supports=EVERYTHING)
def numpy_layer(problem: Problem):
    """The definition: products with W^Q, W^K and W^V, attention, a product with W^O. Vaswani et al. 2017, sec. 3.2.2."""
    attention = numpy_attention.factory(problem.attention)
    attend = (
        attention.forward if problem.direction == "backward" else lambda *qkv, **extras: (attention(*qkv, **extras), None)
    )

    def load(wq, wk, wv, wo, bq=0.0, bk=0.0, bv=0.0, bo=0.0):
        dtype = wq.dtype
        wq, wk, wv, wo, bq, bk, bv, bo = (_wide(a) for a in (wq, wk, wv, wo, bq, bk, bv, bo))

        def forward(x, y=None, k_cache=None, v_cache=None, mask=None):
            x = _wide(x)
            y = x if y is None else _wide(y)
            q, k, v = _heads(x, wq, bq), _heads(y, wk, bk), _heads(y, wv, bv)
            if k_cache is not None:
                k, v = (np.concatenate([_wide(past), new], axis=2) for past, new in ((k_cache, k), (v_cache, v)))
            o, saved = attend(q, k, v, mask=mask)
            out = np.tensordot(o, wo, axes=((1, 3), (0, 1))) + bo  # Σ_h o_h W^O_h: the heads side by side times W^O.
            return out.astype(dtype, copy=False), (x, y, o, saved)

        def backward(saved, dout):
            x, y, o, inner = saved
            dout = _wide(dout)
            do = np.tensordot(dout, wo, axes=(2, 2)).transpose(0, 2, 1, 3)
            dq, dk, dv = attention.backward(inner, do)
            back = [np.tensordot(d, w, axes=((1, 3), (1, 2))) for d, w in ((dq, wq), (dk, wk), (dv, wv))]
            dxy = [back[0], back[1] + back[2]] if problem.cross else [back[0] + back[1] + back[2]]
            weights = [np.tensordot(a, d, axes=((0, 1), (0, 2))) for a, d in ((x, dq), (y, dk), (y, dv))]
            weights.append(np.tensordot(o, dout, axes=((0, 2), (0, 1))))
            biases = [dq.sum((0, 2)), dk.sum((0, 2)), dv.sum((0, 2)), dout.sum((0, 1))] if problem.biases else []
            return tuple(g.astype(dtype, copy=False) for g in (*dxy, *weights, *biases))

        return Differentiable(forward, backward) if problem.direction == "backward" else lambda *a, **b: forward(*a, **b)[0]

    return load


def _wide(x):
    """In at least float32, for sums."""
    x = np.asarray(x)
    return x.astype(np.float32) if x.dtype.itemsize < 4 else x


def _heads(x, w, b):
    """x W + b, (B, L, E) times (E, H, D), as attention has it: (B, H, L, D)."""
    return (np.tensordot(x, w, axes=1) + b).transpose(0, 2, 1, 3)
