"""Layers of Keras, on its TensorFlow backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from harness.layers.own.parameters import Parameter


class KerasLayer:
    """In float32 on the CPU."""

    framework = "keras"

    def function(self, cls: type) -> Callable[..., Any]:
        return cls.call  # type: ignore[attr-defined]

    def prepare(self, layer: Any, keywords: Mapping[str, Any]) -> None:
        layer(**keywords)

    def parameters(self, layer: Any) -> list[Parameter]:
        found: dict[int, Parameter] = {}
        for name, variable in _named(layer, ""):
            shape = None if isinstance(variable, keras.layers.Layer) else tuple(variable.shape)
            found.setdefault(id(variable), Parameter(name, shape, None if shape is None else variable))
        for variable in layer.weights:  # Those of sublayers that no attribute holds.
            found.setdefault(id(variable), Parameter(variable.path.replace("/", "."), tuple(variable.shape), variable))
        return list(found.values())

    def assign(self, variable: Any, values: np.ndarray) -> None:
        variable.assign(values)

    def native(self, array: np.ndarray) -> Any:
        return tf.constant(array)

    def to_numpy(self, array: Any) -> np.ndarray:
        return array.numpy()

    def without_gradients(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    def record(self, function: Callable[..., Any], arrays: Sequence[Any], variables: Sequence[Any]) -> tuple[Any, Any]:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(arrays)
            out = function(*arrays)
        return out, (tape, out, [*arrays, *(variable.value for variable in variables)])

    def gradients(self, saved: Any, dout: Any) -> list[np.ndarray]:
        tape, out, sources = saved
        zero = tf.UnconnectedGradients.ZERO
        found = tape.gradient(out, sources, output_gradients=tf.reshape(dout, out.shape), unconnected_gradients=zero)
        return [self.to_numpy(tf.convert_to_tensor(d)) for d in found]


_INTERNAL = frozenset(vars(keras.layers.Layer()))
"""What every layer has."""

_WITH_KERNELS = (keras.layers.Dense, keras.layers.EinsumDense)


def _named(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The variables below a value by the names of attributes, which Keras's own names leave out.

    A dense layer that was never called has none, and stands for itself.
    """
    if isinstance(value, keras.Variable):
        yield name, value
    elif isinstance(value, keras.layers.Layer):
        inner = list(value._flatten_layers(include_self=False))
        if isinstance(value, _WITH_KERNELS) and not value.built:
            yield name, value
        elif name and not inner:
            yield from ((f"{name}.{variable.name}", variable) for variable in value.weights)
        else:
            yield from _of_items(((key, each) for key, each in vars(value).items() if not _internal(key)), name)
    elif isinstance(value, Mapping):
        yield from _of_items(value.items(), name)
    elif isinstance(value, list | tuple):
        yield from _of_items(enumerate(value), name)


def _internal(attribute: str) -> bool:
    """Whether an attribute is one of Keras's, or one in which TensorFlow keeps track of the others."""
    return attribute in _INTERNAL or attribute.startswith("_self_")


def _of_items(items: Any, name: str) -> Iterator[tuple[str, Any]]:
    for key, each in items:
        yield from _named(each, f"{name}.{key}".removeprefix("."))
