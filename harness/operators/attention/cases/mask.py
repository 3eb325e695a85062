"""Boolean masks in every broadcast form; True lets a query attend."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import FORMS, small
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    for form in FORMS:
        yield Case("mask", form, small(batch=2, q_len=11, mask=f"random-{form}"), core=form in ("b1qk", "qk"))
    yield Case("mask", "square", small(q_len=20, kv_len=20, mask="random-11qk"))
    yield Case("mask", "long", small(q_len=130, kv_len=300, mask="random-b1qk"))
