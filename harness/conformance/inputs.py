"""Arrays that standard normal ones would not cover: each variation changes one thing, and says which fault it is for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import ml_dtypes
import numpy as np

from harness.inputs import Inputs, make_inputs
from harness.problem import Problem


def vary(problem: Problem, variation: str, seed: int) -> Inputs:
    """The problem's arrays under a variation of `VARIATIONS`, still in its dtype."""
    return VARIATIONS[variation](make_inputs(problem, seed))


def _scaled(inputs: Inputs, factor: float) -> Inputs:
    return dataclasses.replace(inputs, q=(inputs.q.astype(np.float64) * factor).astype(inputs.q.dtype))


def _large_logits(inputs: Inputs) -> Inputs:
    """Scores of a few hundred: exp overflows unless the row's maximum is subtracted first."""
    return _scaled(inputs, 100.0)


def _huge_logits(inputs: Inputs) -> Inputs:
    """Scores of a hundred thousand, beside which no finite number hides a key."""
    return _scaled(inputs, 1e5)


def _low_logits(inputs: Inputs) -> Inputs:
    """All scores far below zero, around -25,000: a maximum must start at -inf."""
    q, k = (np.abs(x.astype(np.float64)) for x in (inputs.q, inputs.k))
    return dataclasses.replace(inputs, q=(100 * q).astype(inputs.q.dtype), k=(-100 * k).astype(inputs.k.dtype))


def _tiny_logits(inputs: Inputs) -> Inputs:
    """Scores near zero: every weight is nearly the same, and the output a mean."""
    return _scaled(inputs, 1e-3)


def _rising_logits(inputs: Inputs) -> Inputs:
    """Scores that grow along the keys, so that an online softmax must rescale at every tile."""
    ramp = np.linspace(0.1, 3.0, max(1, inputs.k.shape[2]))[: inputs.k.shape[2], None]
    along = np.abs(inputs.q[:, :1, :1].astype(np.float64)).mean() + ramp
    k = np.broadcast_to(along, inputs.k.shape).astype(inputs.k.dtype)
    q = np.abs(inputs.q.astype(np.float64)).astype(inputs.q.dtype)
    return dataclasses.replace(inputs, q=q, k=np.ascontiguousarray(k))


def _falling_logits(inputs: Inputs) -> Inputs:
    """The same the other way round: the first tile decides, and every later one must be scaled down."""
    rising = _rising_logits(inputs)
    return dataclasses.replace(rising, k=np.ascontiguousarray(rising.k[:, :, ::-1]))


def _constant_scores(inputs: Inputs) -> Inputs:
    """All keys alike: every weight is the same, whatever the score."""
    return dataclasses.replace(inputs, k=np.ascontiguousarray(np.broadcast_to(inputs.k[:, :, :1], inputs.k.shape)))


def _saturated_rows(inputs: Inputs) -> Inputs:
    """Each query is twenty times one of its keys, which gets all the weight."""
    group = inputs.q.shape[1] // inputs.k.shape[1]
    keys = np.repeat(inputs.k, group, axis=1)[:, :, np.arange(inputs.q.shape[2]) % inputs.k.shape[2]]
    return dataclasses.replace(inputs, q=(20 * keys.astype(np.float64)).astype(inputs.q.dtype))


def _biased_keys(inputs: Inputs) -> Inputs:
    """Keys far from the origin: all scores of a row have something large in common, which softmax must cancel."""
    return dataclasses.replace(inputs, k=(inputs.k.astype(np.float64) + 3).astype(inputs.k.dtype))


def _overflowing_products(inputs: Inputs) -> Inputs:
    """q·k beyond the largest number of the dtype, scale·q·k within it: scores of half types are float32 by the contract,
    and in float32 a kernel stays finite when it scales q first."""
    largest = float(ml_dtypes.finfo(inputs.q.dtype).max)
    size = np.sqrt(3 * largest / inputs.q.shape[3])  # The products of the first key come to 3 times the largest number,
    fall = np.linspace(1.0, 0.1, inputs.k.shape[2])[:, None]  # and the scale takes them down by sqrt(head_dim) > 3.
    q = np.full(inputs.q.shape, size).astype(inputs.q.dtype)
    k = np.broadcast_to(size * fall, inputs.k.shape).astype(inputs.k.dtype)
    return dataclasses.replace(inputs, q=q, k=np.ascontiguousarray(k))


def _offset_values(inputs: Inputs) -> Inputs:
    """Values around 100: weights that do not sum to one show at once."""
    return dataclasses.replace(inputs, v=(inputs.v.astype(np.float64) + 100).astype(inputs.v.dtype))


def _strided(inputs: Inputs) -> Inputs:
    """q, k, v and do as views of arrays stored (batch, length, heads, dim), as a projection leaves them."""
    arrays = {name: x for name in ("q", "k", "v", "do") if (x := getattr(inputs, name)) is not None}
    views = {name: np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3) for name, x in arrays.items()}
    return dataclasses.replace(inputs, **views)


def _transposed(inputs: Inputs) -> Inputs:
    """q, k, v with the last axis not contiguous, as a transposed product leaves them."""
    views = {name: np.ascontiguousarray(getattr(inputs, name).swapaxes(2, 3)).swapaxes(2, 3) for name in "qkv"}
    return dataclasses.replace(inputs, **views)


def _sliced(inputs: Inputs) -> Inputs:
    """Every second row of longer arrays, whose other rows are nan: whoever reads them shows it."""

    def every_second(array: np.ndarray) -> np.ndarray:
        twice = np.full((*array.shape[:2], 2 * array.shape[2], array.shape[3]), np.nan, array.dtype)
        twice[:, :, ::2] = array
        return twice[:, :, ::2]

    return dataclasses.replace(inputs, **{name: every_second(getattr(inputs, name)) for name in "qkv"})


def _strided_extras(inputs: Inputs) -> Inputs:
    """Mask and bias stored with queries last."""
    views = {name: np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) for name, x in inputs.extras.items()}
    return dataclasses.replace(inputs, **views)


def _read_only(inputs: Inputs) -> Inputs:
    """Arrays that raise when they are written to."""
    for array in (inputs.q, inputs.k, inputs.v, inputs.mask, inputs.bias, inputs.do):
        if array is not None:
            array.flags.writeable = False
    return inputs


VARIATIONS: dict[str, Callable[[Inputs], Inputs]] = {
    "normal": lambda inputs: inputs,
    "large-logits": _large_logits,
    "huge-logits": _huge_logits,
    "low-logits": _low_logits,
    "tiny-logits": _tiny_logits,
    "rising-logits": _rising_logits,
    "falling-logits": _falling_logits,
    "constant-scores": _constant_scores,
    "saturated-rows": _saturated_rows,
    "biased-keys": _biased_keys,
    "overflowing-products": _overflowing_products,
    "offset-values": _offset_values,
    "strided": _strided,
    "transposed": _transposed,
    "sliced": _sliced,
    "strided-extras": _strided_extras,
    "read-only": _read_only,
}
