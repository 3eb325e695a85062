"""Sizes of one, of no positions, and sizes that nothing divides."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.multi_head.cases.problems import cross, small


def cases() -> Iterator[Case]:
    yield Case("shapes", "one-of-everything", small(batch=1, q_heads=1, q_len=1, width=1, biases=True))
    yield Case("shapes", "one-position", small(q_len=1), core=True)
    yield Case("shapes", "one-head", small(q_heads=1))
    yield Case("shapes", "one-batch-element", small(batch=1))
    yield Case("shapes", "as-many-positions-as-heads", small(q_len=4), core=True)
    yield Case("shapes", "as-many-positions-as-columns", small(q_len=8))
    yield Case("shapes", "one-column-a-head", small(width=4))
    yield Case("shapes", "many-heads", small(q_heads=16, width=64))
    yield Case("shapes", "odd", small(batch=3, q_heads=5, q_len=7, width=35, biases=True), core=True)
    yield Case("shapes", "tiles", small(batch=1, q_len=64, q_heads=2, width=128))
    yield Case("shapes", "beyond-tiles", small(batch=1, q_len=65, q_heads=3, width=195, biases=True))
    yield Case("shapes", "no-batch", small(batch=0))
    yield Case("shapes", "no-positions", small(q_len=0))
    yield Case("shapes", "no-keys", cross(kv_len=0, biases=True))
