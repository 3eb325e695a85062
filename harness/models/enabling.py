"""Implementations as transformers knows them. For workers, and for programs of users."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import UserError
from harness.frameworks import Framework, adapter
from harness.operators.attention.operator import ATTENTION
from harness.plugins.implementation import Implementation
from harness.plugins.registry import discover

if TYPE_CHECKING:
    from harness.models.bridge import Bridge


class Registered(NamedTuple):
    """What transformers knows it as, and what it calls."""

    name: str
    bridge: Bridge


@functools.cache
def enabled(name: str) -> str:
    """See `harness.models.enable`."""
    registry = discover().of(ATTENTION.name)
    (chosen,) = registry.select(name)
    one = registry.implementations[chosen]
    own = one.unavailable_reason("cpu") if one.unavailable_reason else None
    if reason := adapter(one.framework).unavailable("cpu") or own:
        raise UserError(f"{chosen} cannot be used here: {reason}")
    return register(one).name


def register(one: Implementation) -> Registered:
    """Have transformers know it."""
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface

    from harness.models.bridge import Bridge

    bridge, name = Bridge(one, _framework(one.framework, torch.get_num_threads())), known_as(one.name)
    AttentionInterface.register(name, bridge.attend)
    AttentionMaskInterface.register(name, bridge.mask)
    return Registered(name, bridge)


def known_as(name: str) -> str:
    """What transformers calls it: whatever has "flash" in its name it takes for Tri Dao's package, with masks of its own."""
    return f"harness-{name.replace('flash', 'fused')}"


@functools.cache
def _framework(name: str, threads: int) -> Framework:
    """The adapter of what is inside, made once in a process. The environment is left alone: it may be a user's program."""
    return adapter(name)("cpu", threads)
