"""What hides positions: causality, windows, padding, boolean masks; rows that are left with nothing are b^O."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.multi_head.cases.problems import cross, small

FORMS = ("k", "qk", "1qk", "hqk", "11k", "b11k", "b1qk", "bhqk", "bh1k", "1hqk")


def cases() -> Iterator[Case]:
    yield Case("masks", "causal", small(causal="top-left"), core=True)
    yield Case("masks", "causal-long", small(batch=1, causal="top-left", q_len=140))
    yield Case("masks", "causal-biases", small(causal="bottom-right", biases=True))
    yield Case("masks", "window", small(window=(3, 1)), core=True)
    yield Case("masks", "causal-window", small(causal="top-left", window=(2, -1)))
    yield Case("masks", "padding", small(mask="padding"), core=True)
    yield Case("masks", "padding-causal", small(mask="padding", causal="top-left", biases=True))
    yield Case("masks", "padding-bfloat16", small(mask="padding", biases=True, dtype="bfloat16"))
    yield Case("masks", "padding-float16", small(mask="padding", biases=True, dtype="float16"))
    for form in FORMS:
        yield Case("masks", f"random-{form}", small(mask=f"random-{form}"), core=form in ("qk", "bhqk"))
        yield Case("masks", f"cross-{form}", cross(mask=f"random-{form}"))
    for name, problem in {"plain": small(), "biases": small(biases=True), "cross": cross(biases=True)}.items():
        yield Case("masks", f"empty-rows-{name}", problem.replace(mask="empty-rows-b1qk"), core=name != "cross")
        yield Case("masks", f"empty-heads-{name}", problem.replace(mask="empty-rows-bhqk"))
    yield Case("masks", "empty-rows-bottom-right", cross(kv_len=5, causal="bottom-right", biases=True))
    yield Case("masks", "empty-rows-float16", small(biases=True, mask="empty-rows-b1qk", dtype="float16"))
    yield Case("masks", "heads-as-long-as-batches", small(q_heads=2, width=16, mask="random-bhqk"), core=True)
