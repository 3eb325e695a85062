"""The formula's values in every dtype, at a length where a kernel has many tiles and at one where it has few."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case
from harness.operators.dtypes import DTYPES


def cases() -> Iterator[Case]:
    for dtype in DTYPES:
        yield Case("values", dtype, small(dtype=dtype), core=dtype != "float64")
        yield Case("values", f"long-{dtype}", small(q_len=130, kv_len=300, head_dim=64, dtype=dtype))
    # Beyond 4,096 of either: where a row of scores was thought to fit, where an index was thought to be small.
    yield Case("values", "very-long-keys", small(q_heads=1, q_len=3, kv_len=4200))
    for dtype in ("bfloat16", "float16"):
        yield Case("values", f"very-long-keys-{dtype}", small(q_heads=1, q_len=3, kv_len=4200, dtype=dtype))
    yield Case("values", "very-long-queries", small(q_heads=1, q_len=4200, kv_len=3))
