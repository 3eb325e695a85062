"""The operator `model` beside those that plug-ins implement."""

from __future__ import annotations

from harness.models import derived
from harness.models.operator import MODEL
from harness.operators.attention.operator import ATTENTION
from harness.plugins.origin import Origin
from harness.plugins.registry import Found, Registry, declared_in


def add_models(found: Found) -> Registry:
    """Have every implementation of attention, and transformers' own, as implementations of a model."""
    own = {one.name: one for one in declared_in(Origin("model", "own"))}
    inside = {name: derived.derived(one) for name, one in found.of(ATTENTION.name).implementations.items()}
    found.registries[MODEL.name] = Registry({**own, **inside}, found.broken, MODEL)
    return found.registries[MODEL.name]
