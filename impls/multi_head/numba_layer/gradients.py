"""The gradients of the layer: each product's two, around the backward pass of attention.

With Y = X W + b: dX = dY Wᵀ, dW = Xᵀ dY, and db the sum of the rows of dY, which is the product of a row of ones and dY.
"""

import numpy as np

from .layer import Layer, as_matrix, new_arrays, product_of
from .products import Operands, Product, Products, Term
from .weights import pack_weight


class Gradients:
    """The gradients of x, y and every weight and bias, for a layer that is loaded."""

    def __init__(self, layer: Layer, weights: dict[str, np.ndarray]):
        self._layer, self._problem = layer, layer.problem
        problem, dtype, threads = layer.problem, layer.dtype, layer.threads
        q_rows, kv_rows, heads = problem.batch * problem.q_len, problem.batch * problem.projected, problem.q_heads
        o_shape = (problem.batch, heads, problem.q_len, problem.v_head_dim)
        self._output = Products([product_of(o_shape, Term(problem.out_width))], dtype, threads)
        self._rest = Products(self._products(q_rows, kv_rows), dtype, threads)
        self._transposed_o = pack_weight(weights["wo"].transpose(2, 0, 1))
        self._transposed = [pack_weight(_columns(weights[name]).T[:, None]) for name in ("wq", "wk", "wv")]
        self._ones = [np.ones((1, 1, 1, rows), dtype) for rows in (q_rows, kv_rows, kv_rows, q_rows)]

    def forward(self, x, y=None, mask=None):
        """(out, what `backward` needs)."""
        state = self._layer.fused.new_softmax_state()
        out, q, k, v, o = self._layer.project_and_attend((x, y), mask=mask, softmax_state=state)
        return out, (x, x if y is None else y, (q, k, v, o, state), mask)

    def backward(self, saved, dout):
        """The gradients in the order of `Problem.output_shapes`."""
        x, y, (q, k, v, o, state), mask = saved
        x, y, dout = as_matrix(x), as_matrix(y), as_matrix(dout)
        do = np.empty(o.shape, o.dtype)
        self._output([Operands(do, ((dout, self._transposed_o),))])
        dq, dk, dv = self._layer.fused.backward(q, k, v, o, state, do, mask)
        del do
        found = new_arrays(list(self._problem.output_shapes.values()), o.dtype)
        self._rest(self._operands(found, (x, y, y, o), (dq, dk, dv, dout)))
        return tuple(found)

    def _products(self, q_rows, kv_rows):
        """dx and dy, the gradients of the weights, and those of the biases."""
        problem = self._problem
        heads, columns = zip(*(shape[1::2] for shape in self._layer.projected_shapes), strict=True)
        terms = [Term(h * d) for h, d in zip(heads, columns, strict=True)]
        inputs = [Product(q_rows, 1, problem.width, tuple(terms[: 1 if problem.cross else 3]))]
        if problem.cross:
            inputs.append(Product(kv_rows, 1, problem.y_width, tuple(terms[1:])))
        rows, kinds = (q_rows, kv_rows, kv_rows, q_rows), (*zip(heads, columns, strict=True), (1, problem.out_width))
        depths = (problem.width, problem.y_width, problem.y_width, problem.q_heads * problem.v_head_dim)
        weights = [Product(m, *kind, (Term(n, True, False),)) for m, kind, n in zip(depths, kinds, rows, strict=True)]
        biases = [Product(1, *kind, (Term(n, False, False),)) for kind, n in zip(kinds, rows, strict=True)]
        return inputs + weights + (biases if problem.biases else [])

    def _operands(self, found, left, right):
        """The operands of `_products`: the projections' inputs, and the gradients of their outputs."""
        found = iter(found)
        pairs = list(zip(right, self._transposed, strict=False))
        operands = [Operands(next(found)[:, None], tuple(pairs[: 1 if self._problem.cross else 3]))]
        if self._problem.cross:
            operands.append(Operands(next(found)[:, None], tuple(pairs[1:])))
        pairs = list(zip(left, right, strict=True))
        operands += [Operands(next(found).transpose(1, 0, 2)[None], (pair,)) for pair in pairs[:3]]
        operands.append(Operands(_beside(next(found)), (pairs[3],)))
        rows = zip(found, self._ones, right, strict=False)
        return operands + [Operands(np.atleast_2d(c)[None, :, None], ((ones, dy),)) for c, ones, dy in rows]


def _columns(weight):
    """A weight (width, heads, head_dim) as a matrix of heads side by side."""
    return weight.reshape(weight.shape[0], -1)


def _beside(weight):
    """W^O (heads, v_head_dim, out_width) as a matrix of heads one below the other."""
    return weight.reshape(1, 1, -1, weight.shape[-1])
