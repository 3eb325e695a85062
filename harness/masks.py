"""Which keys a query may see, and the shapes of masks and biases: for authors of implementations.

No framework is imported. A function that creates an array takes the framework's `arange`: `numpy.arange`,
`jax.numpy.arange`, `tensorflow.range`, `functools.partial(torch.arange, device=device)`. A function that takes an array uses
operators, indices and the method `reshape`. TensorFlow's tensors have no such method: there `tensorflow.reshape` takes what
`four_axes_shape` or `grouped_shape` returns. `in_band` and `broadcast_element` also compile: `numba.njit(in_band)`.

The oracle (`harness.operators.attention.reference`) and the conformance suite do not use this module: they share no code
with what they judge, so that they do not share its mistakes. What both take from `Problem.band` is tested against the
written definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.problem import CAUSAL, Problem


def score_shape(problem: Problem) -> tuple[int, int, int, int]:
    """(B, Hq, Lq, Lk), the shape of the scores, to which masks and biases broadcast."""
    return problem.batch, problem.q_heads, problem.q_len, problem.kv_len


def in_band(i: Any, j: Any, low: Any, high: Any) -> Any:
    """Whether query i may see key j as far as causality and window go, `low <= j - i <= high`; see `Problem.band`.

    i and j are whole numbers, or arrays of them that broadcast against each other, of any framework.
    """
    distance = j - i
    return (distance >= low) & (distance <= high)


def band_mask(problem: Problem, arange: Callable[[int], Any] = np.arange) -> Any:
    """Boolean (Lq, Lk), True where causality and window let the query see the key; None where they hide no key.

    The array is the framework's whose `arange` is given.
    """
    low, high = problem.band
    if low <= 1 - problem.q_len and high >= problem.kv_len - 1:
        return None
    return in_band(arange(problem.q_len)[:, None], arange(problem.kv_len), low, high)


def combined_mask(problem: Problem, mask: Any, arange: Callable[[int], Any] = np.arange) -> Any:
    """Causality, window and the boolean mask as one boolean array that broadcasts to (B, Hq, Lq, Lk).

    `mask` is an array of the framework whose `arange` is given, or None. The answer is None where nothing hides a key.
    """
    band = band_mask(problem, arange)
    if band is None or mask is None:
        return mask if band is None else band
    return band & mask


def causal_flag(problem: Problem, alignment: str) -> bool:
    """Whether a library's causal flag hides exactly the keys that the problem's causality and window hide.

    `alignment` is what the library means by its flag: "top-left", query i sees key j when j <= i (PyTorch, JAX, Keras, ONNX,
    OpenVINO), or "bottom-right", when j <= i + Lk - Lq (FlashAttention). The answer is True for a causal problem without a
    window that has this alignment, or as many queries as keys: then both alignments are the same. Where it is False, leave
    the flag off and pass `band_mask`. Some libraries refuse or ignore their flag beside a mask; that is for the caller.

    Raises `ValueError` for another alignment.
    """
    if alignment not in CAUSAL:
        raise ValueError(f"alignment must be {' or '.join(CAUSAL)}, not {alignment!r}")
    if problem.causal is None or problem.window is not None:
        return False
    return problem.causal == alignment or problem.q_len == problem.kv_len


def four_axes_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """(B or 1, Hq or 1, Lq or 1, Lk or 1): the shape of a mask or bias with the axes that it lacks, of size 1, in front."""
    return (1,) * (4 - len(shape)) + tuple(shape)


def four_axes(x: Any) -> Any:
    """A mask or bias with all four axes, as a view where the framework has views; None stays None."""
    return x if x is None else x.reshape(four_axes_shape(x.shape))


def grouped_shape(problem: Problem, shape: Sequence[int]) -> tuple[int, ...]:
    """(B or 1, Hkv or 1, group or 1, Lq or 1, Lk or 1): the shape of a mask or bias beside scores with grouped heads.

    Query heads that share a key/value head are consecutive, so the head axis splits in two.
    """
    batch, heads, q_len, kv_len = four_axes_shape(shape)
    return batch, *((1, 1) if heads == 1 else (problem.kv_heads, problem.group)), q_len, kv_len


def grouped(problem: Problem, x: Any) -> Any:
    """A mask or bias that broadcasts to scores of shape (B, Hkv, group, Lq, Lk); None stays None."""
    return x if x is None else x.reshape(grouped_shape(problem, x.shape))


def broadcast_element(x: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
    """Element (b, h, i, j) of the scores in a mask or bias with four axes, some of them of size 1."""
    return x[
        b if x.shape[0] > 1 else 0,
        h if x.shape[1] > 1 else 0,
        i if x.shape[2] > 1 else 0,
        j if x.shape[3] > 1 else 0,
    ]
