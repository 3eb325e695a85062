"""What a problem's output should be, at the rows that are checked, and how far off it may be."""

from __future__ import annotations

from functools import partial

import numpy as np

from harness.operators.answer import Expected
from harness.operators.attention.reference.forward import forward_rows
from harness.operators.attention.reference.rows import sampled_rows
from harness.operators.base import Arrays
from harness.operators.multi_head.problem import Problem
from harness.operators.multi_head.reference import computed
from harness.operators.multi_head.reference.gradients import gradients
from harness.operators.multi_head.reference.stages import Layer
from harness.operators.reference.answer import answer
from harness.operators.reference.part import Part


def expected(problem: Problem, inputs: Arrays, seed: int = 0, most_elements: int | None = None) -> Expected:
    """The oracle's answer: of out every row where that is affordable, else sampled ones; of gradients all."""
    layer, heads = Layer(problem, inputs), problem.batch * problem.q_heads
    if problem.direction == "backward":
        every = np.arange(problem.q_len)
        return answer(problem.dtype, gradients(layer), {}, partial(computed.compute, layer, every), heads * len(every))
    rows = sampled_rows(problem.q_len, heads * problem.kv_len, seed, most_elements)
    o = forward_rows(problem.attention, layer.operands(), rows)
    undefined, excused = (np.any(x, axis=(1, 3), keepdims=True)[:, 0] for x in (o.undefined, o.excused))
    parts = {"out": Part.of(layer.output(o.approximate), undefined, excused)}
    checked = {"out": (rows, problem.q_len)}
    return answer(problem.dtype, parts, checked, partial(computed.compute, layer, rows), heads * len(rows))
