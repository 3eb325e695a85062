"""One small adapter per framework, and `adapter(name)` to look one up without importing the framework itself."""

from __future__ import annotations

import importlib

from harness.errors import Unavailable, UserError, unknown_name
from harness.frameworks.base import Framework, Kernel, NoGradients

ADAPTERS = {
    "numpy": ("numpy", "NumPy"),
    "numba": ("numba", "Numba"),
    "numba-cuda": ("numba", "NumbaCuda"),
    "torch": ("torch", "Torch"),
    "tensorflow": ("tensorflow", "TensorFlow"),
    "keras": ("tensorflow", "Keras"),
    "jax": ("jax", "Jax"),
    "onnxruntime": ("onnxruntime", "OnnxRuntime"),
    "openvino": ("openvino", "OpenVino"),
}

__all__ = ["ADAPTERS", "Framework", "Kernel", "NoGradients", "Unavailable", "adapter"]


def adapter(name: str) -> type[Framework]:
    """The adapter class of a framework. Raises `UserError` for a name that has none."""
    if name not in ADAPTERS:
        raise UserError(unknown_name("framework", name, sorted(ADAPTERS), "The harness adapts"))
    module, cls = ADAPTERS[name]
    return getattr(importlib.import_module(f"harness.frameworks.{module}"), cls)
