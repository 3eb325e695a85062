"""The kernels as functions of arrays: what a NumPy user calls."""

import numba
import numpy as np

from harness.problem import Problem
from impls.kernels.fused import operands as places
from impls.kernels.fused.backward import backward
from impls.kernels.fused.decode import decode
from impls.kernels.fused.forward import forward
from impls.kernels.fused.plan import plan_backward, plan_decode, plan_forward, suits_decode


class Fused:
    """Attention for one problem, with arrays of any layout in the problem's dtype."""

    def __init__(self, problem: Problem, threads: int | None = None):
        self.problem = problem
        self.threads = threads or numba.get_num_threads()
        self.plan_forward = plan_forward(problem, self.threads)
        self.plan_decode = plan_decode(problem, self.threads) if suits_decode(problem) else None
        self.plan_backward = plan_backward(problem, self.threads)
        self.numbers = np.array([problem.scale, problem.softcap or 0])

    def forward(self, q, k, v, mask=None, bias=None, lse=None):
        """o `(B, Hq, Lq, Dv)`. With `lse`, an array `(B, Hq, Lq)` of the dtype that is computed with, also the log-sum-exp.

        The log-sum-exp of a row is the natural logarithm of Σ exp(s), -inf for a row with nothing to attend to.
        """
        o = np.empty(self.problem.o_shape, q.dtype)
        operands = self._operands({places.Q: q, places.K: k, places.V: v, places.O: o}, mask, bias, lse)
        row_by_row = self.plan_decode and all(x.strides[-1] == x.itemsize for x in (k, v))
        if row_by_row:
            decode(self.plan_decode, operands[0], self.numbers, self.threads)
        else:
            forward(self.plan_forward, operands[0], self.numbers, self.threads)
        return o

    def new_lse(self):
        """An array for the log-sum-exp."""
        return np.empty(self.problem.o_shape[:3], self.plan_forward.kinds[0])

    def backward(self, q, k, v, o, lse, do, mask=None, bias=None):
        """(dq, dk, dv), from the output and log-sum-exp of the forward pass and the output's gradient."""
        problem = self.problem
        dq, dk, dv = (np.empty(shape, q.dtype) for shape in (problem.q_shape, problem.k_shape, problem.v_shape))
        rows = {
            places.Q: q,
            places.K: k,
            places.V: v,
            places.O: o,
            places.DO: do,
            places.DQ: dq,
            places.DK: dk,
            places.DV: dv,
        }
        operands = self._operands(rows, mask, bias, lse)
        backward(self.plan_backward, operands[0], self.numbers, self.threads)
        return dq, dk, dv

    def _operands(self, arrays, mask, bias, lse):
        """(operands, arrays that must outlive them)."""
        operands = np.zeros((11, 5), np.int64)
        kept = [_place(operands, row, x) for row, x in arrays.items()]
        if mask is not None:
            kept.append(_place(operands, places.MASK, self._like_scores(mask)))
        if bias is not None:
            kept.append(_place(operands, places.BIAS, self._like_scores(bias)))
        if lse is not None:
            kept.append(_place(operands, places.LSE, lse))
        return operands, kept

    def _like_scores(self, x):
        problem = self.problem
        return np.broadcast_to(x, (problem.batch, problem.q_heads, problem.q_len, problem.kv_len))


def _place(operands, row, x):
    if any(stride % x.itemsize for stride in x.strides):  # Fields of records: kernels count strides in elements.
        x = np.ascontiguousarray(x)
    operands[row, 0] = x.ctypes.data
    operands[row, 1 : 1 + x.ndim] = x.strides
    return x
