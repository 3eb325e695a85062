"""Gradients of x, y, every weight and every bias."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.dtypes import DTYPES
from harness.operators.multi_head.cases.problems import FEATURES, cross, small


def cases() -> Iterator[Case]:
    plain = small(direction="backward")
    yield Case("gradients", "plain", plain, core=True)
    for name, fields in FEATURES.items():
        yield Case("gradients", name, small(direction="backward", **fields), core=name in ("biases", "cross"))
    for dtype in DTYPES:
        yield Case("gradients", f"biases-{dtype}", plain.replace(dtype=dtype, biases=True))
    yield Case("gradients", "long", plain.replace(batch=1, q_len=140, kv_len=140, biases=True, causal="top-left"))
    yield Case("gradients", "one-position", plain.replace(q_len=1, kv_len=1, biases=True))
    yield Case("gradients", "many-batch-elements", plain.replace(batch=7, biases=True))
    yield Case("gradients", "cross-biases", cross(direction="backward", biases=True, mask="padding"))
    yield Case("gradients", "no-positions", plain.replace(q_len=0, kv_len=0, biases=True))
