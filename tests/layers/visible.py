"""A layer whose output is its attention weights, and what dropout may do to them. NumPy alone, for every framework."""

import math

import numpy as np
from scipy import stats

LENGTH, HEADS, BATCH, RATE = 16, 2, 4, 0.25
SEEDS = 128
ERROR = 1e-9
"""The probability that a right layer fails one of these checks, over all seeds there are. The tests' own seeds are fixed."""


def weights():
    """W^Q and W^K of zeros make every weight 1/LENGTH; W^V and W^O hand the weights of head h to columns h·LENGTH and on."""
    zeros = np.zeros((LENGTH, HEADS, LENGTH), np.float32)
    one = np.eye(LENGTH, dtype=np.float32)
    values = np.stack([one] * HEADS, axis=1)
    out = np.eye(HEADS * LENGTH, dtype=np.float32).reshape(HEADS, LENGTH, HEADS * LENGTH)
    return {"wq": zeros, "wk": zeros, "wv": values, "wo": out}


def x():
    """One-hot: position j is the unit vector j."""
    return np.stack([np.eye(LENGTH, dtype=np.float32)] * BATCH)


def seen(out):
    """The attention weights (batch, heads, length, keys) that an output shows."""
    return np.asarray(out).reshape(BATCH, LENGTH, HEADS, LENGTH).swapaxes(1, 2)


def interval(draws, share, error=ERROR):
    """The counts between which a binomial count lies, but for the probability `error`."""
    return stats.binom.ppf([error / 2, 1 - error / 2], draws, share)


def check_scale(dropped):
    """What is kept is 1/LENGTH scaled by 1/(1 - RATE). Two roundings: of 1 - RATE in its reciprocal, and of the product."""
    kept = dropped[dropped != 0]
    assert kept.size
    np.testing.assert_allclose(kept, 1 / LENGTH / (1 - RATE), rtol=2 * np.finfo(np.float32).eps)


def check_share(dropped):
    """As many weights are dropped as are, in `dropped.size` draws with the probability RATE."""
    low, high = interval(dropped.size, RATE)
    assert low <= np.count_nonzero(dropped == 0) <= high


def check_means(many):
    """Of every weight the mean over the seeds is that without dropout, so that no position is dropped more than another.

    `many` is (seeds, …). A mean lies in the interval of its binomial count of kept ones, and all of them together do.
    """
    low, high = interval(len(many), 1 - RATE, ERROR / math.prod(many.shape[1:]))
    means = many.mean(axis=0, dtype=np.float64) * LENGTH * (1 - RATE)
    assert means.min() >= low / len(many) * (1 - 1e-6), means.min()  # 1e-6: the rounding of the float32 weights.
    assert means.max() <= high / len(many) * (1 + 1e-6), means.max()


def check_independence(dropped):
    """No two heads and no two elements of the batch share what is dropped: that has the probability below 1e-50."""
    parts = dropped.reshape(BATCH * HEADS, -1) == 0
    assert len(np.unique(parts, axis=0)) == len(parts)
