"""Whether an implementation can take part in training."""

from __future__ import annotations

from harness.frameworks import adapter
from harness.operators.attention.operator import ATTENTION
from harness.operators.attention.problem import Problem
from harness.plugins.implementation import Implementation
from harness.plugins.registry import Found, Registry
from harness.tasks.catalogue import LABELS, TRANSLATION, Task
from harness.tasks.recipe import Recipe


def attentions(found: Found) -> Registry:
    """The implementations that can be asked for by name."""
    return found.of(ATTENTION.name)


def reasons(one: Implementation, recipe: Recipe, task: Task) -> str:
    """Why not, or "": what it lacks of attention with padding, with causality, or to another text, and their gradients."""
    own = one.unavailable_reason("cpu") if one.unavailable_reason else None
    if absent := adapter(one.framework).unavailable("cpu") or own:
        return absent
    usual = Problem(
        batch=recipe.batch,
        q_heads=recipe.heads,
        kv_heads=recipe.heads,
        q_len=recipe.longest,
        kv_len=recipe.longest,
        head_dim=recipe.width // recipe.heads,
        direction="backward",
    )
    asked = [] if task.kind == LABELS else [usual.replace(causal="top-left")]
    asked += [usual.replace(mask="padding")] if task.kind in (LABELS, TRANSLATION) else []
    for problem in asked:
        if lacking := one.supports_on("cpu").unsupported_reasons(problem):
            return "; ".join(lacking)
    return ""
