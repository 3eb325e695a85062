"""Layers of PyTorch: `torch.nn.Module`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from harness.layers.own.parameters import Parameter


class TorchLayer:
    """In float32 on the CPU."""

    framework = "torch"

    def function(self, cls: type) -> Callable[..., Any]:
        return cls.forward  # type: ignore[attr-defined]

    def prepare(self, layer: Any, keywords: Mapping[str, Any]) -> None:
        layer.float().eval()
        with torch.no_grad():
            layer(**keywords)

    def parameters(self, layer: Any) -> list[Parameter]:
        modules = dict(layer.named_modules())
        return [
            Parameter(name, tuple(p.shape), p, isinstance(modules[name.rpartition(".")[0]], _STORED_OUT_IN))
            for name, p in layer.named_parameters()
        ]

    def assign(self, variable: Any, values: np.ndarray) -> None:
        with torch.no_grad():
            variable.copy_(self.native(values))

    def native(self, array: np.ndarray) -> Any:
        return torch.from_numpy(np.array(array, order="C"))

    def to_numpy(self, array: Any) -> np.ndarray:
        return array.detach().numpy()

    def without_gradients(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.no_grad()(function)

    def record(self, function: Callable[..., Any], arrays: Sequence[Any], variables: Sequence[Any]) -> tuple[Any, Any]:
        leaves = [a.detach().requires_grad_() for a in arrays]
        out = function(*leaves)
        return out.detach(), (out, [*leaves, *variables])

    def gradients(self, saved: Any, dout: Any) -> list[np.ndarray]:
        out, sources = saved
        found = torch.autograd.grad(out, sources, dout.reshape(out.shape), retain_graph=True, allow_unused=True)
        return [self.to_numpy(torch.zeros_like(s) if d is None else d) for d, s in zip(found, sources, strict=True)]


_STORED_OUT_IN = (torch.nn.Linear, torch.nn.MultiheadAttention)
"""Modules whose matrices are (out, in)."""
