"""The layer computed in the arithmetic of a dtype: every array that is stored passes through it, and every sum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.operators.attention.inputs import Inputs
from harness.operators.attention.reference import computed as attention
from harness.operators.multi_head.reference.stages import Layer, merge, split
from harness.operators.reference.approximate import Approximate
from harness.operators.reference.arithmetic import Rounded
from harness.operators.reference.computed import Computed


def compute(layer: Layer, rows: np.ndarray, arithmetic: Rounded) -> Mapping[str, Computed]:
    """{"out"} for the given rows, or the gradients of everything, computed in `arithmetic`."""
    return {"out": _output(layer, rows, arithmetic)} if layer.dout is None else _gradients(layer, arithmetic)


def _projected(layer: Layer, x: np.ndarray, letter: str, arithmetic: Rounded, heads: int) -> np.ndarray:
    product = arithmetic.stored(arithmetic.product(x, layer.weights[f"w{letter}"]))
    bias = layer.biases.get(f"b{letter}")
    return _split(product if bias is None else arithmetic.stored(product + bias), heads)


def _inputs(layer: Layer, arithmetic: Rounded) -> Inputs:
    problem = layer.problem
    q = _projected(layer, layer.x, "q", arithmetic, problem.q_heads)
    k, v = (_projected(layer, layer.y, letter, arithmetic, problem.kv_heads) for letter in "kv")
    if layer.cache:
        k, v = (np.concatenate([layer.cache[f"{n}_cache"], a], axis=2) for n, a in (("k", k), ("v", v)))
    if layer.dout is None:
        return Inputs(q, k, v, layer.mask)
    do = arithmetic.stored(arithmetic.product(layer.dout, layer.weights["wo"].T))
    return Inputs(q, k, v, layer.mask, do=_split(do, problem.q_heads))


def _output(layer: Layer, rows: np.ndarray, arithmetic: Rounded) -> Computed:
    o = attention.forward_rows(layer.problem.attention, _inputs(layer, arithmetic), rows, arithmetic)
    out = arithmetic.stored(arithmetic.product(_merge(o.value), layer.weights["wo"]))
    if "bo" in layer.biases:
        out = arithmetic.stored(out + layer.biases["bo"])
    return Computed(out, np.any(o.ill_conditioned, axis=1, keepdims=True)[:, 0])


def _gradients(layer: Layer, arithmetic: Rounded) -> Mapping[str, Computed]:
    problem, inputs = layer.problem, _inputs(layer, arithmetic)
    stored, product = arithmetic.stored, arithmetic.product
    rows, keys = np.arange(problem.q_len), np.arange(problem.kv_len)
    o = attention.forward_rows(problem.attention, inputs, rows, arithmetic)
    inner = {"o": o, **attention.backward_rows(problem.attention, inputs, rows, keys, arithmetic)}
    of = {name: _merge(part.value).reshape(-1, part.value.shape[1] * part.value.shape[3]) for name, part in inner.items()}
    x, y, dout = (a.reshape(-1, a.shape[-1]) for a in (layer.x, layer.y, layer.dout))  # type: ignore[union-attr]
    found = {"wo": product(of["o"].T, dout), "bo": arithmetic.total(dout, 0)}
    back = {}
    for letter, given in (("q", x), ("k", y), ("v", y)):
        found[f"w{letter}"] = product(given.T, of[f"d{letter}"])
        found[f"b{letter}"] = arithmetic.total(of[f"d{letter}"], 0)
        back[letter] = stored(product(of[f"d{letter}"], layer.weights[f"w{letter}"].T))
    if problem.cross:
        found |= {"x": back["q"], "y": back["k"] + back["v"]}
    else:
        found["x"] = stored(back["q"] + back["k"]) + back["v"]
    spoilt = np.array(any(part.ill_conditioned.any() for part in inner.values()))
    return {
        name: Computed(stored(found[name.removeprefix("d")].reshape(shape)), spoilt)
        for name, shape in problem.output_shapes.items()
    }


def _split(x: np.ndarray, heads: int) -> np.ndarray:
    return split(Approximate(x), heads).value


def _merge(x: np.ndarray) -> np.ndarray:
    return merge(Approximate(x)).value
