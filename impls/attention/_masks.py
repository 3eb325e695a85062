"""What the implementations in inference engines share: the visible part of the score matrix, for a model that is built."""

import numpy as np

from harness.problem import Problem


def band(problem: Problem):
    """(1, 1, Lq, Lk) boolean, True where causality and window let the query see the key; None when they hide nothing."""
    if problem.pairs == problem.q_len * problem.kv_len:
        return None
    distance = np.arange(problem.kv_len) - np.arange(problem.q_len)[:, None]
    low, high = problem.band
    return ((distance >= low) & (distance <= high))[None, None]


def four_axes(shape):
    """The shape of a mask or bias with all four axes, ones in front."""
    return (1,) * (4 - len(shape)) + tuple(shape)
