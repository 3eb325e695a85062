"""Biases in every broadcast form, of every magnitude, and such as block keys with -inf."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import FORMS, small
from harness.operators.attention.variations import BIAS_MAGNITUDES
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    for form in FORMS:
        yield Case("bias", form, small(batch=2, q_len=11, bias=f"normal-{form}"), core=form in ("1hqk", "k"))
    for form in ("bhqk", "b1qk", "11qk", "b11k", "qk", "k"):
        yield Case("bias", f"blocking-{form}", small(batch=2, q_len=11, bias=f"blocking-{form}"), core=form == "11qk")
    for magnitude in BIAS_MAGNITUDES:
        problem = small(batch=2, q_len=11, bias="normal-b1qk")
        yield Case("bias", f"times-{magnitude:g}", problem, inputs=f"bias-{magnitude:g}", core=magnitude == 1e6)
        gradients = problem.replace(direction="backward")
        yield Case("bias", f"times-{magnitude:g}-gradients", gradients, inputs=f"bias-{magnitude:g}")
    yield Case("bias", "long", small(q_len=130, kv_len=300, bias="blocking-1hqk"))
