"""numba-flash as a custom operator of PyTorch, which autograd, `torch.compile` and `torch.export` know.

https://docs.pytorch.org/docs/stable/library.html: an operator, what its outputs look like (its "fake" version), and the
operator that gives its gradients. For workers only.
"""

# Annotations are read by PyTorch when an operator is defined, hence none of them is a string.
import functools
from typing import Any, List, Tuple  # noqa: UP035

import numba
import torch
from attention_harness.implementations.attention.numba_flash.attention import Fused  # type: ignore[import-not-found]
from torch import Tensor

from harness.layers.tensors import as_numpy, as_tensor, form
from harness.operators.attention.problem import Problem

MOST_BUILT = 512
"""Problems whose kernels stay built: decoding asks for another length in every step."""

Whole = List[int]  # noqa: UP006 - the only form that schemas know
"""(left, right) of a window, or nothing."""


def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, bias: Tensor | None = None, *, causal: str | None = None,
    window: tuple[int, int] | None = None, scale: float | None = None, softcap: float | None = None,
) -> Tensor:  # fmt: skip
    """o `(batch, q_heads, q_len, v_dim)` for q, k and v `(batch, heads, length, dim)` of one dtype, with any strides.

    `mask` is boolean, True = may attend, and `bias` has the dtype of q; both are broadcastable to the scores. The other
    arguments are those of `harness.problem.Problem`. q, k and v have gradients; raises `NotImplementedError` for a bias that
    wants one.
    """
    if bias is not None and bias.requires_grad and torch.is_grad_enabled():
        raise NotImplementedError("numba-flash has no gradient of the bias; detach it, or take another attention")
    keeps = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))
    return forward(q, k, v, mask, bias, causal or "", list(window or ()), scale, softcap, keeps)[0]


@torch.library.custom_op("attention_harness::numba_flash", mutates_args=(), device_types="cpu")
def forward(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, causal: str, window: Whole,
    scale: float | None, softcap: float | None, keeps_state: bool,
) -> Tuple[Tensor, Tensor]:  # fmt: skip  # noqa: UP006
    """o, and what its gradients need of the softmax where that `keeps_state`."""
    fused = _fused(_problem(q, k, v, mask, bias, causal, tuple(window), scale, softcap))
    state = fused.new_softmax_state() if keeps_state else None
    o = _output(q, v)
    fused.forward(*map(_array, (q, k, v)), _array(mask), _array(bias), state, _array(o))
    return o, q.new_empty(0) if state is None else torch.from_numpy(state)


@forward.register_fake
def _(
    q: Any, k: Any, v: Any, mask: Any, bias: Any, causal: Any, window: Any, scale: Any, softcap: Any, keeps_state: Any
) -> Any:
    o = _output(q, v)
    if not keeps_state:
        return o, q.new_empty(0)
    return o, q.new_empty((*q.shape[:-1], 2), dtype=torch.float64 if q.dtype == torch.float64 else torch.float32)


def _output(q: Any, v: Any) -> Any:
    """An empty tensor for o: (batch, length, heads, dim) in memory, which a model reshapes to its width without a copy."""
    batch, heads, length, _ = q.shape
    return q.new_empty((batch, length, heads, v.shape[-1])).transpose(1, 2)


@torch.library.custom_op("attention_harness::numba_flash_backward", mutates_args=(), device_types="cpu")
def backward(
    do: Tensor, q: Tensor, k: Tensor, v: Tensor, o: Tensor, state: Tensor, mask: Tensor | None, bias: Tensor | None,
    causal: str, window: Whole, scale: float | None, softcap: float | None,
) -> Tuple[Tensor, Tensor, Tensor]:  # fmt: skip  # noqa: UP006
    """dq, dk and dv."""
    fused = _fused(_problem(q, k, v, mask, bias, causal, tuple(window), scale, softcap))
    found = fused.backward(*map(_array, (q, k, v, o)), state.numpy(), _array(do), _array(mask), _array(bias))
    dq, dk, dv = map(as_tensor, found)
    return dq, dk, dv


@backward.register_fake
def _(do: Any, q: Any, k: Any, v: Any, *others: Any) -> Any:
    return tuple(x.new_empty(x.shape) for x in (q, k, v))


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    q, k, v, mask, bias, *ctx.options, _ = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(q, k, v, *output, mask, bias)


def _gradients(ctx: Any, do: Any, _: Any) -> Any:
    return (*backward(do, *ctx.saved_tensors, *ctx.options), *[None] * 7)


forward.register_autograd(_gradients, setup_context=_keep)


def _problem(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, causal: str, window: Any,
    scale: float | None, softcap: float | None,
) -> Problem:  # fmt: skip
    return Problem(
        batch=q.shape[0], q_heads=q.shape[1], kv_heads=k.shape[1], q_len=q.shape[2], kv_len=k.shape[2], head_dim=q.shape[3],
        v_head_dim=v.shape[3], dtype=str(q.dtype).removeprefix("torch."), scale=scale, softcap=softcap,  # type: ignore[arg-type]
        causal=causal or None, window=window or None,
        mask=None if mask is None else f"random-{form(mask)}", bias=None if bias is None else f"normal-{form(bias)}",
    )  # fmt: skip


@functools.lru_cache(maxsize=MOST_BUILT)
def _fused(problem: Problem) -> Fused:
    return Fused(problem, threads=min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))


def _array(x: Any) -> Any:
    return None if x is None else as_numpy(x)
