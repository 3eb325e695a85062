"""FlashAttention-2 as its paper writes it: tiles, BLAS for their products, and a thread for each tile."""

import numpy as np

from harness.masks import four_axes
from harness.problem import Problem
from harness.registry import EVERYTHING, Differentiable, implementation


@implementation("numba-tiled", framework="numba", supports=EVERYTHING)
def numba_tiled(problem: Problem):
    """Online softmax over tiles, their products by BLAS; O(Lq) workspace. Dao 2023, alg. 1 and 2."""
    from . import kernels

    wide = np.float64 if problem.dtype == "float64" else np.float32  # Numba has no half types on the CPU.

    def forward(q, k, v, mask=True, bias=0.0):
        scaled = _uniform(q, wide) * wide(problem.scale)  # First, since q·k itself may overflow.
        added = _uniform(four_axes(np.asarray(mask)), bool), _uniform(four_axes(np.asarray(bias)), wide)
        operands = (scaled, _uniform(k, wide), _uniform(v, wide), *added, wide(problem.softcap or 0), *problem.band)
        o, softmax_state = np.empty(problem.o_shape, wide), np.empty((*problem.o_shape[:3], 2), wide)
        kernels.forward(o, softmax_state, operands)
        return o.astype(q.dtype, copy=False), (operands, o, softmax_state)

    def backward(saved, do):
        operands, o, softmax_state = saved
        dtype, do = do.dtype, _uniform(do, wide)
        dq, dk, dv = (np.zeros(shape, wide) for shape in (problem.q_shape, problem.k_shape, problem.v_shape))
        row_state = np.concatenate((softmax_state, (do * o).sum(axis=-1, keepdims=True)), axis=-1)
        kernels.backward(dq, dk, dv, do, row_state, operands)
        dq *= wide(problem.scale)
        return tuple(x.astype(dtype, copy=False) for x in (dq, dk, dv))

    return Differentiable(forward, backward) if problem.direction == "backward" else lambda *a, **b: forward(*a, **b)[0]


def _uniform(x, dtype):
    """Contiguous and read-only, whatever the caller's array is: Numba compiles a kernel once for each dtype, in seconds."""
    return np.broadcast_to(np.ascontiguousarray(x, dtype), x.shape)
