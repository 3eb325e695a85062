"""The second criterion of half types: what the dtype costs when one computes honestly is the yardstick."""

import numpy as np
import pytest

from harness.operators import checks
from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.reference import computed, expected
from harness.operators.attention.reference.forward import forward_rows
from harness.operators.attention.reference.operands import Operands
from harness.operators.reference.arithmetic import Rounded
from harness.operators.reference.computed import limits
from harness.problem import Problem
from tests.unit.plain import attend_inputs

HALVES = ("bfloat16", "float16")


def posed(dtype, **fields):
    return Problem(**{"q_heads": 2, "q_len": 40, "kv_len": 60, "head_dim": 16, "dtype": dtype, **fields})


def in_half(problem, inputs):
    """The formula in the half type, by output."""
    rows, keys = np.arange(problem.q_len), np.arange(problem.kv_len)
    return computed.compute(problem, inputs, rows, keys, Rounded(problem.dtype))


def verdict(problem, o):
    return checks.accuracy({"o": o.astype(NUMPY_DTYPES[problem.dtype])}, expected(problem, make_inputs(problem, 1)))


@pytest.mark.parametrize("dtype", HALVES)
def test_it_is_tighter_than_the_derived_bound_alone(dtype):
    problem = posed(dtype, q_len=128, kv_len=128, head_dim=64)
    inputs = make_inputs(problem, 1)
    rows = np.arange(problem.q_len)
    derived = forward_rows(problem, Operands.exact(inputs), rows).bound
    assert np.median(expected(problem, inputs)["o"].bound) < np.median(derived) / 1.25


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("fields", [{}, {"causal": "top-left"}, {"mask": "random-11qk"}, {"kv_len": 1}, {"softcap": 2.0}])
def test_the_rounded_right_answer_and_the_honest_one_are_accepted(dtype, fields):
    problem = posed(dtype, **fields)
    inputs = make_inputs(problem, 1)
    assert verdict(problem, attend_inputs(problem, inputs)).correct
    honest = in_half(problem, inputs)["o"].value
    assert verdict(problem, honest).error_over_bound <= 0.5


@pytest.mark.parametrize("dtype", HALVES)
def test_eight_times_the_honest_error_is_not(dtype):
    problem = posed(dtype)
    inputs = make_inputs(problem, 1)
    right = attend_inputs(problem, inputs)
    honest = in_half(problem, inputs)["o"].value
    assert not verdict(problem, right + 8 * (honest - right)).correct


@pytest.mark.parametrize("dtype", HALVES)
def test_sums_in_the_half_type_are_rejected(dtype):
    """Scores and sums are float32 at least: adding up a thousand weights in a half type is no reference computation."""
    problem = posed(dtype, kv_len=1500)
    inputs = make_inputs(problem, 1)
    stored = NUMPY_DTYPES[dtype]
    s = problem.scale * (inputs.q.astype(np.float64) @ inputs.k.astype(np.float64).swapaxes(-1, -2))
    p = np.exp(s - s.max(axis=-1, keepdims=True)).astype(stored)
    total, o = np.zeros((*p.shape[:3], 1), stored), np.zeros(problem.o_shape, stored)
    for j in range(problem.kv_len):
        total += p[..., j : j + 1]
        o += p[..., j : j + 1] * inputs.v[:, :, j : j + 1]
    assert not verdict(problem, o.astype(np.float64) / total.astype(np.float64)).correct


@pytest.mark.parametrize("dtype", HALVES)
def test_rows_whose_stored_scores_say_little_keep_the_derived_bound(dtype):
    largest_score = computed.ILL_CONDITIONED / {"bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    problem = posed(dtype, scale=1.0)
    inputs = make_inputs(problem, 1)
    size = np.abs(inputs.q.astype(np.float64) @ inputs.k.astype(np.float64).swapaxes(-1, -2)).max(axis=-1)
    problem = problem.replace(scale=2 * largest_score / float(np.median(size)))
    rows, keys = np.arange(problem.q_len), np.arange(problem.kv_len)
    right = {"o": forward_rows(problem, Operands.exact(inputs), rows)}
    limit = limits(dtype, 80, lambda arithmetic: computed.compute(problem, inputs, rows, keys, arithmetic), right)["o"]
    ill_conditioned = np.broadcast_to(in_half(problem, inputs)["o"].ill_conditioned, limit.shape)
    assert 0 < ill_conditioned.mean() < 1
    assert np.isinf(limit[ill_conditioned]).all()
    assert np.isfinite(limit[~ill_conditioned]).all()


def test_an_overflow_of_the_honest_computation_admits_what_the_derived_bound_admits():
    problem = posed("float16", scale=1e6)
    inputs = make_inputs(problem, 1)
    assert np.isfinite(expected(problem, inputs)["o"].bound).all()
    assert verdict(problem, attend_inputs(problem, inputs)).correct


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_have_it_too(dtype):
    problem = posed(dtype, q_heads=4, kv_heads=2, direction="backward", causal="bottom-right")
    inputs = make_inputs(problem, 1)
    answer = expected(problem, inputs)
    honest = in_half(problem, inputs)
    for name, tensor in answer.items():
        error = honest[name].value - tensor.value
        got = {n: (t.value + (8 * error if n == name else 0)).astype(NUMPY_DTYPES[dtype]) for n, t in answer.items()}
        assert not checks.accuracy(got, answer).correct
        got[name] = honest[name].value.astype(NUMPY_DTYPES[dtype])
        assert checks.accuracy(got, answer).correct
