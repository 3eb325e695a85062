"""Query heads that share key/value heads: head h reads key/value head h // group."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    for q_heads, kv_heads in ((4, 2), (4, 1), (6, 3), (6, 2), (8, 2)):
        problem = small(batch=2, q_heads=q_heads, kv_heads=kv_heads, q_len=7, kv_len=9)
        yield Case("grouped-heads", f"h{q_heads}kv{kv_heads}", problem, core=kv_heads == 3)
        varied = problem.replace(causal="bottom-right", mask="random-bhqk", bias="normal-1hqk")
        yield Case("grouped-heads", f"h{q_heads}kv{kv_heads}-masked", varied, core=kv_heads == 2 and q_heads == 6)
    yield Case("grouped-heads", "one-query", small(batch=2, q_heads=8, kv_heads=2, q_len=1, kv_len=150))
    yield Case("grouped-heads", "long", small(q_heads=4, kv_heads=2, q_len=140, kv_len=150, causal="top-left"))
