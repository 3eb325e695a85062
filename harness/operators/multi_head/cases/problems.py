"""The problems that cases are made of."""

from __future__ import annotations

from typing import Any

from harness.operators.multi_head.problem import Problem


def small(**fields: Any) -> Problem:
    """A layer of two batch elements and four heads that share out the width, as most libraries want it."""
    return Problem(**{"batch": 2, "q_heads": 4, "q_len": 9, "width": 32, **fields})


def cross(**fields: Any) -> Problem:
    """One whose y is a sequence of its own, longer than x."""
    return small(**{"cross": True, "kv_len": 13, **fields})


FEATURES: dict[str, dict[str, Any]] = {
    "biases": {"biases": True},
    "causal": {"causal": "top-left"},
    "bottom-right": {"causal": "bottom-right"},
    "window": {"window": (3, 1)},
    "mask": {"mask": "random-b1qk"},
    "head-mask": {"mask": "random-bhqk"},
    "padding": {"mask": "padding"},
    "empty-rows": {"mask": "empty-rows-b1qk"},
    "grouped": {"kv_heads": 2},
    "softcap": {"softcap": 0.5},
    "scale": {"scale": 1.0},
    "cross": {"cross": True, "kv_len": 13},
    "y-width": {"cross": True, "kv_len": 13, "y_width": 20},
    "out-width": {"out_width": 12},
    "head-dim": {"head_dim": 6},
    "v-width": {"v_head_dim": 5},
}
"""Fields by name, to be switched on one by one and together."""
