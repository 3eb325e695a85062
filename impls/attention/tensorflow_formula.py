"""The formula in TensorFlow operations, as a graph and compiled by XLA."""

from harness.masks import combined_mask, grouped_shape
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation


@implementation("tensorflow", framework="tensorflow", devices=("cpu", "cuda"), supports=EVERYTHING)
def tensorflow_graph(problem: Problem):
    """The formula as a TensorFlow graph; O(Lq·Lk) workspace."""
    return _compiled(problem, jit_compile=False)


@implementation("tensorflow-xla", framework="tensorflow", devices=("cpu", "cuda"), supports=EVERYTHING, slow_build=True)
def tensorflow_xla(problem: Problem):
    """The same graph compiled by XLA."""
    return _compiled(problem, jit_compile=True)


def _compiled(problem, jit_compile):
    import tensorflow as tf

    def grouped(x):
        """A mask or bias as a tensor that broadcasts against scores of (B, Hkv, group, Lq, Lk)."""
        return tf.reshape(x, grouped_shape(problem, x.shape))

    def formula(q, k, v, mask=None, bias=None):
        dtype = q.dtype
        wide = tf.float64 if dtype == tf.float64 else tf.float32
        q, k, v = tf.cast(q, wide), tf.cast(k, wide), tf.cast(v, wide)
        q = tf.reshape(
            q * tf.constant(problem.scale, wide),
            [problem.batch, problem.kv_heads, problem.group, problem.q_len, problem.head_dim],
        )
        k, v = k[:, :, None], v[:, :, None]
        scores = tf.matmul(q, k, transpose_b=True)
        if problem.softcap is not None:
            scores = problem.softcap * tf.tanh(scores / problem.softcap)
        if bias is not None:
            scores += tf.cast(grouped(bias), wide)
        visible = combined_mask(problem, mask, tf.range)
        if visible is not None:
            scores = tf.where(grouped(visible), scores, tf.constant(float("-inf"), wide))
        weights = softmax_or_zeros(scores) if problem.may_have_empty_rows else tf.nn.softmax(scores)
        return tf.cast(tf.reshape(tf.matmul(weights, v), problem.o_shape), dtype)

    def softmax_or_zeros(scores):
        """Softmax whose rows of -inf, or of no key at all, are zeros; tf.nn.softmax would give nan."""
        m = tf.stop_gradient(tf.reduce_max(scores, axis=-1, keepdims=True))
        weights = tf.exp(scores - tf.maximum(m, scores.dtype.min))
        total = tf.reduce_sum(weights, axis=-1, keepdims=True)
        return weights / tf.where(total > 0, total, tf.ones_like(total))

    # There is no control flow to convert, and AutoGraph would leave a file behind in a process that is ended.
    return tf.function(formula, jit_compile=jit_compile, autograph=False)
