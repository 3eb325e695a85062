"""TensorFlow, and Keras on top of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from harness.errors import Unavailable
from harness.frameworks.base import Framework
from harness.frameworks.differentiable import Differentiable


class TensorFlow(Framework):
    """Eager tensors handed to graph functions."""

    modules: ClassVar[Sequence[str]] = ("tensorflow",)
    extra = "tensorflow"
    smallest_buffer = 2**14

    @classmethod
    def environment(cls, device: str, threads: int) -> dict[str, str]:
        return {
            **super().environment(device, threads),
            "TF_NUM_INTRAOP_THREADS": str(threads),
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "KERAS_BACKEND": "tensorflow",
        }

    @classmethod
    def memory_environment(cls, device: str) -> dict[str, str]:
        # Builds with oneDNN allocate from a pool that never shrinks (BFC), unless told not to: core/util/onednn_env_vars.cc.
        return {"TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "true"} if device == "cpu" else {}

    def __init__(self, device: str, threads: int):
        super().__init__(device, threads)
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        if device == "cuda":
            if not tf.config.list_physical_devices("GPU"):
                raise Unavailable("this TensorFlow build sees no CUDA device")
            tf.config.experimental.enable_tensor_float_32_execution(False)
        self._tf = tf
        self._place = "/GPU:0" if device == "cuda" else "/CPU:0"

    def settings(self) -> dict[str, str]:
        threading = self._tf.config.threading
        return {
            "tensorflow": self._tf.__version__,
            "threads": str(threading.get_intra_op_parallelism_threads()),
            "inter_op_threads": str(threading.get_inter_op_parallelism_threads()),
        }

    def from_numpy(self, array: np.ndarray) -> Any:
        with self._tf.device(self._place):
            return self._tf.constant(array)

    def to_numpy(self, array: Any) -> np.ndarray:
        return array.numpy()

    def extent(self, array: Any) -> tuple[int, int]:
        if array.dtype == self._tf.bfloat16:  # Of which Python's buffers know nothing; it is the same memory.
            array = self._tf.bitcast(array, self._tf.uint16)
        return super().extent(np.asarray(memoryview(array)))

    def synchronize(self, result: Any) -> None:
        if self.device == "cuda":
            self._tf.test.experimental.sync_devices()

    def differentiate(self, attention: Callable[..., Any]) -> Differentiable:
        def forward(*operands: Any, **extras: Any) -> tuple[Any, Any]:
            with self._tf.GradientTape(persistent=True) as tape:
                tape.watch(operands)
                o = attention(*operands, **extras)
            return o, (tape, o, operands)

        def backward(saved: Any, do: Any) -> tuple[Any, ...]:
            tape, o, sources = saved
            return tuple(tape.gradient(o, sources, output_gradients=do))

        return Differentiable(forward, backward)

    def reset_peak_memory(self) -> None:
        self._tf.config.experimental.reset_memory_stats("GPU:0")

    def device_memory(self) -> tuple[int, int]:
        info = self._tf.config.experimental.get_memory_info("GPU:0")
        return info["current"], info["peak"]


class Keras(TensorFlow):
    """Keras with the TensorFlow backend, whatever ~/.keras says."""

    modules = ("keras", "tensorflow")

    def settings(self) -> dict[str, str]:
        import keras

        return {"keras": keras.__version__, "backend": keras.backend.backend(), **super().settings()}
