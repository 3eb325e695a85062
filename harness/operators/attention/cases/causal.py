"""Causal masks in both alignments, with fewer, as many, and more queries than keys."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.attention.problem import CAUSAL
from harness.operators.case import Case
from harness.operators.dtypes import DTYPES

_LENGTHS = ((18, 21), (21, 18), (20, 20), (1, 33), (33, 1), (64, 64), (65, 65), (130, 200), (200, 130))


def cases() -> Iterator[Case]:
    for alignment in CAUSAL:
        for q_len, kv_len in _LENGTHS:
            problem = small(q_len=q_len, kv_len=kv_len, causal=alignment)
            core = (q_len, kv_len) in ((18, 21), (21, 18))
            yield Case("causal", f"{alignment}-q{q_len}k{kv_len}", problem, core=core)
    for dtype in DTYPES:
        yield Case("causal", dtype, small(causal="bottom-right", dtype=dtype))
    yield Case("causal", "very-long-keys", small(q_heads=1, q_len=3, kv_len=4200, causal="bottom-right"))
