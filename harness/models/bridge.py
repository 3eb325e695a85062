"""An implementation of attention as a model of transformers calls it: torch tensors in and out. For workers only."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np
import torch

from harness.frameworks import Framework
from harness.models.masks import Visible, visible
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


class Bridge:
    """The pair of functions that transformers wants: `attend` for its attention, `mask` for its masks."""

    def __init__(self, implementation: Implementation, framework: Framework):
        self._implementation = implementation
        self._framework = framework
        self._supports = implementation.supports_on(framework.device)
        self._order = ATTENTION.layouts[implementation.layout]
        self._masks: dict[int, _Mask] = {}
        self._built = lru_cache(_MOST_BUILT)(self._build)

    def mask(self, batch_size: int, q_length: int, kv_length: int, q_offset: int = 0, kv_offset: int = 0, **given: Any) -> Any:
        """The mask of a forward pass, always there: boolean (batch, 1, queries, keys), True = may attend.

        None would leave it to each layer to guess whether everything is seen, or what causality leaves.
        """
        from transformers.masking_utils import sdpa_mask

        given |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
        made = sdpa_mask(batch_size, q_length, kv_length, q_offset=q_offset, kv_offset=kv_offset, **given)
        known = visible(made.expand(batch_size, -1, -1, -1).cpu().numpy(), int(q_offset) - int(kv_offset))
        self._masks = {number: one for number, one in self._masks.items() if one.tensor() is not None}
        self._masks[id(made)] = _Mask(known, weakref.ref(made))
        return made

    def attend(
        self, module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, scaling: float | None = None,
        softcap: float | None = None, position_bias: Any = None, dropout: float = 0.0, s_aux: Any = None, **given: Any,
    ) -> tuple[Any, None]:  # fmt: skip
        """o as (batch, queries, heads, dim). Raises `Refused` for what the implementation, or a problem, does not know."""
        if dropout or s_aux is not None:
            raise Refused("no dropout" if dropout else "no attention sinks (s_aux)")
        seen = self._visible(module, query, key, attention_mask, given.get("is_causal"))
        key, value = key[:, :, : seen.kv_len], value[:, :, : seen.kv_len]
        extras = {} if seen.mask is None else {"mask": seen.mask}
        if position_bias is not None:
            extras["bias"] = _array(position_bias[..., : seen.kv_len].to(query.dtype))
        problem = Problem(
            batch=query.shape[0], q_heads=query.shape[1], kv_heads=key.shape[1], q_len=query.shape[2], kv_len=key.shape[2],
            head_dim=query.shape[3], v_head_dim=value.shape[3], dtype=str(query.dtype).removeprefix("torch."),
            scale=scaling, softcap=softcap, causal=seen.causal, window=seen.window,
            mask=None if seen.mask is None else f"random-{seen.form}",
            bias=f"normal-{_form(extras['bias'])}" if "bias" in extras else None,
        )  # fmt: skip
        call = self._built(problem)
        arrays = [self._native(self._in_layout(_array(tensor))) for tensor in (query, key, value)]
        o = call(*arrays, **{name: self._native(array) for name, array in extras.items()})
        self._framework.synchronize(o)
        return self._tensor(o), None

    def _build(self, problem: Problem) -> Callable[..., Any]:
        if reasons := self._supports.unsupported_reasons(problem):
            raise Refused("; ".join(reasons))
        return self._implementation.factory(problem)

    def _visible(self, module: Any, query: Any, key: Any, mask: Any, is_causal: bool | None) -> Visible:
        known = None if mask is None else self._masks.get(id(mask))
        if known and known.tensor() is mask:
            return known.visible
        if mask is not None:
            return visible(mask.expand(query.shape[0], 1, -1, -1).cpu().numpy(), 0)
        # A layer without a mask of the model's, such as a vision model's: its own word, or that of the call, decides.
        causal = query.shape[2] > 1 and (getattr(module, "is_causal", False) if is_causal is None else is_causal)
        return Visible(key.shape[2], "top-left" if causal else None)

    def _in_layout(self, array: np.ndarray) -> np.ndarray:
        return array if self._order is None else array.transpose(self._order)

    def _native(self, array: np.ndarray) -> Any:
        return self._framework.from_numpy(array)

    def _tensor(self, o: Any) -> Any:
        """(batch, queries, heads, dim) of what was returned, without a copy where memory allows."""
        array = self._framework.to_numpy(o)
        if self._order is not None:
            array = array.transpose(np.argsort(self._order))
        if array.dtype == ml_dtypes.bfloat16:
            tensor = torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
        else:
            tensor = torch.from_numpy(array)
        return tensor.transpose(1, 2)


def _array(tensor: Any) -> np.ndarray:
    """The same memory as a NumPy array."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _form(array: np.ndarray) -> str:
    """The axes of a bias of four axes, `1` where it broadcasts."""
    return "".join(name if size > 1 else "1" for name, size in zip("bhq", array.shape, strict=False)) + "k"
