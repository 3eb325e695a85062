"""Widths that differ from each other, so that none can stand for another."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.multi_head.cases.problems import cross, small


def cases() -> Iterator[Case]:
    yield Case("widths", "head-dim", small(head_dim=6), core=True)
    yield Case("widths", "heads-divide-nothing", small(q_heads=3, width=10, head_dim=4, biases=True), core=True)
    yield Case("widths", "head-dim-beyond-width", small(width=8, head_dim=24))
    yield Case("widths", "values", small(v_head_dim=5, biases=True), core=True)
    yield Case("widths", "out", small(out_width=12, biases=True), core=True)
    yield Case("widths", "y", cross(y_width=20, biases=True), core=True)
    yield Case("widths", "all", cross(width=10, y_width=14, out_width=7, head_dim=6, v_head_dim=3, biases=True))
    yield Case("widths", "all-grouped", cross(width=10, y_width=14, out_width=7, head_dim=6, v_head_dim=3, kv_heads=2))
    yield Case(
        "widths", "all-bfloat16", cross(width=10, y_width=14, out_width=7, head_dim=6, v_head_dim=3, dtype="bfloat16")
    )
