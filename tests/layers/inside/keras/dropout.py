"""Dropout of the Keras layer, on a layer that shows its attention weights."""

import numpy as np
import pytest

from harness.layers.keras import MultiHeadAttention
from tests.layers import visible

PLAIN = np.full((visible.BATCH, visible.HEADS, visible.LENGTH, visible.LENGTH), 1 / visible.LENGTH, np.float32)


def made(dropout, seed=0):
    sizes = {"value_dim": visible.LENGTH, "output_width": visible.HEADS * visible.LENGTH}
    layer = MultiHeadAttention(visible.HEADS, visible.LENGTH, use_bias=False, dropout=dropout, seed=seed, **sizes)
    layer.build(visible.x().shape)
    layer.load(visible.weights())
    return layer


def dropped(seed, training=True):
    return visible.seen(made(visible.RATE, seed)(visible.x(), training=training))


def test_none_shows_the_weights():
    np.testing.assert_array_equal(visible.seen(made(0.0)(visible.x(), training=True)), PLAIN)


@pytest.mark.parametrize("training", [False, None])
def test_off_outside_training(training):
    np.testing.assert_array_equal(dropped(0, training), PLAIN)


def test_one_seed_one_result():
    np.testing.assert_array_equal(dropped(3), dropped(3))
    assert (dropped(3) != dropped(4)).any()


def test_two_calls_of_a_layer_differ():
    layer = made(visible.RATE)
    first, second = (visible.seen(layer(visible.x(), training=True)) for _ in range(2))
    assert (first != second).any()


def test_kept_weights_are_scaled():
    visible.check_scale(dropped(0))


def test_share_of_dropped_weights():
    visible.check_share(dropped(0))


def test_heads_and_batch_elements_are_dropped_apart():
    visible.check_independence(dropped(0))


def test_means_over_seeds():
    layer = made(visible.RATE, seed=0)  # Its generator goes on with every call.
    visible.check_means(np.stack([visible.seen(layer(visible.x(), training=True)) for _ in range(visible.SEEDS)]))
