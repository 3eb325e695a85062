"""A layer of one's own: made for a problem, given its weights, called, differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import UserError, describe
from harness.frameworks.differentiable import Differentiable
from harness.layers.own.calling import calling
from harness.layers.own.construction import construction
from harness.layers.own.kind import kind_of
from harness.layers.own.parameters import LETTERS, Parameter, Slot, slots
from harness.layers.own.place import Place
from harness.masks import combined_mask, four_axes_shape
from harness.operators.multi_head.problem import Problem

PROBE = Problem(batch=2, q_heads=3, q_len=5, width=12, biases=True)
"""What a layer is made for and called with to see what it takes; no two of its sizes are the same."""


@dataclass(frozen=True)
class Examined:
    """What a layer takes."""

    framework: str
    call: str
    """Its signature."""
    weights: tuple[str, ...]
    """Where each of W^Q, W^K, W^V and W^O is, in words."""
    notes: tuple[str, ...]
    """What is strange about it."""
    takes_mask: bool
    takes_y: bool
    biases: bool
    grouped: bool
    always_causal: bool
    """Whether no position sees a later one, whatever it is given."""


class OwnLayer:
    """A class and how it is used. Raises `UserError` where that is not clear; importing its file may raise anything."""

    def __init__(self, place: Place):
        self.place = place
        cls = place.load()
        self.kind = kind_of(cls, f"{place.name} in {place.path.name}")
        self._make, self._sizes = construction(cls, place)
        self.calls = calling(self.kind.function(cls), place.name)

    def examined(self) -> Examined:
        """What it takes, seen of one that is made and called. Raises `UserError` where its weights cannot be told apart."""
        try:
            made = self.made(PROBE)
            causal = made.is_causal()
        except UserError:
            raise
        except Exception as error:
            shape = (PROBE.batch, PROBE.q_len, PROBE.width)
            raise UserError(
                f"{self.place.name} cannot be made and called with x of the shape {shape} and {PROBE.q_heads} heads: "
                f"{describe(error)}"
            ) from error
        found = made.slots
        used = {id(one) for slot in found for one in (slot.weight, slot.bias)}
        never = [slot.weight.name for slot in found if slot.weight.shape is None]
        others = [one.name for one in made.parameters if id(one) not in used and one.shape is not None]
        notes = [f"{', '.join(never)}: made and never called, so the projection is not applied"] if never else []
        notes += ["it is causal, whatever it is given"] if causal else []
        notes += [f"other weights keep the values that they are made with: {', '.join(others)}"] if others else []
        named = {letter: slot.weight.name for slot in found for letter in slot.letters}
        return Examined(
            framework=self.kind.framework,
            call=self.calls.text,
            weights=tuple(f"W^{letter.upper()} is {named[letter]}" for letter in LETTERS),
            notes=tuple(notes),
            takes_mask=self.calls.takes_mask,
            takes_y=self.calls.takes_y,
            biases=all(slot.bias is not None for slot in found),
            grouped="kv_heads" in self._sizes,
            always_causal=causal,
        )

    def made(self, problem: Problem) -> Made:
        """The layer for a problem, called once."""
        layer = self._make(problem)
        zeros = {name: self.kind.native(np.zeros(shape, np.float32)) for name, shape in problem.x_shapes.items()}
        self.kind.prepare(layer, self.calls.keywords(**zeros))
        parameters = self.kind.parameters(layer)
        return Made(self, layer, problem, parameters, slots(parameters, self.place.name))


@dataclass(frozen=True)
class Made:
    """A layer for one problem."""

    own: OwnLayer
    layer: Any
    problem: Problem
    parameters: list[Parameter]
    slots: list[Slot]

    def load(self, weights: Mapping[str, Any]) -> Callable[..., Any] | Differentiable:
        """Give it the problem's weights; what a call is then. Weights that were never made are left out."""
        kind = self.own.kind
        given = {name: np.asarray(kind.to_numpy(a)) for name, a in weights.items()}
        for slot in self.slots:
            if slot.weight.shape is not None:
                kind.assign(slot.weight.variable, slot.weights(given))
            if slot.bias is not None:
                kind.assign(slot.bias.variable, slot.biases(given))
        if self.problem.direction == "backward":
            return Differentiable(self._forward, self._backward)
        return kind.without_gradients(self.call)

    def call(self, x: Any, y: Any = None, mask: Any = None) -> Any:
        """Its output; the first one of several. Causality and windows are part of the mask."""
        inner, kind = self.problem.attention, self.own.kind
        given = None if mask is None else kind.to_numpy(mask).reshape(four_axes_shape(mask.shape))
        seen = combined_mask(inner, given)
        seen = None if seen is None else kind.native(seen.reshape(four_axes_shape(seen.shape)))
        out = self.layer(**self.own.calls.keywords(x, y, seen))
        return out[0] if isinstance(out, tuple | list) else out

    def is_causal(self) -> bool:
        """Whether the last position changes nothing before it, while the first one changes the last."""
        x = np.random.default_rng(0).standard_normal(
            (self.problem.batch, self.problem.q_len, self.problem.width), np.float32
        )
        first, last = x.copy(), x.copy()
        first[:, 0] += 1
        last[:, -1] += 1
        call, kind = self.own.kind.without_gradients(self.call), self.own.kind
        out, of_first, of_last = (kind.to_numpy(call(kind.native(each))) for each in (x, first, last))
        if out.shape[:2] != x.shape[:2]:
            return False
        return np.array_equal(out[:, :-1], of_last[:, :-1]) and not np.array_equal(out[:, -1], of_first[:, -1])

    def _forward(self, x: Any, y: Any = None, mask: Any = None) -> tuple[Any, Any]:
        arrays = [x] if y is None else [x, y]
        variables = [variable for variable, _ in self._held()]
        return self.own.kind.record(lambda x, y=None: self.call(x, y, mask), arrays, variables)

    def _backward(self, saved: Any, dout: Any) -> tuple[Any, ...]:
        shapes = self.problem.input_shapes
        found = self.own.kind.gradients(saved, dout)
        names = list(self.problem.x_shapes)
        by_name = dict(zip(names, found[: len(names)], strict=True))
        for (_, apart), gradient in zip(self._held(), found[len(names) :], strict=True):
            by_name |= apart(gradient, shapes)
        nothing = {name: np.zeros(shape, np.float32) for name, shape in self.problem.weight_shapes.items()}
        by_name = nothing | by_name
        return tuple(self.own.kind.native(by_name[name.removeprefix("d")]) for name in self.problem.output_shapes)

    def _held(self) -> list[tuple[Any, Callable[..., dict[str, np.ndarray]]]]:
        """The variables that hold the problem's weights and biases, each with what takes its gradient apart."""
        held: list[tuple[Any, Callable[..., dict[str, np.ndarray]]]] = []
        for slot in self.slots:
            if slot.weight.shape is not None:
                held.append((slot.weight.variable, slot.gradients))
            if slot.bias is not None and self.problem.biases:
                held.append((slot.bias.variable, slot.bias_gradients))
        return held
