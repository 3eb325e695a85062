"""dq, dk and dv for a given do."""

from collections.abc import Iterator
from typing import Any

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case

_GROUPED: dict[str, Any] = {"q_heads": 4, "kv_heads": 2, "q_len": 9}
_MOST: dict[str, Any] = {"mask": "random-b1qk", "bias": "normal-1hqk", "window": (9, 3), "scale": 0.4}
_FEATURES: dict[str, dict[str, Any]] = {
    "plain": {},
    "batched": {"batch": 3, "q_heads": 3},
    "long": {"q_len": 130, "kv_len": 150, "head_dim": 32},
    "very-long-keys": {"q_heads": 1, "q_len": 3, "kv_len": 4200},
    "very-long-queries": {"q_heads": 1, "q_len": 4200, "kv_len": 3},
    "one-query": {"q_len": 1},
    "one-key": {"kv_len": 1},
    "top-left": {"causal": "top-left"},
    "bottom-right": {"causal": "bottom-right"},
    "bottom-right-empty": {"causal": "bottom-right", "q_len": 21, "kv_len": 18},
    "window": {"window": (4, 2)},
    "mask": {"mask": "random-b1qk"},
    "empty-rows": {"mask": "empty-rows-b1qk"},
    "bias": {"bias": "blocking-1hqk"},
    "mask-and-bias": {"mask": "random-b1qk", "bias": "normal-1hqk"},
    "everything": {**_MOST, "causal": "bottom-right"},
    "with-softcap-and-v-width": {**_MOST, "causal": "top-left", "softcap": 1.5, "v_head_dim": 24},
    "very-long-queries-bfloat16": {"q_heads": 1, "q_len": 4200, "kv_len": 3, "dtype": "bfloat16"},
    "very-long-queries-float16": {"q_heads": 1, "q_len": 4200, "kv_len": 3, "dtype": "float16"},
    "grouped": _GROUPED,
    "grouped-batched": {**_GROUPED, "batch": 2, "causal": "top-left", "mask": "random-bhqk"},
    "softcap": {"softcap": 1.5},
    "v-width": {"v_head_dim": 24},
    "scale": {"scale": -0.5},
    "no-keys": {"kv_len": 0},
    "no-queries": {"q_len": 0},
    "float64": {"dtype": "float64"},
    "bfloat16": {"dtype": "bfloat16"},
    "float16": {"dtype": "float16"},
    "grouped-bfloat16": {**_GROUPED, "dtype": "bfloat16"},
}
_CORE = (
    "plain", "bottom-right-empty", "empty-rows", "everything", "with-softcap-and-v-width", "grouped-batched", "float64",
    "bfloat16", "float16",
)  # fmt: skip


def cases() -> Iterator[Case]:
    for name, fields in _FEATURES.items():
        yield Case("gradients", name, small(**fields, direction="backward"), core=name in _CORE)
    for variation in ("huge-logits", "offset-values", "strided", "constant-scores"):
        yield Case("gradients", variation, small(direction="backward"), inputs=variation)
