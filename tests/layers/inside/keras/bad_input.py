"""What the Keras layer refuses, and in which words."""

import re

import numpy as np
import pytest

from harness.layers.keras import MultiHeadAttention

X, Y = np.zeros((2, 6, 12), np.float32), np.zeros((2, 9, 7), np.float32)


@pytest.mark.parametrize(
    "sizes, says",
    [
        ({"num_heads": 0}, "num_heads must be a whole number of at least 1, not 0"),
        ({"num_heads": 2.0}, "num_heads must be a whole number of at least 1, not 2.0"),
        ({"num_kv_heads": 3}, "num_kv_heads must divide num_heads; 3 does not divide 4"),
        ({"num_kv_heads": 0}, "num_kv_heads must be a whole number of at least 1, not 0"),
        ({"key_dim": 0}, "key_dim must be a whole number of at least 1, not 0"),
        ({"value_dim": 0}, "value_dim must be a whole number of at least 1, not 0"),
        ({"output_width": 0}, "output_width must be a whole number of at least 1, not 0"),
        ({"causal": "left"}, """causal must be "top-left" or "bottom-right", not 'left'"""),
        ({"dropout": -0.1}, "dropout must be at least 0 and below 1, not -0.1"),
        ({"softcap": -1}, "softcap must be above zero, not -1; leave it out for none"),
    ],
)
def test_arguments(sizes, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        MultiHeadAttention(**{"num_heads": 4, **sizes})


@pytest.mark.parametrize(
    "heads, shapes, says",
    [
        (5, [X.shape], "5 heads do not divide the width 12; give key_dim, or heads that divide the width"),
        (4, [(2, 6, 0)], "x must be (batch, length, width) with a width above zero, not of shape (2, 6, 0)"),
        (4, [(6, 12)], "x must be (batch, length, width) with a width above zero, not of shape (6, 12)"),
        (4, [X.shape, (2, 9)], "y must be (batch, length, width) with a width above zero, not of shape (2, 9)"),
    ],
)
def test_shapes_when_built(heads, shapes, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        MultiHeadAttention(heads).build(*shapes)


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"x": Y}, "x must be (batch, length, width) with the width 12, not of shape (2, 9, 7)"),
        ({"x": X, "y": X}, "y must be (batch, length, width) with the width 7, not of shape (2, 6, 12)"),
        (
            {"x": X, "y": Y, "attention_mask": np.ones((2, 9, 6), bool)},
            "a mask of shape (2, 1, 9, 6) does not broadcast to (batch, heads, length, keys), here (2, 4, 6, 9)",
        ),
    ],
)
def test_calls(arguments, says):
    layer = MultiHeadAttention(4)
    layer.build(X.shape, Y.shape)
    with pytest.raises(ValueError, match=re.escape(says)):  # Keras adds the arguments of the call.
        layer(**arguments)


def weights():
    shapes = {"wq": (12, 4, 3), "wk": (12, 4, 3), "wv": (12, 4, 3), "wo": (4, 3, 12)}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "use_bias, change, says",
    [
        (False, {"wq": np.zeros((12, 3, 4))}, "wq must be of shape (12, 4, 3), not (12, 3, 4)"),
        (False, {"bq": np.zeros((4, 3))}, "the layer has no bq; expected wq, wk, wv, wo"),
        (True, {}, "the weights lack bq, bk, bv, bo; expected wq, wk, wv, wo, bq, bk, bv, bo"),
    ],
)
def test_weights(use_bias, change, says):
    layer = MultiHeadAttention(4, use_bias=use_bias)
    layer.build(X.shape)
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        layer.load(weights() | change)


def test_weights_before_the_layer_is_built():
    says = "the layer has no weights yet; build it, or call it once, before load"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        MultiHeadAttention(4).load(weights())
