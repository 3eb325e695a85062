"""The lowest finite number, and -1e9, as a bias, the way model code masks: on some keys they take the weight, on all keys of
a row they leave the mean of the values. They do not block."""

from collections.abc import Iterator
from typing import Any

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case
from harness.operators.dtypes import DTYPES


def cases() -> Iterator[Case]:
    for form in ("bhqk", "1hqk", "b1qk", "b11k", "qk", "k", "q1"):
        problem = small(batch=2, q_len=11, bias=f"lowest-{form}")
        yield Case("lowest", form, problem, core=form == "b1qk")
        yield Case("lowest", f"{form}-minus-billion", problem, inputs="minus-billion")
    plain = small(batch=2, q_len=11, bias="lowest-b1qk")
    variants: dict[str, dict[str, Any]] = {
        "causal": {"causal": "bottom-right"},
        "mask": {"mask": "random-bhqk"},
        "empty-rows": {"mask": "empty-rows-b1qk"},
        "window": {"window": (4, 2)},
        "grouped": {"q_heads": 4, "kv_heads": 2},
        "softcap": {"softcap": 1.5},
        "one-query": {"q_len": 1},
        "few-queries": {"q_len": 3, "kv_len": 150},
        "long": {"q_len": 70, "kv_len": 300},
        "wide": {"q_len": 40, "head_dim": 128},
        **{dtype: {"dtype": dtype} for dtype in DTYPES if dtype != "float32"},
    }
    for name, fields in variants.items():
        yield Case("lowest", name, plain.replace(**fields), core=name in ("mask", "bfloat16"))
        if name in ("causal", "mask", "grouped", "softcap", "one-query", "long", "bfloat16", "float16", "float64"):
            yield Case("lowest", f"{name}-gradients", plain.replace(**fields, direction="backward"), core=name == "mask")
    for name, inputs in (("lowest", "normal"), ("minus-billion", "minus-billion")):
        yield Case("lowest", f"{name}-gradients", plain.replace(direction="backward"), inputs=inputs)
        sums = plain.replace(direction="backward")
        yield Case("lowest", f"{name}-gradient-sums", sums, inputs=inputs, check="value-gradient-sums")
    yield Case("lowest", "large-logits", plain, inputs="large-logits")
