"""Padded batches: each sequence has keys of its own number."""

from collections.abc import Iterator

from harness.conformance.case import Case, small


def cases() -> Iterator[Case]:
    yield Case("padding", "short", small(batch=2, q_len=11, mask="padding"), core=True)
    yield Case("padding", "square", small(batch=4, q_len=21, mask="padding"))
    yield Case("padding", "long", small(batch=3, q_len=70, kv_len=140, mask="padding"))
    yield Case("padding", "causal", small(batch=3, q_len=21, causal="top-left", mask="padding"))
    yield Case("padding", "one-query", small(batch=5, q_len=1, kv_len=40, causal="bottom-right", mask="padding"))
