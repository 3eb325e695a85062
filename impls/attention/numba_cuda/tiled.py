"""Fused attention on CUDA in float32: tiles of q, k and v in shared memory, the softmax carried along.

A block of TILE x TILE threads owns TILE queries of one head. Thread (x, y) computes the score of query y and key x of
each tile, and afterwards the columns x, x + TILE, … of the output of query y. FlashAttention-2 (Dao 2023), alg. 1.
"""

import math
from functools import cache

from numba import cuda, float32

from .scores import NO_SCORE, adjusted

TILE = 16


@cache
def forward_kernel(head_dim, v_head_dim):
    """The kernel for these widths; shared and local arrays want their sizes at compile time.

    Shared memory: (2 * TILE * (max width + 1) + TILE²) * 4 bytes, 34 KiB at 256, under the 48 KiB every device has.
    """
    padded = max(head_dim, v_head_dim) + 1  # One column more, so that the rows of a tile start in different banks.
    columns = (v_head_dim + TILE - 1) // TILE

    @cuda.jit
    def forward(o, q, k, v, scale, softcap, low, high, mask, has_mask, bias, has_bias):
        q_tile = cuda.shared.array((TILE, padded), float32)
        kv_tile = cuda.shared.array((TILE, padded), float32)
        weights = cuda.shared.array((TILE, TILE), float32)
        acc = cuda.local.array(columns, float32)

        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        b, h = cuda.blockIdx.x // q.shape[1], cuda.blockIdx.x % q.shape[1]
        kv = h // (q.shape[1] // k.shape[1])
        q0 = cuda.blockIdx.y * TILE
        i = q0 + y
        for d in range(x, head_dim, TILE):
            q_tile[y, d] = q[b, h, i, d] * scale if i < q.shape[2] else float32(0)
        for n in range(columns):
            acc[n] = float32(0)
        m = NO_SCORE
        l = float32(0)

        begin = max(0, q0 + low)
        end = min(k.shape[2], q0 + TILE + high)
        for k0 in range(begin, end, TILE):
            for d in range(x, head_dim, TILE):
                kv_tile[y, d] = k[b, kv, k0 + y, d] if k0 + y < end else float32(0)
            cuda.syncthreads()
            s = float32(0)
            for d in range(head_dim):
                s += q_tile[y, d] * kv_tile[x, d]
            j = k0 + x
            if i < q.shape[2] and j < end:
                s = adjusted(s, b, h, i, j, softcap, low, high, mask, has_mask, bias, has_bias)
            else:
                s = NO_SCORE
            weights[y, x] = s
            cuda.syncthreads()

            m_new = m
            for c in range(TILE):
                m_new = max(m_new, weights[y, c])
            cuda.syncthreads()  # Every maximum is read, every key is used: both buffers may be written again.
            weights[y, x] = math.exp(s - m_new) if m_new > NO_SCORE else float32(0)
            for d in range(x, v_head_dim, TILE):
                kv_tile[y, d] = v[b, kv, k0 + y, d] if k0 + y < end else float32(0)
            cuda.syncthreads()

            rescale = math.exp(m - m_new) if m > NO_SCORE else float32(0)
            l *= rescale
            for n in range(columns):
                acc[n] *= rescale
            for c in range(TILE):
                weight = weights[y, c]
                l += weight
                for n in range(columns):
                    d = x + n * TILE
                    if d < v_head_dim:
                        acc[n] += weight * kv_tile[c, d]
            m = m_new
            cuda.syncthreads()

        if i < q.shape[2]:
            for n in range(columns):
                d = x + n * TILE
                if d < v_head_dim:
                    o[b, h, i, d] = acc[n] / l if l > float32(0) else float32(0)

    return forward
