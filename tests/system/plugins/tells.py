"""An implementation that tells what it ran, and that it was not what it is about."""

import numpy as np

from harness.registry import Kernel, implementation


@implementation("tells", fast_kernel="fast")
def tells(problem):
    """The formula; its products are told to be in half precision."""

    def attention(q, k, v):
        s = (problem.scale * q) @ k.swapaxes(-1, -2)
        p = np.exp(s - s.max(-1, keepdims=True, initial=-np.inf))
        return p / p.sum(-1, keepdims=True) @ v

    attention.kernels = lambda: [Kernel("slow path", "float16")]
    return attention
