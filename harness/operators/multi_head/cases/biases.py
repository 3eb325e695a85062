"""Biases of the four projections."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.multi_head.cases.problems import cross, small


def cases() -> Iterator[Case]:
    yield Case("biases", "self", small(biases=True), core=True)
    yield Case("biases", "cross", cross(biases=True), core=True)
    yield Case("biases", "grouped", small(biases=True, kv_heads=2))
    yield Case("biases", "one-position", small(biases=True, q_len=1))
    yield Case("biases", "masked", small(biases=True, mask="random-b1qk"))
    yield Case("biases", "long", small(biases=True, batch=1, q_len=140))
