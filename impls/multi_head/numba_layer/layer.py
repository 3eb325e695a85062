"""The layer as functions of arrays: products, the fused kernel of attention, a product; and the way back."""

import math
from collections.abc import Sequence

import numba
import numpy as np

from harness.multi_head import Problem

from ...attention.numba_flash.attention import Fused
from .products import Operands, Product, Products, Term
from .weights import pack_bias, pack_weight


class Layer:
    """The layer for one problem on a number of threads, with its weights.

    Raises `ValueError` for an x or y of another shape or dtype than the problem's.
    """

    def __init__(self, problem: Problem, weights: dict[str, np.ndarray], threads: int | None = None):
        self.problem = problem
        self.threads = threads or numba.get_num_threads()
        self.fused = Fused(problem.attention, self.threads, cache=problem.cache)
        self.dtype = self.fused.dtype
        batch, heads, kv_heads, projected = problem.batch, problem.q_heads, problem.kv_heads, problem.projected
        self.projected_shapes = (
            (batch, heads, problem.q_len, problem.head_dim),
            (batch, kv_heads, projected, problem.head_dim),
            (batch, kv_heads, projected, problem.v_head_dim),
        )
        depths = (problem.width, problem.y_width, problem.y_width)
        projections = [product_of(shape, Term(depth)) for shape, depth in zip(self.projected_shapes, depths, strict=True)]
        self._project = Products(projections, self.dtype, self.threads)
        concat = (batch, 1, problem.q_len, problem.out_width)
        self._combine = Products([product_of(concat, Term(heads * problem.v_head_dim))], self.dtype, self.threads)
        self._weights = [pack_weight(weights[name]) for name in ("wq", "wk", "wv")]
        self._weight_o = pack_weight(_beside(weights["wo"]))
        self._biases = [pack_bias(weights[name]) if problem.biases else None for name in ("bq", "bk", "bv")]
        self._bias_o = pack_bias(weights["bo"][None]) if problem.biases else None

    def forward(self, x, y=None, k_cache=None, v_cache=None, mask=None):
        """out `(batch, q_len, out_width)`."""
        return self.project_and_attend((x, y), (k_cache, v_cache), mask)[0]

    def kernels(self):
        """Those of its attention; products run with vectors as wide, and in the same dtype."""
        return self.fused.kernels()

    def project_and_attend(self, xy, cache=(None, None), mask=None, softmax_state=None):
        """(out, q, k, v, o); the softmax state is that of `Fused.forward`."""
        x = self._checked("x", xy[0])
        y = x if xy[1] is None else self._checked("y", xy[1])
        q, k, v = new_arrays(self.projected_shapes, self.dtype)
        targets = zip((q, k, v), (x, y, y), self._weights, self._biases, strict=True)
        needed = self._needed_keys(mask)
        seen = None
        if needed is not None:
            seen = np.flatnonzero(needed)
            for padded in (k, v):  # Whatever the memory held may be nan, which no weight of zero takes away.
                padded.swapaxes(1, 2)[~needed] = 0
        self._project(
            [Operands(c, ((a, w),), bias, rows) for (c, a, w, bias), rows in zip(targets, (None, seen, seen), strict=True)]
        )
        if self.problem.cache:
            k, v = zip(cache, (k, v), strict=True)
        o = self.fused.forward(q, k, v, mask, softmax_state=softmax_state)
        out = np.empty(self.problem.out_shape, self.dtype)
        self._combine([Operands(out[:, None], ((o, self._weight_o),), self._bias_o)])
        return out, q, k, v, o

    def _needed_keys(self, mask: np.ndarray | None) -> np.ndarray | None:
        """Boolean (batch, keys): the positions that need keys and values; None for all.

        Padding needs none: keys at either end of a sequence that a mask hides from all queries.
        """
        problem = self.problem
        if mask is None or problem.cache:
            return None
        batch, heads, queries, keys = (1,) * (4 - mask.ndim) + mask.shape
        if heads * queries > 1 or keys != problem.kv_len:
            return None
        seen = np.broadcast_to(mask.reshape(batch, keys), (problem.batch, keys))
        if seen.all():
            return None
        return np.logical_or.accumulate(seen, axis=1) & np.logical_or.accumulate(seen[:, ::-1], axis=1)[:, ::-1]

    def _checked(self, name: str, x: np.ndarray) -> np.ndarray:
        shape = self.problem.input_shapes[name]
        if x.shape != shape or x.dtype != self.dtype:
            raise ValueError(f"{name} must be {self.dtype} of shape {shape}, not {x.dtype} of shape {x.shape}")
        return as_matrix(x)


def as_matrix(x: np.ndarray) -> np.ndarray:
    """(batch, length, width) as (batch, 1, length, width), with contiguous rows."""
    return (x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x))[:, None]


def new_arrays(shapes: Sequence[tuple[int, ...]], dtype: np.dtype) -> list[np.ndarray]:
    """Arrays in one piece of memory. That of many is returned to the system after each call, and comes as new pages."""
    sizes = [math.prod(shape) for shape in shapes]
    memory, ends = np.empty(sum(sizes), dtype), np.cumsum(sizes)
    return [memory[end - size : end].reshape(shape) for shape, size, end in zip(shapes, sizes, ends, strict=True)]


def product_of(shape: tuple[int, ...], *terms: Term) -> Product:
    """The product that computes an array (batch, head, row, column)."""
    batch, heads, rows, columns = shape
    return Product(batch * rows, heads, columns, terms)


def _beside(weight: np.ndarray) -> np.ndarray:
    """W^O (heads, v_head_dim, out_width) as the right operand of the heads' output, side by side."""
    return weight.reshape(-1, 1, weight.shape[-1])
