"""Compiled loops: the plain formula at the speed of machine code, on one thread and on all."""

from dataclasses import replace

from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

from .operands import operands

_SUPPORTS = replace(EVERYTHING, gradients=False)


@implementation("numba-naive", framework="numba", supports=_SUPPORTS)
def numba_naive(problem: Problem):
    """The three steps as compiled loops, one row of scores at a time, on one thread."""
    from . import kernels

    return _attention(problem, kernels.sequential)


@implementation("numba-parallel", framework="numba", supports=_SUPPORTS)
def numba_parallel(problem: Problem):
    """The same loops with the heads shared out among threads."""
    from . import kernels

    return _attention(problem, kernels.parallel)


def _attention(problem, kernel):
    def attention(q, k, v, mask=None, bias=None):
        arrays, terms = operands(problem, q, k, v, mask, bias)
        kernel(arrays, terms)
        return arrays.o.astype(q.dtype, copy=False)

    return attention
