"""A second operator, as the author of a plug-in would write it: the softmax of every row of a matrix."""

from dataclasses import dataclass

import numpy as np

from harness.operators import Case, Mistake, Operator, Problem, Tensor
from harness.registry import implementation


@dataclass(frozen=True, kw_only=True)
class Rows(Problem):
    rows: int
    length: int
    dtype: str = "float32"
    LENGTHS = ("length",)
    COLUMNS = ("rows", "length", "dtype")
    name = property(lambda self: f"r{self.rows}n{self.length}-{self.dtype}")
    input_shapes = property(lambda self: {"x": (self.rows, self.length)})
    output_shapes = property(lambda self: {"y": (self.rows, self.length)})
    flops = property(lambda self: 4 * self.rows * self.length)


def softmax(x, axis=-1):
    return (e := np.exp(x - x.max(axis, keepdims=True))) / e.sum(axis, keepdims=True)


class RowSoftmax(Operator):
    name = "row-softmax"
    problem = Rows

    def inputs(self, problem, seed=0):
        return {"x": np.random.default_rng(seed).standard_normal((problem.rows, problem.length)).astype(problem.dtype)}

    def expected(self, problem, inputs, seed=0):
        x, unit = inputs["x"].astype(np.float64), np.finfo(problem.dtype).eps / 2
        y, distance = softmax(x), x.max(-1, keepdims=True) - x
        # Subtracting, exp (4 ulp), the sum of `length` terms, and the quotient, each with its rounding.
        return {"y": Tensor(y, 2 * unit * (distance + 8 + problem.length) * y)}

    def cases(self):
        return [Case("values", f"n{n}", Rows(rows=5, length=n), core=True) for n in (1, 2, 31, 300)]

    def mistakes(self, problem, inputs):
        yield Mistake.of("with the softmax of every column"), {"y": softmax(inputs["x"].astype(np.float64), axis=0)}


ROW_SOFTMAX = RowSoftmax()


@implementation("rows-loop", operator=ROW_SOFTMAX)
def rows_loop(problem):
    """One row after the other."""
    return lambda x: np.array([softmax(row) for row in x])


rows_numpy = implementation("rows-numpy", operator=ROW_SOFTMAX)(lambda problem: softmax)
fault = implementation("rows-columns", operator=ROW_SOFTMAX)(lambda problem: lambda x: softmax(x, axis=0))
