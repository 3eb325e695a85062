"""Arrays that standard normal ones would not cover: each variation changes one thing, and says which fault it is for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import ml_dtypes
import numpy as np

from harness.operators.attention.inputs import Inputs, make_inputs
from harness.operators.attention.problem import Problem
from harness.operators.attention.storage import PLACES

BIAS_MAGNITUDES = (1e-3, 30.0, 1e3, 1e6, 1e12, 1e30)
"""What a standard normal bias is multiplied by; float16 ends before the last three."""


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


def _high_logits(inputs: Inputs) -> Inputs:
    """All scores between 60 and 80, a few apart: exp of them is finite in float32, and no number below caps them."""
    return _around(inputs, 70.0)


def _deep_logits(inputs: Inputs) -> Inputs:
    """All scores between -80 and -60, a few apart: exp of them is no zero in float32, and no number above floors them."""
    return _around(inputs, -70.0)


def _around(inputs: Inputs, centre: float) -> Inputs:
    """Scores of about `centre`, by a first column that has no share in their differences, and fewer than 10 from it."""
    q, k = inputs.q.astype(np.float64), inputs.k.astype(np.float64)
    root = np.sqrt(q.shape[-1])  # The default scale is its inverse.
    q[..., 0], k[..., 0] = 8.0, centre * root / 8.0
    return dataclasses.replace(inputs, q=q.astype(inputs.q.dtype), k=k.astype(inputs.k.dtype))


def _bias_of(magnitude: float) -> Callable[[Inputs], Inputs]:
    """A bias of that magnitude, beside which scores count much, little or not at all."""

    def varied(inputs: Inputs) -> Inputs:
        assert inputs.bias is not None
        bias = inputs.bias.astype(np.float64) * magnitude
        return dataclasses.replace(inputs, bias=bias.astype(inputs.bias.dtype))

    return varied


def _minus_billion(inputs: Inputs) -> Inputs:
    """-1e9 in place of the lowest number of a bias, or -1e4 where the dtype ends before."""
    assert inputs.bias is not None
    bias = inputs.bias.astype(np.float64)
    lowest = float(ml_dtypes.finfo(inputs.bias.dtype).min)
    low = -1e9 if lowest < -1e9 else -1e4
    return dataclasses.replace(inputs, bias=np.where(bias == lowest, low, bias).astype(inputs.bias.dtype))


def _blocked(first: float, last: float) -> Callable[[Inputs], Inputs]:
    """A part of the keys blocked for every query of a pair and the next pair not, so that tiles of queries see both.

    By the mask; else the bias, by -inf where it blocks and by the lowest number where that is its kind.
    """

    def varied(inputs: Inputs) -> Inputs:
        name = "mask" if inputs.mask is not None else "bias"
        array = getattr(inputs, name).copy()
        keys, rows = array.shape[-1], np.arange(array.shape[-2])[:, None]
        at = (np.arange(keys) >= int(first * keys)) & (np.arange(keys) < int(np.ceil(last * keys)))
        blocked = np.broadcast_to(at & (rows % 4 < 2), array.shape)
        if name == "mask":
            array[blocked] = False
        else:
            lowest = ml_dtypes.finfo(array.dtype).min
            array[blocked] = lowest if (array == lowest).any() else -np.inf
        return dataclasses.replace(inputs, **{name: array})

    return varied


def _no_keys(inputs: Inputs) -> Inputs:
    """A mask that leaves the first sequence of the batch nothing, as a length of zero does."""
    assert inputs.mask is not None
    mask = inputs.mask.copy()
    mask[0] = False
    return dataclasses.replace(inputs, mask=mask)


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
    "high-logits": _high_logits,
    "deep-logits": _deep_logits,
    "minus-billion": _minus_billion,
    "blocked-start": _blocked(0, 1 / 3),
    "blocked-middle": _blocked(1 / 3, 2 / 3),
    "blocked-end": _blocked(2 / 3, 1),
    "no-keys": _no_keys,
    **{f"bias-{magnitude:g}": _bias_of(magnitude) for magnitude in BIAS_MAGNITUDES},
    **PLACES,
}
