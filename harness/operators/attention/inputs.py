"""The arrays of a problem, from a seed: the same bits for every implementation, process and framework."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.problem import BIAS_KINDS, MASK_KINDS, Problem, broadcast_form

# Every array has its own stream, so that one array's shape never changes another's values.
_STREAMS = {"q": 0, "k": 1, "v": 2, "do": 3, "mask": 4, "bias": 5}

RANDOM_MASK_DENSITY = 0.7
EMPTY_ROW_EVERY = 3
LOWEST_ROW_EVERY = 4


@dataclass(frozen=True)
class Inputs:
    """q, k, v in the canonical layout and the problem's dtype; the others are None where the problem has none."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    mask: np.ndarray | None = None
    """Boolean, broadcastable to `(batch, q_heads, q_len, kv_len)`; True = may attend."""
    bias: np.ndarray | None = None
    """The problem's dtype, broadcastable likewise; `-inf` blocks."""
    do: np.ndarray | None = None
    """The gradient of the output, shaped like it; only when the direction is backward."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Those that the problem has, by name."""
        names = ("q", "k", "v", "mask", "bias", "do")
        return {name: array for name in names if (array := getattr(self, name)) is not None}

    @property
    def extras(self) -> dict[str, np.ndarray]:
        """The mask and the bias that the problem has, by the names an implementation receives them under."""
        return {name: array for name in ("mask", "bias") if (array := getattr(self, name)) is not None}


def make_inputs(problem: Problem, seed: int = 0) -> Inputs:
    """The arrays of `problem`: q, k, v, do standard normal, rounded once to its dtype.

    Masks: "padding" keeps between half and all of the keys of each batch element, from the left; "random" keeps each
    position with probability 0.7; "empty-rows" also blocks every third query entirely or, in a form without queries,
    every third head or batch element. Biases: "normal" is standard normal; "blocking" is that with about a third of the
    positions `-inf`, in a band; "lowest" has the dtype's lowest finite number there, and on all keys of every fourth query.
    """
    return Inputs(
        q=_normal(problem, problem.q_shape, seed, "q"),
        k=_normal(problem, problem.k_shape, seed, "k"),
        v=_normal(problem, problem.v_shape, seed, "v"),
        mask=make_mask(problem, seed) if problem.mask else None,
        bias=_bias(problem, seed) if problem.bias else None,
        do=_normal(problem, problem.o_shape, seed, "do") if problem.direction == "backward" else None,
    )


def _generator(seed: int, stream: str) -> np.random.Generator:
    return np.random.default_rng([seed, _STREAMS[stream]])


def _normal(problem: Problem, shape: tuple[int, ...], seed: int, stream: str) -> np.ndarray:
    drawn = np.float64 if problem.dtype == "float64" else np.float32
    values = _generator(seed, stream).standard_normal(shape, dtype=drawn)
    return values.astype(NUMPY_DTYPES[problem.dtype], copy=False)


def make_mask(problem: Problem, seed: int) -> np.ndarray:
    """The boolean mask of a problem that has one, as `make_inputs` describes it."""
    assert problem.mask is not None
    kind, form = broadcast_form(problem.mask, MASK_KINDS)
    rng = _generator(seed, "mask")
    if kind == "padding":
        lengths = rng.integers((problem.kv_len + 1) // 2, problem.kv_len, endpoint=True, size=(problem.batch, 1, 1, 1))
        return np.arange(problem.kv_len) < lengths
    mask = rng.random(problem.mask_shape) < RANDOM_MASK_DENSITY
    if kind == "empty-rows":
        emptied = form.index(next(axis for axis in "qhb" if axis in form))
        rows = np.arange(mask.shape[emptied]) % EMPTY_ROW_EVERY == 0
        mask &= ~rows.reshape([-1 if axis == emptied else 1 for axis in range(mask.ndim)])
    return mask


def _bias(problem: Problem, seed: int) -> np.ndarray:
    assert problem.bias is not None
    kind, form = broadcast_form(problem.bias, BIAS_KINDS)
    bias = _normal(problem, problem.bias_shape, seed, "bias")
    if kind != "normal":
        rows = np.arange(bias.shape[-2])[:, None] if bias.ndim >= 2 else np.zeros((1, 1), dtype=int)
        band = (rows + np.arange(bias.shape[-1])) % 3 == 0
        if kind == "lowest" and "q" in form:
            band |= rows % LOWEST_ROW_EVERY == LOWEST_ROW_EVERY // 2
        low = -np.inf if kind == "blocking" else ml_dtypes.finfo(bias.dtype).min
        bias[..., band if bias.ndim >= 2 else band[0]] = low
    return bias
