"""Dropout of the JAX functions, on a layer that shows its attention weights."""

import jax
import numpy as np
import pytest

from harness.layers.jax import multi_head_attention
from tests.layers import visible

PLAIN = np.full((visible.BATCH, visible.HEADS, visible.LENGTH, visible.LENGTH), 1 / visible.LENGTH, np.float32)


def shown(**options):
    return visible.seen(multi_head_attention(visible.weights(), visible.x(), **options))


def dropped(seed):
    return shown(dropout=visible.RATE, key=jax.random.key(seed))


@pytest.mark.parametrize("options", [{"dropout": 0.0, "key": jax.random.key(0)}, {"dropout": visible.RATE}])
def test_none_without_a_rate_or_a_key(options):
    np.testing.assert_array_equal(shown(**options), PLAIN)


def test_one_key_one_result():
    np.testing.assert_array_equal(dropped(3), dropped(3))
    assert (dropped(3) != dropped(4)).any()


def test_jit_changes_nothing():
    compiled = jax.jit(lambda key: multi_head_attention(visible.weights(), visible.x(), dropout=visible.RATE, key=key))
    np.testing.assert_array_equal(visible.seen(compiled(jax.random.key(3))), dropped(3))


def test_kept_weights_are_scaled():
    visible.check_scale(dropped(0))


def test_share_of_dropped_weights():
    visible.check_share(dropped(0))


def test_heads_and_batch_elements_are_dropped_apart():
    visible.check_independence(dropped(0))


def test_means_over_seeds():
    visible.check_means(np.stack([dropped(seed) for seed in range(visible.SEEDS)]))
