"""OpenVINO's ScaledDotProductAttention (opset 13), compiled for the CPU."""

from dataclasses import replace
from functools import partial

import numpy as np

from harness.masks import band_mask, causal_flag, four_axes, four_axes_shape
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

from ._openvino import Requests, compiled, kernels, minus_infinity, rows_with_keys

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
)


def _bare():
    """ScaledDotProductAttention as it is."""
    from openvino import opset13 as op

    def call(q, k, v, *, mask, bias, causal, scale):
        tensors = [x for x in (q, k, v, mask if bias is None else bias) if x is not None]
        inputs = [op.parameter(x.shape, x.element_type) for x in tensors]
        added = inputs[3] if len(inputs) > 3 else None
        factor = None if scale is None else op.constant(scale, q.element_type)
        o = op.scaled_dot_product_attention(*inputs[:3], added, factor, causal=causal)
        request = compiled([o], inputs).create_infer_request()
        request.infer(tensors)
        return request.get_output_tensor()

    return call


@implementation("openvino", framework="openvino", supports=_SUPPORTS, library_call=_bare)
def openvino_sdpa(problem: Problem):
    """OpenVINO's ScaledDotProductAttention; rows with nothing to attend to are set to zero after it, in NumPy.

    It does not group heads: the queries of a group become the rows of one head, and masks and biases with them.
    """
    import openvino
    from openvino import opset13 as op

    if not problem.score_elements:
        return _zeros(problem)
    # The operator's flag makes it ignore a mask, and counts the rows of grouped queries as one sequence.
    is_causal = causal_flag(problem, "top-left") and problem.mask is problem.bias is None and problem.group == 1

    kind = getattr(openvino.Type, _TYPES[problem.dtype])
    inputs = {name: op.parameter(getattr(problem, f"{name}_shape"), kind) for name in "qkv"}
    q, k, v = inputs.values()
    added = _added_to_scores(problem, inputs, kind, banded=not is_causal)
    any_key = rows_with_keys(added) if added is not None and problem.may_have_empty_rows else None
    if problem.group > 1:
        rows = problem.group * problem.q_len
        q = op.reshape(q, [problem.batch, problem.kv_heads, rows, problem.head_dim], special_zero=False)
        added = None if added is None else _grouped(problem, added)
    o = op.scaled_dot_product_attention(q, k, v, added, op.constant(problem.scale, kind), causal=is_causal)
    if problem.group > 1:
        o = op.reshape(o, problem.o_shape, special_zero=False)
    outputs = [o] if any_key is None else [o, any_key]
    model = compiled(outputs, list(inputs.values()))
    requests = Requests(model)

    def attention(q, k, v, **extras):
        tensors = {"q": q, "k": k, "v": v, **extras}
        request, o = requests.own, openvino.Tensor(kind, problem.o_shape)
        for n, name in enumerate(inputs):
            request.set_input_tensor(n, tensors[name])
        request.set_output_tensor(0, o)
        request.infer()
        if any_key is not None:
            _zero_empty_rows(o, request.get_output_tensor(1).data)
        return o

    attention.kernels = partial(kernels, model)
    return attention


def _added_to_scores(problem, inputs, kind, banded):
    """Mask, bias and, if `banded`, causality and window, as one node, boolean where there is no bias; None for none.

    The node has four axes; mask and bias join the inputs.
    """
    from openvino import Type
    from openvino import opset13 as op

    seen = bias = None
    if problem.mask:
        inputs["mask"] = op.parameter(problem.mask_shape, Type.boolean)
        seen = op.reshape(inputs["mask"], four_axes_shape(problem.mask_shape), special_zero=False)
    if problem.bias:
        inputs["bias"] = op.parameter(problem.bias_shape, kind)
        bias = op.reshape(inputs["bias"], four_axes_shape(problem.bias_shape), special_zero=False)
    band = four_axes(band_mask(problem)) if banded else None
    if band is not None:
        seen = op.constant(band) if seen is None else op.logical_and(seen, op.constant(band))
    if seen is None or bias is None:
        return bias if seen is None else seen
    return op.select(seen, bias, minus_infinity(kind))


def _grouped(problem, added):
    """What is added to the scores of the queries, for rows: (B or 1, Hkv or 1, group·Lq or 1, Lk or 1)."""
    from openvino import opset13 as op

    batch, heads, q_len, kv_len = added.shape
    if heads == q_len == 1:
        return added
    whole = op.broadcast(added, [batch, problem.q_heads, problem.q_len, kv_len])
    return op.reshape(whole, [batch, problem.kv_heads, problem.group * problem.q_len, kv_len], special_zero=False)


def _zero_empty_rows(o, any_key):
    """Set to zero the rows of an output that see no key, which the operator makes nan.

    Not in the model: a node after the operator becomes part of its kernel, which from a head size of 128 and 33 queries on
    reads the wrong rows of an operand (…, q_len, 1). softmax(q kᵀ) v times such a one is wrong in OpenVINO 2026.4 as well.
    """
    seen = any_key[..., 0].astype(bool)
    if not seen.all():
        o.data[np.broadcast_to(~seen, o.data.shape[:-1])] = 0


def _zeros(problem):
    """Without a key the operator leaves its output as it finds it; without anything else there is none."""
    import openvino

    def attention(q, k, v, **extras):
        o = openvino.Tensor(q.element_type, problem.o_shape)
        o.data[...] = 0
        return o

    return attention
