"""Every odd shape: one, none, and either side of a tile's edge, in lengths, head sizes, batches and heads."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case

_LENGTHS = (
    (1, 1), (1, 7), (7, 1), (3, 5), (5, 3), (3, 3), (16, 16), (64, 64), (127, 129), (129, 127), (128, 128), (1, 257),
    (257, 1), (1023, 33), (33, 1023),
)  # fmt: skip


def cases() -> Iterator[Case]:
    for q_len, kv_len in _LENGTHS:
        core = (q_len, kv_len) in ((1, 7), (129, 127))
        yield Case("shapes", f"q{q_len}k{kv_len}", small(q_len=q_len, kv_len=kv_len), core=core)
    for q_len, kv_len, batch in ((0, 5, 1), (5, 0, 1), (0, 0, 1), (5, 5, 0)):
        yield Case("shapes", f"empty-b{batch}q{q_len}k{kv_len}", small(q_len=q_len, kv_len=kv_len, batch=batch))
    for head_dim in (1, 8, 40, 59, 64, 111, 128, 256):
        yield Case("shapes", f"d{head_dim}", small(head_dim=head_dim), core=head_dim == 59)
    for head_dim, v_head_dim in ((16, 24), (24, 8), (64, 1), (1, 64)):
        problem = small(head_dim=head_dim, v_head_dim=v_head_dim)
        yield Case("shapes", f"d{head_dim}v{v_head_dim}", problem, core=(head_dim, v_head_dim) == (16, 24))
    for batch, heads in ((1, 1), (3, 1), (1, 5), (3, 5), (9, 2), (2, 17)):
        problem = small(batch=batch, q_heads=heads, q_len=7, kv_len=8)
        yield Case("shapes", f"b{batch}h{heads}", problem, core=batch == 3 and heads == 5)
