"""The oracle against the whole-matrix formula, against finite differences, and in what it leaves out when it is long."""

import numpy as np
import pytest

from harness.operators.answer import load, save
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.reference import expected, rows, scores
from harness.problem import Problem
from tests.unit.plain import admitted, attend, attend_inputs

FEATURES = {
    "plain": {},
    "top-left": {"causal": "top-left"},
    "bottom-right": {"causal": "bottom-right"},
    "more-queries": {"causal": "bottom-right", "q_len": 15, "kv_len": 9},
    "window": {"window": (4, 2)},
    "window-bottom-right": {"window": (3, -1), "causal": "bottom-right"},
    "narrow-window": {"window": (0, 0), "q_len": 15, "kv_len": 9},
    "padding": {"mask": "padding"},
    "mask": {"mask": "random-b1qk"},
    "mask-of-keys": {"mask": "random-k"},
    "empty-rows": {"mask": "empty-rows-bhqk"},
    "bias": {"bias": "normal-1hqk"},
    "bias-of-queries": {"bias": "normal-hq1"},
    "blocking": {"bias": "blocking-qk"},
    "softcap": {"softcap": 1.5},
    "scale": {"scale": -0.4},
    "zero-scale": {"scale": 0.0},
    "large-logits": {"scale": 60.0},
    "one-key-head": {"kv_heads": 1},
    "value-width": {"v_head_dim": 3},
    "one-query": {"q_len": 1, "causal": "bottom-right"},
    "one-key": {"kv_len": 1},
    "everything": {
        "causal": "bottom-right",
        "window": (5, 4),
        "mask": "random-b1qk",
        "bias": "blocking-1hqk",
        "softcap": 1.5,
        "scale": -0.5,
        "v_head_dim": 3,
    },
}


def posed(**fields):
    sizes = {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 9, "kv_len": 12, "head_dim": 6, "dtype": "float64"}
    return Problem(**{**sizes, **fields})


@pytest.mark.parametrize("feature", FEATURES)
def test_forward_is_the_formula(feature):
    problem = posed(**FEATURES[feature])
    inputs = make_inputs(problem, 3)
    answer = expected(problem, inputs)["o"]
    np.testing.assert_allclose(answer.value, attend_inputs(problem, inputs), rtol=1e-10, atol=1e-13)
    assert answer.value.dtype == np.float64
    assert answer.rows.tolist() == list(range(problem.q_len)) and answer.length == problem.q_len


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_inputs_count_as_they_were_rounded(dtype):
    problem = posed(dtype=dtype, bias="normal-1hqk")
    inputs = make_inputs(problem, 3)
    np.testing.assert_allclose(expected(problem, inputs)["o"].value, attend_inputs(problem, inputs), rtol=1e-10, atol=1e-13)


def differences(problem, inputs, name, step=1e-6):
    """The gradient of sum(do * o) by central differences, one element of q, k or v at a time."""
    arrays = {"q": inputs.q.copy(), "k": inputs.k.copy(), "v": inputs.v.copy()}
    moved = arrays[name]
    gradient = np.zeros_like(moved)
    for at in np.ndindex(*moved.shape):
        there = moved[at]
        losses = []
        for sign in (1, -1):
            moved[at] = there + sign * step
            o = attend(problem, **arrays, mask=inputs.mask, bias=inputs.bias)
            losses.append(np.sum(inputs.do * o))
        moved[at] = there
        gradient[at] = (losses[0] - losses[1]) / (2 * step)
    return gradient


