"""The Keras layer gives the oracle's answers, in every form of a call."""

import keras
import numpy as np
import pytest

from harness.layers.keras import MultiHeadAttention
from tests.layers import answers


def made(problem):
    return MultiHeadAttention(
        problem.q_heads,
        problem.head_dim,
        value_dim=problem.v_head_dim,
        num_kv_heads=problem.kv_heads,
        output_width=problem.out_width,
        use_bias=problem.biases,
        causal=problem.causal,
        scale=problem.scale,
        softcap=problem.softcap,
    )


def loaded(name):
    weights, *inputs = answers.arrays(name)
    layer = made(answers.PROBLEMS[name])
    x, y, _ = inputs
    layer.build(x.shape, *([] if y is None else [y.shape]))
    layer.load(weights)
    return layer, inputs


@pytest.mark.parametrize("name", answers.PROBLEMS)
def test_oracle(name):
    layer, (x, y, mask) = loaded(name)
    answers.check(name, keras.ops.convert_to_numpy(layer(x, y, attention_mask=mask)))


@pytest.mark.parametrize("name", ["biases", "cross", "sizes"])
def test_model_of_symbolic_inputs(name):
    layer, (x, y, _) = loaded(name)
    inputs = [keras.Input((None, a.shape[-1])) for a in (x, y) if a is not None]
    model = keras.Model(inputs, layer(*inputs))
    answers.check(name, model.predict([a for a in (x, y) if a is not None], verbose=0))


@pytest.mark.parametrize("name", answers.PROBLEMS)
def test_output_shape_is_the_real_one(name):
    problem = answers.PROBLEMS[name]
    x, y = (problem.batch, problem.q_len, problem.width), (problem.batch, problem.kv_len, problem.y_width)
    shapes = [x, y] if problem.cross else [x]
    out = made(problem)(*(np.zeros(shape, np.float32) for shape in shapes))
    assert made(problem).compute_output_shape(*shapes) == tuple(out.shape) == problem.out_shape


def test_mask_without_an_axis_for_heads():
    _, (x, _, mask) = loaded("empty-rows")
    layer, _ = loaded("empty-rows")
    assert mask.shape[1] == 1
    np.testing.assert_array_equal(layer(x, attention_mask=mask[:, 0]), layer(x, attention_mask=mask))


def test_half_precision_policy():
    layer = MultiHeadAttention(4, dtype="mixed_bfloat16")
    out = layer(np.ones((2, 6, 12), np.float32))
    assert keras.backend.standardize_dtype(out.dtype) == "bfloat16"
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in layer.weights} == {"float32"}
