"""OpenVINO on the CPU."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from harness.frameworks.base import Framework


class OpenVino(Framework):
    """Tensors over the memory of NumPy arrays.

    OpenVINO has no threads of the whole process: what compiles a model passes on OMP_NUM_THREADS as INFERENCE_NUM_THREADS.
    """

    modules = ("openvino",)
    extra = "openvino"
    smallest_buffer = 2**14

    @classmethod
    def environment(cls, device: str, threads: int) -> dict[str, str]:
        # Importing OpenVINO reports its use over the network, from threads of its own, unless this is set.
        return {**super().environment(device, threads), "CI": "true"}

    def __init__(self, device: str, threads: int):
        super().__init__(device, threads)
        import openvino

        self._openvino = openvino

    def settings(self) -> dict[str, str]:
        return {"openvino": self._openvino.__version__, "threads": str(self.threads)}

    def from_numpy(self, array: np.ndarray) -> Any:
        array = np.require(array, requirements=("C", "W"))  # Of what is read-only a tensor wants a copy.
        if array.dtype == ml_dtypes.bfloat16:
            return self._openvino.Tensor(array.view(np.uint16), array.shape, self._openvino.Type.bf16)
        return self._openvino.Tensor(array, shared_memory=True)

    def memory(self, array: Any) -> tuple[int, tuple[int, ...]] | None:
        return super().memory(self.to_numpy(array))

    def extent(self, array: Any) -> tuple[int, int]:
        return super().extent(self.to_numpy(array))

    def to_numpy(self, array: Any) -> np.ndarray:
        if array.element_type == self._openvino.Type.bf16:
            return array.data.view(ml_dtypes.bfloat16)
        return array.data
