"""The multi-head layer as an operator: what the engine asks of it, answered by the modules beside this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from harness.operators.answer import Expected
from harness.operators.base import Arrays, Operator, Solve
from harness.operators.case import Case
from harness.operators.diagnosis.cause import Cause
from harness.operators.diagnosis.failure import Failure
from harness.operators.diagnosis.general import likely_cause
from harness.operators.diagnosis.mistake import Mistake
from harness.operators.multi_head.problem import BIASES, CACHE, WEIGHTS, Problem
from harness.operators.multi_head.supports import Supports


class MultiHead(Operator):
    """Concat(head_1 … head_h) W^O, head_i = Attention(x W^Q_i, y W^K_i, y W^V_i), and its gradients."""

    name = "multi-head"
    problem = Problem
    supports = Supports
    parameters = (*WEIGHTS, *BIASES)
    keywords = ("y", *CACHE, "mask")
    gradient = "dout"
    axes: ClassVar[Mapping[str, Sequence[str]]] = {
        **dict.fromkeys(("out", "dx", "dy"), ("batch element", "position", "column")),
        **dict.fromkeys(("dwq", "dwk", "dwv"), ("input column", "head", "column")),
        "dwo": ("head", "column", "output column"),
        **dict.fromkeys(("dbq", "dbk", "dbv"), ("head", "column")),
        "dbo": ("output column",),
    }
    together: ClassVar[Mapping[str, Sequence[str]]] = {"heads": ("q_heads", "kv_heads"), "length": ("q_len",)}
    lists = ("window",)

    def inputs(self, problem: Problem, seed: int = 0) -> Arrays:
        from harness.operators.multi_head.inputs import make_inputs

        return make_inputs(problem, seed)

    def expected(self, problem: Problem, inputs: Arrays, seed: int = 0) -> Expected:
        from harness.operators.multi_head.reference import expected

        return expected(problem, inputs, seed)

    def spot_check(self, problem: Problem, inputs: Arrays, seed: int) -> Expected:
        from harness.operators.attention.reference.rows import SPOT_CHECK_ELEMENTS
        from harness.operators.multi_head.reference import expected

        return expected(problem, inputs, seed, SPOT_CHECK_ELEMENTS)

    def small(self, problem: Problem) -> Problem:
        """Narrow too: the memory of loaded weights would stay in a framework's pool, and be missing from a call's."""
        d, dv = min(problem.head_dim, 8), min(problem.v_head_dim, 8)
        shared = problem.q_heads * problem.head_dim == problem.width
        width = problem.q_heads * d if shared else min(problem.width, 16)
        widths = {name: width if getattr(problem, name) == problem.width else 16 for name in ("y_width", "out_width")}
        return problem.replace(
            batch=1, q_len=min(problem.q_len, 16), kv_len=None, cache=min(problem.cache, 16), width=width, head_dim=d,
            v_head_dim=dv, **widths,
        )  # fmt: skip

    def cases(self) -> Iterable[Case]:
        from harness.operators.multi_head.cases import CHAPTERS

        return (case for chapter in CHAPTERS for case in chapter.cases())

    def neighbours(self, problem: Problem) -> Iterator[tuple[str, Problem]]:
        """Of the same shape, longer, shorter."""
        for change in (0, 3, -5):
            other = problem.replace(q_len=problem.q_len + change, kv_len=problem.kv_len + change)
            yield f"{other.q_len} positions", other

    def mistakes(self, problem: Problem, inputs: Arrays) -> Iterator[tuple[Mistake, Arrays]]:
        from harness.operators.multi_head.diagnosis.mistakes import mistakes

        return mistakes(problem, inputs)

    def likely_cause(self, problem: Problem, inputs: Arrays, outputs: Arrays, answer: Expected) -> Cause:
        from harness.operators.multi_head.diagnosis.fitted import fitted

        failure = Failure.of(problem, inputs, outputs, answer)
        said = likely_cause(failure, self.mistakes(problem, inputs), self.axes)
        return said if said.text.startswith("It equals") else fitted(failure) or said

    def random_problems(self, supports: Supports, longest: int, backward: bool) -> Any:
        from harness.operators.multi_head.random_problems import problems

        return problems(supports, longest, backward)

    @property
    def conventions(self) -> Any:
        from harness.operators.multi_head import conventions

        return conventions

    @property
    def properties(self) -> Sequence[str]:  # type: ignore[override]
        from harness.operators.multi_head.properties import NAMES

        return NAMES

    def applies(self, name: str, problem: Problem) -> bool:
        from harness.operators.multi_head.properties import applies

        return applies(name, problem)

    def holds(self, name: str, problem: Problem, inputs: Arrays, solve: Solve, seed: int) -> str | None:
        from harness.operators.multi_head.properties import holds

        return holds(name, problem, inputs, solve, seed)


MULTI_HEAD = MultiHead()
