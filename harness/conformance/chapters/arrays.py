"""Arrays as callers really have them: views in another order of storage, with a stride in the last axis, read-only."""

from collections.abc import Iterator

from harness.conformance.case import Case, small


def cases() -> Iterator[Case]:
    problem = small(batch=2, q_len=11, mask="random-b1qk")
    for variation in ("strided", "transposed", "sliced", "read-only"):
        yield Case("arrays", variation, problem, inputs=variation, core=True)
    biased = small(batch=2, q_len=11, bias="normal-b1qk", causal="bottom-right")
    yield Case("arrays", "strided-bias", biased, inputs="strided-extras")
    yield Case("arrays", "strided-mask", problem, inputs="strided-extras")
    yield Case("arrays", "strided-long", small(batch=2, q_len=70, kv_len=140), inputs="strided")
