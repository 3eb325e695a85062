"""The kernels as functions of arrays: what a NumPy user calls."""

from typing import NamedTuple

import ml_dtypes
import numba
import numpy as np

from harness.problem import Problem
from harness.registry import Kernel

from .layout.plan import KEYS_MULTIPLE, Plan, plan_backward, plan_decode, plan_forward, suits_decode
from .passes.backward import backward
from .passes.decode import decode
from .passes.forward import forward
from .runtime.call import CALL, OPERAND, address, new_call
from .runtime.processor import amx, vector_bytes

_ADDRESS, _STRIDES = OPERAND.word("address"), OPERAND.word("by_batch")
"""The words of an operand: its address, then four strides."""

_AGES = ("old", "new")


class Fused:
    """Attention for one problem on a number of threads: arrays of the problem's shapes and dtype, with any strides.

    `tile_keys` is the number of keys in a tile, a multiple of 16; `plan.keys_of_a_tile` says what it is by default. Raises
    `ValueError` for another number, and for an array of another shape or dtype.

    With a `cache`, the first so many keys and values lie apart: k and v of `forward` are pairs of arrays, the cache and the
    others. Few queries attend to both where they lie; for more they are copied together.
    """

    def __init__(self, problem: Problem, threads: int | None = None, tile_keys: int | None = None, cache: int = 0):
        if tile_keys is not None and (tile_keys < KEYS_MULTIPLE or tile_keys % KEYS_MULTIPLE):
            raise ValueError(f"tile_keys must be a multiple of {KEYS_MULTIPLE}, not {tile_keys}")
        self.problem, self.cache = problem, cache
        self.threads = threads or numba.get_num_threads()
        self.dtype = np.dtype(ml_dtypes.bfloat16 if problem.dtype == "bfloat16" else problem.dtype)
        self.plan_forward = plan_forward(problem, self.threads, tile_keys)
        self.plan_scattered = plan_forward(problem, self.threads, tile_keys, packs=True)
        """Where rows of keys, or of values, do not lie one behind the other."""
        self.plan_backward = plan_backward(problem, self.threads, tile_keys)
        self.plan_decode = plan_decode(problem, self.threads, tile_keys, cache=cache) if suits_decode(problem) else None
        self.state_dtype = np.dtype(self.plan_forward.kinds[0])
        self._scores = (problem.batch, problem.q_heads, problem.q_len, problem.kv_len)
        self._operands = _operands(problem, self.dtype, self.state_dtype, cache)
        self._call_forward = self._new_call(self.plan_forward)
        self._call_scattered = self._new_call(self.plan_scattered)
        self._call_backward = self._new_call(self.plan_backward)
        self._call_decode = self._new_call(self.plan_decode, cache) if self.plan_decode else None

    def kernels(self):
        """What calls of `forward` run: vectors of how many bits, and what their products are made of."""
        kind, pairs = self.plan_forward.kinds
        name = "forward" if self._call_decode is None else "decode"
        tiles = ", AMX tiles" if pairs and amx() else ""
        dtype = "bfloat16" if pairs else np.dtype(kind).name
        return [Kernel(f"numba-flash {name}, {8 * vector_bytes()}-bit vectors{tiles}", dtype)]

    def forward(self, q, k, v, mask=None, bias=None, softmax_state=None, o=None):
        """o `(B, Hq, Lq, Dv)`, in the order of q's axes in memory unless it is given: what follows in a model wants that of
        what went before. Writes what `backward` needs to `softmax_state`, an array from `new_softmax_state`, if given.

        That is, of every row of scores s, the maximum m and ln Σ exp(s - m); both -inf in a row without keys. Their sum is
        the log-sum-exp, in which the second is lost where m is large.
        """
        keys = {"k": k, "v": v}
        if self.cache:
            keys = {f"{name}_{age}": x for name, pair in keys.items() for age, x in zip(_AGES, pair, strict=True)}
        contiguous = all(x.strides[-1] == self.dtype.itemsize for x in keys.values())
        # Gradients of large scores need the same scores, to the last bit, in both passes: those of tiles.
        by_rows = self._call_decode is not None and contiguous and softmax_state is None
        plan, call = self.plan_forward, self._call_forward
        if by_rows:
            plan, call = self.plan_decode, self._call_decode
        elif not self.cache and any(x.strides[2] != x.shape[3] * x.itemsize for x in (k, v)):
            plan, call = self.plan_scattered, self._call_scattered
        call = call.copy()
        if self.cache and not by_rows:
            keys = {"k": np.concatenate(k, axis=2), "v": np.concatenate(v, axis=2)}
        inputs = self._enter_inputs(call, {"q": q, **keys}, mask, bias)
        if o is None:
            rows = q.strides[-1] == q.itemsize
            o = np.empty_like(q, shape=self.problem.o_shape) if rows else np.empty(self.problem.o_shape, self.dtype)
        self._enter(call, "o", o)
        if softmax_state is not None:
            self._enter(call, "softmax_state", softmax_state)
        if by_rows:
            decode(plan, call, self.threads)
        else:
            forward(plan, call, self.threads)
        del inputs  # Until here: the call holds their addresses only.
        return o

    def new_softmax_state(self):
        """An array `(B, Hq, Lq, 2)` for the softmax state, of the dtype that is computed with."""
        return np.empty((*self._scores[:3], 2), self.state_dtype)

    def backward(self, q, k, v, o, softmax_state, do, mask=None, bias=None):
        """(dq, dk, dv), from the output and the softmax state of the forward pass and the output's gradient."""
        call = self._call_backward.copy()
        inputs = self._enter_inputs(call, {"q": q, "k": k, "v": v}, mask, bias)
        inputs += [self._enter(call, name, x) for name, x in (("o", o), ("softmax_state", softmax_state), ("do", do))]
        shapes = (self.problem.q_shape, self.problem.k_shape, self.problem.v_shape)
        gradients = tuple(np.empty(shape, self.dtype) for shape in shapes)  # Contiguous, as `dq_spill.spill` requires.
        for name, x in zip(("dq", "dk", "dv"), gradients, strict=True):
            self._enter(call, name, x)
        backward(self.plan_backward, call, self.threads)
        del inputs
        return gradients

    def _new_call(self, plan: Plan, cache: int = 0):
        """A call without operands (`runtime.call`), but with the strides that they have if they are contiguous."""
        call = new_call(self.threads)
        call[CALL.word("sizes")] = plan.sizes.ctypes.data
        for name, operand in self._operands.items():
            if cache or not name.endswith("_old"):  # Which take the place of k and v.
                at = operand.at + _STRIDES
                call[at : at + len(operand.strides)] = operand.strides
        return call

    def _enter_inputs(self, call, operands, mask, bias):
        entered = [self._enter(call, name, x) for name, x in operands.items()]
        for name, x in (("mask", mask), ("bias", bias)):
            if x is not None:
                whole = x if x.shape == self._scores else np.broadcast_to(x, self._scores)
                entered.append(self._enter(call, name, whole))
        return entered

    def _enter(self, call, name, x):
        """Enter an array into a call. Returns it, or the copy that stands for it."""
        operand = self._operands[name]
        if x.shape != operand.shape or x.dtype != operand.dtype:
            raise ValueError(f"{name} must be {operand.dtype} of shape {operand.shape}, not {x.dtype} of shape {x.shape}")
        if x.strides != operand.strides:
            if any(stride % x.itemsize for stride in x.strides):  # A field of records: kernels count strides in elements.
                x = np.ascontiguousarray(x)
            call[operand.at + _STRIDES : operand.at + _STRIDES + x.ndim] = x.strides
        call[operand.at + _ADDRESS] = address(x)
        return x


