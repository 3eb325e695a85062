"""Padded batches: each sequence has keys of its own number, or none."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    yield Case("padding", "short", small(batch=2, q_len=11, mask="padding"), core=True)
    yield Case("padding", "square", small(batch=4, q_len=21, mask="padding"))
    yield Case("padding", "long", small(batch=3, q_len=70, kv_len=140, mask="padding"))
    yield Case("padding", "causal", small(batch=3, q_len=21, causal="top-left", mask="padding"))
    yield Case("padding", "no-keys", small(batch=2, q_len=11, mask="padding"), inputs="no-keys", core=True)
    yield Case("padding", "no-keys-one-query", small(batch=3, q_len=1, kv_len=40, mask="padding"), inputs="no-keys")
    yield Case("padding", "no-keys-long", small(batch=2, q_len=70, kv_len=140, mask="padding"), inputs="no-keys")
    gradients = small(batch=2, q_len=11, mask="padding", direction="backward")
    yield Case("padding", "gradients", gradients)
    yield Case("padding", "no-keys-gradients", gradients, inputs="no-keys")
    yield Case("padding", "one-query", small(batch=5, q_len=1, kv_len=40, causal="bottom-right", mask="padding"))
