"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.frameworks.base import Framework


class OnnxRuntime(Framework):
    """NumPy arrays in one piece, which `InferenceSession.run` reads where they lie.

    The threads are those of the process-wide pool: a session joins it with `use_per_session_threads = False`.
    """

    modules = ("onnxruntime", "onnx")
    extra = "onnxruntime"
    smallest_buffer = 2**17

    def __init__(self, device: str, threads: int):
        super().__init__(device, threads)
        import onnxruntime

        onnxruntime.set_global_thread_pool_sizes(threads, 1)
        self._version = onnxruntime.__version__

    def settings(self) -> dict[str, str]:
        return {"onnxruntime": self._version, "threads": str(self.threads), "provider": "CPUExecutionProvider"}

    def from_numpy(self, array: np.ndarray) -> Any:
        return np.ascontiguousarray(array)
