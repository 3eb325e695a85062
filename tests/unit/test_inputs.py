"""The arrays of a problem: the same everywhere, and shaped as the contract says."""

import hashlib
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.inputs import make_inputs
from harness.problem import Problem

ROOT = Path(__file__).parents[2]
FIELDS = {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 9, "kv_len": 12, "head_dim": 8, "v_head_dim": 5}
EVERYTHING = Problem(**FIELDS, mask="random-bhqk", bias="blocking-1hqk", direction="backward")
NAMES = ("q", "k", "v", "do", "mask", "bias")

DIGEST = """
import hashlib
from harness.operators.attention.inputs import make_inputs
from harness.problem import Problem
inputs = make_inputs(Problem(**{fields}, mask="random-bhqk", bias="blocking-1hqk", direction="backward"), 5)
arrays = [getattr(inputs, name) for name in {names}]
print(hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest())
"""


def test_another_process_makes_the_same_bits():
    code = DIGEST.format(fields=FIELDS, names=NAMES)
    there = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    inputs = make_inputs(EVERYTHING, 5)
    here = hashlib.sha256(b"".join(getattr(inputs, name).tobytes() for name in NAMES)).hexdigest()
    assert there.stdout.strip() == here


def test_every_seed_gives_other_arrays():
    first, second = make_inputs(EVERYTHING, 0), make_inputs(EVERYTHING, 1)
    same = [name for name in NAMES if np.array_equal(getattr(first, name), getattr(second, name))]
    assert same == []


def test_no_array_repeats_the_values_of_another():
    problem = Problem(q_heads=2, q_len=6, head_dim=6, bias="normal-bhqk", direction="backward")
    inputs = make_inputs(problem)
    firsts = {float(getattr(inputs, name).flat[0]) for name in ("q", "k", "v", "do", "bias")}
    assert len(firsts) == 5


def test_the_shape_of_one_array_does_not_change_another():
    wide = Problem(**{**FIELDS, "kv_len": 20, "v_head_dim": 7}, mask="random-k", bias="normal-k")
    here, there = make_inputs(EVERYTHING, 3), make_inputs(wide, 3)
    assert np.array_equal(here.q, there.q)
    assert not np.array_equal(here.q.ravel()[:50], here.k.ravel()[:50])


@pytest.mark.parametrize("dtype", list(NUMPY_DTYPES))
def test_shapes_and_dtypes(dtype):
    inputs = make_inputs(EVERYTHING.replace(dtype=dtype))
    shapes = {name: getattr(inputs, name).shape for name in NAMES}
    assert shapes == {
        "q": (2, 4, 9, 8),
        "k": (2, 2, 12, 8),
        "v": (2, 2, 12, 5),
        "do": (2, 4, 9, 5),
        "mask": (2, 4, 9, 12),
        "bias": (1, 4, 9, 12),
    }
    assert {str(getattr(inputs, name).dtype) for name in NAMES if name != "mask"} == {dtype}
    assert inputs.mask.dtype == bool


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_are_the_float32_values_rounded_once(dtype):
    single, half = make_inputs(EVERYTHING, 2), make_inputs(EVERYTHING.replace(dtype=dtype), 2)
    for name in ("q", "k", "v", "do", "bias"):
        assert np.array_equal(getattr(single, name).astype(NUMPY_DTYPES[dtype]), getattr(half, name))
    assert np.array_equal(single.mask, half.mask)


def test_values_are_standard_normal():
    inputs = make_inputs(Problem(q_heads=8, q_len=128, head_dim=64, direction="backward", bias="normal-bhqk"))
    for array in (inputs.q, inputs.k, inputs.v, inputs.do, inputs.bias):
        # Five standard errors of the mean and of the variance of that many draws.
        assert abs(array.mean()) < 5 / np.sqrt(array.size)
        assert abs(array.var() - 1) < 5 * np.sqrt(2 / array.size)


def test_what_a_problem_does_not_have_is_none():
    inputs = make_inputs(Problem(q_len=4, head_dim=4))
    assert inputs.mask is None and inputs.bias is None and inputs.do is None
    assert inputs.extras == {}


def test_extras_are_the_keywords_of_an_implementation():
    assert set(make_inputs(EVERYTHING).extras) == {"mask", "bias"}
    assert set(make_inputs(Problem(q_len=4, head_dim=4, mask="padding")).extras) == {"mask"}


