"""The layer as a model of OpenVINO: products with constant weights around ScaledDotProductAttention (opset 13).

Mapping: W^Q, W^K, W^V and W^O as matrices, heads side by side (of W^O one below the other).
"""

from dataclasses import replace
from functools import partial

from harness.masks import band_mask, causal_flag, four_axes, four_axes_shape
from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import implementation

from ..attention._openvino import Requests, compiled, kernels, rows_with_keys
from ._mapping import mask_by_head, matrix

_TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}

_SUPPORTS = replace(
    EVERYTHING,
    dtypes=tuple(_TYPES),
    softcap=False,
    gradients=False,
    reasons={
        "dtypes": "OpenVINO computes in float32 on the CPU, even from float64",
        "softcap": "ScaledDotProductAttention has no softcap",
        "gradients": "OpenVINO is for inference only",
    },
    extra_check=mask_by_head,
)


@implementation("openvino", operator=MULTI_HEAD, framework="openvino", supports=_SUPPORTS, slow_build=True)
def openvino_layer(problem: Problem):
    """A model of four products and ScaledDotProductAttention; positions with nothing to attend to become b^O in it."""

    def load(**weights):
        import openvino

        model = _Model(problem, weights)
        ready = compiled([model.out], list(model.inputs.values()))
        requests = Requests(ready)

        def layer(x, **extras):
            tensors = {"x": x, **extras}
            request, out = requests.own, openvino.Tensor(model.kind, problem.out_shape)
            for n, name in enumerate(model.inputs):
                request.set_input_tensor(n, tensors[name])
            request.set_output_tensor(0, out)
            request.infer()
            return out

        layer.kernels = partial(kernels, ready)
        return layer

    return load


class _Model:
    """The graph, and its inputs by name."""

    def __init__(self, problem, weights):
        import openvino
        from openvino import opset13 as op

        self._problem, self._weights = problem, weights
        self.kind = getattr(openvino.Type, _TYPES[problem.dtype])
        self.inputs = {
            name: op.parameter(shape, openvino.Type.boolean if name == "mask" else self.kind)
            for name, shape in problem.input_shapes.items()
            if name not in problem.weight_shapes
        }
        self.out = self._output()

    def _output(self):
        from openvino import opset13 as op

        product = self._product() if self._problem.kv_len else op.broadcast(self._zero(), self._problem.out_shape)
        return op.add(product, self._constant(self._weights["bo"])) if self._problem.biases else product

    def _product(self):
        """The heads side by side, times W^O."""
        from openvino import opset13 as op

        problem, inner = self._problem, self._problem.attention
        y = self.inputs.get("y", self.inputs["x"])
        q = self._heads("q", self.inputs["x"], problem.q_heads)
        k, v = (self._heads(letter, y, problem.kv_heads) for letter in "kv")
        if problem.cache:
            k, v = (op.concat([self.inputs[f"{n}_cache"], new], axis=2) for n, new in (("k", k), ("v", v)))
        is_causal = causal_flag(inner, "top-left") and problem.mask is None and inner.group == 1
        seen = None if is_causal else self._seen()
        any_key = None
        if seen is not None and inner.may_have_empty_rows:
            any_key = rows_with_keys(seen)
            seen = op.logical_or(seen, op.logical_not(any_key))
        if inner.group > 1:
            k, v = (self._repeated(x) for x in (k, v))
        o = op.scaled_dot_product_attention(q, k, v, seen, op.constant(problem.scale, self.kind), causal=is_causal)
        rows = [problem.batch, problem.q_len, problem.q_heads * problem.v_head_dim]
        merged = op.reshape(op.transpose(o, [0, 2, 1, 3]), rows, special_zero=False)
        product = op.matmul(merged, self._constant(matrix_of(self._weights, "wo")), False, False)
        if any_key is not None:
            of_rows = op.reshape(any_key, [any_key.shape[0], any_key.shape[2], 1], special_zero=False)
            product = op.select(of_rows, product, self._zero())
        return product

    def _heads(self, letter, x, heads):
        """A projection of x, (batch, heads, length, dim)."""
        from openvino import opset13 as op

        weight = matrix_of(self._weights, f"w{letter}")
        product = op.matmul(x, self._constant(weight), False, False)
        if self._problem.biases:
            product = op.add(product, op.reshape(self._constant(self._weights[f"b{letter}"]), [-1], special_zero=False))
        batch, length, columns = product.shape
        return op.transpose(op.reshape(product, [batch, length, heads, columns // heads], special_zero=False), [0, 2, 1, 3])

    def _repeated(self, x):
        """Each key/value head once for every query head that reads it."""
        from openvino import opset13 as op

        batch, heads, keys, dim = x.shape
        group = self._problem.attention.group
        wide = op.broadcast(op.unsqueeze(x, [2]), [batch, heads, group, keys, dim])
        return op.reshape(wide, [batch, heads * group, keys, dim], special_zero=False)

    def _seen(self):
        """Mask, causality and window as one boolean node of four axes; None for none."""
        from openvino import opset13 as op

        problem, seen = self._problem, None
        if problem.mask:
            seen = op.reshape(self.inputs["mask"], four_axes_shape(problem.attention.mask_shape), special_zero=False)
        band = four_axes(band_mask(problem.attention))
        if band is not None:
            seen = op.constant(band) if seen is None else op.logical_and(seen, op.constant(band))
        return seen

    def _zero(self):
        from openvino import opset13 as op

        return op.convert(op.constant(0.0), self.kind)

    def _constant(self, tensor):
        from openvino import opset13 as op

        return op.constant(tensor, self.kind) if hasattr(tensor, "dtype") else op.constant(tensor)


def matrix_of(weights, name):
    """A weight's values as the matrix that its input is multiplied by; bfloat16 stays a tensor."""
    import openvino

    tensor = weights[name]
    rows, columns = matrix(name, tensor.data).shape
    return openvino.Tensor(tensor.data.reshape(rows, columns), [rows, columns], tensor.element_type)
