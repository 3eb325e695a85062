"""What one element of the score matrix is, on a CUDA device: shared by the CUDA kernels."""

import math

from numba import cuda, float32

from harness import masks

NO_SCORE = float32(-math.inf)

in_band = cuda.jit(device=True, inline=True)(masks.in_band)
element = cuda.jit(device=True, inline=True)(masks.broadcast_element)


@cuda.jit(device=True, inline=True)
def adjusted(s, b, h, i, j, softcap, low, high, mask, has_mask, bias, has_bias):
    """A scaled score after softcap, bias, mask and band; -inf where query i may not see key j.

    `mask` and `bias` are 4-D with broadcast axes of size 1, or anything 4-D when their flag is off; softcap 0 is none.
    """
    if not in_band(i, j, low, high):
        return NO_SCORE
    if softcap > float32(0):
        s = softcap * math.tanh(s / softcap)
    if has_bias:
        s += element(bias, b, h, i, j)
    if has_mask and not element(mask, b, h, i, j):
        return NO_SCORE
    return s
