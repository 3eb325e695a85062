"""Sizes at which kernels switch: wide heads, both sides of long tiles, many heads, large groups, indices beyond 16 bits."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case

_HEAD_DIMS = (72, 96, 127, 129, 160, 192, 224, 255, 257, 320, 512, 576)
_WIDTHS = ((192, 128), (128, 192), (576, 512))
_EDGES = (1023, 1025, 2047, 2049, 4095, 4097)
_BEYOND = 65_600
"""More than 16 bits count, and a grid of CUDA blocks may have in its second axis."""


def cases() -> Iterator[Case]:
    for head_dim in _HEAD_DIMS:
        yield Case("sizes", f"d{head_dim}", small(q_len=9, head_dim=head_dim), core=head_dim == 192)
    for head_dim, v_head_dim in _WIDTHS:
        yield Case("sizes", f"d{head_dim}v{v_head_dim}", small(q_len=9, head_dim=head_dim, v_head_dim=v_head_dim))
    for head_dim in (129, 192, 256, 576):
        gradients = small(q_len=9, head_dim=head_dim, direction="backward")
        yield Case("sizes", f"d{head_dim}-gradients", gradients)
    for length in _EDGES:
        keys, queries = small(q_heads=1, q_len=3, kv_len=length), small(q_heads=1, q_len=length, kv_len=3)
        yield Case("sizes", f"k{length}", keys.replace(causal="bottom-right"), core=length == 2049)
        yield Case("sizes", f"q{length}", queries, core=length == 2049)
    for length in (1025, 2049):
        for direction, suffix in (("forward", ""), ("backward", "-gradients")):
            problem = small(q_heads=1, q_len=length, kv_len=1031, head_dim=8, causal="bottom-right", direction=direction)
            yield Case("sizes", f"q{length}k1031{suffix}", problem, long=True)
    for q_heads, kv_heads in ((8, 1), (32, 2), (64, 1), (64, 2), (128, 1)):
        problem = small(q_heads=q_heads, kv_heads=kv_heads, q_len=3)
        yield Case("sizes", f"h{q_heads}kv{kv_heads}", problem.replace(causal="bottom-right"), core=q_heads == 32)
        yield Case("sizes", f"h{q_heads}kv{kv_heads}-gradients", problem.replace(direction="backward"))
    yield from _beyond_16_bits()


def _beyond_16_bits() -> Iterator[Case]:
    keys = small(q_heads=1, q_len=3, kv_len=_BEYOND)
    queries = small(q_heads=1, q_len=_BEYOND, kv_len=24)
    heads = small(batch=_BEYOND // 16, q_heads=16, q_len=2, kv_len=2, head_dim=8)
    for name, problem in {
        "keys": keys,
        "keys-masked": keys.replace(mask="random-11qk", causal="bottom-right"),
        "queries": queries,
        "queries-masked": queries.replace(mask="random-11qk"),
        "queries-biased": queries.replace(bias="normal-11qk"),
        "queries-gradients": queries.replace(direction="backward"),
        "batches": heads.replace(batch=_BEYOND, q_heads=1, kv_heads=1),
        "heads": heads,
        "heads-grouped": heads.replace(kv_heads=1),
        "heads-gradients": heads.replace(direction="backward"),
    }.items():
        yield Case("sizes", f"beyond-16-bits-{name}", problem, long=True)
