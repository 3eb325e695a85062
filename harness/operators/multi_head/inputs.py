"""The arrays of a problem of the layer, from a seed: the same bits for every implementation, process and framework."""

from __future__ import annotations

import math

import numpy as np

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.inputs import make_mask
from harness.operators.base import Arrays
from harness.operators.multi_head.problem import BIASES, CACHE, WEIGHTS, Problem

_NAMES = ("x", "y", *WEIGHTS, *BIASES, *CACHE, "dout")
# Every array has its own stream, so that one array's shape never changes another's values.
_STREAMS = {name: number for number, name in enumerate(_NAMES)}

LARGEST_BIAS = 0.5


def make_inputs(problem: Problem, seed: int = 0) -> Arrays:
    """The arrays of `problem`, by name, drawn in float32 (or float64) and rounded once to its dtype.

    x, y, the cache and dout are standard normal. Weights are uniform in ±√(6/(fan_in + fan_out)) of the matrix that they are
    (Glorot and Bengio 2010), so that q, k and v have about the variance of x. Biases are uniform in ±1/2: a layer starts
    with zeros, which would hide what is done to them. The mask is attention's for the same seed.
    """
    arrays = {name: _array(problem, name, shape, seed) for name, shape in problem.input_shapes.items() if name != "mask"}
    if problem.mask:
        arrays["mask"] = make_mask(problem.attention, seed)
    return {name: arrays[name] for name in problem.input_shapes}


def _array(problem: Problem, name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, _STREAMS[name], 1])  # Not the streams of attention's arrays.
    drawn = np.float64 if problem.dtype == "float64" else np.float32
    if name in WEIGHTS or name in BIASES:
        limit = LARGEST_BIAS if name in BIASES else math.sqrt(6 / sum(matrix_shape(name, shape)))
        values = limit * (2 * rng.random(shape, dtype=drawn) - 1)
    else:
        values = rng.standard_normal(shape, dtype=drawn)
    return values.astype(NUMPY_DTYPES[problem.dtype])


def matrix_shape(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out): of W^Q, W^K and W^V with their heads side by side, and of W^O with its heads one below the
    other."""
    if name == "wo":
        return shape[0] * shape[1], shape[2]
    return shape[0], shape[1] * shape[2]
