"""Dropout of the PyTorch module, on a layer that shows its attention weights."""

import numpy as np
import pytest
import torch

from harness.layers.torch import MultiHeadAttention
from tests.layers import visible

PLAIN = np.full((visible.BATCH, visible.HEADS, visible.LENGTH, visible.LENGTH), 1 / visible.LENGTH, np.float32)


def made(dropout, **options):
    out_width = visible.HEADS * visible.LENGTH
    sizes = {"head_dim": visible.LENGTH, "out_width": out_width}
    module = MultiHeadAttention(visible.LENGTH, visible.HEADS, biases=False, dropout=dropout, **sizes, **options)
    module.load(visible.weights())
    return module


def shown(module):
    with torch.no_grad():
        return visible.seen(module(torch.from_numpy(visible.x())))


def dropped(seed):
    torch.manual_seed(seed)
    return shown(made(visible.RATE).train())


def test_none_shows_the_weights():
    np.testing.assert_array_equal(shown(made(0.0).train()), PLAIN)


def test_off_outside_training():
    np.testing.assert_array_equal(shown(made(visible.RATE).eval()), PLAIN)


def test_one_seed_one_result():
    np.testing.assert_array_equal(dropped(3), dropped(3))
    assert (dropped(3) != dropped(4)).any()


def test_kept_weights_are_scaled():
    visible.check_scale(dropped(0))


def test_share_of_dropped_weights():
    visible.check_share(dropped(0))


def test_heads_and_batch_elements_are_dropped_apart():
    visible.check_independence(dropped(0))


def test_means_over_seeds():
    visible.check_means(np.stack([dropped(seed) for seed in range(visible.SEEDS)]))


def test_kernel_without_dropout_refuses_to_train_with_it():
    module = made(visible.RATE, attention="numpy")
    with pytest.raises(ValueError, match='numpy has no dropout; train with dropout = 0, or with attention = "sdpa"'):
        shown(module.train())
    np.testing.assert_array_equal(shown(module.eval()), PLAIN)
