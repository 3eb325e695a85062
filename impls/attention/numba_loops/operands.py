"""Operands in the form that the compiled loops want."""

from typing import NamedTuple

import numpy as np

from harness.masks import score_shape
from harness.problem import Problem


class Arrays(NamedTuple):
    """In the canonical layout; or, of one query and its key/value head, without the axes for batch, head and query."""

    o: np.ndarray
    """Written by the kernel."""
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    mask: np.ndarray
    """Boolean, shaped as the scores; its last axis is empty where there is none."""
    bias: np.ndarray
    """Likewise."""


class Terms(NamedTuple):
    """What the formula takes beside arrays: query i may see key j when low <= j - i <= high."""

    scale: float
    softcap: float
    """0 for none."""
    low: int
    high: int


def operands(problem: Problem, q, k, v, mask, bias):
    """(arrays, terms) for a kernel.

    Half types are widened to float32 (Numba has none of its own on the CPU), inside the timed call. Mask and bias become
    views broadcast to the scores. o is uninitialised.
    """
    wide = np.dtype(np.float64 if problem.dtype == "float64" else np.float32)
    q, k, v = (x.astype(wide, copy=False) for x in (q, k, v))
    bias = None if bias is None else bias.astype(wide, copy=False)
    o = np.empty(problem.o_shape, wide)
    softcap = 0 if problem.softcap is None else problem.softcap
    terms = Terms(wide.type(problem.scale), wide.type(softcap), *problem.band)
    return Arrays(o, q, k, v, _rows(problem, mask, np.bool_), _rows(problem, bias, wide)), terms


def _rows(problem: Problem, array, dtype):
    scores = score_shape(problem)
    if array is None:
        return np.broadcast_to(np.empty(0, dtype), (*scores[:3], 0))
    return np.broadcast_to(array, scores)
