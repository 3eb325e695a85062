"""Problems, arrays and ways to compute them, drawn at random: what a right kernel may do within the contract."""

import dataclasses
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.inputs import make_inputs
from harness.problem import Problem
from tests.unit.plain import admitted


def draw_problem(rng, dtype, direction="forward"):
    """A small problem with each feature now and then."""
    kv_heads = int(rng.integers(1, 3))
    return Problem(
        q_heads=kv_heads * int(rng.integers(1, 3)),
        kv_heads=kv_heads,
        q_len=int(rng.integers(1, 9)),
        kv_len=int(rng.integers(1, 24)),
        head_dim=one_of(rng, 1, 3, 16),
        v_head_dim=one_of(rng, 1, 4),
        dtype=dtype,
        causal=one_of(rng, None, None, "top-left", "bottom-right"),
        window=one_of(rng, None, None, (int(rng.integers(-1, 5)), int(rng.integers(-1, 5)))),
        mask=one_of(rng, None, "random-qk"),
        bias=one_of(rng, None, "normal-qk", "normal-k"),
        softcap=one_of(rng, None, None, 0.01, 1.0, 300.0),
        scale=one_of(rng, None, 1.0, -0.5, 30.0),
        direction=direction,
    )


def one_of(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def draw_inputs(rng, problem):
    """Standard normal arrays, one of them sometimes huge or tiny down to subnormal numbers, and a bias of any size."""
    inputs = make_inputs(problem, int(rng.integers(2**32)))
    name = one_of(rng, "q", "k", "v", "do", None, None)
    if name and getattr(inputs, name) is not None:
        factor = 10.0 ** one_of(rng, -44, -40, -20, -3, 1, 2)
        changed = (getattr(inputs, name).astype(np.float64) * factor).astype(NUMPY_DTYPES[problem.dtype])
        inputs = dataclasses.replace(inputs, **{name: changed})
    return inputs if inputs.bias is None else dataclasses.replace(inputs, bias=draw_bias(rng, inputs.bias))


def draw_bias(rng, normal):
    """The lowest finite number or -1e9 on some keys or on all, one number everywhere, or normal ones of some magnitude."""
    lowest = float(ml_dtypes.finfo(normal.dtype).min)
    low = one_of(rng, lowest, max(lowest, -1e9))
    bias = normal.astype(np.float64)
    kind = one_of(rng, "some", "all", "constant", "scaled")
    if kind == "some":
        bias = np.where(rng.random(bias.shape) < 0.4, low, bias)
    elif kind == "all":
        bias = np.full_like(bias, low)
    elif kind == "constant":
        bias = np.full_like(bias, 10.0 ** rng.integers(0, 5))
    else:
        bias = bias * 10.0 ** rng.integers(-3, 3 if normal.dtype == np.float16 else 6)
    return bias.astype(normal.dtype)


@dataclass(frozen=True)
class Way:
    """A way to compute, each part of which the contract leaves open."""

    order: str
    """Of every sum: "in turn", "shuffled" or "in pairs"."""
    scale: str
    """Multiplied into "scores", into "queries", or as its root into "both" operands."""
    base_two: bool
    """2 to the power of scores and bias times log2 e."""
    divided_last: bool
    """The output is divided by the sum of the weights, not the weights; gradients take Δ from the stored output."""
    flushes: bool
    """Numbers below the smallest normal one are zero."""
    stores: bool
    """Every intermediate array passes through the dtype of the problem."""

    @classmethod
    def draw(cls, rng, problem, inputs):
        """A half type cannot store what lies beyond its range: scores of float16 keep away from its lowest bias."""
        coin = [bool(rng.random() < 0.4) for _ in range(4)]
        stores = coin[3]
        if problem.dtype == "float16" and inputs.bias is not None:
            stores = stores and bool((np.abs(inputs.bias) < 1e4).all())
        scale = one_of(rng, "scores", "queries", "both")
        return cls(one_of(rng, "in turn", "shuffled", "in pairs"), scale, *coin[:3], stores)


class Computation:
    """Attention and its gradients in float32 (float64 for float64 problems), one of many right ways."""

    def __init__(self, rng, way, problem, inputs):
        self.rng, self.way, self.problem, self.inputs = rng, way, problem, inputs
        self.work = np.float64 if problem.dtype == "float64" else np.float32
        self.dtype = NUMPY_DTYPES[problem.dtype]

    def __call__(self):
        """The outputs by name."""
        with np.errstate(all="ignore"):
            outputs = {"o": self.output()} if self.problem.direction == "forward" else self.gradients()
        return {name: x.astype(self.dtype) for name, x in outputs.items()}

    # --- arithmetic ----------------------------------------------------------------------------------

    def read(self, x):
        return x.astype(self.work)

    def kept(self, x):
        return x.astype(self.dtype).astype(self.work) if self.way.stores else x

    def flushed(self, x):
        return np.where(np.abs(x) < np.finfo(self.work).tiny, 0, x).astype(self.work) if self.way.flushes else x

    def sum(self, x):
        """Over the last axis, in the order of the way; nothing is added in a wider type."""
        parts = list(np.moveaxis(x if self.way.order == "in turn" else x[..., self.rng.permutation(x.shape[-1])], -1, 0))
        if not parts:
            return np.zeros(x.shape[:-1], self.work)
        while self.way.order == "in pairs" and len(parts) > 1:
            parts = [parts[n] + parts[n + 1] if n + 1 < len(parts) else parts[n] for n in range(0, len(parts), 2)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def product(self, a, b):
        """a (…, m, n) times b (…, n, p)."""
        return self.sum(self.flushed(a[..., :, None, :] * b.swapaxes(-1, -2)[..., None, :, :]))

    def by_head(self, x):
        """Key/value heads as one for each query head."""
        return np.repeat(self.read(x), self.problem.group, axis=1)

    def over_group(self, x):
        shape = (x.shape[0], self.problem.kv_heads, self.problem.group, *x.shape[2:])
        return self.sum(np.moveaxis(x.reshape(shape), 2, -1))

    # --- attention -----------------------------------------------------------------------------------

    def scores(self):
        """Scaled, before softcap and bias."""
        q, k, scale = self.read(self.inputs.q), self.by_head(self.inputs.k), self.work(self.problem.scale)
        if self.way.scale == "queries":
            return self.kept(self.product(self.kept(q * scale), k.swapaxes(-1, -2)))
        if self.way.scale == "both":
            root = np.sqrt(abs(scale))
            q, k = self.kept(q * root * np.sign(scale)), self.kept(k * root)
            return self.kept(self.product(q, k.swapaxes(-1, -2)))
        return self.kept(self.product(q, k.swapaxes(-1, -2)) * scale)

    def exponentials(self):
        """(exp(s - m), its sum)."""
        s, cap = self.scores(), self.problem.softcap
        if cap is not None:
            s = self.kept(self.work(cap) * np.tanh(s / self.work(cap)))
        base_two = self.way.base_two and not (self.way.stores and self.dtype == np.float16)
        factor = self.work(np.log2(np.e) if base_two else 1)
        if self.inputs.bias is not None:
            bias = self.read(self.inputs.bias)
            # The lowest number times log2 e would be -inf, which blocks; kernels in base two must keep it finite.
            s = self.kept(s * factor + np.where(np.abs(bias) < 1e38, bias * factor, bias))
        else:
            s = s * factor
        s = np.where(admitted(self.problem, self.inputs.mask, self.inputs.bias), s, -np.inf).astype(self.work)
        m = s.max(axis=-1, keepdims=True, initial=-np.inf)
        e = (np.exp2 if base_two else np.exp)(s - np.where(np.isfinite(m), m, 0).astype(self.work))
        total = self.sum(e)[..., None]
        return e, np.where(total == 0, 1, total).astype(self.work)

    def output(self):
        e, total = self.exponentials()
        v = self.flushed(self.by_head(self.inputs.v))
        return self.product(self.kept(e), v) / total if self.way.divided_last else self.product(self.kept(e / total), v)

    def gradients(self):
        e, total = self.exponentials()
        p = self.kept(e / total)
        v, do = self.flushed(self.by_head(self.inputs.v)), self.flushed(self.read(self.inputs.do))
        dp = self.kept(self.product(do, v.swapaxes(-1, -2)))
        if self.way.divided_last:
            o = self.product(p, v).astype(self.dtype).astype(self.work)
            row = self.sum(do * o)[..., None]
        else:
            row = self.sum(p * dp)[..., None]
        ds = self.kept(self.flushed(p * (dp - row)))
        if self.problem.softcap is not None:
            ds = self.kept(ds * (1 - np.tanh(self.scores() / self.work(self.problem.softcap)) ** 2))
        scale = self.work(self.problem.scale)
        return {
            "dq": scale * self.product(ds, self.by_head(self.inputs.k)),
            "dk": self.over_group(scale * self.product(ds.swapaxes(-1, -2), self.read(self.inputs.q))),
            "dv": self.over_group(self.product(p.swapaxes(-1, -2), do)),
        }
