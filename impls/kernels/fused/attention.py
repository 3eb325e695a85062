"""The kernels as functions of arrays: what a NumPy user calls."""

import ml_dtypes
import numba
import numpy as np

from harness.problem import Problem
from impls.kernels.fused import operands as places
from impls.kernels.fused.backward import backward
from impls.kernels.fused.decode import decode
from impls.kernels.fused.forward import forward
from impls.kernels.fused.plan import plan_backward, plan_decode, plan_forward, suits_decode


class Fused:
    """Attention for one problem: arrays of the problem's shapes and dtype, with any strides, on so many threads.

    `tile_keys` is the number of keys in a tile, a multiple of 16; see `plan.keys_of_a_tile` for what it is if left out.
    Raises `ValueError` for another number, and for an array of another shape or dtype.
    """

    def __init__(self, problem: Problem, threads: int | None = None, tile_keys: int | None = None):
        if tile_keys is not None and (tile_keys < 16 or tile_keys % 16):
            raise ValueError(f"tile_keys must be a multiple of 16, not {tile_keys}")  # A tile is of whole micro-kernels.
        self.problem = problem
        self.threads = threads or numba.get_num_threads()
        self.plan_forward = plan_forward(problem, self.threads, tile_keys)
        self.plan_decode = plan_decode(problem, self.threads, tile_keys) if suits_decode(problem) else None
        self.plan_backward = plan_backward(problem, self.threads, tile_keys)
        self.numbers = np.array([problem.scale, problem.softcap or 0])
        self.dtype = np.dtype(ml_dtypes.bfloat16 if problem.dtype == "bfloat16" else problem.dtype)
        self.lse_dtype = np.dtype(self.plan_forward.kinds[0])
        self._scores = (problem.batch, problem.q_heads, problem.q_len, problem.kv_len)

    def forward(self, q, k, v, mask=None, bias=None, lse=None):
        """o `(B, Hq, Lq, Dv)`. With `lse`, an array from `new_lse`, also the log-sum-exp of every row of scores.

        It is the natural logarithm of Σ exp(s), and -inf for a row with nothing to attend to.
        """
        operands = _Operands()
        q, k, v = self._inputs(operands, q, k, v, mask, bias)
        o = operands.add(places.O, "o", np.empty(self.problem.o_shape, self.dtype), self.problem.o_shape, self.dtype)
        if lse is not None:
            operands.add(places.LSE, "lse", lse, self._scores[:3], self.lse_dtype)
        if self.plan_decode and k.strides[-1] == v.strides[-1] == k.itemsize:
            decode(self.plan_decode, operands.table, self.numbers, self.threads)
        else:
            forward(self.plan_forward, operands.table, self.numbers, self.threads)
        return o

    def new_lse(self):
        """An array `(B, Hq, Lq)` for the log-sum-exp, of the dtype that is computed with."""
        return np.empty(self._scores[:3], self.lse_dtype)

    def backward(self, q, k, v, o, lse, do, mask=None, bias=None):
        """(dq, dk, dv), from the output and the log-sum-exp of the forward pass and the output's gradient."""
        problem, dtype, operands = self.problem, self.dtype, _Operands()
        self._inputs(operands, q, k, v, mask, bias)
        operands.add(places.O, "o", o, problem.o_shape, dtype)
        operands.add(places.DO, "do", do, problem.o_shape, dtype)
        operands.add(places.LSE, "lse", lse, self._scores[:3], self.lse_dtype)
        dq, dk, dv = (
            operands.add(place, name, np.empty(shape, dtype), shape, dtype)
            for place, name, shape in (
                (places.DQ, "dq", problem.q_shape),
                (places.DK, "dk", problem.k_shape),
                (places.DV, "dv", problem.v_shape),
            )
        )
        backward(self.plan_backward, operands.table, self.numbers, self.threads)
        return dq, dk, dv

    def _inputs(self, operands, q, k, v, mask, bias):
        problem, dtype = self.problem, self.dtype
        if mask is not None:
            operands.add(places.MASK, "mask", np.broadcast_to(mask, self._scores), self._scores, np.dtype(bool))
        if bias is not None:
            operands.add(places.BIAS, "bias", np.broadcast_to(bias, self._scores), self._scores, dtype)
        q = operands.add(places.Q, "q", q, problem.q_shape, dtype)
        k = operands.add(places.K, "k", k, problem.k_shape, dtype)
        return q, k, operands.add(places.V, "v", v, problem.v_shape, dtype)


class _Operands:
    """The table of addresses and strides, and the arrays that must live as long as it is used."""

    def __init__(self):
        self.table = np.zeros((11, 5), np.int64)
        self._kept = []

    def add(self, place, name, x, shape, dtype):
        """Enter an array; returns it, or the copy that stands for it."""
        if x.shape != shape or x.dtype != dtype:
            raise ValueError(f"{name} must be {dtype} of shape {shape}, not {x.dtype} of shape {x.shape}")
        if any(stride % x.itemsize for stride in x.strides):  # A field of records: kernels count strides in elements.
            x = np.ascontiguousarray(x)
        self._kept.append(x)
        self.table[place, 0] = x.__array_interface__["data"][0]
        self.table[place, 1 : 1 + x.ndim] = x.strides
        return x
