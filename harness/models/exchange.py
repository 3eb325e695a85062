"""Tensors of PyTorch handed to another framework and back, in the same memory where that is possible. For workers only.

NumPy's arrays, and what is made from them, share the memory of a tensor as they are. JAX and TensorFlow take it by DLPack
(https://dmlc.github.io/dlpack/latest/python_spec.html), in one piece only: of a transposed tensor they get a copy.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from harness.frameworks import Framework
from harness.layers.tensors import as_numpy, as_tensor


class Exchange:
    """Between PyTorch and one framework. It counts the time that it takes, and the bytes that are copied."""

    def __init__(self, framework: Framework):
        self.seconds = 0.0
        self.copied_bytes = 0
        self._framework = framework
        self._how = next((how for name, how in _HOW.items() if name in framework.modules), _Shared)(framework)

    def to_native(self, tensor: Any) -> Any:
        """A native array with the values of a tensor."""
        start = time.perf_counter()
        native = self._how.to_native(tensor.detach())
        self._count(tensor, native, start)
        return native

    def to_tensor(self, native: Any) -> Any:
        """A tensor with the values of a native array."""
        start = time.perf_counter()
        tensor = self._how.to_tensor(native)
        self._count(tensor, native, start)
        return tensor

    def _count(self, tensor: Any, native: Any, start_s: float) -> None:
        self.seconds += time.perf_counter() - start_s
        if native is tensor or not tensor.numel():
            return
        if isinstance(native, np.ndarray) and native.__array_interface__["data"][0] == tensor.data_ptr():
            return  # As nearly always, and much sooner known than where arrays end.
        first, size = self._framework.extent(native)
        if not first <= tensor.data_ptr() < first + size:
            self.copied_bytes += tensor.numel() * tensor.element_size()


class _Shared:
    """By way of NumPy."""

    def __init__(self, framework: Framework):
        self._framework = framework

    def to_native(self, tensor: Any) -> Any:
        return self._framework.from_numpy(as_numpy(tensor))

    def to_tensor(self, native: Any) -> Any:
        return as_tensor(self._framework.to_numpy(native))


class _Same(_Shared):
    """PyTorch itself."""

    def to_native(self, tensor: Any) -> Any:
        return tensor

    def to_tensor(self, native: Any) -> Any:
        return native


class _Jax(_Shared):
    def to_native(self, tensor: Any) -> Any:
        import jax

        if tensor.dtype == torch.bool:  # Of which DLPack's version in JAX knows nothing.
            return super().to_native(tensor)
        return jax.dlpack.from_dlpack(tensor.contiguous())

    def to_tensor(self, native: Any) -> Any:
        return torch.from_dlpack(native)


class _TensorFlow(_Shared):
    def to_native(self, tensor: Any) -> Any:
        import tensorflow as tf

        if tensor.dtype == torch.bool:
            return super().to_native(tensor)
        return tf.experimental.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(tensor.contiguous()))

    def to_tensor(self, native: Any) -> Any:
        import tensorflow as tf

        return torch.from_dlpack(tf.experimental.dlpack.to_dlpack(native))


_HOW: dict[str, type[_Shared]] = {"torch": _Same, "jax": _Jax, "tensorflow": _TensorFlow}
