"""Whole tiles of keys, of 16 to 512, blocked at the start, in the middle and at the end, by a mask or a bias."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case

_SHORT, _LONG = 70, 1700
"""Keys: a third of them holds a whole tile of 16 wherever it begins, or one of 512."""


def cases() -> Iterator[Case]:
    for where in ("start", "middle", "end"):
        for kv_len in (_SHORT, _LONG):
            heads = 2 if kv_len == _SHORT else 1
            for name, fields in {
                "mask": {"mask": "random-b1qk"},
                "bias": {"bias": "normal-11qk"},
                "lowest": {"bias": "lowest-11qk"},
            }.items():
                problem = small(q_heads=heads, q_len=21, kv_len=kv_len, **fields)
                core = kv_len == _SHORT and (where, name) in (("start", "mask"), ("middle", "bias"))
                yield Case("blocked", f"{where}-{name}-k{kv_len}", problem, inputs=f"blocked-{where}", core=core)
        one = small(batch=2, q_len=1, kv_len=300, mask="random-b11k")
        yield Case("blocked", f"{where}-one-query", one, inputs=f"blocked-{where}")
        causal = small(q_len=70, kv_len=70, mask="random-b1qk", causal="bottom-right")
        yield Case("blocked", f"{where}-causal", causal, inputs=f"blocked-{where}")
        gradients = small(q_len=21, kv_len=_SHORT, mask="random-b1qk", direction="backward")
        yield Case("blocked", f"{where}-gradients", gradients, inputs=f"blocked-{where}", core=where == "start")
