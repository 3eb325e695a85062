"""An implementation of attention as a model of transformers calls it: torch tensors in and out. For workers only."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from harness.frameworks import Framework
from harness.layers.tensors import form
from harness.models.exact import whole_mask
from harness.models.exchange import Exchange
from harness.models.masks import Visible, of_keys, visible
from harness.operators.attention.operator import ATTENTION
from harness.operators.attention.problem import Problem
from harness.plugins.implementation import Implementation

_MOST_BUILT = 512
"""Callables that are kept: decoding asks for another length in every step."""


class Refused(RuntimeError):
    """The model wants of attention what the implementation does not do; the message says what."""


@dataclass(frozen=True)
class _Mask:
    """What a mask that the model has been given says."""

    visible: Visible
    tensor: weakref.ref


@dataclass(frozen=True)
class _ByKeys:
    """A mask that is causality, or nothing, and padding."""

    causal: bool
    padding: Any
    """Boolean (batch, keys), True = a token; None without."""

    def seen(self) -> Any:
        """The padding as an array."""
        return None if self.padding is None else self.padding.cpu().numpy()

    def whole(self, shape: tuple[int, ...], offset: int, device: Any) -> Any:
        """For all pairs; without causality a view of the padding. (transformers evaluates a function for every pair.)"""
        seen = torch.ones((), dtype=torch.bool, device=device) if self.padding is None else self.padding[:, None, None]
        if self.causal:
            queries, keys = (torch.arange(length, device=device) for length in shape[2:])
            seen = seen & (keys <= queries[:, None] + offset)
        return seen.expand(shape)


def _by_keys(keys: int, first: int, given: dict[str, Any]) -> _ByKeys | None:
    """What a mask says by its function and the 2-D mask of the padding, where these are all there is to it."""
    from transformers.masking_utils import bidirectional_mask_function, causal_mask_function, prepare_padding_mask

    function = given.get("mask_function", causal_mask_function)
    if function not in (causal_mask_function, bidirectional_mask_function):
        return None
    padding = prepare_padding_mask(given.get("attention_mask"), keys, first)
    return _ByKeys(function is causal_mask_function, None if padding is None else padding[:, first : first + keys].bool())


class Bridge:
    """The pair of functions that transformers wants: `attend` for its attention, `mask` for its masks."""

    def __init__(self, implementation: Implementation, framework: Framework):
        self._implementation = implementation
        self._framework = framework
        self.exchange = Exchange(framework)
        self._supports = implementation.supports_on(framework.device)
        self._order = ATTENTION.layouts[implementation.layout]
        self._masks: dict[int, _Mask] = {}
        self._built = lru_cache(_MOST_BUILT)(self._build)

    def mask(
        self, batch_size: int, q_length: int, kv_length: int, q_offset: int = 0, kv_offset: int = 0, **given: Any
    ) -> Any:
        """The mask of a forward pass, always there: boolean (batch, 1, queries, keys), True = may attend.

        None would leave it to each layer to guess whether everything is seen, or what causality leaves.
        """
        offset = int(q_offset) - int(kv_offset)
        known, made = None, None
        if by_keys := _by_keys(kv_length, int(kv_offset), given):
            known = of_keys(q_length, kv_length, offset, by_keys.causal, by_keys.seen())
            made = by_keys.whole((batch_size, 1, q_length, kv_length), offset, given.get("device"))
        if known is None:
            made = whole_mask(batch_size, q_length, kv_length, q_offset=q_offset, kv_offset=kv_offset, **given)
            known = visible(made.expand(batch_size, -1, -1, -1).cpu().numpy(), offset)
        self._masks = {number: one for number, one in self._masks.items() if one.tensor() is not None}
        self._masks[id(made)] = _Mask(known, weakref.ref(made))
        return made

    def attend(
        self, module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, scaling: float | None = None,
        softcap: float | None = None, position_bias: Any = None, dropout: float = 0.0, s_aux: Any = None, **given: Any,
    ) -> tuple[Any, None]:  # fmt: skip
        """o as (batch, queries, heads, dim). Raises `Refused` for what the implementation, or a problem, does not know."""
        for lacking, asked in (("dropout", dropout), ("attention sinks (s_aux)", s_aux is not None),
                               ("weights (output_attentions)", given.get("output_attentions"))):  # fmt: skip
            if asked:
                raise Refused(f"this attention has no {lacking}")
        seen = self._visible(module, query, key, attention_mask, given.get("is_causal"))
        key, value = key[:, :, : seen.kv_len], value[:, :, : seen.kv_len]
        if torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value)):
            return self._with_gradients(query, key, value, position_bias, seen, scale=scaling, softcap=softcap), None
        extras = {} if seen.mask is None else {"mask": torch.from_numpy(seen.mask)}
        if position_bias is not None:
            extras["bias"] = position_bias[..., : seen.kv_len].to(query.dtype)
        call = self._built(
            query.shape, key.shape, value.shape[3], query.dtype, scaling, softcap, seen.causal, seen.window,
            None if seen.mask is None else f"random-{seen.form}",
            f"normal-{form(extras['bias'])}" if "bias" in extras else None,
        )  # fmt: skip
        native = self.exchange.to_native
        arrays = [native(self._in_layout(tensor)) for tensor in (query, key, value)]
        o = call(*arrays, **{name: native(tensor) for name, tensor in extras.items()})
        self._framework.synchronize(o)
        o = self.exchange.to_tensor(o)
        return (o.transpose(1, 2) if self._order is None else o), None

    def _with_gradients(
        self, q: Any, k: Any, v: Any, bias: Any, seen: Visible, *, scale: float | None, softcap: float | None
    ) -> Any:
        """The same as a node of PyTorch's graph."""
        mask = None if seen.mask is None else torch.from_numpy(seen.mask)
        options: dict[str, Any] = {"causal": seen.causal, "window": seen.window, "scale": scale, "softcap": softcap}
        if self._implementation.name == "numba-flash":
            from harness.layers.torch_operator import attention

            try:
                return attention(q, k, v, mask, bias, **options).transpose(1, 2)
            except NotImplementedError as error:
                raise Refused(str(error)) from None
        if bias is not None:
            raise Refused("no gradients with a bias")
        from harness.layers.torch_kernels import kernel

        return kernel(self._implementation.name, q, k, v, mask, **options).transpose(1, 2)

    def _build(
        self, q_shape: Any, k_shape: Any, v_head_dim: int, dtype: Any, scale: float | None, softcap: float | None,
        causal: str | None, window: tuple[int, int] | None, mask: str | None, bias: str | None,
    ) -> Callable[..., Any]:  # fmt: skip
        """The callable for one problem; what it depends on is what it is kept by."""
        problem = Problem(
            batch=q_shape[0], q_heads=q_shape[1], kv_heads=k_shape[1], q_len=q_shape[2], kv_len=k_shape[2],
            head_dim=q_shape[3], v_head_dim=v_head_dim, dtype=str(dtype).removeprefix("torch."), scale=scale,  # type: ignore[arg-type]
            softcap=softcap, causal=causal, window=window, mask=mask, bias=bias,
        )  # fmt: skip
        if reasons := self._supports.unsupported_reasons(problem):
            raise Refused("; ".join(reasons))
        return self._implementation.factory(problem)

    def _visible(self, module: Any, query: Any, key: Any, mask: Any, is_causal: bool | None) -> Visible:
        known = None if mask is None else self._masks.get(id(mask))
        if known and known.tensor() is mask:
            return known.visible
        if mask is not None and mask.dtype != torch.bool:
            raise Refused(f"a mask of {mask.dtype}: only boolean ones are known")
        if mask is not None:
            return visible(mask.expand(query.shape[0], 1, -1, -1).cpu().numpy(), 0)
        # A layer without a mask of the model's, such as a vision model's: its own word, or that of the call, decides.
        causal = query.shape[2] > 1 and (getattr(module, "is_causal", False) if is_causal is None else is_causal)
        return Visible(key.shape[2], "top-left" if causal else None)

    def _in_layout(self, tensor: Any) -> Any:
        return tensor if self._order is None else tensor.permute(*self._order)
