"""Implementations of the operator `model`: transformers' own attention, and every implementation of attention inside."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from harness.frameworks import adapter
from harness.models.operator import MODEL
from harness.models.problem import Problem
from harness.operators.dtypes import DTYPES
from harness.operators.supports import Supports
from harness.plugins.implementation import Implementation
from harness.plugins.origin import Origin
from harness.plugins.registry import declared_in
from harness.records.usage import Usage

OWN = ("eager", "sdpa")
"""transformers' own: operations of PyTorch one by one, and scaled_dot_product_attention."""

_SUPPORTS = Supports(dtypes=tuple(DTYPES))


def load(location: str) -> ModuleType:
    """A module with what is derived from the implementations at an origin, written KIND:LOCATION; "own" for OWN."""
    module = ModuleType(f"harness_models_{location}")
    if location == "own":
        found = [_own(name) for name in OWN]
    else:
        kind, _, where = location.partition(":")
        found = [derived(one) for one in declared_in(Origin(kind, where)) if one.operator.name == "attention"]
    for number, one in enumerate(found):
        setattr(module, f"implementation_{number}", one)
    return module


def derived(inner: Implementation) -> Implementation:
    """A model with an implementation as its attention."""

    def factory(problem: Problem) -> Callable[..., Any]:
        """The model with this attention in every layer."""
        import torch

        from harness.models.enabling import register

        os.environ.update(adapter(inner.framework).environment("cpu", torch.get_num_threads()))
        registered = register(inner)
        exchange = registered.bridge.exchange
        return _with(problem, registered.name, lambda: (exchange.seconds, exchange.copied_bytes))

    def unavailable_reason(device: str) -> str | None:
        own = inner.unavailable_reason(device) if inner.unavailable_reason else None
        return missing() or adapter(inner.framework).unavailable(device) or own

    supports = Supports(dtypes=inner.supports_on("cpu").dtypes, extra_check=lambda problem: _lacks(inner, problem))
    return Implementation(
        inner.name, factory, MODEL, framework="torch", supports=supports, unavailable_reason=unavailable_reason,
        slow_build=True, origin=Origin("model", f"{inner.origin.kind}:{inner.origin.location}"),
    )  # fmt: skip


def _lacks(inner: Implementation, problem: Problem) -> list[str]:
    return inner.supports_on("cpu").unsupported_reasons(problem.attention)


def _own(name: str) -> Implementation:
    def factory(problem: Problem) -> Callable[..., Any]:
        """The model with this attention of transformers' own."""
        return _with(problem, name)

    return Implementation(
        name, factory, MODEL, framework="torch", supports=_SUPPORTS, unavailable_reason=lambda device: missing(),
        slow_build=True, origin=Origin("model", "own"),
    )  # fmt: skip


def _with(
    problem: Problem, attention: str, exchanged: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)
) -> Callable[..., Any]:
    from harness.models.building import built, forward
    from harness.models.meter import meter

    model, spent = built(problem), meter()
    model.set_attn_implementation(attention)

    def ready(past_ids: Any = None) -> Callable[..., Any]:
        """The call, which tells what it is spent on."""
        call = spent.whole(forward(problem, model, past_ids))
        setattr(call, "usage", usage)  # noqa: B010 - a function's attribute
        return call

    def usage() -> Usage:
        return Usage(spent.seconds, *exchanged(), calls_s=spent.calls_s)

    setattr(ready, "model", model)  # noqa: B010 - what generates text
    return ready


def missing() -> str | None:
    """Why there are no models here, or None."""
    if importlib.util.find_spec("transformers"):
        return None
    return "transformers is not installed; install it with pip install 'attention-harness[models]'"
