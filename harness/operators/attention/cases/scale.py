"""Scales other than 1/sqrt(D): negative, zero, one."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    for scale in (1.0, 0.01, -0.3, 0.0):
        yield Case("scale", f"{scale:g}", small(scale=scale), core=scale == -0.3)
    yield Case("scale", "negative-large-logits", small(scale=-0.3), inputs="large-logits")
    yield Case("scale", "negative-top-left", small(scale=-0.5, causal="top-left"))
    yield Case("scale", "negative-causal", small(scale=-1.0, causal="bottom-right", mask="random-b1qk"))
