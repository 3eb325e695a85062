"""Positions whose keys and values are given: steps that add one position, or several, to a context."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.dtypes import DTYPES
from harness.operators.multi_head.cases.problems import small


def cases() -> Iterator[Case]:
    step = small(q_len=1, cache=21, biases=True)
    yield Case("cache", "step", step.replace(biases=False), core=True)
    yield Case("cache", "step-biases", step, core=True)
    yield Case("cache", "step-of-one", step.replace(cache=1, kv_len=2))
    yield Case("cache", "step-long", small(batch=1, q_len=1, cache=700, biases=True))
    yield Case("cache", "step-grouped", step.replace(kv_heads=2))
    yield Case("cache", "step-padding", step.replace(mask="padding"))
    yield Case("cache", "step-causal", step.replace(causal="bottom-right"))
    yield Case("cache", "step-window", step.replace(causal="bottom-right", window=(4, -1)))
    yield Case("cache", "several", small(q_len=5, cache=12, causal="bottom-right", biases=True), core=True)
    yield Case("cache", "several-unmasked", small(q_len=5, cache=12))
    yield Case("cache", "several-top-left", small(q_len=5, cache=12, causal="top-left"))
    yield Case("cache", "several-masked", small(q_len=5, cache=12, mask="random-b1qk"))
    yield Case("cache", "v-width", step.replace(v_head_dim=5))
    for dtype in DTYPES:
        yield Case("cache", f"step-{dtype}", step.replace(dtype=dtype))
