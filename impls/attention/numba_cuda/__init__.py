"""CUDA kernels in Numba, float32."""

from dataclasses import replace

import numpy as np

from harness.masks import four_axes, score_shape
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

MAX_HEAD_DIM = 256


def _too_wide(problem):
    widest = max(problem.head_dim, problem.v_head_dim)
    return [f"head sizes up to {MAX_HEAD_DIM} fit in shared memory"] if widest > MAX_HEAD_DIM else []


_NAIVE = replace(
    EVERYTHING,
    dtypes=("float32",),
    gradients=False,
    reasons={"dtypes": "the kernels are written for float32"},
)


@implementation("numba-cuda-naive", framework="numba-cuda", devices=("cuda",), supports=_NAIVE)
def numba_cuda_naive(problem: Problem):
    """Three CUDA kernels, one thread an element, scores in global memory; O(Lq·Lk) workspace."""
    from numba import cuda

    from . import naive

    def attention(q, k, v, mask=None, bias=None):
        o = cuda.device_array(problem.o_shape, np.float32)
        scores = cuda.device_array(score_shape(problem), np.float32)
        heads, rows = problem.batch * problem.q_heads, _blocks(problem.q_len, 16)
        threads = (16, 16)
        naive.scores_kernel[(heads, rows, _blocks(problem.kv_len, 16)), threads](
            scores, q, k, *_modifiers(problem, q, mask, bias)
        )
        naive.softmax_kernel[(heads, _blocks(problem.q_len, 64)), 64](scores)
        naive.values_kernel[(heads, rows, _blocks(problem.v_head_dim, 16)), threads](o, scores, v)
        return o

    return attention if _has_work(problem) else _zeros(problem)


@implementation(
    "numba-cuda-tiled", framework="numba-cuda", devices=("cuda",), supports=replace(_NAIVE, extra_check=_too_wide)
)
def numba_cuda_tiled(problem: Problem):
    """One fused CUDA kernel with tiles in shared memory and an online softmax. Dao 2023, alg. 1."""
    from numba import cuda

    from . import tiled

    kernel = tiled.forward_kernel(problem.head_dim, problem.v_head_dim)
    grid = (problem.batch * problem.q_heads, _blocks(problem.q_len, tiled.TILE))

    def attention(q, k, v, mask=None, bias=None):
        o = cuda.device_array(problem.o_shape, np.float32)
        kernel[grid, (tiled.TILE, tiled.TILE)](o, q, k, v, *_modifiers(problem, q, mask, bias))
        return o

    return attention if _has_work(problem) else _zeros(problem)


def _blocks(length, size):
    return (length + size - 1) // size


def _modifiers(problem, q, mask, bias):
    """Scale, softcap, band, mask and bias as kernel arguments; q stands in for an array that is not there."""
    softcap = np.float32(0 if problem.softcap is None else problem.softcap)
    masks = (q if mask is None else four_axes(mask), mask is not None)
    biases = (q if bias is None else four_axes(bias), bias is not None)
    return np.float32(problem.scale), softcap, *problem.band, *masks, *biases


def _has_work(problem):
    return 0 not in (problem.batch, problem.q_len, problem.kv_len)


def _zeros(problem):
    """No query, or no key to attend to: nothing to launch, which CUDA would refuse."""
    from numba import cuda

    return lambda q, k, v, **extras: cuda.to_device(np.zeros(problem.o_shape, np.float32))
