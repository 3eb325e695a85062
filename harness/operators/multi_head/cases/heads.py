"""Heads: grouped, many, and what belongs to them."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.multi_head.cases.problems import cross, small


def cases() -> Iterator[Case]:
    yield Case("heads", "grouped", small(kv_heads=2), core=True)
    yield Case("heads", "one-key-value-head", small(kv_heads=1), core=True)
    yield Case("heads", "groups-of-three", small(q_heads=6, kv_heads=2, width=36, biases=True))
    yield Case("heads", "grouped-causal", small(kv_heads=2, causal="top-left", biases=True))
    yield Case("heads", "grouped-cross", cross(kv_heads=2, mask="padding"))
    yield Case("heads", "softcap", small(softcap=0.5), core=True)
    yield Case("heads", "softcap-masked", small(softcap=0.5, mask="random-b1qk", biases=True))
    yield Case("heads", "scale-one", small(scale=1.0), core=True)
    yield Case("heads", "scale-small", small(scale=0.01, biases=True))
    yield Case("heads", "scale-negative", small(scale=-0.5))
