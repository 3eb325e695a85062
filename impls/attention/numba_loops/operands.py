"""What the CPU kernels in Numba share: operands in the form that compiled loops want."""

import numpy as np

from harness.masks import score_shape
from harness.problem import Problem


def operands(problem: Problem, q, k, v, mask, bias):
    """(o, q, k, v, scale, softcap, low, high, mask, bias) for a kernel.

    Half types are widened to float32 (Numba has none of its own on the CPU), inside the timed call. Mask and bias become
    4-D views broadcast to the scores, with an empty last axis where there is none. o is uninitialised.
    """
    wide = np.dtype(np.float64 if problem.dtype == "float64" else np.float32)
    q, k, v = (x.astype(wide, copy=False) for x in (q, k, v))
    o = np.empty(problem.o_shape, wide)
    number = wide.type
    softcap = number(0 if problem.softcap is None else problem.softcap)
    bias = None if bias is None else bias.astype(wide, copy=False)
    low, high = problem.band
    return o, q, k, v, number(problem.scale), softcap, low, high, _rows(problem, mask, np.bool_), _rows(problem, bias, wide)


def _rows(problem: Problem, array, dtype):
    scores = score_shape(problem)
    if array is None:
        return np.broadcast_to(np.empty(0, dtype), (*scores[:3], 0))
    return np.broadcast_to(array, scores)
