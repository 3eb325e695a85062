"""A model's boolean mask in a problem's words: what is said of it must give the mask again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.masks import of_keys, visible


def band(queries, keys, offset, causal, window):
    distance = np.arange(keys)[None] - np.arange(queries)[:, None] - offset
    seen = distance <= 0 if causal else np.ones((queries, keys), bool)
    left, right = window or (-1, -1)
    return seen & ((left < 0) | (distance >= -left)) & ((right < 0) | (distance <= right))


def again(found, shape, offset):
    """The mask that `found` describes."""
    _, _, queries, _ = shape
    aligned = offset if found.causal or found.window else 0
    whole = np.zeros(shape, bool)
    whole[..., : found.kv_len] = band(queries, found.kv_len, aligned, found.causal is not None, found.window)
    if found.mask is not None:
        whole[..., : found.kv_len] &= found.mask
    return whole


@st.composite
def masks(draw):
    queries, offset = draw(st.integers(1, 6)), draw(st.integers(0, 5))
    keys = queries + offset + draw(st.integers(0, 3))
    causal = draw(st.booleans())
    window = draw(st.none() | st.tuples(st.integers(-1, 4), st.integers(-1, 4)))
    density = draw(st.sampled_from([0.3, 0.8, 1.1]))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    each = draw(st.sampled_from([1, queries]))  # Padding, or any mask.
    return band(queries, keys, offset, causal, window)[None, None] & (random.random((2, 1, each, keys)) < density), offset


@given(masks())
def test_what_is_said_gives_the_mask_again(made):
    mask, offset = made
    np.testing.assert_array_equal(again(visible(mask, offset), mask.shape, offset), mask)


@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 3), st.booleans(), st.none() | st.integers(0, 1000))
def test_what_is_said_by_keys_gives_the_mask_too(queries, offset, room, causal, seed):
    keys = queries + offset + room
    seen = None if seed is None else np.random.default_rng(seed).random((2, keys)) < 0.7
    mask = np.broadcast_to(band(queries, keys, offset, causal, None), (2, 1, queries, keys))
    mask = mask if seen is None else mask & seen[:, None, None]
    if (found := of_keys(queries, keys, offset, causal, seen)) is not None:
        np.testing.assert_array_equal(again(found, mask.shape, offset), mask)
    else:
        assert causal


PADDING = np.arange(6) < np.array([[4], [6]])


@pytest.mark.parametrize("side", ["right", "left"])
def test_causality_and_padding_are_told_apart(side):
    padding = PADDING if side == "right" else PADDING[:, ::-1]
    found = visible(band(6, 6, 0, True, None)[None, None] & padding[:, None, None], 0)
    assert found.causal == "top-left" and found.window is None
    assert found.mask.shape == (2, 1, 1, 6), "a mask for each key, and not for each pair"


def test_padding_alone_is_no_causality():
    found = visible(np.broadcast_to(PADDING[:, None, None], (2, 1, 6, 6)), 0)
    assert found.causal is None and found.mask.shape == (2, 1, 1, 6)


def test_nothing_hidden_is_no_mask():
    found = visible(np.ones((2, 1, 4, 4), bool), 0)
    assert (found.causal, found.window, found.mask) == (None, None, None)


def test_room_of_a_static_cache_is_left_out():
    mask = np.zeros((1, 1, 3, 16), bool)
    mask[..., :7] = band(3, 7, 4, True, None)
    found = visible(mask, 4)
    assert (found.kv_len, found.causal, found.mask) == (7, "bottom-right", None)


def test_one_step_after_a_past_sees_everything():
    found = visible(np.ones((1, 1, 1, 9), bool), 8)
    assert (found.kv_len, found.mask) == (9, None)


def test_a_sliding_window_is_found():
    found = visible(band(8, 8, 0, True, (2, -1))[None, None], 0)
    assert found.causal == "top-left" and found.window[0] == 2 and found.mask is None
