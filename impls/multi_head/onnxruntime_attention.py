"""ONNX Runtime's contrib operator Attention, which takes the weights of the projections, and a product with W^O behind it.

Mapping: its weights are W^Q, W^K and W^V as matrices `(width, heads · dim)`, side by side, its bias theirs, one after the other.
"""

from dataclasses import replace

import numpy as np

from harness.masks import band_mask, causal_flag, combined_mask, four_axes, four_axes_shape
from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import implementation

from ..attention._onnxruntime import Model
from ._mapping import matrix

_SUPPORTS = replace(
    EVERYTHING,
    dtypes=("float32",),
    softcap=False,
    cross=False,
    grouped_heads=False,
    gradients=False,
    cache=False,
    reasons={
        "dtypes": "the CPU kernel is of float32",
        "softcap": "Attention has no softcap",
        "cross": "Attention projects one sequence to queries, keys and values",
        "grouped_heads": "as many key/value heads as query heads",
        "gradients": "ONNX Runtime is for inference only",
        "cache": "Attention takes its past as one tensor of keys and values",
    },
)


@implementation("onnxruntime-attention", operator=MULTI_HEAD, framework="onnxruntime", supports=_SUPPORTS)
def onnxruntime_attention(problem: Problem):
    """com.microsoft.Attention, whose weights are constants of the model; positions with nothing to attend to become b^O in it."""
    inner = problem.attention

    def load(wq, wk, wv, wo, bq=None, bk=None, bv=None, bo=None):
        if not inner.score_elements:
            return lambda x, **extras: np.zeros(problem.out_shape, x.dtype) + (0 if bo is None else bo)
        model = Model(problem.dtype)
        x = model.input("x", (problem.batch, problem.q_len, problem.width))
        packed = np.concatenate([matrix(name, w) for name, w in (("wq", wq), ("wk", wk), ("wv", wv))], axis=1)
        zeros = np.zeros(packed.shape[1], packed.dtype)
        bias = zeros if bq is None else np.concatenate([b.ravel() for b in (bq, bk, bv)])
        names = f"{x}, {model.constant('weights', packed)}, {model.constant('bias', bias)}"
        is_causal = causal_flag(inner, "top-left") and problem.mask is None
        added, any_key = _added(model, problem) if not is_causal else ("", "")
        sizes = [problem.q_heads * problem.head_dim] * 2 + [problem.q_heads * problem.v_head_dim]
        attributes = f"num_heads = {problem.q_heads}, qkv_hidden_sizes = {sizes}, scale = {float(problem.scale)!r}"
        attributes += f", unidirectional = {int(is_causal)}"
        o = model.line("o", f"com.microsoft.Attention <{attributes}> ({names}, , , {added})")
        if any_key:
            o = model.line("zeroed", f"Where({any_key}, {o}, {model.constant('zero', 0)})")
        out = model.line("product", f"MatMul({o}, {model.constant('wo', matrix('wo', wo))})")
        if bo is not None:
            out = model.line("out", f"Add({out}, {model.constant('bo', bo)})")
        session = model.session(out, problem.out_shape)

        def layer(x, mask=None):
            given = {} if mask is None else {"mask": four_axes(mask)}
            return session.run(None, {"x": x, **given})[0]

        return layer

    return load
