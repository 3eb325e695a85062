"""Cross-attention: y is a sequence of its own, longer or shorter than x, or of its length."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.dtypes import DTYPES
from harness.operators.multi_head.cases.problems import cross


def cases() -> Iterator[Case]:
    yield Case("cross", "longer", cross(), core=True)
    yield Case("cross", "shorter", cross(kv_len=3))
    yield Case("cross", "of-the-same-length", cross(kv_len=9), core=True)
    yield Case("cross", "one-key", cross(kv_len=1))
    yield Case("cross", "one-query", cross(q_len=1))
    yield Case("cross", "padding", cross(mask="padding", biases=True), core=True)
    yield Case("cross", "top-left", cross(causal="top-left"))
    yield Case("cross", "bottom-right", cross(causal="bottom-right"))
    yield Case("cross", "grouped", cross(kv_heads=1, biases=True))
    for dtype in DTYPES:
        yield Case("cross", f"biases-{dtype}", cross(dtype=dtype, biases=True))
