"""The checks of dropout find what is wrong with it."""

import numpy as np
import pytest

from tests.layers import visible

SHAPE = (visible.BATCH, visible.HEADS, visible.LENGTH, visible.LENGTH)


def drawn(seed, rate=visible.RATE, shape=SHAPE, scale=1 / (1 - visible.RATE)):
    kept = np.random.default_rng(seed).random(shape) >= rate
    return (np.broadcast_to(kept, SHAPE) * scale / visible.LENGTH).astype(np.float32)


def test_right_dropout_passes():
    visible.check_scale(drawn(0))
    visible.check_share(drawn(0))
    visible.check_independence(drawn(0))
    visible.check_means(np.stack([drawn(seed) for seed in range(visible.SEEDS)]))


def test_the_layer_shows_its_weights():
    def heads(w):
        return np.einsum("ble,ehd->bhld", visible.x(), w)

    weights = visible.weights()
    p = np.random.default_rng(0).random(SHAPE)
    out = np.einsum("bhqd,hde->bqe", p @ heads(weights["wv"]), weights["wo"])
    np.testing.assert_array_equal(visible.seen(out), p)
    assert not heads(weights["wq"]).any()


def test_no_scale_is_found():
    with pytest.raises(AssertionError):
        visible.check_scale(drawn(0, scale=1))


@pytest.mark.parametrize("rate", [0.0, visible.RATE / 2, 1 - visible.RATE])
def test_another_rate_is_found(rate):
    with pytest.raises(AssertionError):
        visible.check_share(drawn(0, rate))


@pytest.mark.parametrize("shape", [(1, *SHAPE[1:]), (SHAPE[0], 1, *SHAPE[2:])], ids=["batch", "heads"])
def test_dropout_that_is_shared_is_found(shape):
    with pytest.raises(AssertionError):
        visible.check_independence(drawn(0, shape=shape))


def test_a_position_that_is_always_dropped_is_found():
    many = np.stack([drawn(seed) for seed in range(visible.SEEDS)])
    many[..., 3] = 0
    with pytest.raises(AssertionError):
        visible.check_means(many)
