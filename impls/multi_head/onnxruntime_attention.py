"""ONNX Runtime's contrib operator Attention, which takes the weights of the projections, and a product with W^O behind it.

Mapping: its weights are W^Q, W^K and W^V as matrices `(width, heads · dim)`, side by side; its bias is theirs, joined.
"""

from dataclasses import replace

import numpy as np

from harness.masks import causal_flag
from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import implementation

from ..attention._onnxruntime import Model, added_to_scores, empty_rows_zeroed, with_four_axes
from ._mapping import matrix

_SUPPORTS = replace(
    EVERYTHING,
    dtypes=("float32", "float16"),
    softcap=False,
    cross=False,
    grouped_heads=False,
    gradients=False,
    cache=False,
    reasons={
        "dtypes": "Attention takes no float64, and has no CPU kernel of bfloat16",
        "softcap": "Attention has no softcap",
        "cross": "Attention projects one sequence to queries, keys and values",
        "grouped_heads": "as many key/value heads as query heads",
        "gradients": "ONNX Runtime is for inference only",
        "cache": "Attention takes its past as one tensor of keys and values",
    },
)


@implementation("onnxruntime-attention", operator=MULTI_HEAD, framework="onnxruntime", supports=_SUPPORTS)
def onnxruntime_attention(problem: Problem):
    """com.microsoft.Attention with constant weights; rows of a head with nothing to attend to become zero in the model.

    The kernel is of float32; ONNX Runtime casts float16 to it and back.
    """
    inner = problem.attention

    def load(wq, wk, wv, wo, bq=None, bk=None, bv=None, bo=None):
        if not inner.score_elements:
            return lambda x, **extras: np.zeros(problem.out_shape, x.dtype) + (0 if bo is None else bo)
        model = Model(problem.dtype)
        x = model.input("x", (problem.batch, problem.q_len, problem.width))
        if not problem.scale:  # To the operator a scale of zero is the default one.
            wq, bq = np.zeros_like(wq), None if bq is None else np.zeros_like(bq)
        packed = np.concatenate([matrix(name, w) for name, w in (("wq", wq), ("wk", wk), ("wv", wv))], axis=1)
        zeros = np.zeros(packed.shape[1], packed.dtype)
        bias = zeros if bq is None else np.concatenate([b.ravel() for b in (bq, bk, bv)])
        names = f"{x}, {model.constant('weights', packed)}, {model.constant('bias', bias)}"
        is_causal = causal_flag(inner, "top-left") and problem.mask is None
        added = "" if is_causal else added_to_scores(model, inner, banded=True, as_numbers=True)
        o = model.line("o", f"com.microsoft.Attention <{_attributes(problem, is_causal)}> ({names}, , , {added})")
        if added and inner.may_have_empty_rows:
            rows = empty_rows_zeroed(model, o, added, (problem.batch, problem.q_len, problem.q_heads, problem.v_head_dim))
            o = model.line("merged", f"Reshape({rows}, {model.constant('columns', [0, 0, -1], 'int64')})")
        out = model.line("product", f"MatMul({o}, {model.constant('wo', matrix('wo', wo))})")
        if bo is not None:
            out = model.line("out", f"Add({out}, {model.constant('bo', bo)})")
        session = model.session(out, problem.out_shape)

        def layer(x, **extras):
            return session.run(None, {"x": x, **with_four_axes(extras)})[0]

        layer.kernels = session.kernels
        return layer

    return load


def _attributes(problem, is_causal):
    sizes = [problem.q_heads * problem.head_dim] * 2 + [problem.q_heads * problem.v_head_dim]
    return (
        f"num_heads = {problem.q_heads}, qkv_hidden_sizes = {sizes}, scale = {float(problem.scale) or 1.0!r}, "
        f"unidirectional = {int(is_causal)}"
    )
