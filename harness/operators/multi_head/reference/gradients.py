"""Gradients of the layer from those of its attention, each with its error."""

from __future__ import annotations

import numpy as np

from harness.operators.attention.reference.backward import backward_rows
from harness.operators.attention.reference.forward import forward_rows
from harness.operators.multi_head.reference.linear import added, linear, total
from harness.operators.multi_head.reference.stages import Layer, merge
from harness.operators.problem import Shape
from harness.operators.reference.approximate import Approximate
from harness.operators.reference.part import Part


def gradients(layer: Layer) -> dict[str, Part]:
    """{"dx", "dy", "dwq", … "dbo"} as the problem has them, in the shapes of what they are the gradients of."""
    problem, unit = layer.problem, layer.unit
    operands, inner = layer.operands(), problem.attention
    rows, keys = np.arange(problem.q_len), np.arange(problem.kv_len)
    o = forward_rows(inner, operands, rows)
    parts = {"o": o, **backward_rows(inner, operands, rows, keys)}
    of = {name: flat(merge(part.approximate)) for name, part in parts.items()}
    x, y, dout = (a.reshape(-1, a.shape[-1]) for a in (layer.x, layer.y, layer.dout))  # type: ignore[union-attr]

    found = {"wo": linear(unit, of["o"].transposed(), dout), "bo": total(unit, Approximate(dout))}
    inputs = {}
    for letter, given in (("q", x), ("k", y), ("v", y)):
        gradient = of[f"d{letter}"]
        found[f"w{letter}"] = linear(unit, gradient.transposed(), given).transposed()
        found[f"b{letter}"] = total(unit, gradient)
        inputs[letter] = linear(unit, gradient, layer.weights[f"w{letter}"].T)
    if problem.cross:
        found |= {"x": inputs["q"], "y": added(unit, inputs["k"], inputs["v"])}
    else:
        found["x"] = added(unit, *inputs.values())
    undefined = any(part.undefined.any() for part in parts.values())
    excused = undefined or any(part.excused.any() for part in parts.values())
    return {
        name: Part.of(_reshaped(found[name.removeprefix("d")], shape), undefined, excused)
        for name, shape in problem.output_shapes.items()
    }


def _reshaped(x: Approximate, shape: Shape) -> Approximate:
    return x.map(lambda a: a.reshape(shape))


def flat(x: Approximate) -> Approximate:
    """Batch elements one below the other."""
    return x.map(lambda a: a.reshape(-1, a.shape[-1]))
