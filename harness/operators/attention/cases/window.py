"""Attention windows, alone and around either causal diagonal."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.attention.problem import CAUSAL
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    for left, right in ((3, 0), (0, 3), (4, 2), (-1, 2), (2, -1), (0, 0)):
        for causal in (None, *CAUSAL):
            for q_len, kv_len in ((18, 21), (21, 18)):
                problem = small(q_len=q_len, kv_len=kv_len, window=(left, right), causal=causal)
                name = f"{left}_{right}-{causal or 'full'}-q{q_len}k{kv_len}"
                yield Case("window", name, problem, core=(left, right, causal) == (4, 2, "bottom-right"))
    very_long = small(q_heads=1, q_len=4200, kv_len=4200, head_dim=4, window=(2, -1), causal="top-left")
    yield Case("window", "very-long", very_long, long=True)
    yield Case("window", "long", small(q_len=200, kv_len=300, window=(70, 20), causal="bottom-right"))
