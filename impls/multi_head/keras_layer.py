"""The layer as a Keras layer, on Keras's TensorFlow backend."""

from dataclasses import replace

from harness.masks import band_mask, four_axes_shape
from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import Differentiable, implementation

_SUPPORTS = replace(EVERYTHING, cache=False, reasons={"cache": "a Keras layer is called with x and y alone"})


@implementation(
    "keras-layer", operator=MULTI_HEAD, framework="keras", devices=("cpu", "cuda"), supports=_SUPPORTS, slow_build=True
)
def keras_layer(problem: Problem):
    """harness.layers.keras.MultiHeadAttention in a TensorFlow graph; O(Lq·Lk) workspace."""
    import tensorflow as tf

    from harness.layers.keras import MultiHeadAttention

    inner = problem.attention
    flag = problem.causal if problem.causal and not problem.window else None
    layer = MultiHeadAttention(
        problem.q_heads,
        problem.head_dim,
        value_dim=problem.v_head_dim,
        num_kv_heads=problem.kv_heads,
        output_width=problem.out_width,
        use_bias=problem.biases,
        causal=flag,
        scale=problem.scale,
        softcap=problem.softcap,
        dtype=problem.dtype,
    )
    y_shape = (problem.batch, problem.kv_len, problem.y_width) if problem.cross else None
    layer.build((problem.batch, problem.q_len, problem.width), y_shape)
    band = None if flag else band_mask(inner)

    def call(x, y=None, mask=None):
        given = None if mask is None else tf.reshape(mask, four_axes_shape(mask.shape))
        if band is not None:
            given = tf.constant(band[None, None]) if given is None else tf.logical_and(given, band)
        return layer(x, y, attention_mask=given)

    graph = tf.function(call, autograph=False)

    def load(**weights):
        layer.load(weights)
        return _differentiable(problem, layer, call) if problem.direction == "backward" else graph

    return load


def _differentiable(problem, layer, call):
    import tensorflow as tf

    parts = ("query", "key", "value", "output")
    variables = [layer.kernels[part] for part in parts] + [layer.biases[part] for part in parts if problem.biases]
    shapes = list(problem.output_shapes.values())

    def forward(x, y=None, mask=None):
        sources = [x] if y is None else [x, y]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(sources)
            out = call(x, y, mask)
        return out, (tape, out, sources + [variable.value for variable in variables])

    def backward(saved, dout):
        tape, out, sources = saved
        found = tape.gradient(out, sources, output_gradients=dout)
        return tuple(tf.reshape(gradient, shape) for gradient, shape in zip(found, shapes, strict=True))

    return Differentiable(forward, backward)
