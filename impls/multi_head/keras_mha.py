"""keras.layers.MultiHeadAttention and keras.layers.GroupQueryAttention.

Mapping: the kernels of query, key and value are `(width, heads, dim)`, that of attention_output `(heads, dim, out_width)`,
the biases `(heads, dim)` and `(out_width,)`, as in the contract.
"""

from dataclasses import replace

from harness.masks import causal_flag, combined_mask, four_axes_shape, score_shape
from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import Differentiable, implementation

from ._mapping import bias_summed_in_bfloat16, factor_of, inexact_factor, mask_by_head, scaled


def _refused(problem):
    return inexact_factor(problem) + mask_by_head(problem) + bias_summed_in_bfloat16(problem)


_PARTS = ("query", "key", "value", "attention_output")
_SUPPORTS = replace(
    EVERYTHING,
    dtypes=("float32", "bfloat16"),
    softcap=False,
    grouped_heads=False,
    cache=False,
    reasons={
        "dtypes": "scores are float32 even from float64, and TensorFlow's einsum sums float16 in float16 on the CPU",
        "softcap": "the layer has no softcap",
        "grouped_heads": "as many key/value heads as query heads; GroupQueryAttention is another layer",
        "cache": "the layer projects all keys that it is given",
    },
    extra_check=_refused,
)
_GROUPED = replace(
    _SUPPORTS,
    grouped_heads=True,
    v_head_dim=False,
    out_width=False,
    reasons={
        **{name: reason for name, reason in _SUPPORTS.reasons.items() if name != "grouped_heads"},
        "v_head_dim": "GroupQueryAttention has one head_dim",
        "out_width": "GroupQueryAttention's output is as wide as its query",
    },
)


def _multi_head(problem):
    import keras

    return keras.layers.MultiHeadAttention(
        problem.q_heads,
        problem.head_dim,
        value_dim=problem.v_head_dim,
        output_shape=problem.out_width,
        use_bias=problem.biases,
        dtype=problem.dtype,
    )


def _group_query(problem):
    import keras

    return keras.layers.GroupQueryAttention(
        problem.head_dim, problem.q_heads, problem.kv_heads, use_bias=problem.biases, dtype=problem.dtype
    )


def _bare(make):
    """The layer as it is, given the mask and the causal flag as they come."""

    def of(problem, weights):
        layer = make(problem)
        kernels, biases = _variables(problem, layer)
        for name, variable in zip(problem.weight_shapes, kernels + biases, strict=True):
            variable.assign(weights[name])

        def call(x, y, mask, causal):
            given = None if mask is None else _three_axes(problem, mask)
            return layer(x, x if y is None else y, attention_mask=given, use_causal_mask=causal)

        return call

    return lambda: of


@implementation(
    "keras-mha",
    operator=MULTI_HEAD,
    framework="keras",
    devices=("cpu", "cuda"),
    supports=_SUPPORTS,
    slow_build=True,
    library_call=_bare(_multi_head),
)
def keras_mha(problem: Problem):
    """keras.layers.MultiHeadAttention in a TensorFlow graph; positions with nothing to attend to are set to b^O after it."""
    return _load(problem, _multi_head(problem))


@implementation(
    "keras-gqa",
    operator=MULTI_HEAD,
    framework="keras",
    devices=("cpu", "cuda"),
    supports=_GROUPED,
    slow_build=True,
    library_call=_bare(_group_query),
)
def keras_gqa(problem: Problem):
    """keras.layers.GroupQueryAttention in a TensorFlow graph; positions with nothing to attend to become b^O after it."""
    return _load(problem, _group_query(problem))


def _variables(problem, layer):
    """The layer's kernels and biases, built for the problem's widths."""
    y_shape = (problem.batch, problem.kv_len, problem.y_width)
    layer.build((problem.batch, problem.q_len, problem.width), y_shape, y_shape)
    variables = {tuple(variable.path.split("/")[-2:]): variable for variable in layer.weights}
    return ([variables[part, kind] for part in _PARTS if (part, kind) in variables] for kind in ("kernel", "bias"))


def _load(problem, layer):
    import tensorflow as tf

    kernels, biases = _variables(problem, layer)
    is_causal = causal_flag(problem.attention, "top-left")

    def call(x, y=None, mask=None):
        y = x if y is None else y
        seen = combined_mask(problem.attention, mask, tf.range)
        any_key = None
        if seen is not None and problem.attention.may_have_empty_rows:
            seen = tf.reshape(seen, four_axes_shape(seen.shape))
            any_key = tf.reduce_any(seen, axis=-1, keepdims=True)
            seen = seen | ~any_key
        given = None if seen is None or (is_causal and mask is None) else _three_axes(problem, seen)
        out = layer(x, y, attention_mask=given, use_causal_mask=is_causal and given is None)
        if any_key is None:
            return out
        nothing = biases[-1] if problem.biases else tf.zeros([], out.dtype)
        return tf.where(tf.reshape(any_key, [-1, any_key.shape[-2], 1]), out, nothing)

    graph = tf.function(call, autograph=False)

    def load(**weights):
        mapped = scaled(problem, weights)
        for name, variable in zip(problem.weight_shapes, kernels + biases, strict=True):
            variable.assign(mapped[name])
        return _differentiable(problem, kernels + biases, call) if problem.direction == "backward" else graph

    return load


def _three_axes(problem, seen):
    """A mask as the layer has it, (batch, length, keys)."""
    import tensorflow as tf

    whole = tf.broadcast_to(seen, (problem.batch, 1, *score_shape(problem.attention)[2:]))
    return whole[:, 0]


def _differentiable(problem, variables, call):
    import tensorflow as tf

    factor, names = factor_of(problem), list(problem.output_shapes)

    def forward(x, y=None, mask=None):
        sources = [x] if y is None else [x, y]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(sources)
            out = call(x, y, mask)
        return out, (tape, out, sources + [variable.value for variable in variables])

    def backward(saved, dout):
        tape, out, sources = saved
        found = tape.gradient(out, sources, output_gradients=dout)
        return tuple(
            d * factor if name in ("dwq", "dbq") and factor != 1 else d for name, d in zip(names, found, strict=True)
        )

    return Differentiable(forward, backward)
