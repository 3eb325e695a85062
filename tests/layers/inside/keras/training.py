"""The Keras layer in a model that is trained, and the masks that Keras hands on to it."""

import keras
import numpy as np
import pytest

from harness.layers.keras import MultiHeadAttention

TOKENS = np.array([[3, 1, 4, 1, 5], [2, 7, 0, 0, 0], [6, 0, 0, 0, 0]])


def test_fit_lowers_the_loss():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).standard_normal((64, 6, 12)).astype(np.float32)
    target = np.cumsum(x, axis=1) / np.arange(1, 7)[:, None]
    model = keras.Sequential([keras.Input((6, 12)), MultiHeadAttention(4, causal=True, dropout=0.1, seed=0)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    losses = model.fit(x, target, epochs=5, batch_size=8, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_gradients_where_nothing_is_seen():
    x = np.random.default_rng(0).standard_normal((2, 6, 12)).astype(np.float32)
    mask = np.ones((2, 6, 6), bool)
    mask[:, ::2] = False
    inputs = keras.Input((6, 12)), keras.Input((6, 6), dtype="bool")
    model = keras.Model(inputs, MultiHeadAttention(4)(inputs[0], attention_mask=inputs[1]))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit([x, mask], np.zeros_like(x), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("source", ["embedding", "masking"])
def test_padded_keys_are_hidden(source):
    embedding = keras.layers.Embedding(8, 12, mask_zero=source == "embedding")
    layer = MultiHeadAttention(4)
    embedded = embedding(TOKENS)
    if source == "masking":
        values = np.where(TOKENS[..., None] == 0, 0.0, keras.ops.convert_to_numpy(embedded))
        embedded = keras.layers.Masking(0.0)(values.astype(np.float32))
    plain = np.array(embedded)
    out = keras.ops.convert_to_numpy(layer(embedded))
    by_hand = keras.ops.convert_to_numpy(layer(plain, attention_mask=(TOKENS != 0)[:, None, :]))
    np.testing.assert_array_equal(out, by_hand)
    unmasked = keras.ops.convert_to_numpy(layer(plain))
    assert (out[1:] != unmasked[1:]).any()
    np.testing.assert_allclose(out[:1], unmasked[:1], rtol=1e-5, atol=1e-6)  # Nothing is padded there.


def test_mask_of_y_hides_keys_and_mask_of_x_goes_on():
    embedding = keras.layers.Embedding(8, 12, mask_zero=True)
    queries = TOKENS[:, ::-1].copy()
    x, y = embedding(queries), embedding(TOKENS)
    layer = MultiHeadAttention(4)
    out = layer(x, y)
    by_hand = layer(np.array(x), np.array(y), attention_mask=(TOKENS != 0)[:, None, :])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(out), keras.ops.convert_to_numpy(by_hand))
    pooled = keras.layers.GlobalAveragePooling1D()(out)  # Over the positions of the mask that it is handed.
    means = [rows[tokens != 0].mean(axis=0) for rows, tokens in zip(np.array(out), queries, strict=True)]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(pooled), means, rtol=1e-5, atol=1e-6)
