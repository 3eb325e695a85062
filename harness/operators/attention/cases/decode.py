"""Every feature again with one query and with few, for which kernels have a path of their own; alone and in pairs."""

from collections.abc import Iterator
from typing import Any

from harness.operators.attention.cases.features import ALL, FEATURES, MOST, pairs, together
from harness.operators.attention.cases.problems import small
from harness.operators.case import Case

_FEW = (1, 3)


def _cached(q_len: int, **fields: Any) -> Any:
    return small(**{"batch": 2, "q_len": q_len, "kv_len": 40, **fields})


def cases() -> Iterator[Case]:
    for q_len in _FEW:
        yield Case("decode", f"plain-q{q_len}", _cached(q_len))
        for name in FEATURES:
            yield Case("decode", f"{name}-q{q_len}", _cached(q_len, **together(name)))
        for first, second in pairs():
            yield Case("decode", f"{first}+{second}-q{q_len}", _cached(q_len, **together(first, second)))
        yield Case("decode", f"all-q{q_len}", _cached(q_len, **together(*ALL)), core=q_len == 1)
        yield Case("decode", f"most-q{q_len}", _cached(q_len, **together(*MOST)), core=True)
        for name in ("window", "padding", "blocking", "grouped", "v-width"):
            problem = _cached(q_len, **together("causal", name), direction="backward")
            yield Case("decode", f"causal+{name}-q{q_len}-gradients", problem)
        gradients = _cached(q_len, **together(*ALL), direction="backward")
        yield Case("decode", f"all-q{q_len}-gradients", gradients, core=q_len == 1)
    for kv_len in (300, 4200):  # Caches whose keys are shared out among threads.
        for name in ("mask", "padding", "bias", "window", "grouped", "softcap"):
            yield Case("decode", f"{name}-k{kv_len}", _cached(1, kv_len=kv_len, **together("causal", name)))
        for group in (8, 128):
            grouped = _cached(1, batch=1, kv_len=kv_len, q_heads=group, kv_heads=1, mask="random-1hqk")
            yield Case("decode", f"group{group}-k{kv_len}", grouped)
