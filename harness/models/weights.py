"""The attention weights of a model, whichever kernel computes it: a kernel returns none, and is linear in v. For workers.

Of v = one column of the identity for each key, o is the weights themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def watched(layer: int) -> Iterator[list[Any]]:
    """A list to which each forward pass adds the weights `(batch, heads, queries, keys)` of its attention number `layer`,
    counted from 0."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    found: list[Any] = []
    asked, number = ALL_ATTENTION_FUNCTIONS.get_interface, 0

    def answer(*arguments: Any, **keywords: Any) -> Callable[..., Any]:
        attention = asked(*arguments, **keywords)

        def watching(module: Any, q: Any, k: Any, v: Any, *others: Any, **given: Any) -> Any:
            nonlocal number
            if number == layer:
                found.append(_weights(attention, module, (q, k, v), others, given))
            number += 1
            return attention(module, q, k, v, *others, **given)

        return watching

    setattr(ALL_ATTENTION_FUNCTIONS, "get_interface", answer)  # noqa: B010 - of this instance
    try:
        yield found
    finally:
        setattr(ALL_ATTENTION_FUNCTIONS, "get_interface", asked)  # noqa: B010


def _weights(attention: Callable[..., Any], module: Any, qkv: Any, others: Any, given: Any) -> Any:
    """As many columns at a time as v has, which every kernel knows."""
    q, k, v = qkv
    identity = torch.eye(k.shape[2], dtype=v.dtype).expand(*v.shape[:2], -1, -1)
    parts = [
        attention(module, q, k, torch.nn.functional.pad(columns, (0, v.shape[-1] - columns.shape[-1])), *others, **given)[0]
        for columns in identity.split(v.shape[-1], dim=-1)
    ]
    return torch.cat(parts, dim=-1)[..., : k.shape[2]].transpose(1, 2)
