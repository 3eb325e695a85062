"""What one element of the score matrix is, on a CUDA device: shared by the CUDA kernels."""

import math

from numba import cuda, float32

NO_SCORE = float32(-math.inf)


@cuda.jit(device=True, inline=True)
def adjusted(s, b, h, i, j, softcap, low, high, mask, has_mask, bias, has_bias):
    """A scaled score after softcap, bias, mask and band; -inf where query i may not see key j.

    `mask` and `bias` are 4-D with broadcast axes of size 1, or anything 4-D when their flag is off; softcap 0 is none.
    """
    if j - i < low or j - i > high:
        return NO_SCORE
    if softcap > float32(0):
        s = softcap * math.tanh(s / softcap)
    if has_bias:
        s += bias[
            b if bias.shape[0] > 1 else 0,
            h if bias.shape[1] > 1 else 0,
            i if bias.shape[2] > 1 else 0,
            j if bias.shape[3] > 1 else 0,
        ]
    if (
        has_mask
        and not mask[
            b if mask.shape[0] > 1 else 0,
            h if mask.shape[1] > 1 else 0,
            i if mask.shape[2] > 1 else 0,
            j if mask.shape[3] > 1 else 0,
        ]
    ):
        return NO_SCORE
    return s
