"""Every feature at head sizes of 128 and 256 with more than 32 queries, where libraries take another path."""

from collections.abc import Iterator
from typing import Any

from harness.operators.attention.cases.features import ALL, FEATURES, MOST, together
from harness.operators.attention.cases.problems import small
from harness.operators.case import Case


def _wide(head_dim: int, **fields: Any) -> Any:
    return small(**{"q_len": 40, "kv_len": 50, "head_dim": head_dim, **fields})


def cases() -> Iterator[Case]:
    for head_dim in (128, 256):
        for name in FEATURES:
            yield Case("wide-heads", f"{name}-d{head_dim}", _wide(head_dim, **together(name)))
        yield Case("wide-heads", f"mask-qk-d{head_dim}", _wide(head_dim, mask="random-qk"))
        yield Case("wide-heads", f"all-d{head_dim}", _wide(head_dim, **together(*ALL)))
        yield Case("wide-heads", f"most-d{head_dim}", _wide(head_dim, **together(*MOST)), core=head_dim == 128)
        for dtype in ("bfloat16", "float16"):
            yield Case("wide-heads", f"most-d{head_dim}-{dtype}", _wide(head_dim, **together(*MOST), dtype=dtype))
        gradients = _wide(head_dim, **together(*MOST), direction="backward")
        yield Case("wide-heads", f"most-d{head_dim}-gradients", gradients)
    yield Case("wide-heads", "mask-d192", _wide(192, mask="random-b1qk"))
    yield Case("wide-heads", "mask-d192v128", _wide(192, v_head_dim=128, mask="random-b1qk", causal="bottom-right"))
