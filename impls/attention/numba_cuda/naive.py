"""The three steps as three CUDA kernels, the score matrix in global memory: one thread an element, nothing shared."""

import math

from numba import cuda, float32

from .scores import NO_SCORE, adjusted


@cuda.jit
def scores_kernel(scores, q, k, scale, softcap, low, high, mask, has_mask, bias, has_bias):
    """scores[b, h, i, j], one thread each. Grid: (B * Hq, query blocks, key blocks)."""
    b, h = cuda.blockIdx.x // q.shape[1], cuda.blockIdx.x % q.shape[1]
    i = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
    j = cuda.blockIdx.z * cuda.blockDim.x + cuda.threadIdx.x
    if i >= q.shape[2] or j >= k.shape[2]:
        return
    kv = h // (q.shape[1] // k.shape[1])
    s = float32(0)
    for d in range(q.shape[3]):
        s += scale * q[b, h, i, d] * k[b, kv, j, d]  # Scaled first, since q·k itself may overflow.
    scores[b, h, i, j] = adjusted(s, b, h, i, j, softcap, low, high, mask, has_mask, bias, has_bias)


@cuda.jit
def softmax_kernel(scores):
    """Softmax of each row in place, one thread a row; a row of -inf becomes zeros. Grid: (B * Hq, query blocks)."""
    b, h = cuda.blockIdx.x // scores.shape[1], cuda.blockIdx.x % scores.shape[1]
    i = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if i >= scores.shape[2]:
        return
    m = NO_SCORE
    for j in range(scores.shape[3]):
        m = max(m, scores[b, h, i, j])
    total = float32(0)
    for j in range(scores.shape[3]):
        weight = math.exp(scores[b, h, i, j] - m) if m > NO_SCORE else float32(0)
        scores[b, h, i, j] = weight
        total += weight
    if total > float32(0):
        for j in range(scores.shape[3]):
            scores[b, h, i, j] /= total


@cuda.jit
def values_kernel(o, weights, v):
    """o[b, h, i, d], one thread each. Grid: (B * Hq, query blocks, value blocks)."""
    b, h = cuda.blockIdx.x // o.shape[1], cuda.blockIdx.x % o.shape[1]
    i = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
    d = cuda.blockIdx.z * cuda.blockDim.x + cuda.threadIdx.x
    if i >= o.shape[2] or d >= o.shape[3]:
        return
    kv = h // (o.shape[1] // v.shape[1])
    total = float32(0)
    for j in range(v.shape[2]):
        total += weights[b, h, i, j] * v[b, kv, j, d]
    o[b, h, i, d] = total
