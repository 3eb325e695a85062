"""The formula of attention in float64, for the oracle's models. For workers only.

transformers' own eager attention is none: of some models it takes the softmax in float32 whatever the dtype is, where the
lowest number of float64, which stands for "hidden", is minus infinity, and a row of padding alone nan.
"""

from __future__ import annotations

from typing import Any

import torch

_QUERIES = 128
"""That are attended to at a time: scores of all would be gigabytes."""

NAME = "harness-exact"
"""What transformers knows it as."""


def register() -> None:
    """Have transformers know it, with masks that are always there."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, whole_mask)


def whole_mask(*arguments: Any, **given: Any) -> Any:
    """Boolean (batch, 1, queries, keys), True = may attend; never None, which would leave it to a layer to guess."""
    from transformers.masking_utils import sdpa_mask

    return sdpa_mask(*arguments, **given | {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})


def attend(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any = None, scaling: float | None = None,
    softcap: float | None = None, position_bias: Any = None, is_causal: bool | None = None, **_: Any,
) -> tuple[Any, None]:  # fmt: skip
    """o as (batch, queries, heads, dim); zero in rows that see nothing."""
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    queries, keys = query.shape[2], key.shape[2]
    if attention_mask is None:
        causal = queries > 1 and (getattr(module, "is_causal", False) if is_causal is None else is_causal)
        seen = torch.ones((queries, keys), dtype=torch.bool)
        attention_mask = seen.tril() if causal else seen
    hidden = (~attention_mask).expand(*attention_mask.shape[:-2], queries, keys)
    if position_bias is not None:
        position_bias = position_bias.expand(*position_bias.shape[:-2], queries, keys)
    o = torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype)
    for first in range(0, queries, _QUERIES):
        some = slice(first, first + _QUERIES)
        scores = query[:, :, some] @ key.transpose(-1, -2)
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        if position_bias is not None:
            scores += position_bias[..., some, :]
        scores.masked_fill_(hidden[..., some, :], -torch.inf)
        o[:, :, some] = scores.softmax(dim=-1).nan_to_num_(0.0) @ value
    return o.transpose(1, 2), None
