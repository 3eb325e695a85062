"""The layer computed in a half type: every array that is stored is rounded to the dtype, sums are not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.operators.attention.inputs import Inputs
from harness.operators.attention.reference import half as attention
from harness.operators.multi_head.reference.stages import Layer, merge, split
from harness.operators.reference.approximate import Approximate
from harness.operators.reference.half import InHalf, Stored


def compute(layer: Layer, rows: np.ndarray, stored: Stored) -> Mapping[str, InHalf]:
    """{"out"} for the given rows, or the gradients of everything, with every array that is stored passed through `stored`."""
    return {"out": _output(layer, rows, stored)} if layer.dout is None else _gradients(layer, stored)


def _projected(layer: Layer, x: np.ndarray, letter: str, stored: Stored, heads: int) -> np.ndarray:
    product = stored(x @ layer.weights[f"w{letter}"])
    bias = layer.biases.get(f"b{letter}")
    return _split(product if bias is None else stored(product + bias), heads)


def _inputs(layer: Layer, stored: Stored) -> Inputs:
    problem = layer.problem
    q = _projected(layer, layer.x, "q", stored, problem.q_heads)
    k, v = (_projected(layer, layer.y, letter, stored, problem.kv_heads) for letter in "kv")
    if layer.cache:
        k, v = (np.concatenate([layer.cache[f"{n}_cache"], a], axis=2) for n, a in (("k", k), ("v", v)))
    do = None if layer.dout is None else _split(stored(layer.dout @ layer.weights["wo"].T), problem.q_heads)
    return Inputs(q, k, v, layer.mask, do=do)


def _output(layer: Layer, rows: np.ndarray, stored: Stored) -> InHalf:
    o = attention.forward_rows(layer.problem.attention, _inputs(layer, stored), rows, stored)
    out = stored(_merge(o.value) @ layer.weights["wo"])
    if "bo" in layer.biases:
        out = stored(out + layer.biases["bo"])
    return InHalf(out, o.ill_conditioned.any(axis=1))


def _gradients(layer: Layer, stored: Stored) -> Mapping[str, InHalf]:
    problem, inputs = layer.problem, _inputs(layer, stored)
    rows, keys = np.arange(problem.q_len), np.arange(problem.kv_len)
    o = attention.forward_rows(problem.attention, inputs, rows, stored)
    inner = {"o": o, **attention.backward_rows(problem.attention, inputs, rows, keys, stored)}
    of = {name: _merge(part.value).reshape(-1, part.value.shape[1] * part.value.shape[3]) for name, part in inner.items()}
    x, y, dout = (a.reshape(-1, a.shape[-1]) for a in (layer.x, layer.y, layer.dout))  # type: ignore[union-attr]
    found = {"wo": of["o"].T @ dout, "bo": dout.sum(axis=0)}
    back = {}
    for letter, given in (("q", x), ("k", y), ("v", y)):
        found[f"w{letter}"], found[f"b{letter}"] = given.T @ of[f"d{letter}"], of[f"d{letter}"].sum(axis=0)
        back[letter] = stored(of[f"d{letter}"] @ layer.weights[f"w{letter}"].T)
    if problem.cross:
        found |= {"x": back["q"], "y": back["k"] + back["v"]}
    else:
        found["x"] = stored(back["q"] + back["k"]) + back["v"]
    spoilt = np.array(any(part.ill_conditioned.any() for part in inner.values()))
    return {
        name: InHalf(stored(found[name.removeprefix("d")].reshape(shape)), spoilt)
        for name, shape in problem.output_shapes.items()
    }


def _split(x: np.ndarray, heads: int) -> np.ndarray:
    return split(Approximate(x), heads).value


def _merge(x: np.ndarray) -> np.ndarray:
    return merge(Approximate(x)).value
