"""What is different from framework to framework about a layer of one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from harness.errors import UserError
from harness.layers.own.parameters import Parameter


class Kind(Protocol):
    """Layers of one framework."""

    framework: str
    """Its adapter in `harness.frameworks`."""

    def function(self, cls: type) -> Callable[..., Any]:
        """The method whose arguments are those of a call."""

    def prepare(self, layer: Any, keywords: Mapping[str, Any]) -> None:
        """Make a new layer ready for inference, and call it once, which makes the weights that are made late."""

    def parameters(self, layer: Any) -> list[Parameter]:
        """Its weights and biases, in the order in which they were made."""

    def assign(self, variable: Any, values: np.ndarray) -> None:
        """Give a parameter values."""

    def native(self, array: np.ndarray) -> Any: ...

    def to_numpy(self, array: Any) -> np.ndarray: ...

    def without_gradients(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function for inference."""

    def record(self, function: Callable[..., Any], arrays: Sequence[Any], variables: Sequence[Any]) -> tuple[Any, Any]:
        """(function(*arrays), what `gradients` needs for the gradients of the arrays and variables)."""

    def gradients(self, saved: Any, dout: Any) -> list[np.ndarray]:
        """Zeros for what the output does not depend on."""


def kind_of(cls: type, where: str) -> Kind:
    """The framework of a class. Raises `UserError` where it is no layer."""
    # Keras first: on its PyTorch backend a layer is a module too.
    if "keras" in sys.modules and issubclass(cls, sys.modules["keras"].layers.Layer):
        from harness.layers.own.keras_layer import KerasLayer

        return KerasLayer()
    if "torch" in sys.modules and issubclass(cls, sys.modules["torch"].nn.Module):
        from harness.layers.own.torch_layer import TorchLayer

        return TorchLayer()
    raise UserError(f"{where} is no layer: its class must derive from torch.nn.Module or keras.layers.Layer")
