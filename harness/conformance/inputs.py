"""Arrays that standard normal ones would not cover: each variation changes one thing, and says which fault it is for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

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


def _offset_values(inputs: Inputs) -> Inputs:
    """Values around 100: weights that do not sum to one show at once."""
    return dataclasses.replace(inputs, v=(inputs.v.astype(np.float64) + 100).astype(inputs.v.dtype))


def _strided(inputs: Inputs) -> Inputs:
    """q, k, v as views of arrays stored (batch, length, heads, dim), as a projection leaves them."""
    views = {name: np.ascontiguousarray(getattr(inputs, name).transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3) for name in "qkv"}
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
    "tiny-logits": _tiny_logits,
    "rising-logits": _rising_logits,
    "offset-values": _offset_values,
    "strided": _strided,
    "read-only": _read_only,
}
