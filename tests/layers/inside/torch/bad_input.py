"""What the PyTorch module refuses, and in which words."""

import re

import pytest
import torch

from harness.layers.torch import MultiHeadAttention

X, Y = torch.zeros(2, 6, 12), torch.zeros(2, 9, 7)


@pytest.mark.parametrize(
    "sizes, says",
    [
        ({"heads": 5}, "5 heads do not divide the width 12; give head_dim, or heads that divide the width"),
        ({"width": 0}, "width must be a whole number of at least 1, not 0"),
        ({"heads": 0}, "heads must be a whole number of at least 1, not 0"),
        ({"kv_heads": 0}, "kv_heads must be a whole number of at least 1, not 0"),
        ({"kv_heads": 3}, "kv_heads must divide heads; 3 does not divide 4"),
        ({"head_dim": 0}, "head_dim must be a whole number of at least 1, not 0"),
        ({"v_head_dim": -1}, "v_head_dim must be a whole number of at least 1, not -1"),
        ({"y_width": 0}, "y_width must be a whole number of at least 1, not 0"),
        ({"out_width": 1.5}, "out_width must be a whole number of at least 1, not 1.5"),
        ({"causal": True}, 'causal must be "top-left" or "bottom-right", not True'),
        ({"dropout": 1}, "dropout must be at least 0 and below 1, not 1"),
        ({"softcap": 0}, "softcap must be above zero, not 0; leave it out for none"),
    ],
)
def test_sizes(sizes, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        MultiHeadAttention(**{"width": 12, "heads": 4, **sizes})


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"x": X[0]}, "x must be (batch, length, width) with the width 12, not of shape (6, 12)"),
        ({"x": Y}, "x must be (batch, length, width) with the width 12, not of shape (2, 9, 7)"),
        ({"x": X, "y": X}, "y must be (batch, length, width) with the width 7, not of shape (2, 6, 12)"),
        (
            {"x": X, "y": Y, "mask": torch.ones(9, 6, dtype=torch.bool)},
            "a mask of shape (9, 6) does not broadcast to (batch, heads, length, keys), here (2, 4, 6, 9)",
        ),
        ({"x": X, "y": Y, "mask": torch.ones(6, 9)}, "mask must be boolean, True where a query may attend, not float32"),
    ],
)
def test_calls(arguments, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        MultiHeadAttention(12, 4, y_width=7)(**arguments)


def weights():
    shapes = {"wq": (12, 4, 3), "wk": (12, 4, 3), "wv": (12, 4, 3), "wo": (4, 3, 12)}
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "change, says",
    [
        ({"wq": torch.zeros(12, 3, 4)}, "wq must be of shape (12, 4, 3), not (12, 3, 4)"),
        ({"wo": torch.zeros(12, 12)}, "wo must be of shape (4, 3, 12), not (12, 12)"),
        ({"bq": torch.zeros(4, 3)}, "the layer has no bq; expected wq, wk, wv, wo"),
    ],
)
def test_weights(change, says):
    module = MultiHeadAttention(12, 4, biases=False)
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        module.load(weights() | change)


def test_missing_biases():
    says = "the weights lack bq, bk, bv, bo; expected wq, wk, wv, wo, bq, bk, bv, bo"
    with pytest.raises(ValueError, match=f"^{says}$"):
        MultiHeadAttention(12, 4).load(weights())