@pytest.mark.parametrize("feature", [name for name in FEATURES if name != "large-logits"])
def test_gradients_are_those_of_the_formula(feature):
    sizes = {"batch": 1, "q_len": 4, "kv_len": 5, "head_dim": 3}
    problem = posed(**{**sizes, **{k: min(v, 6) if k == "q_len" else v for k, v in FEATURES[feature].items()}})
    problem = problem.replace(direction="backward")
    inputs = make_inputs(problem, 4)
    answer = expected(problem, inputs)
    assert set(answer) == {"dq", "dk", "dv"}
    for name in "qkv":
        np.testing.assert_allclose(answer[f"d{name}"].value, differences(problem, inputs, name), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "fields",
    [
        {"causal": "bottom-right", "q_len": 15, "kv_len": 9},
        {"window": (2, 0), "q_len": 15, "kv_len": 9},
        {"mask": "empty-rows-b1qk"},
        {"mask": "empty-rows-b1qk", "softcap": 2.0},
        {"bias": "blocking-hq1"},
        {"kv_len": 0},
        {"kv_len": 0, "causal": "top-left"},
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_row_with_nothing_to_attend_to_is_exactly_zero(fields, dtype):
    problem = posed(dtype=dtype, **fields)
    inputs = make_inputs(problem, 5)
    empty = ~admitted(problem, inputs.mask, inputs.bias).any(axis=-1)
    assert empty.any() and (problem.kv_len == 0 or not empty.all())
    o = expected(problem, inputs)["o"]
    assert (o.value[empty] == 0).all() and (o.bound[empty] == 0).all()
    assert (o.bound[~empty] > 0).all()
    problem = problem.replace(direction="backward")
    dq = expected(problem, make_inputs(problem, 5))["dq"]
    assert (dq.value[empty] == 0).all() and (dq.bound[empty] == 0).all()


@pytest.mark.parametrize("fields", [{"batch": 0}, {"q_len": 0}, {"kv_len": 0}])
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_problems_without_elements_have_an_answer(fields, direction, dtype):
    problem = posed(**fields, direction=direction, dtype=dtype)
    answer = expected(problem, make_inputs(problem))
    shapes = {"o": problem.o_shape, "dq": problem.q_shape, "dk": problem.k_shape, "dv": problem.v_shape}
    for name, tensor in answer.items():
        assert tensor.value.shape == tensor.bound.shape == shapes[name]
        assert not tensor.value.any() and not tensor.bound.any()


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_blocks_change_nothing(monkeypatch, direction):
    problem = posed(**FEATURES["everything"], direction=direction)
    inputs = make_inputs(problem, 6)
    whole = expected(problem, inputs)
    monkeypatch.setattr(scores, "BLOCK_ELEMENTS", 2 * problem.kv_len)
    for name, tensor in expected(problem, inputs).items():
        np.testing.assert_allclose(tensor.value, whole[name].value, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(tensor.bound, whole[name].bound, rtol=0.05)  # Of roundings of float64 itself.


# --- long problems -----------------------------------------------------------------------------------

MANY = 2**40
"""Elements a row that make every row but the indispensable ones too many."""


@pytest.mark.parametrize("length", [4096, 5000, 16384, 16385, 100_003])
@pytest.mark.parametrize("tile", [16, 32, 64, 128, 256])
def test_samples_hold_the_edges(length, tile):
    found = set(rows.sampled_rows(length, MANY).tolist())
    last_tile = (length - 1) // tile * tile
    assert {0, 1, length - 2, length - 1} <= found
    assert {tile - 1, tile, last_tile - 1, last_tile} <= found
    assert len(found) < 100


def test_samples_are_ascending_distinct_and_as_many_as_can_be_afforded():
    found = rows.sampled_rows(16384, rows.FULL_CHECK_ELEMENTS // 1000)
    assert len(found) == 1000
    assert (np.diff(found) > 0).all() and found[0] == 0 and found[-1] == 16383


def test_samples_of_another_seed_differ_only_in_the_rest():
    first, second = (set(rows.sampled_rows(16384, rows.FULL_CHECK_ELEMENTS // 1000, seed).tolist()) for seed in (0, 1))
    edges = set(rows.sampled_rows(16384, MANY).tolist())
    assert first != second and edges <= first & second
    assert set(rows.sampled_rows(16384, rows.FULL_CHECK_ELEMENTS // 1000, 0).tolist()) == first


@pytest.mark.parametrize("length", [0, 1, 2, 3, 17])
def test_short_lengths_are_sampled_within_their_range(length):
    found = rows.sampled_rows(length, MANY)
    assert set(found.tolist()) <= set(range(length))
    assert length == 0 or {0, length - 1} <= set(found.tolist())


def test_every_row_is_checked_where_that_is_affordable():
    assert rows.sampled_rows(2048, 8 * 2048).tolist() == list(range(2048))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_sampled_answer_is_the_whole_one_at_its_rows(monkeypatch, direction):
    problem = posed(q_len=70, kv_len=90, causal="bottom-right", mask="random-b1qk", direction=direction)
    inputs = make_inputs(problem, 8)
    whole = expected(problem, inputs)
    monkeypatch.setattr(rows, "FULL_CHECK_ELEMENTS", 30 * 4 * 2 * 90)
    for name, tensor in expected(problem, inputs).items():
        length = 70 if name in ("o", "dq") else 90
        assert tensor.length == length and 4 <= len(tensor.rows) < length
        np.testing.assert_allclose(tensor.value, whole[name].value[:, :, tensor.rows], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(tensor.bound, whole[name].bound[:, :, tensor.rows], rtol=1e-9)


# --- for the workers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_saved_answer_is_loaded_bit_by_bit(tmp_path, direction):
    problem = posed(**FEATURES["everything"], direction=direction)
    answer = expected(problem, make_inputs(problem, 9))
    save(answer, tmp_path / "expected.npz")
    again = load(tmp_path / "expected.npz")
    assert set(again) == set(answer)
    for name, tensor in answer.items():
        for part in ("value", "bound", "rows"):
            stored = getattr(again[name], part)
            assert stored.dtype == getattr(tensor, part).dtype
            assert np.array_equal(stored, getattr(tensor, part))
        assert again[name].length == tensor.length
