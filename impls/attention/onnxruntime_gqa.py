"""ONNX Runtime's GroupQueryAttention, an operator of decoders: causal, and over a cache of keys and values."""

import importlib.metadata
from dataclasses import replace

import numpy as np

from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

from ._onnxruntime import Model, above_the_lowest, added_to_scores, empty_rows_zeroed, with_four_axes, zeros

FIRST_VERSION = (1, 30)
"""Has the attribute `causal`, without which every call is causal."""


def _limits(problem):
    if not problem.score_elements:
        return []
    reasons = []
    if problem.head_dim % 8:
        reasons.append("GroupQueryAttention wants a head size that is a multiple of 8")
    if problem.kv_len < problem.q_len:
        reasons.append("GroupQueryAttention wants at least as many keys as queries")
    if problem.batch > 1 and 1 < problem.q_len < problem.kv_len:
        reasons.append("GroupQueryAttention takes one batch element where there are several queries and more keys")
    return reasons


_SUPPORTS = replace(
    EVERYTHING,
    dtypes=("float32", "float16"),
    v_head_dim=False,
    gradients=False,
    reasons={
        "dtypes": "GroupQueryAttention has CPU kernels of float32 and float16 only",
        "v_head_dim": "GroupQueryAttention wants values as wide as keys",
        "gradients": "ONNX Runtime is for inference only",
    },
    extra_check=_limits,
)


def _unavailable(device):
    try:
        version = importlib.metadata.version("onnxruntime")
    except importlib.metadata.PackageNotFoundError:  # A build for another device has another name.
        return None
    if tuple(int(part) for part in version.split(".")[:2]) >= FIRST_VERSION:
        return None
    return f"every GroupQueryAttention of ONNX Runtime {version} is causal; 1.30 and later let its user choose"


def _bare():
    """One GroupQueryAttention node without a cache; all keys and values are new, as of a prompt."""

    def call(q, k, v, *, mask, bias, causal, scale):
        batch, q_len, heads, _ = q.shape
        given = {name: x.reshape(*x.shape[:2], -1) for name, x in (("q", q), ("k", k), ("v", v))}
        added = mask if bias is None else bias
        given |= {} if added is None else {"added": added}
        model = Model(q.dtype.name)
        names = [model.input(name, x.shape, x.dtype.name) for name, x in given.items()]
        last = model.constant("last", [k.shape[1] - 1] * batch, "int32")
        keys = model.constant("keys", k.shape[1], "int32")
        scaled = "" if scale is None else f", scale = {float(scale)!r}"
        attributes = f"num_heads = {heads}, kv_num_heads = {k.shape[2]}, causal = {int(causal)}{scaled}"
        inputs = ", ".join([*names[:3], "", "", last, keys, "", "", "", *names[3:]])
        o = model.line("o", f"com.microsoft.GroupQueryAttention <{attributes}> ({inputs})")
        session = model.session(o, (batch, q_len, heads * v.shape[3]))
        return session.run(None, given)[0].reshape(batch, q_len, heads, v.shape[3])

    return call


@implementation(
    "onnxruntime-gqa",
    framework="onnxruntime",
    supports=_SUPPORTS,
    unavailable_reason=_unavailable,
    library_call=_bare,
    known_failures={"logits/overflow-before-scale-float32": "the kernel multiplies q by k before the scale, and overflows"},
)
def onnxruntime_gqa(problem: Problem):
    """ONNX Runtime's GroupQueryAttention; its cache holds all keys and values, and no new ones are added to it.

    Its causal flag is aligned bottom-right. Biases of the lowest number are raised before it, and rows that see no key are
    set to zero after it: it gives nan to most, and to some zero.
    """
    if not problem.score_elements:
        return zeros(problem.o_shape)
    batch, heads, q_len, head_dim = problem.q_shape
    is_causal, window = _causal_and_window(problem)

    model = Model(problem.dtype)
    q, k, v = (model.input(name, getattr(problem, f"{name}_shape")) for name in "qkv")
    if not problem.scale:  # To the operator a scale of zero is the default one.
        q = model.line("scaled", f"Mul({q}, {model.constant('zero_scale', 0)})")
    bshd = model.line("bshd", f"Transpose <perm = [0, 2, 1, 3]> ({q})")
    merged = model.constant("merged", (batch, q_len, heads * head_dim), "int64")
    queries = model.line("queries", f"Reshape({bshd}, {merged})")
    no_new = model.constant("no_new", np.zeros((batch, 0, problem.kv_heads * head_dim)))
    last = model.constant("last", [problem.kv_len - 1] * batch, "int32")
    total = model.constant("total", problem.kv_len, "int32")
    # Which rows see no key is the doing of mask and flag together.
    added = added_to_scores(model, problem, banded=not is_causal or problem.may_have_empty_rows, as_numbers=True)
    if (problem.bias or "").startswith("lowest"):
        added = above_the_lowest(model, added)
    numbers = f"scale = {float(problem.scale) or 1.0!r}, softcap = {float(problem.softcap or 0)!r}"
    attributes = f"num_heads = {heads}, kv_num_heads = {problem.kv_heads}, causal = {int(is_causal)}, {numbers}"
    attributes += f", local_window_size = {window}"
    inputs = f"{queries}, {no_new}, {no_new}, {k}, {v}, {last}, {total}, , , , {added}"
    o = model.line("o", f"com.microsoft.GroupQueryAttention <{attributes}> ({inputs.rstrip(', ')})")
    shape = (batch, q_len, heads, head_dim)
    if problem.may_have_empty_rows:
        session = model.session(empty_rows_zeroed(model, o, added, shape), shape)
    else:
        session = model.session(o, (batch, q_len, heads * head_dim))

    def attention(q, k, v, **extras):
        o = session.run(None, {"q": q, "k": k, "v": v, **with_four_axes(extras)})[0]
        return o.reshape(shape).swapaxes(1, 2)

    attention.kernels = session.kernels
    return attention


def _causal_and_window(problem):
    """Whether the operator's causal flag and its window, aligned bottom-right, hide what the problem's do; and that window.

    It counts the keys that a query sees, up to the diagonal; -1 is none.
    """
    low, high = problem.band
    diagonal = problem.kv_len - problem.q_len
    if high != diagonal:
        return False, -1
    return True, diagonal - low + 1 if low > 1 - problem.q_len else -1
