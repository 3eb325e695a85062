"""Features together: every pair, and all of them at once."""

from collections.abc import Iterator
from typing import Any

from harness.conformance.case import Case, small

FEATURES: dict[str, dict[str, Any]] = {
    "causal": {"causal": "bottom-right"},
    "window": {"window": (6, 3)},
    "mask": {"mask": "random-b1qk"},
    "bias": {"bias": "blocking-1hqk"},
    "grouped": {"q_heads": 4, "kv_heads": 2, "q_len": 9},
    "softcap": {"softcap": 1.5},
    "scale": {"scale": -0.5},
    "v-width": {"v_head_dim": 24},
}


def _with(*names: str, **fields: Any) -> dict[str, Any]:
    together = {key: value for name in names for key, value in FEATURES[name].items()}
    return {**together, **fields}


def cases() -> Iterator[Case]:
    names = list(FEATURES)
    for n, first in enumerate(names):
        for second in names[n + 1 :]:
            yield Case("composition", f"{first}+{second}", small(**_with(first, second)))
    yield Case("composition", "all", small(**_with(*names)), core=True)
    yield Case("composition", "all-long", small(**_with(*names, q_len=150, kv_len=260)))
    yield Case("composition", "all-batched", small(**_with(*names, batch=3)))
    # What few libraries have left out, so that these still meet the other features together.
    few = "all-but-softcap-and-v-width"
    common = _with(*(name for name in names if name not in ("v-width", "softcap")))
    for dtype in ("float32", "bfloat16", "float16", "float64"):
        suffix = "" if dtype == "float32" else f"-{dtype}"
        yield Case("composition", f"{few}{suffix}", small(**common, dtype=dtype), core=True)
    yield Case("composition", f"{few}-top-left", small(**{**common, "causal": "top-left"}), core=True)