@pytest.mark.parametrize("kv_len", [1, 2, 9, 100])
def test_padding_keeps_at_least_half_of_the_keys_from_the_left(kv_len):
    mask = make_inputs(Problem(batch=50, q_len=3, kv_len=kv_len, head_dim=2, mask="padding")).mask
    assert mask.shape == (50, 1, 1, kv_len)
    kept = mask.sum(axis=-1).ravel()
    assert kept.min() * 2 >= kv_len and kept.max() <= kv_len
    assert (np.diff(mask.astype(int), axis=-1) <= 0).all()
    assert kv_len < 9 or len(set(kept.tolist())) > 1


def test_random_masks_keep_seven_of_ten():
    mask = make_inputs(Problem(batch=2, q_heads=4, q_len=64, kv_len=64, head_dim=2, mask="random-bhqk")).mask
    assert abs(mask.mean() - 0.7) < 5 * np.sqrt(0.7 * 0.3 / mask.size)


@pytest.mark.parametrize("form", ["bhqk", "b1qk", "qk", "bhq1"])
def test_every_third_row_of_an_empty_rows_mask_is_blocked(form):
    problem = Problem(batch=2, q_heads=3, q_len=10, kv_len=40, head_dim=2, mask=f"empty-rows-{form}")
    mask = np.broadcast_to(make_inputs(problem).mask, (2, 3, 10, 40))
    assert not mask[:, :, [0, 3, 6, 9]].any()
    assert mask[:, :, [1, 2, 4, 5, 7, 8]].any()


@pytest.mark.parametrize("form, emptied", [("b11k", [0, 3]), ("bh1k", None), ("1h1k", None), ("h11", None)])
def test_without_queries_it_blocks_whole_batch_elements_or_heads(form, emptied):
    problem = Problem(batch=5, q_heads=4, q_len=3, kv_len=40, head_dim=2, mask=f"empty-rows-{form}")
    mask = np.broadcast_to(make_inputs(problem).mask, (5, 4, 3, 40))
    blocked = ~mask.any(axis=(2, 3))
    assert blocked.any() and not blocked.all()
    if emptied is None:  # Heads 0 and 3 of every batch element.
        assert blocked[:, [0, 3]].all() and (form == "h11" or not blocked[:, [1, 2]].any())
    else:
        assert blocked[emptied].all() and not np.delete(blocked, emptied, axis=0).any()


@pytest.mark.parametrize("form", ["bhqk", "11qk", "1hq1", "b11k", "k"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_lowest_bias_has_the_lowest_number_in_a_band_and_on_every_fourth_query(form, dtype):
    problem = Problem(batch=2, q_heads=3, q_len=12, kv_len=15, head_dim=2, bias=f"lowest-{form}", dtype=dtype)
    bias = make_inputs(problem).bias
    lowest = bias == ml_dtypes.finfo(bias.dtype).min
    assert np.isfinite(bias.astype(np.float64)).all()
    assert not problem.may_have_empty_rows
    if "q" in form:
        assert lowest[..., [2, 6, 10], :].all()
        assert np.delete(lowest, [2, 6, 10], axis=-2).mean() == pytest.approx(1 / 3)
    else:
        assert lowest.mean() == pytest.approx(1 / 3)


@pytest.mark.parametrize("form", ["bhqk", "11qk", "1hq1", "k"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_third_of_a_blocking_bias_is_minus_infinity(form, dtype):
    problem = Problem(batch=2, q_heads=3, q_len=12, kv_len=15, head_dim=2, bias=f"blocking-{form}", dtype=dtype)
    bias = make_inputs(problem).bias.astype(np.float64)
    assert np.isneginf(bias).mean() == pytest.approx(1 / 3)
    assert np.isfinite(bias[~np.isneginf(bias)]).all()


@pytest.mark.parametrize("empty", [{"batch": 0}, {"q_len": 0}, {"kv_len": 0}])
def test_problems_without_elements_have_arrays(empty):
    for extra in ({"mask": "padding"}, {"mask": "empty-rows-bhqk", "bias": "blocking-bhqk"}):
        inputs = make_inputs(Problem(**{**FIELDS, **empty}, **extra, direction="backward"))
        assert inputs.q.size == 0 or inputs.k.size == 0
