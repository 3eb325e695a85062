"""What the JAX functions refuse, and in which words."""

import re

import jax
import jax.numpy as jnp
import pytest

from harness.layers.jax import causal_mask, init, multi_head_attention

KEY = jax.random.key(0)
X, Y = jnp.zeros((2, 6, 12)), jnp.zeros((2, 9, 7))


@pytest.mark.parametrize(
    "sizes, says",
    [
        ({"heads": 5}, "5 heads do not divide the width 12; give head_dim, or heads that divide the width"),
        ({"width": 0}, "width must be a whole number of at least 1, not 0"),
        ({"heads": 0}, "heads must be a whole number of at least 1, not 0"),
        ({"kv_heads": 0}, "kv_heads must be a whole number of at least 1, not 0"),
        ({"kv_heads": 3}, "kv_heads must divide heads; 3 does not divide 4"),
        ({"head_dim": 0}, "head_dim must be a whole number of at least 1, not 0"),
        ({"out_width": 0}, "out_width must be a whole number of at least 1, not 0"),
    ],
)
def test_sizes(sizes, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        init(KEY, **{"width": 12, "heads": 4, **sizes})


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"x": X[0]}, "x must be (batch, length, width) with the width 12, not of shape (6, 12)"),
        ({"x": Y}, "x must be (batch, length, width) with the width 12, not of shape (2, 9, 7)"),
        ({"x": X, "y": X}, "y must be (batch, length, width) with the width 7, not of shape (2, 6, 12)"),
        (
            {"x": X, "y": Y, "mask": jnp.ones((9, 6), bool)},
            "a mask of shape (9, 6) does not broadcast to (batch, heads, length, keys), here (2, 4, 6, 9)",
        ),
        ({"x": X, "y": Y, "mask": jnp.ones((6, 9))}, "mask must be boolean, True where a query may attend, not float32"),
        ({"x": X, "y": Y, "dropout": 1.0, "key": KEY}, "dropout must be at least 0 and below 1, not 1.0"),
    ],
)
def test_calls(arguments, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        multi_head_attention(init(KEY, 12, 4, y_width=7), **arguments)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"wk": jnp.zeros((12, 4, 2))}, "wk must be of shape (12, 4, 3), not (12, 4, 2)"),
        ({"wk": jnp.zeros((12, 3, 3))}, "kv_heads must divide heads; 3 does not divide 4"),
        ({"wo": jnp.zeros((3, 4, 12))}, "wo must be of shape (4, 3, 12), not (3, 4, 12)"),
        ({"wq": jnp.zeros((12, 12))}, "wq must be (width, heads, dim), each above zero, not of shape (12, 12)"),
        ({"bv": jnp.zeros(12)}, "bv must be of shape (4, 3), not (12,)"),
        ({"kernel": X}, "the layer has no kernel; expected wq, wk, wv, wo"),
    ],
)
def test_weights(change, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        multi_head_attention(init(KEY, 12, 4, biases=False) | change, X)


def test_missing_weights():
    says = "the weights lack wq; expected wq, wk, wv, wo and perhaps bq, bk, bv, bo"
    with pytest.raises(ValueError, match=f"^{says}$"):
        multi_head_attention({name: weight for name, weight in init(KEY, 12, 4).items() if name != "wq"}, X)


def test_alignment():
    says = """alignment must be "top-left" or "bottom-right", not 'left'"""
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        causal_mask(3, 4, "left")
