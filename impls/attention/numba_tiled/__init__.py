"""FlashAttention-2 as its paper writes it: tiles, BLAS for their products, and a thread for each tile."""

import numpy as np

from harness.masks import score_shape
from harness.problem import Problem
from harness.registry import EVERYTHING, Differentiable, implementation


@implementation("numba-tiled", framework="numba", supports=EVERYTHING)
def numba_tiled(problem: Problem):
    """Online softmax over tiles, their products by BLAS; O(Lq) workspace. Dao 2023, alg. 1 and 2."""
    from . import kernels

    wide = np.float64 if problem.dtype == "float64" else np.float32  # Numba has no half types on the CPU.
    scores = score_shape(problem)

    def forward(q, k, v, mask=True, bias=0.0):
        operands = (
            np.ascontiguousarray(q, wide) * wide(problem.scale),  # Scaled first, since q·k itself may overflow.
            np.ascontiguousarray(k, wide),
            np.ascontiguousarray(v, wide),
            np.broadcast_to(mask, scores),
            np.broadcast_to(np.asarray(bias, wide), scores),
            wide(problem.softcap or 0),
            *problem.band,
        )
        o, softmax_state = np.empty(problem.o_shape, wide), np.empty((*scores[:3], 2), wide)
        kernels.forward(o, softmax_state, operands)
        return o.astype(q.dtype, copy=False), (operands, o, softmax_state)

    def backward(saved, do):
        operands, o, softmax_state = saved
        dtype, do = do.dtype, np.ascontiguousarray(do, wide)
        dq, dk, dv = (np.zeros(shape, wide) for shape in (problem.q_shape, problem.k_shape, problem.v_shape))
        row_state = np.concatenate((softmax_state, (do * o).sum(axis=-1, keepdims=True)), axis=-1)
        kernels.backward(dq, dk, dv, do, row_state, operands)
        dq *= wide(problem.scale)
        return tuple(x.astype(dtype, copy=False) for x in (dq, dk, dv))

    if problem.direction == "backward":
        return Differentiable(forward, backward)
    return lambda q, k, v, **extras: forward(q, k, v, **extras)[0]
