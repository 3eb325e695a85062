"""An article's layer, wrong on purpose: what the suite must reject.

It is rebuilt from the list of its deviations, F01 to F20 of docs/lesson.md, so names of variables may not be the article's.
One argument is changed, without which Keras makes no layer: `bias=False` is `use_bias=False`. What raises an exception
in a call, raises it here. docs/article.md has the suite's verdict.
"""

from harness.multi_head import MULTI_HEAD, Problem, Supports
from harness.registry import Differentiable, implementation

_SUPPORTS = Supports(
    dtypes=("float64", "float32", "bfloat16", "float16"),
    mask=True,
    cross=True,
    y_width=True,
    gradients=True,
    reasons={"biases": "its Dense layers are made without biases"},
)
"""What its signature takes: v, k and q of their own, and a mask; it has no argument for anything else (F20)."""


@implementation(
    "article",
    operator=MULTI_HEAD,
    framework="keras",
    supports=_SUPPORTS,
    wrong_on_purpose="the layer that the lesson starts from, with its twenty deviations; docs/article.md has the verdict",
)
def article_layer(problem: Problem):
    """An article's MultiHeadAttention(d_model, num_heads, d_kv), called with (v, k, q, mask) and d_kv = d_model."""
    import tensorflow as tf

    layer = article_class()(problem.width, problem.q_heads, problem.width, dtype=problem.dtype)

    def call(x, y=None, mask=None):
        y = x if y is None else y
        return layer(y, y, x, mask)

    def load(wq, wk, wv, wo):
        for dense, weight in ((layer.Wq, wq), (layer.Wk, wk), (layer.Wv, wv), (layer.dense, wo)):
            matrix = tf.reshape(weight, (-1, problem.width))  # Heads side by side; of W^O one below the other.
            if not dense.built:
                dense.build((None, matrix.shape[0]))
            dense.kernel.assign(matrix)
        return _differentiable(problem, layer, call) if problem.direction == "backward" else call

    return load


def article_class():
    """The layer's class, made in a function because TensorFlow is imported in workers only."""
    import tensorflow as tf

    class MultiHeadAttention(tf.keras.layers.Layer):
        def __init__(self, d_model, num_heads, d_kv, **kwargs):
            super().__init__(**kwargs)
            self.d_model = d_model
            self.num_heads = num_heads
            self.d_kv = d_kv
            self.depth = d_model // num_heads
            # The article has bias=False, with which no Dense layer can be made (F01).
            self.Wq = tf.keras.layers.Dense(d_kv, use_bias=False, dtype=self.dtype_policy)
            self.Wk = tf.keras.layers.Dense(d_kv, use_bias=False, dtype=self.dtype_policy)
            self.Wv = tf.keras.layers.Dense(d_kv, use_bias=False, dtype=self.dtype_policy)
            self.dense = tf.keras.layers.Dense(d_model, use_bias=False, dtype=self.dtype_policy)

        def call(self, v, k, q, mask=None):
            v = tf.reshape(v, (-1, self.num_heads, self.depth))
            k = tf.reshape(k, (-1, self.num_heads, self.depth))
            q = tf.reshape(q, (-1, self.num_heads, self.depth))
            dk = k * self.d_kv**0.5  # noqa: F841 - never used (F06).
            scores = tf.matmul(q, k, transpose_b=True)
            if mask is not None:
                scores += mask * -1e9
            weights = tf.nn.softmax(scores, axis=-1)
            context = tf.matmul(weights, v)
            context = tf.reshape(context, (-1, self.d_model))
            return self.dense(context)

    return MultiHeadAttention


def _differentiable(problem, layer, call):
    """Gradients by TensorFlow; those of a weight that no output depends on are zeros."""
    import tensorflow as tf

    variables = [dense.kernel for dense in (layer.Wq, layer.Wk, layer.Wv, layer.dense)]
    shapes = list(problem.output_shapes.values())

    def forward(x, y=None, mask=None):
        sources = [x] if y is None else [x, y]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(sources)
            out = call(x, y, mask)
        return out, (tape, out, sources + [variable.value for variable in variables])

    def backward(saved, dout):
        tape, out, sources = saved
        dout = tf.reshape(dout, out.shape)  # Its output has lost the axis of the batch (F11).
        found = tape.gradient(out, sources, output_gradients=dout, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tuple(tf.reshape(gradient, shape) for gradient, shape in zip(found, shapes, strict=True))

    return Differentiable(forward, backward)
