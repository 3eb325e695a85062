"""One implementation built for one problem: canonical NumPy arrays in and out, native arrays in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness.frameworks import Framework
from harness.frameworks.differentiable import Differentiable
from harness.operators.base import Arrays
from harness.operators.problem import Problem
from harness.plugins.implementation import Implementation
from harness.records.usage import Usage


@dataclass(frozen=True)
class _Given:
    """Arrays by the way in which an implementation is given them."""

    operands: list[Any]
    keywords: dict[str, Any]
    parameters: dict[str, Any]


class BoundCall:
    """Builds the callable when made; `bind` hands it the arrays; `call()` is then what is verified and timed.

    Building raises whatever the implementation raises.
    """

    def __init__(self, implementation: Implementation, framework: Framework, problem: Problem):
        self.problem = problem
        self.framework = framework
        self._operator = implementation.operator
        self._order = self._operator.layouts[implementation.layout]
        start = time.perf_counter()
        built = implementation.factory(problem)
        self.build_s = time.perf_counter() - start
        """Seconds that building took."""
        self._built = built
        self._differentiated: Differentiable | None = None
        self.call: Callable[[], Any] = _unbound

    def bind(self, inputs: Arrays, where_they_lie: bool = False) -> None:
        """Convert the arrays to native ones in the declared layout; for a backward problem, run the forward pass.

        Another order of the axes is an array of its own, in one piece, or a view of memory that matters `where_they_lie`.
        """
        self._moves = not where_they_lie
        gradient = self._operator.gradient
        self.given = {name: self.in_layout(name, array) for name, array in inputs.items() if name != gradient}
        """NumPy arrays by name, in the declared layout, that the native ones are made from."""
        self.native_inputs = {name: self.framework.from_numpy(array) for name, array in self.given.items()}
        """By name, as the implementation receives them: to see afterwards that it left them alone."""
        self._ready = self._load(self._given(self.native_inputs).parameters)
        if self.problem.direction == "backward":
            self.run_forward()
            self.given[gradient] = self.in_layout(gradient, inputs[gradient])
            self.native_inputs[gradient] = self.framework.from_numpy(self.given[gradient])
        self._call_with_inputs()

    def run_forward(self) -> None:
        """Of a backward problem, run the forward pass with the native inputs as they are now, and keep what it saves."""
        arrays = {name: array for name, array in self.native_inputs.items() if name != self._operator.gradient}
        if isinstance(self._ready, Differentiable):
            call = self._given(arrays)
            backward, (_, saved) = self._ready.backward, self._ready.forward(*call.operands, **call.keywords)
        else:
            backward, saved = self._differentiate(arrays)
        self.framework.synchronize(saved)
        self._backward = partial(backward, saved)

    def convert_again(self, names: Collection[str]) -> None:
        """Make the native inputs called `names` anew from `given`, where their adapter has copied what was given."""
        for name in names:
            self.native_inputs[name] = self.framework.from_numpy(self.given[name])
        self._call_with_inputs()

    def _call_with_inputs(self) -> None:
        """Make `call` one with the native inputs as they are now."""
        if self.problem.direction == "forward":
            call = self._given(self.native_inputs)
            self.call = partial(self._ready, *call.operands, **call.keywords)
        else:
            self.call = partial(self._backward, self.native_inputs[self._operator.gradient])

    def _given(self, arrays: Mapping[str, Any]) -> _Given:
        operator = self._operator
        named = (*operator.keywords, *operator.parameters)
        return _Given(
            [array for name, array in arrays.items() if name not in named],
            {name: array for name, array in arrays.items() if name in operator.keywords},
            {name: array for name, array in arrays.items() if name in operator.parameters},
        )

    def _load(self, parameters: Mapping[str, Any]) -> Any:
        """What takes the arrays of a call: what was built, once it has its parameters where the operator has some."""
        return self._built(**parameters) if self._operator.parameters else self._built

    def _differentiate(self, arrays: Mapping[str, Any]) -> tuple[Callable[..., Any], Any]:
        """The backward pass by the framework's own means, and what its forward pass saved."""
        names = [name for name in arrays if f"d{name}" in self.problem.output_shapes]
        if self._differentiated is None:

            def whole(*variables: Any, **others: Any) -> Any:
                call = self._given(dict(zip(names, variables, strict=True)))
                return self._load(call.parameters)(*call.operands, **call.keywords, **others)

            self._differentiated = self.framework.differentiate(whole)
        others = {name: array for name, array in arrays.items() if name not in names}
        _, saved = self._differentiated.forward(*(arrays[name] for name in names), **others)
        return self._differentiated.backward, saved

    @property
    def kernels(self) -> Callable[[], Any] | None:
        """What tells, after a call, the kernels that it ran: an attribute `kernels` of the callable, or of its object."""
        return self._told("kernels")

    def usage(self) -> Usage | None:
        """What all calls so far were spent on, of what runs inside a model: no plug-in is asked."""
        told = self._told("usage") if self._operator.name == "model" else None
        return told() if told else None

    def _told(self, name: str) -> Callable[[], Any] | None:
        """An attribute of the callable, or of the object whose method it is."""
        ready = self._ready.backward if isinstance(self._ready, Differentiable) else self._ready
        return getattr(ready, name, None) or getattr(getattr(ready, "__self__", None), name, None)

    def call_and_synchronize(self) -> Any:
        """One call, waited for."""
        result = self.call()
        self.framework.synchronize(result)
        return result

    def outputs(self, result: Any) -> dict[str, np.ndarray]:
        """The result of a call as canonical NumPy arrays, by name. Raises `TypeError` like `check`."""
        self.check(result)
        names = list(self.problem.output_shapes)
        parts = (result,) if self.problem.direction == "forward" and len(names) == 1 else result
        return {name: self._canonical(part) for name, part in zip(names, parts, strict=True)}

    def check(self, result: Any) -> None:
        """Raise `TypeError` unless a result is an array of the framework, or as many as there are outputs."""
        wanted, many = self.framework.array_type, len(self.problem.output_shapes)
        several = self.problem.direction == "backward" or many > 1
        parts = result if several and isinstance(result, tuple | list) else (result,)
        for part in parts:
            if type(part) is not wanted:
                raise TypeError(f"a call returned {_called(type(part))}, and should return {_called(wanted)}")
        if len(parts) != (many if several else 1):
            raise TypeError(f"a call returned {len(parts)} arrays, and should return {many}")

    def inputs_now(self) -> Mapping[str, np.ndarray]:
        """The native inputs as canonical NumPy arrays, as they are now."""
        return {
            name: self.framework.to_numpy(x) if self._has_one_layout(name) else self._canonical(x)
            for name, x in self.native_inputs.items()
        }

    def overwrite(self, inputs: Arrays) -> None:
        """Write other values of the same shapes into the arrays that a call is given; an implementation sees them in its
        own.

        Parameters stay as they were loaded."""
        for name, given in self._of_calls().items():
            given[...] = self.in_layout(name, inputs[name])

    def copied_inputs(self) -> list[str]:
        """The inputs that the implementation receives elsewhere in memory, or with other strides, than they were given."""
        found = {name: self.framework.memory(native) for name, native in self.native_inputs.items()}
        return [name for name, x in self._of_calls().items() if x.size and found[name] != (x.ctypes.data, x.strides)]

    def _of_calls(self) -> dict[str, np.ndarray]:
        return {name: x for name, x in self.given.items() if name not in self._operator.parameters}

    def in_layout(self, name: str, array: np.ndarray) -> np.ndarray:
        """A canonical input in the declared layout, in one piece."""
        if self._order is None or self._has_one_layout(name):
            return array
        transposed = array.transpose(self._order)
        return np.ascontiguousarray(transposed) if self._moves else transposed

    def _has_one_layout(self, name: str) -> bool:
        return name in self._operator.keywords or name in self._operator.parameters

    def _canonical(self, native: Any) -> np.ndarray:
        array = self.framework.to_numpy(native)
        if self._order is None or array.ndim != len(self._order):
            return array
        return array.transpose(np.argsort(self._order))


def _called(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _unbound() -> Any:
    raise RuntimeError("bind(inputs) comes before call()")