class _Operand(NamedTuple):
    """An array as it should be, its strides in bytes if it is contiguous, and its place in a call."""

    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]
    at: int


def _operands(problem: Problem, dtype: np.dtype, state_dtype: np.dtype, cache: int) -> dict[str, _Operand]:
    """All operands, by name; `k_old` and `v_old` are what the decode pass has as k and v beside a cache."""
    scores = (problem.batch, problem.q_heads, problem.q_len, problem.kv_len)
    inputs = {"q": problem.q_shape, "k": problem.k_shape, "v": problem.v_shape, "o": problem.o_shape}
    expected = {
        **{name: (shape, dtype) for name, shape in inputs.items()},
        "mask": (scores, np.dtype(bool)),
        "bias": (scores, dtype),
        "softmax_state": ((*scores[:3], 2), state_dtype),
        **{f"d{name}": (inputs[name], dtype) for name in "oqkv"},
    }
    for name in "kv":
        batch, heads, keys, columns = inputs[name]
        expected[f"{name}_old"] = ((batch, heads, cache, columns), dtype)
        expected[f"{name}_new"] = ((batch, heads, keys - cache, columns), dtype)
    return {
        name: _Operand(shape, kind, _contiguous(shape, kind.itemsize), CALL.word(name.removesuffix("_old")))
        for name, (shape, kind) in expected.items()
    }


def _contiguous(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    return tuple(itemsize * int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
