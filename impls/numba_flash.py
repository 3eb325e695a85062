"""Fused attention in Numba."""

from dataclasses import replace

from harness.problem import Problem
from harness.registry import EVERYTHING, implementation
from impls._numba import operands


@implementation("numba-flash", framework="numba", supports=replace(EVERYTHING, gradients=False))
def numba_flash(problem: Problem):
    """Fused and tiled, with an online softmax; workspace of a few tiles a thread. Dao 2023, alg. 1."""
    from impls.kernels import flash

    def attention(q, k, v, mask=None, bias=None):
        arguments = operands(problem, q, k, v, mask, bias)
        flash.forward(*arguments)
        return arguments[0].astype(q.dtype, copy=False)

    return attention
