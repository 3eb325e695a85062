"""Two attention operators in ONNX Runtime: models of one node, and of a few more where the contract asks for them."""

from dataclasses import replace

import numpy as np

from harness.masks import causal_flag
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

from ._onnxruntime import Model, above_the_lowest, added_to_scores, empty_rows_zeroed, with_four_axes, zeros

_ATTENTION = replace(
    EVERYTHING,
    dtypes=("float32", "float16"),
    gradients=False,
    reasons={
        "dtypes": "ONNX Runtime has no CPU kernel of bfloat16, and rounds the scale to float32 even for float64",
        "gradients": "ONNX Runtime is for inference only",
    },
)
_MULTI_HEAD = replace(
    _ATTENTION,
    softcap=False,
    grouped_heads=False,
    reasons={
        **_ATTENTION.reasons,
        "dtypes": "MultiHeadAttention takes no float64, and has no CPU kernel of bfloat16",
        "softcap": "MultiHeadAttention has no softcap",
        "grouped_heads": "MultiHeadAttention wants as many key/value heads as query heads",
    },
)
_OVERFLOWS = {"logits/overflow-before-scale-float32": "the kernel multiplies q by k before the scale, and overflows"}


def _bare_attention():
    """One Attention node."""

    def call(q, k, v, *, mask, bias, causal, scale):
        given = {"q": q, "k": k, "v": v, "added": mask if bias is None else bias}
        given = {name: x for name, x in given.items() if x is not None}
        model = Model(q.dtype.name)
        names = ", ".join(model.input(name, x.shape, x.dtype.name) for name, x in given.items())
        scaled = "" if scale is None else f", scale = {float(scale)!r}"
        o = model.line("o", f"Attention <is_causal = {int(causal)}{scaled}> ({names})")
        return model.session(o, (*q.shape[:3], v.shape[3])).run(None, given)[0]

    return call


def _bare_multi_head_attention():
    """One MultiHeadAttention node; to it a boolean mask is a bias of the wrong type."""

    def call(q, k, v, *, mask, bias, causal, scale):
        added = mask if bias is None else bias
        given = {name: x.reshape(*x.shape[:2], -1) for name, x in (("q", q), ("k", k), ("v", v))}
        model = Model(q.dtype.name)
        names = ", ".join(model.input(name, x.shape) for name, x in given.items())
        if added is not None:
            given["added"] = added
            names += ", , , " + model.input("added", added.shape, added.dtype.name)
        scaled = "" if scale is None else f", scale = {float(scale)!r}"
        attributes = f"num_heads = {q.shape[2]}, unidirectional = {int(causal)}{scaled}"
        o = model.line("o", f"com.microsoft.MultiHeadAttention <{attributes}> ({names})")
        batch, q_len, heads, v_head_dim = (*q.shape[:3], v.shape[3])
        session = model.session(o, (batch, q_len, heads * v_head_dim))
        return session.run(None, given)[0].reshape(batch, q_len, heads, v_head_dim)

    return call


@implementation(
    "onnxruntime",
    framework="onnxruntime",
    supports=_ATTENTION,
    library_call=_bare_attention,
    known_failures=_OVERFLOWS,
)
def onnx_attention(problem: Problem):
    """ONNX's Attention operator (opset 24); O(Lq·Lk) workspace. Biases of the lowest number are raised before it."""
    if not problem.score_elements:
        return zeros(problem.o_shape)
    is_causal = causal_flag(problem, "top-left")
    model = Model(problem.dtype)
    q, k, v = (model.input(name, getattr(problem, f"{name}_shape")) for name in "qkv")
    if problem.scale <= 0:  # The operator takes none such.
        q = model.line("signed", f"Mul({q}, {model.constant('sign', np.sign(problem.scale))})")
    added = added_to_scores(model, problem, banded=not is_causal)
    if (problem.bias or "").startswith("lowest"):
        added = above_the_lowest(model, added)
    numbers = f"scale = {float(abs(problem.scale)) or 1.0!r}, softcap = {float(problem.softcap or 0)!r}"
    o = model.line("o", f"Attention <is_causal = {int(is_causal)}, {numbers}> ({q}, {k}, {v}, {added})")
    session = model.session(o, problem.o_shape)

    def attention(q, k, v, **extras):
        return session.run(None, {"q": q, "k": k, "v": v, **with_four_axes(extras)})[0]

    attention.kernels = session.kernels
    return attention


@implementation(
    "onnxruntime-mha",
    framework="onnxruntime",
    layout="BSHD",
    supports=_MULTI_HEAD,
    library_call=_bare_multi_head_attention,
    known_failures=_OVERFLOWS,
)
def onnxruntime_mha(problem: Problem):
    """ONNX Runtime's MultiHeadAttention, fused where no key is hidden; rows without any key are set to zero after it.

    The kernel is of float32; ONNX Runtime casts float16 to it and back.
    """
    batch, heads, q_len, v_head_dim = problem.o_shape
    shape = (batch, q_len, heads, v_head_dim)
    if not problem.score_elements:
        return zeros(shape)

    def in_rows(shape):
        """(B, H, L, D) as the operator has it, (B, L, H·D)."""
        return shape[0], shape[2], shape[1] * shape[3]

    model = Model(problem.dtype)
    q, k, v = (model.input(name, in_rows(getattr(problem, f"{name}_shape"))) for name in "qkv")
    if not problem.scale:  # To the operator a scale of zero is the default one.
        q = model.line("scaled", f"Mul({q}, {model.constant('zero', 0)})")
    added = added_to_scores(model, problem, banded=True, as_numbers=True)
    attributes = f"num_heads = {heads}, scale = {float(problem.scale) or 1.0!r}"
    o = model.line("o", f"com.microsoft.MultiHeadAttention <{attributes}> ({q}, {k}, {v}, , , {added})")
    if problem.may_have_empty_rows:
        session = model.session(empty_rows_zeroed(model, o, added, shape), shape)
    else:
        session = model.session(o, in_rows(problem.o_shape))

    def attention(q, k, v, **extras):
        rows = {name: x.reshape(*x.shape[:2], -1) for name, x in (("q", q), ("k", k), ("v", v))}
        return session.run(None, {**rows, **with_four_axes(extras)})[0].reshape(shape)

    attention.kernels = session.kernels
    return attention
