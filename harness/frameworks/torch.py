"""PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from harness.errors import Unavailable
from harness.frameworks.base import Framework, best_rate
from harness.frameworks.differentiable import Differentiable


class Torch(Framework):
    """Tensors on the CPU or on the current CUDA device; float32 products stay float32 (no TF32)."""

    modules = ("torch",)
    extra = "torch"

    def __init__(self, device: str, threads: int):
        super().__init__(device, threads)
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise Unavailable("this PyTorch build sees no CUDA device")
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")
        self._torch = torch
        self.asynchronous = device == "cuda"

    def settings(self) -> dict[str, str]:
        found = {
            "torch": self._torch.__version__,
            "threads": str(self._torch.get_num_threads()),
            "float32_matmul_precision": self._torch.get_float32_matmul_precision(),
        }
        if self.device == "cuda":
            found["gpu"] = self._torch.cuda.get_device_name()
        return found

    def from_numpy(self, array: np.ndarray) -> Any:
        if not array.flags.writeable or any(stride < 0 for stride in array.strides):  # Tensors know neither.
            array = array.copy()
        if array.dtype == ml_dtypes.bfloat16:
            tensor = self._torch.from_numpy(array.view(np.uint16)).view(self._torch.bfloat16)
        else:
            tensor = self._torch.from_numpy(array)
        return tensor.to(self.device)

    def to_numpy(self, array: Any) -> np.ndarray:
        tensor = array.detach().cpu().contiguous()
        if tensor.dtype == self._torch.bfloat16:
            return tensor.view(self._torch.uint16).numpy().view(ml_dtypes.bfloat16)
        return tensor.numpy()

    def memory(self, array: Any) -> tuple[int, tuple[int, ...]] | None:
        return array.data_ptr(), tuple(stride * array.element_size() for stride in array.stride())

    def synchronize(self, result: Any) -> None:
        if self.device == "cuda":
            self._torch.cuda.synchronize()

    def differentiate(self, attention: Callable[..., Any]) -> Differentiable:
        def forward(*operands: Any, **extras: Any) -> tuple[Any, Any]:
            leaves = [t.detach().requires_grad_() for t in operands]
            o = attention(*leaves, **extras)
            return o.detach(), (o, leaves)

        def backward(saved: Any, do: Any) -> tuple[Any, ...]:
            o, leaves = saved
            return self._torch.autograd.grad(o, leaves, do, retain_graph=True)

        return Differentiable(forward, backward)

    def matmul_rate(self, dtype: str, budget_s: float = 0.5) -> float:
        torch = self._torch

        def product_of(n: int) -> Callable[[], Any]:
            a, b = (torch.rand(n, n, device=self.device).to(getattr(torch, dtype)) for _ in "ab")
            return lambda: a @ b

        return best_rate(product_of, self.synchronize, budget_s)

    def reset_peak_memory(self) -> None:
        self._torch.cuda.synchronize()
        self._torch.cuda.reset_peak_memory_stats()

    def device_memory(self) -> tuple[int, int]:
        self._torch.cuda.synchronize()
        return self._torch.cuda.memory_allocated(), self._torch.cuda.max_memory_allocated()
