"""Scores that are large, tiny, constant, rising, decided by one key, or that overflow before they are scaled."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    for variation in (
        "large-logits", "tiny-logits", "rising-logits", "falling-logits", "offset-values", "constant-scores",
        "saturated-rows", "biased-keys", "low-logits", "high-logits", "deep-logits",
    ):  # fmt: skip
        core = variation in ("large-logits", "rising-logits")
        yield Case("logits", variation, small(), inputs=variation, core=core)
        yield Case("logits", f"{variation}-long", small(q_len=70, kv_len=300), inputs=variation)
    for dtype in ("float64", "bfloat16", "float16"):
        yield Case("logits", f"large-logits-{dtype}", small(dtype=dtype), inputs="large-logits")
    yield Case("logits", "large-logits-masked", small(mask="random-b1qk"), inputs="large-logits", core=True)
    yield Case("logits", "huge-logits-masked", small(mask="random-b1qk"), inputs="huge-logits")
    for variation in ("high-logits", "deep-logits", "saturated-rows", "rising-logits"):
        yield Case("logits", f"{variation}-gradients", small(direction="backward"), inputs=variation)
        yield Case("logits", f"{variation}-one-query", small(q_len=1, kv_len=150), inputs=variation)
    yield Case("logits", "large-logits-causal", small(causal="bottom-right"), inputs="large-logits")
    for dtype in ("float32", "float16"):
        problem = small(head_dim=128, dtype=dtype, q_len=5)
        yield Case("logits", f"overflow-before-scale-{dtype}", problem, inputs="overflowing-products")
