"""Registered implementations of attention on PyTorch tensors, with gradients where they have them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from harness.errors import UserError
from harness.frameworks import Framework, adapter
from harness.frameworks.differentiable import Differentiable
from harness.layers.tensors import as_numpy, as_tensor, form
from harness.operators.attention.operator import ATTENTION
from harness.operators.attention.problem import Problem
from harness.plugins.implementation import Implementation
from harness.plugins.registry import discover

ADDED: dict[str, Implementation] = {}
"""Of plug-ins, by name, beside those that are always found."""

_DTYPES = {torch.float64: "float64", torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}


def kernel(
    name: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None, **options: Any
) -> torch.Tensor:
    """o `(batch, heads, length, v_dim)` of a registered implementation, for q, k and v in the canonical layout.

    `mask` is boolean and broadcastable to the scores; `options` are fields of `Problem`: causal, window, softcap, scale. The
    implementation is built once for each problem. Raises `UserError` for one that does not support the problem.
    """
    backward = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))
    problem = Problem(
        batch=q.shape[0],
        q_heads=q.shape[1],
        kv_heads=k.shape[1],
        q_len=q.shape[2],
        kv_len=k.shape[2],
        head_dim=q.shape[3],
        v_head_dim=v.shape[3],
        dtype=_DTYPES[q.dtype],
        mask=None if mask is None else f"random-{form(mask)}",
        direction="backward" if backward else "forward",
        **options,
    )
    built = _built(name, problem, q.device.type)
    extras = {} if mask is None else {"mask": mask}
    if backward and built.differentiable is not None:
        return _WithGradients.apply(built, extras, q, k, v)
    return built.forward(q, k, v, **extras)


class _Built:
    """An implementation built for a problem."""

    def __init__(self, implementation: Implementation, framework: Framework | None, problem: Problem):
        self._framework = framework
        self._order = ATTENTION.layouts[implementation.layout]
        built = implementation.factory(problem)
        self.differentiable: Differentiable | None = None
        if isinstance(built, Differentiable):
            self.differentiable = built
        elif problem.direction == "backward" and framework is not None:
            self.differentiable = framework.differentiate(built)
        self._forward = built if self.differentiable is None else self.differentiable.forward

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **extras: torch.Tensor) -> torch.Tensor:
        """o."""
        o = self._forward(*(self.native(x) for x in (q, k, v)), **{n: self.native(x, False) for n, x in extras.items()})
        return self.tensor(o[0] if self.differentiable is not None else o)

    def native(self, x: torch.Tensor, axes: bool = True) -> Any:
        """The tensor as the implementation takes it, on the same memory where the framework can."""
        x = x.permute(self._order) if axes and self._order is not None else x
        return x if self._framework is None else self._framework.from_numpy(as_numpy(x))

    def tensor(self, native: Any) -> torch.Tensor:
        """An output as a tensor, in the canonical layout."""
        x = native if self._framework is None else as_tensor(self._framework.to_numpy(native))
        return x if self._order is None else x.permute(*np.argsort(self._order).tolist())


@functools.lru_cache(maxsize=64)
def _built(name: str, problem: Problem, device: str) -> _Built:
    implementation = ADDED.get(name) or _found(name)
    if reasons := implementation.supports_on(device).unsupported_reasons(problem):
        raise UserError(f"{name} cannot compute {problem.name}: {'; '.join(reasons)}")
    framework = None if implementation.framework == "torch" else _framework(implementation.framework)
    return _Built(implementation, framework, problem)


def _found(name: str) -> Implementation:
    registry = discover().of(ATTENTION.name)
    (chosen,) = registry.select(name)
    return registry.implementations[chosen]


@functools.cache
def _framework(name: str) -> Framework:
    return adapter(name)("cpu", torch.get_num_threads())


class _WithGradients(torch.autograd.Function):
    """An implementation with a backward pass of its own, as a node of PyTorch's graph."""

    @staticmethod
    def forward(ctx: Any, built: _Built, extras: dict[str, torch.Tensor], *qkv: torch.Tensor) -> torch.Tensor:
        assert built.differentiable is not None
        named = {name: built.native(x, False) for name, x in extras.items()}
        o, ctx.saved = built.differentiable.forward(*(built.native(x.detach()) for x in qkv), **named)
        ctx.built = built
        return built.tensor(o)

    @staticmethod
    def backward(ctx: Any, do: torch.Tensor) -> Any:
        gradients = ctx.built.differentiable.backward(ctx.saved, ctx.built.native(do))
        return None, None, *(ctx.built.tensor(x) for x in gradients)
