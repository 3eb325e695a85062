"""keras.ops.dot_product_attention, with the TensorFlow backend."""

from dataclasses import replace

from harness.masks import causal_flag, combined_mask, score_shape
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation


def _refused(problem):
    if problem.group > 1 and problem.kv_heads == 1:
        return ["keras cannot share one key/value head among all queries on the TensorFlow backend"]
    return []


_CUDA = replace(
    EVERYTHING,
    dtypes=("float32", "bfloat16", "float16"),
    softcap=False,
    reasons={
        "dtypes": "dot_product_attention computes its scores in float32 even from float64",
        "softcap": "dot_product_attention has no softcap",
    },
    extra_check=_refused,
)
_CPU = replace(
    _CUDA,
    dtypes=("float32", "bfloat16"),
    reasons={
        **_CUDA.reasons,
        "dtypes": "scores are float32 even from float64, and TensorFlow's einsum sums float16 in float16 on the CPU",
    },
)


def _bare():
    """dot_product_attention as it is."""
    import keras

    def call(q, k, v, *, mask, bias, causal, scale):
        return keras.ops.dot_product_attention(q, k, v, bias=bias, mask=mask, scale=scale, is_causal=causal)

    return call


@implementation(
    "keras",
    framework="keras",
    devices=("cpu", "cuda"),
    layout="BSHD",
    supports={"cpu": _CPU, "cuda": _CUDA},
    library_call=_bare,
    known_failures={
        "logits/overflow-before-scale-*": "dot_product_attention multiplies q by k before the scale, and overflows"
    },
)
def keras_attention(problem: Problem):
    """keras.ops.dot_product_attention in a TensorFlow graph; rows with nothing to attend to are set to zero after it."""
    import keras
    import tensorflow as tf

    is_causal = causal_flag(problem, "top-left") and problem.bias is None

    def full(x):
        """Mask and bias must have all four axes."""
        return None if x is None else tf.broadcast_to(x, score_shape(problem))

    def attention(q, k, v, mask=None, bias=None):
        visible, bias = full(combined_mask(problem, mask, tf.range)), full(bias)
        if bias is not None:
            visible = bias > float("-inf") if visible is None else visible & (bias > float("-inf"))
        any_key = seen_by_row(visible) if problem.may_have_empty_rows else None
        given = full(mask) if is_causal else visible
        if bias is not None:
            # keras masks with 0.7 times the lowest number, which lower biases lose to: here the bias blocks. Rows that see
            # nothing are left open, since nan in them would reach the gradients of others.
            blocked = float("-inf") if any_key is None else tf.where(any_key, bias.dtype.as_numpy_dtype("-inf"), 0)
            bias, given = tf.where(visible, bias, tf.cast(blocked, bias.dtype)), None
        o = keras.ops.dot_product_attention(q, k, v, bias=bias, mask=given, scale=problem.scale, is_causal=is_causal)
        if any_key is None:
            return o
        return tf.where(tf.transpose(any_key, [0, 2, 1, 3]), o, tf.zeros_like(o))  # keras gives such rows the mean of v.

    def seen_by_row(visible):
        """Whether each query has a key, (…, Lq, 1)."""
        keys = tf.ones([1, 1, problem.q_len, problem.kv_len], tf.bool) if visible is None else visible
        return tf.reduce_any(keys, axis=-1, keepdims=True)

    return tf.function(attention, autograph=False)  # See `tensorflow_formula`.
