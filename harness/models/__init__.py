"""Implementations of attention inside models of Hugging Face's transformers.

from harness.models import enable

model.set_attn_implementation(enable("numba-flash"))
"""

from __future__ import annotations


def enable(name: str = "numba-flash") -> str:
    """Make a registered implementation known to transformers, with its masks, in this process.

    Returns what to hand to `set_attn_implementation`, or to `from_pretrained(..., attn_implementation=...)`. Gradients are
    those of the implementation: by a custom operator of PyTorch for numba-flash (`harness.layers.torch_operator`). Raises
    `UserError` for a name that is not registered, or an implementation that cannot be used here.
    """
    from harness.models.enabling import enabled

    return enabled(name)
