"""PyTorch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import ml_dtypes
import numpy as np

from harness.errors import Unavailable
from harness.frameworks.base import Framework, Kernel, best_rate, most_of
from harness.frameworks.differentiable import Differentiable
from harness.frameworks.library_logs import library_kernels, printed

_COMPILED = re.compile(r"^(## Call CompiledFxGraph .*|Torch-Compiled Region.*|TorchDynamo Cache Lookup)$")
"""What the profiler calls the parts of a call of what `torch.compile` has made."""


_VECTOR_FUNCTIONS = ("cos", "erf", "exp", "log", "sin", "sqrt", "tanh")
"""Of those that PyTorch leaves to MKL, the ones that attention and training use."""


def use_threads(threads: int) -> None:
    """Let PyTorch compute with `threads` threads, and have MKL choose its kernels before more than one of them asks.

    MKL chooses the kernel of a vector function when that is first called in a process. Where several threads are the
    first, one of them may be given the least accurate kernel for that call: a relative error of 2e-5 in some rows of the
    first large `torch.exp`, which no later call has (pytorch/pytorch#188792).
    """
    import torch

    torch.set_num_threads(threads)
    for dtype in (torch.float32, torch.float64):
        for name in _VECTOR_FUNCTIONS:
            getattr(torch, name)(torch.ones(1, dtype=dtype))


class Torch(Framework):
    """Tensors on the CPU or on the current CUDA device; float32 products stay float32 (no TF32)."""

    modules = ("torch",)
    extra = "torch"

    def __init__(self, device: str, threads: int):
        super().__init__(device, threads)
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise Unavailable("this PyTorch build sees no CUDA device")
        use_threads(threads)
        torch.set_float32_matmul_precision("highest")
        self._torch = torch
        self.asynchronous = device == "cuda"

    def settings(self) -> dict[str, str]:
        found = {
            "torch": str(self._torch.__version__),  # It is of a class of its own.
            "threads": str(self._torch.get_num_threads()),
            "float32_matmul_precision": self._torch.get_float32_matmul_precision(),
            "vectors": self._torch.backends.cpu.get_cpu_capability(),
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

    def extent(self, array: Any) -> tuple[int, int]:
        storage = array.untyped_storage()
        return storage.data_ptr(), storage.nbytes()

    def synchronize(self, result: Any) -> None:
        if self.device == "cuda":
            self._torch.cuda.synchronize()

    def writer(self, count: int) -> Callable[[], None]:
        other = self._torch.empty(count, dtype=self._torch.uint8, device=self.device)
        return lambda: self.synchronize(other.zero_())

    def differentiate(self, attention: Callable[..., Any]) -> Differentiable:
        def forward(*operands: Any, **extras: Any) -> tuple[Any, Any]:
            leaves = [t.detach().requires_grad_() for t in operands]
            o = attention(*leaves, **extras)
            return o.detach(), (o, leaves)

        def backward(saved: Any, do: Any) -> tuple[Any, ...]:
            o, leaves = saved
            return self._torch.autograd.grad(o, leaves, do, retain_graph=True)

        return Differentiable(forward, backward)

    def kernels(self, call: Callable[[], Any]) -> Sequence[Kernel]:
        """By PyTorch's profiler; and, on the processor, by what oneDNN and MKL print."""
        # Not `torch.profiler.profile`, which imports the compiler, for more than a second.
        from torch.autograd.profiler import profile

        torch, on_device = self._torch, self.device == "cuda"
        with profile(use_device="cuda" if on_device else None) as profiled:
            self.synchronize(call())
        times: Counter[Kernel] = Counter()
        for one in profiled.key_averages():
            name = _COMPILED.sub("compiled graph", one.key)
            times[Kernel(name)] += one.self_device_time_total if on_device else one.self_cpu_time_total
        if on_device:
            return most_of(times)
        with printed() as lines, ExitStack() as libraries:
            for library in (torch.backends.mkldnn, torch.backends.mkl):
                if library.is_available():
                    libraries.enter_context(library.verbose(1))
            call()
        return [*most_of(times), *library_kernels(lines)]

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
