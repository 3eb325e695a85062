"""One implementation built for one problem: canonical NumPy arrays in and out, native arrays in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from harness.frameworks import Framework
from harness.frameworks.differentiable import Differentiable
from harness.operators.base import Arrays
from harness.operators.problem import Problem
from harness.plugins.implementation import Implementation


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
        self._forward: Callable[..., Any] | None = None
        self._differentiable: Differentiable | None = None
        if problem.direction == "forward":
            self._forward = built
        else:
            self._differentiable = built if isinstance(built, Differentiable) else framework.differentiate(built)
        self.call: Callable[[], Any] = _unbound

    def bind(self, inputs: Arrays, where_they_lie: bool = False) -> None:
        """Convert the arrays to native ones in the declared layout; for a backward problem, run the forward pass.

        Another order of the axes is an array of its own, in one piece, or a view of memory that matters `where_they_lie`.
        """
        self._moves = not where_they_lie
        gradient = self._operator.gradient
        self.given = {name: self._in_layout(name, array) for name, array in inputs.items() if name != gradient}
        """NumPy arrays by name, in the declared layout, that the native ones are made from."""
        self.native_inputs = {name: self.framework.from_numpy(array) for name, array in self.given.items()}
        """By name, as the implementation receives them: to see afterwards that it left them alone."""
        keywords = {name: array for name, array in self.native_inputs.items() if name in self._operator.keywords}
        operands = [array for name, array in self.native_inputs.items() if name not in keywords]
        if self._forward is not None:
            self.call = partial(self._forward, *operands, **keywords)
            return
        assert self._differentiable is not None
        _, saved = self._differentiable.forward(*operands, **keywords)
        self.framework.synchronize(saved)
        self.given[gradient] = self._in_layout(gradient, inputs[gradient])
        do = self.native_inputs[gradient] = self.framework.from_numpy(self.given[gradient])
        self.call = partial(self._differentiable.backward, saved, do)

    def call_and_synchronize(self) -> Any:
        """One call, waited for."""
        result = self.call()
        self.framework.synchronize(result)
        return result

    def outputs(self, result: Any) -> dict[str, np.ndarray]:
        """The result of a call as canonical NumPy arrays, by name."""
        names = list(self.problem.output_shapes)
        parts = (result,) if self.problem.direction == "forward" and len(names) == 1 else result
        return {name: self._canonical(part) for name, part in zip(names, parts, strict=True)}

    def inputs_now(self) -> Mapping[str, np.ndarray]:
        """The native inputs as canonical NumPy arrays, as they are now."""
        return {
            name: self.framework.to_numpy(x) if name in self._operator.keywords else self._canonical(x)
            for name, x in self.native_inputs.items()
        }

    def overwrite(self, inputs: Arrays) -> None:
        """Write other values of the same shapes into the arrays that were given; an implementation sees them in its own."""
        for name, given in self.given.items():
            given[...] = self._in_layout(name, inputs[name])

    def copied_inputs(self) -> list[str]:
        """The inputs that the implementation receives elsewhere in memory, or with other strides, than they were given."""
        found = {name: self.framework.memory(native) for name, native in self.native_inputs.items()}
        return [name for name, x in self.given.items() if x.size and found[name] != (x.ctypes.data, x.strides)]

    def _in_layout(self, name: str, array: np.ndarray) -> np.ndarray:
        if self._order is None or name in self._operator.keywords:
            return array
        transposed = array.transpose(self._order)
        return np.ascontiguousarray(transposed) if self._moves else transposed

    def _canonical(self, native: Any) -> np.ndarray:
        array = self.framework.to_numpy(native)
        if self._order is None or array.ndim != len(self._order):
            return array
        return array.transpose(np.argsort(self._order))


def _unbound() -> Any:
    raise RuntimeError("bind(inputs) comes before call()")
