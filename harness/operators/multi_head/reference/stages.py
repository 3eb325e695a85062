"""The layer's three stages, exact but for the errors that they carry: heads apart, attention, heads together."""

from __future__ import annotations

import dataclasses

import numpy as np

from harness.operators.attention.reference.operands import Operands
from harness.operators.base import Arrays
from harness.operators.multi_head.problem import Problem
from harness.operators.multi_head.reference.linear import linear
from harness.operators.reference.approximate import Approximate
from harness.operators.reference.roundoff import Roundoff


class Layer:
    """A problem's arrays in float64, weights as matrices: heads are contiguous columns, of W^O contiguous rows."""

    def __init__(self, problem: Problem, inputs: Arrays):
        self.problem = problem
        self.unit = Roundoff.of(problem.dtype)
        given = {name: array.astype(np.float64) for name, array in inputs.items() if name != "mask"}
        self.mask = inputs.get("mask")
        self.x = given["x"]
        self.y = given.get("y", self.x)
        self.weights = {name: matrix(name, given[name]) for name in ("wq", "wk", "wv", "wo")}
        self.biases: dict[str, np.ndarray] = {
            name: given[name].reshape(-1) for name in ("bq", "bk", "bv", "bo") if name in given
        }
        self.cache: dict[str, np.ndarray] = {name: given[name] for name in ("k_cache", "v_cache") if name in given}
        self.dout = given.get("dout")

    def operands(self) -> Operands:
        """q, k and v as attention has them, `(batch, heads, length, dim)`, the cache before the projections of x."""
        q = self._projected(self.x, "q", self.problem.q_heads)
        k = self._after_cache("k", self._projected(self.y, "k", self.problem.kv_heads))
        v = self._after_cache("v", self._projected(self.y, "v", self.problem.kv_heads))
        operands = Operands(q, k, v, self.mask)
        if self.dout is None:
            return operands
        do = linear(self.unit, Approximate(self.dout), self.weights["wo"].T)
        return dataclasses.replace(operands, do=split(do, self.problem.q_heads))

    def output(self, o: Approximate) -> Approximate:
        """out, `(batch, rows, out_width)`, of attention's o for some or all rows."""
        return linear(self.unit, merge(o), self.weights["wo"], self.biases.get("bo"))

    def _projected(self, x: np.ndarray, letter: str, heads: int) -> Approximate:
        return split(linear(self.unit, Approximate(x), self.weights[f"w{letter}"], self.biases.get(f"b{letter}")), heads)

    def _after_cache(self, letter: str, new: Approximate) -> Approximate:
        if not self.cache:
            return new
        past = self.cache[f"{letter}_cache"]
        return Approximate(
            np.concatenate([past, new.value], axis=2), np.concatenate([np.zeros_like(past), new.error], axis=2)
        )


def matrix(name: str, weight: np.ndarray) -> np.ndarray:
    """A weight as the matrix that its input is multiplied by."""
    return weight.reshape(-1, weight.shape[-1]) if name == "wo" else weight.reshape(len(weight), -1)


def split(x: Approximate, heads: int) -> Approximate:
    """(batch, length, heads·dim) to (batch, heads, length, dim)."""
    return x.map(lambda a: a.reshape(*a.shape[:2], heads, a.shape[2] // heads).transpose(0, 2, 1, 3))


def merge(x: Approximate) -> Approximate:
    """The inverse of `split`."""
    return x.map(lambda a: a.transpose(0, 2, 1, 3).reshape(a.shape[0], a.shape[2], a.shape[1] * a.shape[3]))
