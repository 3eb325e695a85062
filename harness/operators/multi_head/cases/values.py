"""The layer's values in every dtype, alone and with biases."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.dtypes import DTYPES
from harness.operators.multi_head.cases.problems import small


def cases() -> Iterator[Case]:
    for dtype in DTYPES:
        yield Case("values", dtype, small(dtype=dtype), core=dtype == "float32")
        yield Case("values", f"biases-{dtype}", small(dtype=dtype, biases=True), core=dtype != "float64")
        yield Case("values", f"long-{dtype}", small(batch=1, q_len=150, width=192, dtype=dtype, biases=True))
    for dtype in DTYPES:
        yield Case("values", f"wide-{dtype}", small(batch=1, q_len=5, q_heads=8, width=512, biases=True, dtype=dtype))
    yield Case("values", "very-long", small(batch=1, q_heads=2, q_len=600, width=16, biases=True))
