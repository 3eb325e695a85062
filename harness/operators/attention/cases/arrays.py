"""Arrays as frameworks make them: in another order of storage, with strides of any sign or none, parts of one buffer, one
array for all, on pages that cannot be written. What an adapter has to copy first is not examined, and said so."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case

_ANY_SHAPE = ("strided", "transposed", "sliced", "reversed", "expanded", "offset", "read-only", "protected")
_SAME_SHAPE = ("fused", "one-array")


def cases() -> Iterator[Case]:
    problem = small(batch=2, q_len=11, mask="random-b1qk")
    square = problem.replace(q_len=21)
    for variation in _ANY_SHAPE:
        yield Case("arrays", variation, problem, inputs=variation, core=True)
    for variation in _SAME_SHAPE:
        yield Case("arrays", variation, square, inputs=variation, core=True)
    for variation in (*_ANY_SHAPE, *_SAME_SHAPE):
        posed = square if variation in _SAME_SHAPE else problem
        gradients = posed.replace(mask=None, direction="backward")
        yield Case("arrays", f"{variation}-gradients", gradients, inputs=variation, core=variation == "protected")
        long = small(batch=2, q_len=140 if variation in _SAME_SHAPE else 70, kv_len=140)
        yield Case("arrays", f"{variation}-long", long, inputs=variation)
    for variation in ("strided", "reversed", "expanded", "sliced"):
        yield Case("arrays", f"{variation}-one-query", small(batch=2, q_len=1, kv_len=70), inputs=variation)
        grouped = small(batch=2, q_heads=4, kv_heads=2, q_len=9, dtype="bfloat16")
        yield Case("arrays", f"{variation}-grouped-bfloat16", grouped, inputs=variation)
    biased = small(batch=2, q_len=11, bias="normal-b1qk", causal="bottom-right")
    for variation in ("strided-extras", "reversed-extras", "expanded-extras"):
        suffix = variation.removesuffix("-extras")
        yield Case("arrays", f"{suffix}-bias", biased, inputs=variation)
        yield Case("arrays", f"{suffix}-mask", problem, inputs=variation)
