"""What a problem's output should be, at the rows that are checked, and how far off it may be."""

from __future__ import annotations

from functools import partial

from harness.operators.answer import Expected
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.attention.reference import computed
from harness.operators.attention.reference.backward import backward_rows
from harness.operators.attention.reference.forward import forward_rows
from harness.operators.attention.reference.operands import Operands
from harness.operators.attention.reference.rows import sampled_rows
from harness.operators.reference.answer import answer
from harness.operators.reference.computed import HALF


def expected(problem: Problem, inputs: Inputs, seed: int = 0, most_elements: int | None = None) -> Expected:
    """The oracle's answer for `problem`: every row where that is affordable, else sampled ones with all the edges."""
    heads = problem.batch * problem.q_heads
    rows = sampled_rows(problem.q_len, heads * problem.kv_len, seed, most_elements)
    keys = sampled_rows(problem.kv_len, heads * problem.q_len, seed, most_elements)
    if problem.direction == "forward":
        parts = {"o": forward_rows(problem, Operands.exact(inputs), rows)}
    else:
        parts = backward_rows(problem, Operands.exact(inputs), rows, keys)
    queries, pairs = (rows, problem.q_len), (keys, problem.kv_len)
    checked = {"o": queries, "dq": queries, "dk": pairs, "dv": pairs}
    compute = partial(computed.compute, problem, inputs, rows, keys) if problem.dtype in HALF else None
    return answer(problem.dtype, parts, checked, compute, heads * len(rows))
