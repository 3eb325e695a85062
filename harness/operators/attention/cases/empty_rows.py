"""Rows with nothing to attend to, from every cause: zero, in every dtype, and no other row disturbed."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case
from harness.operators.dtypes import DTYPES


def cases() -> Iterator[Case]:
    for form in ("bhqk", "b1qk", "qk", "bhq1"):
        yield Case("empty-rows", f"mask-{form}", small(mask=f"empty-rows-{form}"), core=form == "b1qk")
    # Masks of keys alone that leave a whole batch element or head nothing.
    for form in ("b11k", "1h1k", "bh1k", "h1k"):
        problem = small(batch=4, q_heads=4, q_len=7, mask=f"empty-rows-{form}")
        yield Case("empty-rows", f"mask-{form}", problem, core=form == "bh1k")
        yield Case("empty-rows", f"mask-{form}-one-query", problem.replace(q_len=1))
        yield Case("empty-rows", f"mask-{form}-gradients", problem.replace(direction="backward"))
    yield Case("empty-rows", "bias", small(mask=None, bias="blocking-q1", q_len=11))
    yield Case("empty-rows", "causal", small(q_len=21, kv_len=9, causal="bottom-right"), core=True)
    yield Case("empty-rows", "causal-long", small(q_len=300, kv_len=100, causal="bottom-right"))
    yield Case("empty-rows", "window", small(q_len=25, kv_len=9, window=(3, 0)))
    yield Case("empty-rows", "mask-and-causal", small(q_len=21, kv_len=18, causal="bottom-right", mask="empty-rows-qk"))
    yield Case("empty-rows", "large-logits", small(mask="empty-rows-b1qk"), inputs="large-logits")
    for dtype in DTYPES:
        yield Case("empty-rows", dtype, small(mask="empty-rows-b1qk", dtype=dtype), core=dtype == "float16")
